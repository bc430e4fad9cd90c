"""A repair puts missing alerts on the stream, under the ids that the stream would have given."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import FakeClock, FakeEventStream
from tests.flink import scenarios
from tests.unit.audit.support import (
    READ_AT,
    FakeStagedEvents,
    alert_of,
    at,
    paid,
    quarantined,
    stolen,
)
from tests.unit.paging.support import World, records

from cardwatch.audit.completeness import audit
from cardwatch.audit.repair import RepairReport, missing_alert, repair
from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.streams import Envelope, RejectedRecord, read_event

CASES = Path(scenarios.__file__).parent / "payment_alert"
KEPT = timedelta(days=90)
NOW = at(7_200)


def mend(staged: FakeStagedEvents, stream: FakeEventStream) -> RepairReport:
    return repair(audit(staged.read(None), kept=KEPT).missing, stream, FakeClock(NOW))


def on_stream(stream: FakeEventStream) -> list[Envelope]:
    return [read_event(entry.data, now=NOW) for entry in stream.entries]


def alerts(stream: FakeEventStream) -> list[PaymentAlert]:
    said = [event.event_json_data for event in on_stream(stream)]
    return [each for each in said if isinstance(each, PaymentAlert)]


def a_lost_and_an_early_one() -> FakeStagedEvents:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(5), paid("early", "card", 4))
    staged.load(at(6), stolen("card", published=5))
    staged.load(at(10), paid("lost", "card", 9.999))
    return staged


def test_each_missing_alert_is_put_with_its_own_window_and_how_it_was_found() -> None:
    stream = FakeEventStream()
    report = mend(a_lost_and_an_early_one(), stream)
    assert report == RepairReport(put=2, unmade=0, undelivered={})
    early, lost = alerts(stream)
    assert (early.payment_id, early.found_by) == ("pay_early", "look_back")
    assert (early.window_start, early.window_end) == (at(0), at(5))
    assert (lost.payment_id, lost.found_by) == ("pay_lost", "audit")
    assert (lost.window_start, lost.window_end) == (at(5), at(10))
    for said in (early, lost):
        assert (said.late, said.detected_at) == (True, NOW)
    assert [e.partition_key for e in stream.entries] == [e.event_id for e in on_stream(stream)]


def test_a_second_repair_puts_nothing_once_the_first_is_staged_and_the_same_ids_before() -> None:
    staged, stream, again = a_lost_and_an_early_one(), FakeEventStream(), FakeEventStream()
    mend(staged, stream)
    mend(staged, again)
    assert [e.event_id for e in on_stream(again)] == [e.event_id for e in on_stream(stream)]
    staged.load(at(3_500), *on_stream(stream))
    nothing = FakeEventStream()
    assert mend(staged, nothing).put == 0
    assert nothing.entries == []


def test_what_is_put_twice_pages_once_and_not_again_when_the_stream_had_said_it() -> None:
    staged, stream = a_lost_and_an_early_one(), FakeEventStream()
    mend(staged, stream)
    mend(staged, stream)
    world = World()
    world.clock.time = NOW
    world.page_batch(records(alert_of("lost", "card", 9.999)))
    world.page_batch(records(*on_stream(stream)))
    world.page_batch(records(*on_stream(stream)))
    world.clock.advance(10)
    world.page_waiting()
    paged = [alert for page in world.pager.sent for alert in page.alert_ids]
    assert sorted(paged) == sorted({alert.event_id for alert in on_stream(stream)})


def test_what_the_stream_does_not_take_is_told_and_put_the_next_time() -> None:
    staged, stream = a_lost_and_an_early_one(), FakeEventStream(refuse="Throttled")
    report = mend(staged, stream)
    assert (report.put, report.undelivered, report.complete) == (0, {"Throttled": 2}, False)
    stream.refuse = None
    assert mend(staged, stream).complete


def test_of_a_payment_in_quarantine_no_alert_can_be_made() -> None:
    staged, stream = FakeStagedEvents(as_of=at(3_600)), FakeEventStream()
    staged.load(at(0), stolen("broken"))
    staged.load(at(10), quarantined("broken", "broken", 5, 6))
    report = mend(staged, stream)
    assert (report.put, report.unmade, report.complete) == (0, 1, False)


def test_a_theft_beyond_the_look_back_is_left_alone() -> None:
    staged, stream = FakeStagedEvents(as_of=at(3_600)), FakeEventStream()
    week = 7 * 86_400
    staged.load(at(-week), paid("ancient", "c", -week), paid("old", "c", 1 - week, amount="1.00"))
    staged.load(at(300), stolen("c", effective=-week, published=1))
    assert mend(staged, stream).put == 1
    assert [alert.payment_id for alert in alerts(stream)] == ["pay_old"]


def of_the_case(folder: Path) -> list[dict[str, Any]]:
    """What a repair would put if the stream had said nothing of a case that Flink was held to."""
    staged = FakeStagedEvents(as_of=READ_AT)
    lines = (folder / "input.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        try:
            staged.load(at(3_600 + number), read_event(line.encode(), now=READ_AT))
        except RejectedRecord:
            continue
    missing = audit(staged.read(None), kept=KEPT).missing
    made = [alert for finding in missing if (alert := missing_alert(finding, NOW))]
    return [json.loads(alert.to_bytes()) for alert in made]


def by_payment(alerts: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (a["event_json_data"]["payment_id"], a["event_json_data"]["card_token"]): a for a in alerts
    }


def without_the_path(alert: dict[str, Any]) -> dict[str, Any]:
    """Leave out how and when it was found."""
    path = {"late", "found_by", "detected_at"}
    said = {name: value for name, value in alert["event_json_data"].items() if name not in path}
    return {**alert, "event_json_data": said}


BROKEN = {"other_records", "texts"}
"""Cases of payments that break the contract: none is staged."""
STAGED = sorted(
    path.parent.name for path in CASES.glob("*/case.md") if path.parent.name not in BROKEN
)


@pytest.mark.parametrize("case", STAGED)
def test_it_puts_what_flink_put_under_the_same_id(case: str) -> None:
    expected = (CASES / case / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    of_flink = by_payment([json.loads(line) for line in expected])
    of_audit = by_payment(of_the_case(CASES / case))
    both = of_flink.keys() & of_audit.keys()
    assert both
    for payment in both:
        ours, theirs = of_audit[payment], of_flink[payment]
        assert ours["event_id"] == theirs["event_id"]
        # Of several records the job takes the first that it met on a stolen card.
        if ours["event_date_origin"] == theirs["event_date_origin"]:
            assert without_the_path(ours) == without_the_path(theirs)
