"""Redrive puts what can be sent on the stream again and keeps the rest."""

from collections.abc import Mapping

import pytest
from tests.examples import EVENTS, NOW
from tests.fakes import NOON, FakeClock, FakeDeadLetters, FakeEventStream
from tests.unit.paging.support import World, alert_event, records

from cardwatch.contract.heartbeat import Heartbeat
from cardwatch.contract.streams import EVENT_TYPES, Envelope, StreamName, read_event
from cardwatch.ports import EventStream
from cardwatch.recovery.ports import DeadLetter
from cardwatch.recovery.redrive import LEFTOVERS, redrive


def heartbeat() -> bytes:
    return Envelope(
        type="HEARTBEAT",
        event_id="beat-1",
        schema_version=1,
        event_date_origin=NOON,
        event_json_data=Heartbeat(source="simulator"),
    ).to_bytes()


def both(stream: FakeEventStream) -> Mapping[StreamName, EventStream]:
    """Give one stream for all that is sent: most of it is for one."""
    return {"events": stream, "scores": stream}


def of_each_type() -> dict[str, bytes]:
    """Give a valid record of every type that can be sent again."""
    types = EVENT_TYPES.keys() - {"HEARTBEAT"}
    folders = {name: EVENTS / "examples" / f"{name.lower()}.v1" / "valid" for name in types}
    return {name: min(folder.glob("*.json")).read_bytes() for name, folder in folders.items()}


@pytest.fixture
def letters() -> FakeDeadLetters:
    return FakeDeadLetters()


@pytest.fixture
def stream() -> FakeEventStream:
    return FakeEventStream()


