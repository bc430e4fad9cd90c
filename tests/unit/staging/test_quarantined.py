"""What the stager tells of its quarantine: what, to whom it matters, once, and never data."""

import base64
import io
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics
from hypothesis import given
from hypothesis import strategies as st
from tests.card_numbers import NUMBERS, in_groups
from tests.fakes import NOON, FakeCardRegistry, FakeClock, FakeEventStream
from tests.kpl import aggregated

from cardwatch.contract.quarantined import QuarantinedEvent
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.staging.legible import legible_payment_id, legible_status_tokens, legible_tokens
from cardwatch.staging.ports import KnownStatus
from cardwatch.staging.quarantined import QuarantinedRecord, quarantined_events
from cardwatch.staging.stolen import StolenCards
from cardwatch.staging.telemetry import MAX_TOLD_PER_BATCH, MeasuredStager

EXAMPLES = Path(__file__).parents[3] / "events" / "examples"
CARD = "4f0c" * 8
OTHER = "a1b2" * 8
ARRIVED = NOON - timedelta(seconds=30)


def payment(payment_id: object = "pay_1", card: str = CARD, **broken: object) -> bytes:
    """Give a payment that breaks the contract."""
    data = {"payment_id": payment_id, "card_token": card, "amount": 12.5} | broken
    origin = "2026-11-21T11:59:00.000Z"
    event = {"type": "PAYMENT_EVENT", "event_date_origin": origin, "event_json_data": data}
    return json.dumps(event).encode()


def status(says: str = "STOLEN", card: str = CARD) -> bytes:
    """Give a card status without its reason."""
    data = {"card_token": card, "status": says, "effective_from": "2026-11-21T10:00:00.000Z"}
    return json.dumps({"type": "CARD_STATUS", "event_json_data": data}).encode()


def record(raw: bytes, number: int = 0) -> dict[str, Any]:
    return {
        "recordId": f"shard-{number}",
        "data": base64.b64encode(raw).decode(),
        "approximateArrivalTimestamp": round(ARRIVED.timestamp() * 1000),
        "kinesisRecordMetadata": {"shardId": "shard", "sequenceNumber": str(1000 + number)},
    }


@dataclass
class World:
    """The stager between a registry and a stream in memory."""

    clock: FakeClock = field(default_factory=FakeClock)
    registry: FakeCardRegistry = field(
        default_factory=lambda: FakeCardRegistry(
            {CARD: KnownStatus(CARD, stolen=True, effective_from=NOON)}
        )
    )
    stream: FakeEventStream = field(default_factory=FakeEventStream)
    log: io.StringIO = field(default_factory=io.StringIO)
    # Its own: Powertools' others share what they hold.
    metrics: Metrics = field(
        default_factory=lambda: cast(
            "Metrics", EphemeralMetrics(namespace="test", service="stager")
        )
    )

    def stage(self, *raws: bytes, first: int = 0) -> dict[str, Any]:
        """Have a cold start answer one batch of Firehose."""
        self.metrics.clear_metrics()
        logger = Logger(service=f"stager {id(self)}", stream=self.log, level=logging.INFO)
        stager = MeasuredStager(
            StolenCards(self.registry, self.clock),
            self.stream,
            self.clock,
            0.5,
            logger,
            self.metrics,
        )
        records = [record(raw, number) for number, raw in enumerate(raws, first)]
        return stager.stage({"records": records})

    def counted(self, name: str) -> float:
        return cast("float", self.metrics.metric_set[name]["Value"][0])

    def told(self) -> list[Envelope]:
        return [read_event(entry.data, now=self.clock.now()) for entry in self.stream.entries]

    def said(self) -> list[QuarantinedEvent]:
        return [cast("QuarantinedEvent", event.event_json_data) for event in self.told()]


@pytest.fixture
def world() -> World:
    return World()


def test_a_payment_on_a_stolen_card_is_told_with_what_could_be_read_and_others_are_not(
    world: World,
) -> None:
    world.stage(payment(), payment("pay_2", OTHER), b"{", payment(card="no card"))
    (event,) = world.told()
    assert event.event_date_origin == ARRIVED
    assert event.event_json_data == QuarantinedEvent(
        kind="PAYMENT",
        reason="unsupported_version",
        card_token=CARD,
        payment_id="pay_1",
        status=None,
        happened_at=datetime(2026, 11, 21, 11, 59, tzinfo=UTC),
    )
    (entry,) = world.stream.entries
    assert entry.partition_key == CARD


@pytest.mark.parametrize(
    ("seconds", "believed"), [(-220_000_000, False), (-60, True), (10, True), (11, False)]
)
def test_a_payments_time_is_told_where_an_event_of_its_arrival_may_have_it(
    world: World, seconds: int, *, believed: bool
) -> None:
    said = ARRIVED + timedelta(seconds=seconds)
    world.stage(payment().replace(b"2026-11-21T11:59:00.000Z", said.isoformat().encode()))
    assert [told.happened_at for told in world.said()] == [said if believed else None]


def test_a_card_status_is_told_whatever_is_known_of_its_card(world: World) -> None:
    world.stage(status(), status("ACTIVE", OTHER), status("LOST", OTHER), status(card="no card"))
    told = [(e.kind, e.card_token, e.status, e.happened_at) for e in world.said()]
    since = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert told == [
        ("CARD_STATUS", CARD, "STOLEN", since),
        ("CARD_STATUS", OTHER, "ACTIVE", since),
        ("CARD_STATUS", OTHER, None, since),
    ]


