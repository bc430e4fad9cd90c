"""The canary of each minute, as its producer puts it."""

from datetime import timedelta

import pytest
from aws_lambda_powertools.metrics import EphemeralMetrics
from tests.fakes import NOON, FakeClock, FakeEventStream

from cardwatch.canary.sender import CanarySender
from cardwatch.contract.canary import CANARY_TOKEN, REPORTED_AT, is_canary
from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.observability import get_logger

MINUTE = {"time": "2026-11-21T12:00:00Z"}


def sender(stream: FakeEventStream, clock: FakeClock) -> CanarySender:
    metrics = EphemeralMetrics(namespace="test", service="canary")
    return CanarySender(stream, clock, get_logger("canary"), metrics)  # type: ignore[arg-type]  # the same, unshared


def on(stream: FakeEventStream) -> list[Envelope]:
    return [read_event(entry.data, now=NOON + timedelta(hours=1)) for entry in stream.entries]


def test_a_canary_stands_behind_the_report_of_its_card_where_every_payment_of_a_card_does() -> None:
    stream, clock = FakeEventStream(), FakeClock(NOON + timedelta(seconds=2))
    assert sender(stream, clock).send(MINUTE)
    report, payment = (event.event_json_data for event in on(stream))
    assert isinstance(report, CardStatus)
    assert isinstance(payment, Payment)
    assert (report.status, report.effective_from) == ("STOLEN", REPORTED_AT)
    assert report.card_token == payment.card_token == CANARY_TOKEN
    assert [entry.partition_key for entry in stream.entries] == [CANARY_TOKEN] * 2
    assert {event.event_date_origin for event in on(stream)} == {clock.now()}


def test_a_minute_has_one_canary_however_often_and_late_it_is_sent() -> None:
    stream, clock = FakeEventStream(), FakeClock()
    sends = sender(stream, clock)
    for minute in (MINUTE, MINUTE, {"time": "2026-11-21T12:01:00Z"}):
        sends.send(minute)
        clock.advance(59)
    payments = [e.event_json_data for e in on(stream) if isinstance(e.event_json_data, Payment)]
    assert [payment.payment_id for payment in payments] == [
        "canary_20261121T1200",
        "canary_20261121T1200",
        "canary_20261121T1201",
    ]


def test_one_that_the_stream_does_not_take_is_told_and_not_kept() -> None:
    stream = FakeEventStream(refuse="Throttled")
    assert not sender(stream, FakeClock()).send(MINUTE)
    assert stream.entries == []


@pytest.mark.parametrize("event", [{}, {"time": "noon"}, {"time": None}])
def test_without_the_minute_it_is_of_none_is_sent(event: dict[str, str | None]) -> None:
    stream = FakeEventStream()
    with pytest.raises(ValueError, match="needs time, an instant like"):
        sender(stream, FakeClock()).send(event)
    assert stream.entries == []


def test_nothing_else_is_a_canary() -> None:
    assert is_canary(CANARY_TOKEN)
    assert not any(map(is_canary, (None, "", "a" * 32, CANARY_TOKEN.upper())))