def test_valid_events_go_back_byte_for_byte_and_their_object_goes(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    events = [alert_event(n).to_bytes() for n in range(3)]
    letters.keep("notifier", events, reason="invalid_data")
    report = redrive(letters, both(stream), FakeClock())
    assert [entry.data for entry in stream.entries] == events
    assert (report.objects, report.sent, report.removed) == (1, {"PAYMENT_ALERT": 3}, 1)
    assert report.complete
    assert letters.letters == {}


def test_events_get_the_partition_key_of_the_contract_or_the_one_they_had(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    alert = alert_event()
    page_event = _page_event()
    letters.keep("simulator", [alert.to_bytes(), page_event], reason="x")
    letters.letters["event-source-mapping/1"] = [DeadLetter(alert.to_bytes(), "x", "had-this")]
    redrive(letters, both(stream), FakeClock())
    page = read_event(page_event, now=NOON).event_id.split("|", maxsplit=1)[0]
    keys = {entry.partition_key for entry in stream.entries}
    assert keys == {alert.event_id, page, "had-this"}


def _page_event() -> bytes:
    world = World()
    world.page_batch(records(alert_event()))
    return world.stream.entries[0].data


def test_each_type_goes_on_the_stream_it_belongs_on(letters: FakeDeadLetters) -> None:
    """What is said of every payment must not come between alerts and pages."""
    records = of_each_type()
    letters.keep("quarantine", list(records.values()), reason="x")
    streams: dict[StreamName, FakeEventStream] = {
        "events": FakeEventStream(),
        "scores": FakeEventStream(),
    }
    report = redrive(letters, streams, FakeClock(NOW))
    assert report.sent == dict.fromkeys(records, 1)
    on = {name: {entry.data for entry in stream.entries} for name, stream in streams.items()}
    of_payments = {"PAYMENT_ATTRIBUTED", "MERCHANT_MINUTE", "USER_MINUTE"}
    assert on["scores"] == {records[name] for name in of_payments}
    assert on["events"] == {records[name] for name in records.keys() - of_payments}


def test_what_one_stream_takes_is_not_sent_again_for_the_other(letters: FakeDeadLetters) -> None:
    records = of_each_type()
    both_kinds = [records["PAYMENT_ATTRIBUTED"], records["RULE_ALERT"]]
    letters.keep("quarantine", both_kinds, reason="x")
    streams: dict[StreamName, FakeEventStream] = {
        "events": FakeEventStream(),
        "scores": FakeEventStream(refuse="Throttled"),
    }
    report = redrive(letters, streams, FakeClock(NOW))
    assert (report.sent, report.undelivered) == ({"RULE_ALERT": 1}, {"Throttled": 1})
    [left] = letters.letters.values()
    assert [letter.raw for letter in left] == [records["PAYMENT_ATTRIBUTED"]]


def test_a_dry_run_counts_and_touches_nothing(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    letters.keep("notifier", [alert_event().to_bytes(), b"poison"], reason="x")
    report = redrive(letters, both(stream), FakeClock(), dry_run=True)
    assert (report.sent, report.rejected) == ({"PAYMENT_ALERT": 1}, {"not_json": 1})
    assert stream.entries == []
    assert len(letters.letters) == 1


def test_what_still_breaks_the_contract_stays_where_it_is(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    name = letters.keep("notifier", [b"poison", b"\xff"], reason="not_json")
    report = redrive(letters, both(stream), FakeClock())
    assert report.rejected == {"not_json": 1, "not_utf8": 1}
    assert not report.complete
    assert list(letters.letters) == [name]


def test_of_an_object_sent_in_part_only_the_rest_is_kept(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    good = alert_event().to_bytes()
    letters.keep("notifier", [b"poison", good], reason="x")
    redrive(letters, both(stream), FakeClock())
    report = redrive(letters, both(stream), FakeClock())
    assert [entry.data for entry in stream.entries] == [good]
    assert report.sent == {}
    [(name, left)] = letters.letters.items()
    assert name.startswith(LEFTOVERS)
    assert left == [DeadLetter(b"poison", "x")]


def test_nothing_is_removed_when_the_stream_takes_nothing(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    name = letters.keep("simulator", [alert_event().to_bytes()], reason="x")
    stream.refuse = "ResourceNotFoundException"
    report = redrive(letters, both(stream), FakeClock())
    assert report.undelivered == {"ResourceNotFoundException": 1}
    assert (report.removed, list(letters.letters)) == (0, [name])


def test_an_object_whose_rest_cannot_be_kept_stays(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    name = letters.keep("notifier", [b"poison", alert_event().to_bytes()], reason="x")
    letters.broken = True
    report = redrive(letters, both(stream), FakeClock())
    assert report.problems == ["the bucket is not there"]
    assert list(letters.letters) == [name]


def test_an_unreadable_object_is_reported_and_does_not_stop_the_others(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    letters.letters["notifier/broken"] = []
    letters.keep("notifier", [alert_event().to_bytes()], reason="x")
    report = redrive(letters, both(stream), FakeClock())
    assert report.problems == ["notifier/broken holds no letters"]
    assert len(stream.entries) == 1


def test_heartbeats_of_the_past_are_dropped(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    letters.keep("simulator", [heartbeat()], reason="x")
    report = redrive(letters, both(stream), FakeClock())
    assert (report.outdated, report.removed, stream.entries) == (1, 1, [])


def test_only_the_sources_asked_for_are_sent(
    letters: FakeDeadLetters, stream: FakeEventStream
) -> None:
    letters.keep("notifier", [alert_event(1).to_bytes()], reason="x")
    letters.keep("simulator", [alert_event(2).to_bytes()], reason="x")
    redrive(letters, both(stream), FakeClock(), sources=["simulator"])
    assert [entry.data for entry in stream.entries] == [alert_event(2).to_bytes()]


def test_an_alert_that_was_paged_meanwhile_makes_no_second_page() -> None:
    world = World()
    event = alert_event()
    world.page_batch(records(event))
    world.dead_letters.keep("event-source-mapping", [event.to_bytes()], reason="x")
    redrive(world.dead_letters, both(world.stream), world.clock)
    world.page_batch(records(world.stream.entries[-1].data))
    assert len(world.pager.sent) == 1
