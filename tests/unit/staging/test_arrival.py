"""An event is from the future by its record's arrival on the stream: one word, whoever reads it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeCardRegistry, FakeClock

from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import MAX_CLOCK_SKEW, RejectedRecord, read_event
from cardwatch.recovery.error_output import FailedRecord, read_failed_records
from cardwatch.staging.stolen import StolenCards
from cardwatch.staging.transform import TransformedBatch, transform

EXAMPLES = Path(__file__).parents[3] / "events" / "examples"
ARRIVED = datetime(2026, 11, 21, 7, 0, 10, 250_000, tzinfo=UTC)
KINDS = {
    "payment": EXAMPLES / "payment_event.v1/valid/authorized.json",
    "status": EXAMPLES / "card_status.v1/valid/stolen.json",
    "heartbeat": EXAMPLES / "heartbeat.v1/valid/simulator.json",
}
kinds = st.sampled_from(sorted(KINDS))
skews = st.one_of(
    st.integers(-3_600_000, 3_600_000),
    st.integers(-2, 2).map(lambda ms: ms + int(MAX_CLOCK_SKEW.total_seconds() * 1000)),
).map(lambda ms: timedelta(milliseconds=ms))
buffers = st.integers(0, 7 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
"""Up to a week: how long Firehose may have been behind."""


def stamped(kind: str, origin: datetime, **data: object) -> bytes:
    event = json.loads(KINDS[kind].read_bytes())
    event["event_date_origin"] = format_time(origin)
    event["event_json_data"] |= data
    return json.dumps(event).encode()


def record(raw: bytes, arrived: object, number: int = 0) -> dict[str, Any]:
    return {
        "recordId": str(number),
        "approximateArrivalTimestamp": arrived,
        "data": base64.b64encode(raw).decode(),
        "kinesisRecordMetadata": {
            "sequenceNumber": f"4960{number}",
            "subsequenceNumber": 0,
            "partitionKey": "k",
            "shardId": "shardId-000000000000",
            "approximateArrivalTimestamp": arrived,
        },
    }


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def stage(raw: bytes, arrived: object, now: datetime) -> TransformedBatch:
    return transform({"records": [record(raw, arrived)]}, now=now)


def word(raw: bytes, arrived: datetime) -> str:
    try:
        read_event(raw, now=arrived)
    except RejectedRecord as rejected:
        return rejected.reason
    return "valid"


@given(kinds, skews, buffers)
def test_every_reader_says_the_same_of_an_event_ahead_however_long_it_lay_in_a_buffer(
    kind: str, ahead: timedelta, buffered: timedelta
) -> None:
    raw = stamped(kind, ARRIVED + ahead)
    expected = "future_time" if ahead > MAX_CLOCK_SKEW else "valid"
    assert word(raw, ARRIVED) == expected
    batch = stage(raw, milliseconds(ARRIVED), now=ARRIVED + buffered)
    assert batch.quarantined == ({} if expected == "valid" else {expected: 1})
    wrapped = FailedRecord(raw, ARRIVED, 1, ARRIVED + buffered, "Code", "", "arn").to_line()
    (failed,) = read_failed_records(wrapped)
    assert failed.reason() == ("Code" if expected == "valid" else expected)


@given(kinds, skews, buffers, buffers)
def test_what_the_stager_answers_does_not_depend_on_when_it_is_asked(
    kind: str, ahead: timedelta, once: timedelta, again: timedelta
) -> None:
    raw = stamped(kind, ARRIVED + ahead)
    answers = [
        stage(raw, milliseconds(ARRIVED), now=ARRIVED + lag).response for lag in (once, again)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("ahead", [8, 9.5, 10, 10.5, 11, 13, 15, 30, 70])
def test_a_stolen_payment_ahead_of_its_arrival_is_staged_or_counted_never_both_and_never_neither(
    ahead: float,
) -> None:
    clock = FakeClock()
    stolen_cards = StolenCards(FakeCardRegistry(), clock)
    report = read_event(stamped("status", ARRIVED), now=ARRIVED).event_json_data
    assert isinstance(report, CardStatus)
    stolen_cards.learn([report])
    raw = stamped("payment", ARRIVED + timedelta(seconds=ahead), card_token=report.card_token)
    batch = stage(raw, milliseconds(ARRIVED), now=ARRIVED + timedelta(seconds=90))
    counted = stolen_cards.judge([r.raw for r in batch.quarantined_records]).stolen
    assert (batch.staged, counted) == ((1, 0) if ahead <= 10 else (0, 1))


def test_the_streams_own_word_comes_before_firehoses() -> None:
    late = record(stamped("payment", ARRIVED + timedelta(seconds=11)), milliseconds(ARRIVED))
    late["approximateArrivalTimestamp"] = milliseconds(ARRIVED + timedelta(minutes=5))
    assert transform({"records": [late]}, now=ARRIVED).quarantined == {"future_time": 1}


def test_where_the_stream_says_nothing_firehoses_word_counts() -> None:
    ahead = record(stamped("payment", ARRIVED + timedelta(seconds=11)), None)
    ahead["kinesisRecordMetadata"].pop("approximateArrivalTimestamp", None)
    ahead["approximateArrivalTimestamp"] = milliseconds(ARRIVED)
    batch = transform({"records": [ahead]}, now=ARRIVED + timedelta(minutes=5))
    assert batch.quarantined == {"future_time": 1}


@pytest.mark.parametrize("said", [None, "", "soon", [], 10**400, "1795244410250"])
def test_without_a_readable_arrival_the_clock_stands_in(said: object) -> None:
    raw = stamped("payment", ARRIVED + timedelta(seconds=11))
    assert stage(raw, said, now=ARRIVED).quarantined == {"future_time": 1}
    late = stage(raw, said, now=ARRIVED + timedelta(minutes=1))
    assert late.staged == (0 if said == "1795244410250" else 1)


def test_each_record_of_a_batch_is_judged_by_its_own_arrival() -> None:
    raw = stamped("payment", ARRIVED + timedelta(seconds=11))
    early, late = milliseconds(ARRIVED), milliseconds(ARRIVED + timedelta(seconds=2))
    batch = transform({"records": [record(raw, early, 1), record(raw, late, 2)]}, now=ARRIVED)
    assert [a["result"] for a in batch.response["records"]] == ["ProcessingFailed", "Ok"]
