"""The Firehose transform: what COPY gets, what goes to quarantine, and the limits of an answer."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeCardRegistry, FakeClock
from tests.kpl import aggregated

from cardwatch.contract.streams import MAX_DATA_BYTES, read_event
from cardwatch.staging.ports import KnownStatus
from cardwatch.staging.stolen import StolenCards
from cardwatch.staging.transform import (
    MAX_RESPONSE_BYTES,
    NO_ROOM,
    TransformedBatch,
    copy_line,
    transform,
)

EXAMPLES = Path(__file__).parents[3] / "events" / "examples"
NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
PAYMENT = (EXAMPLES / "payment_event.v1/valid/authorized.json").read_bytes()
LAMBDA_LIMIT = 6 * 1024 * 1024


def stage(*records: bytes) -> TransformedBatch:
    event = {
        "invocationId": "1",
        "records": [
            {"recordId": str(number), "data": base64.b64encode(raw).decode()}
            for number, raw in enumerate(records)
        ],
    }
    return transform(event, now=NOW)


def summary(currencies: int) -> bytes:
    """Give an event whose data can be as long as one likes."""
    path = next((EXAMPLES / "payment_alert_summary.v1/valid").glob("*.json"))
    event = json.loads(path.read_bytes())
    event["event_json_data"]["totals"] = [
        {"currency": f"{number:010}", "count": 1, "amount": "1.00"} for number in range(currencies)
    ]
    return json.dumps(event, separators=(",", ":")).encode()


def test_a_valid_record_becomes_one_line_of_the_columns_that_copy_loads() -> None:
    (answer,) = stage(PAYMENT).response["records"]
    assert (answer["recordId"], answer["result"]) == ("0", "Ok")
    line = base64.b64decode(answer["data"])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    columns = json.loads(line)
    assert list(columns) == ["event_id", "event_type", "event_date_origin", "event_json_data"]
    assert columns["event_type"] == "PAYMENT_EVENT"
    assert columns["event_date_origin"] == "2026-11-21 07:00:03.120"
    assert json.loads(columns["event_json_data"]) == json.loads(PAYMENT)["event_json_data"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/valid/*.json")), ids=lambda p: p.stem)
def test_every_valid_example_is_staged_as_compact_text_that_fits_its_column(path: Path) -> None:
    batch = stage(path.read_bytes())
    assert (batch.staged, batch.quarantined.total()) == (1, 0)
    text = json.loads(base64.b64decode(batch.response["records"][0]["data"]))["event_json_data"]
    assert len(text.encode()) <= MAX_DATA_BYTES
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/invalid/*.json")), ids=lambda p: p.stem)
def test_every_invalid_example_fails_with_its_reason_and_its_own_bytes(path: Path) -> None:
    batch = stage(path.read_bytes())
    (answer,) = batch.response["records"]
    assert answer["result"] == "ProcessingFailed"
    assert base64.b64decode(answer["data"]) == path.read_bytes()
    assert batch.quarantined == {path.name.split(".")[0]: 1}


def payment(number: int) -> bytes:
    return PAYMENT.replace(b"pay_01hzy3a7", b"pay_%d" % number)


@pytest.mark.parametrize(
    "raw",
    [
        payment(1) + payment(2),
        payment(1) + b"\n" + payment(2) + b"\n",
        b"[" + payment(1) + b"," + payment(2) + b"]",
        aggregated(payment(1), payment(2)),
    ],
    ids=["end to end", "lines", "array", "aggregated"],
)
def test_a_record_with_several_events_is_not_staged_and_each_payment_on_a_stolen_card_counts(
    raw: bytes,
) -> None:
    batch = stage(raw)
    assert batch.staged == 0
    assert batch.quarantined == {"several_events": 1}
    token = json.loads(PAYMENT)["event_json_data"]["card_token"]
    registry = FakeCardRegistry()
    registry.write(KnownStatus(token, stolen=True, effective_from=NOW))
    records = [record.raw for record in batch.quarantined_records]
    assert StolenCards(registry, FakeClock()).judge(records).stolen == 2


def test_what_firehose_took_out_of_an_aggregated_record_is_not_staged() -> None:
    """The job did not see it."""

    def record(sequence: str, subsequence: object, raw: bytes) -> dict[str, Any]:
        metadata = {"shardId": "shard-1", "sequenceNumber": sequence}
        return {
            "recordId": f"{sequence}-{subsequence}",
            "data": base64.b64encode(raw).decode(),
            "kinesisRecordMetadata": {**metadata, "subsequenceNumber": subsequence},
        }

    records = [record("1", 0, payment(1)), record("2", 0, payment(2)), record("2", 1, payment(3))]
    records += [record("3", "", payment(4)), record("4", "7", payment(5))]
    batch = transform({"records": records}, now=NOW)
    results = [answer["result"] for answer in batch.response["records"]]
    assert results == ["Ok", "ProcessingFailed", "ProcessingFailed", "Ok", "ProcessingFailed"]
    assert batch.quarantined == {"several_events": 3}


def test_data_longer_than_the_longest_varchar_is_quarantined() -> None:
    assert stage(summary(1000)).staged == 1
    assert stage(summary(1500)).quarantined == {"too_large": 1}


def test_a_poison_record_of_a_megabyte_delays_none_of_its_neighbours() -> None:
    batch = stage(PAYMENT, b"\xff" * 1024 * 1024, PAYMENT)
    results = [answer["result"] for answer in batch.response["records"]]
    assert results == ["Ok", "ProcessingFailed", "Ok"]


@given(st.lists(st.one_of(st.binary(max_size=50), st.just(PAYMENT)), min_size=1, max_size=8))
def test_every_record_is_answered_once_in_order_under_its_own_id(records: list[bytes]) -> None:
    batch = stage(*records)
    ids = [answer["recordId"] for answer in batch.response["records"]]
    assert ids == [str(number) for number in range(len(records))]
    assert batch.staged + batch.quarantined.total() == len(records)


def test_an_answer_that_would_break_lambdas_limit_quarantines_what_does_not_fit() -> None:
    records = [summary(900) for _ in range(120)]
    batch = stage(*records)
    assert len(json.dumps(batch.response)) < MAX_RESPONSE_BYTES < LAMBDA_LIMIT
    assert 0 < batch.staged < 120
    assert batch.quarantined == {NO_ROOM: 120 - batch.staged}
    assert len(batch.response["records"]) == 120


def test_a_full_megabyte_of_small_events_fits_one_answer() -> None:
    heartbeat: dict[str, Any] = {
        "type": "HEARTBEAT",
        "event_id": "h",
        "schema_version": 1,
        "event_date_origin": "2026-11-21T07:00:03.120Z",
        "event_json_data": {"source": "s"},
    }
    raw = json.dumps(heartbeat, separators=(",", ":")).encode()
    count = 1024 * 1024 // len(raw)
    assert stage(*[raw] * count).staged == count


def test_a_line_keeps_text_beyond_ascii_as_it_is() -> None:
    raw = (EXAMPLES / "payment_event.v1/valid/city_beyond_ascii.json").read_bytes()
    event = read_event(raw, now=NOW)
    assert json.loads(raw)["event_json_data"]["city"].encode() in copy_line(event)
