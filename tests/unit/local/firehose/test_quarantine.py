import gzip
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.fakes import FakeCardRegistry, FakeClock

from cardwatch.local.firehose.ends import Quarantine
from cardwatch.recovery.error_output import FailedRecord
from cardwatch.recovery.ports import StoredObject
from cardwatch.staging.ports import KnownStatus
from cardwatch.staging.stolen import MAX_TOKENS_PER_BATCH, StolenCards

NOW = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


class OneObject:
    """A bucket with one object in quarantine."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def list(self, prefix: str) -> Sequence[StoredObject]:
        return [StoredObject(prefix + "1.gz", "etag")]

    def get(self, key: str) -> bytes | None:
        del key
        return self.body


def test_a_record_may_name_more_cards_than_are_looked_up() -> None:
    raw = b" ".join(b"%032x" % n for n in range(9))
    failed = FailedRecord(raw, NOW, 1, NOW, "Lambda.ProcessingFailedStatus", "failed", "arn")
    body = gzip.compress(failed.to_line())
    counted = Quarantine(OneObject(body), StolenCards(FakeCardRegistry(), FakeClock())).count()
    assert (counted.on_stolen_cards, sum(counted.reasons.values())) == (0, 1)


def test_an_object_may_name_more_cards_than_the_registry_answers_at_once() -> None:
    tokens = [f"{n:032x}" for n in range(2 * MAX_TOKENS_PER_BATCH + 1)]
    raws = [b'{"type": "OTHER", "card_token": "%s"}' % token.encode() for token in tokens]
    failed = [
        FailedRecord(raw, NOW, 1, NOW, "Lambda.ProcessingFailedStatus", "failed", "arn")
        for raw in raws
    ]
    body = gzip.compress(b"".join(record.to_line() for record in failed))
    stolen = {t: KnownStatus(t, stolen=True, effective_from=NOW) for t in tokens[::2]}
    registry = FakeCardRegistry(stolen)
    counted = Quarantine(OneObject(body), StolenCards(registry, FakeClock())).count()
    assert counted.on_stolen_cards == len(stolen)
    assert sum(counted.reasons.values()) == len(tokens)