def test_firehoses_retry_and_a_copy_and_a_registry_published_again_make_the_same_events(
    world: World,
) -> None:
    batch = [payment(), b"a card " + CARD.encode(), status()]
    world.stage(*batch)
    first = {event.event_id for event in world.told()}
    assert len(first) == 3
    world.stage(*batch)
    assert {event.event_id for event in world.told()} == first
    world.stage(payment(amount="x"), status(), first=50)
    assert {event.event_id for event in world.told()} == first


def test_what_has_no_legible_payment_id_is_told_apart_by_its_place(world: World) -> None:
    illegible = payment(None)
    world.stage(illegible, illegible, illegible + b"\n" + illegible)
    assert len({event.event_id for event in world.told()}) == 4
    assert {said.payment_id for said in world.said()} == {None}


@pytest.mark.parametrize(
    "raw",
    [payment() + payment("pay_2"), aggregated(payment(), payment("pay_2"))],
    ids=["end to end", "aggregated"],
)
def test_each_payment_of_a_record_with_several_is_told(world: World, raw: bytes) -> None:
    world.stage(raw)
    assert [(s.reason, s.payment_id) for s in world.said()] == [
        ("several_events", "pay_1"),
        ("several_events", "pay_2"),
    ]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("separator", ["", " ", "-", "."])
@pytest.mark.parametrize("prefix", ["", "pay_"])
def test_a_payment_id_that_holds_a_card_number_is_left_out(
    world: World, number: str, separator: str, prefix: str
) -> None:
    payment_id = prefix + in_groups(number, separator)
    world.stage(payment(payment_id, city=payment_id), payment(int(number)))
    assert [said.payment_id for said in world.said()] == [None, None]
    for text in (*(entry.data.decode() for entry in world.stream.entries), world.log.getvalue()):
        assert number not in "".join(filter(str.isdigit, text))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"payment_id": "pay_1"', "pay_1"),
        (b"{'payment_id' : 'pay_1'", "pay_1"),
        (b'{"payment_id": "pay 1"}', "pay 1"),
        (b'{"payment_id": 17}', "17"),
        (b'{"payment_id": 1.7}', None),
        (b'{"payment_id": ""}', None),
        (b'{"payment_id": null}', None),
        (b'{"payment_id": "a\\u0031"}', None),
        (b'{"payment_id": "a\x01"}', None),
        (b'{"payment_id": "\xff"}', None),
        (b'{"payment_id": "a", "payment_id": "b"}', None),
        (b'{"payment_id": "a", "payment_id": "a"}', "a"),
        (b'{"payment_id": "%s"}' % (b"a" * 130), "a" * 128),
        (b'{"parent_payment_id": "a"}', None),
    ],
)
def test_a_payment_id_is_read_as_its_alert_has_it_or_not_at_all(
    raw: bytes, expected: str | None
) -> None:
    assert legible_payment_id(raw) == expected


def test_what_the_stream_refuses_is_counted_and_changes_no_answer(world: World) -> None:
    good = world.stage(payment(), status(card=OTHER))
    assert world.counted("QuarantineNotTold") == 0
    world.stream.refuse = "AccessDeniedException"
    assert world.stage(payment(), status(card=OTHER)) == good
    assert world.counted("QuarantineNotTold") == 2
    assert world.counted("StolenPaymentsQuarantined") == 1
    assert "AccessDeniedException" in world.log.getvalue()
    assert "pay_1" not in world.log.getvalue()
    assert CARD not in world.log.getvalue()


def test_a_storm_tells_a_bounded_number_and_counts_the_rest(world: World) -> None:
    world.stage(*(payment(f"pay_{n}") for n in range(MAX_TOLD_PER_BATCH + 7)))
    assert len(world.stream.entries) == MAX_TOLD_PER_BATCH
    assert world.counted("QuarantineNotTold") == 7
    assert world.counted("StolenPaymentsQuarantined") == MAX_TOLD_PER_BATCH + 7


def test_without_the_registry_payments_are_unjudged_and_not_told_and_statuses_are(
    world: World,
) -> None:
    world.registry.broken = True
    world.stage(payment(), status())
    assert [said.kind for said in world.said()] == ["CARD_STATUS"]
    assert world.counted("QuarantineUnjudged") == 1


def test_what_the_stager_tells_is_staged_and_even_broken_nothing_is_told_of_it(
    world: World,
) -> None:
    world.stage(payment(), payment(None), status(), status(card=OTHER))
    told = [entry.data for entry in world.stream.entries]
    assert len(told) == 4
    world.stream.entries.clear()
    assert {answer["result"] for answer in world.stage(*told)["records"]} == {"Ok"}
    broken = [b"".join(told), *(raw[:-1] for raw in told)]
    assert {a["result"] for a in world.stage(*broken)["records"]} == {"ProcessingFailed"}
    assert world.stream.entries == []


@given(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from(
            [p.read_bytes() for p in sorted(EXAMPLES.glob("*/*/*.json"))]
            + [payment(), payment("pay 1"), status()]
        ),
    ),
    st.sampled_from(["invalid_data", "not_json", "no_room_in_response"]),
)
def test_whatever_is_quarantined_what_is_told_of_it_keeps_to_the_contract_and_ends_there(
    raw: bytes, reason: str
) -> None:
    cards = legible_tokens(raw)
    quarantined = QuarantinedRecord(raw, reason, ARRIVED, "shard|1|0")
    for entry in quarantined_events([quarantined], cards):
        event = read_event(entry.data, now=NOON)
        data = cast("QuarantinedEvent", event.event_json_data)
        assert data.card_token in cards | legible_status_tokens(raw)
        assert not legible_tokens(entry.data)
        assert not legible_status_tokens(entry.data)
