"""What somebody resolved: who was paged of it is told once."""

from datetime import timedelta

import pytest
from tests.fakes import FakePager
from tests.unit.paging.support import (
    CrashError,
    World,
    alert_event,
    ids,
    kinds,
    records,
)
from tests.unit.paging.test_crashes import crash, disturbed_at

from cardwatch.paging.grouping import Policy
from cardwatch.paging.records import Resolution

AFTER = timedelta(minutes=15)


def paged() -> World:
    world = World(policy=Policy(escalate_after=AFTER), next_pager=FakePager())
    world.page_batch(records(alert_event(1)))
    return world


def escalated() -> World:
    world = paged()
    world.clock.advance(AFTER.total_seconds())
    world.page_waiting()
    return world


def test_who_was_paged_is_told_once_that_somebody_resolved_it() -> None:
    world = paged()
    world.act("RESOLVED")
    for _ in range(30):
        world.page_waiting()
        world.clock.advance(60)
    assert kinds(world) == [("FIRST", 1), ("RESOLVED", 1)]
    said = world.pager.sent[-1]
    assert said.subject.startswith("Resolved: ")
    assert "Ana Vella (as typed) resolved this at 2026-11-21 12:00:00 UTC" in said.text
    assert "What to do" not in said.text
    assert world.next_pager is not None
    assert world.next_pager.sent == []
    assert [event.kind for event in world.page_events()] == ["FIRST", "RESOLVED"]
    world.check_promise(ids(alert_event(1)))


def test_the_next_people_are_told_where_it_was_escalated_to_them() -> None:
    world = escalated()
    world.act("RESOLVED", page=0)
    world.settle(())
    assert [m.kind for m in world.pager.sent] == ["FIRST", "REMINDER", "RESOLVED"]
    assert world.next_pager is not None
    assert [m.kind for m in world.next_pager.sent] == ["ESCALATION", "RESOLVED"]


def test_a_second_resolution_of_the_same_tells_nobody_again() -> None:
    world = escalated()
    for page in (0, 1, 0):
        world.clock.advance(60)
        world.act("RESOLVED", page=page, by=f"Person at {world.clock.now():%H:%M}")
        world.settle(())
    assert [m.kind for m in world.sent()].count("RESOLVED") == 2
    world.check_promise(ids(alert_event(1)))


def test_a_resolution_stops_reminders_and_pages_like_any_act() -> None:
    world = paged()
    world.act("RESOLVED")
    world.page_batch(records(alert_event(2)))
    world.clock.advance(AFTER.total_seconds())
    world.settle(())
    assert kinds(world) == [("FIRST", 1), ("RESOLVED", 1)]
    assert world.suppressed_ids() == ids(alert_event(2))


def test_the_resolved_page_waits_for_a_token_and_for_somebody_to_be_subscribed() -> None:
    world = paged()
    world.act("RESOLVED")
    world.spend_all_tokens()
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1)]
    world.clock.advance(60)
    somebody, world.subscriptions.listed = world.subscriptions.listed, []
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1)]
    world.subscriptions.listed = somebody
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("RESOLVED", 1)]


def test_what_is_resolved_after_days_is_told_all_the_same() -> None:
    world = paged()
    world.clock.advance(timedelta(days=3).total_seconds())
    world.act("RESOLVED", page=0)
    world.settle(())
    assert world.pager.sent[-1].kind == "RESOLVED"


def test_a_crash_at_any_step_of_telling_tells_it_once_or_marked() -> None:
    number = 0
    while True:
        world = escalated()
        world.act("RESOLVED", page=0)
        try:
            world.notifier(disturbed_at(number, crash)).page_waiting()
        except CrashError:
            number += 1
        else:
            break
        world.settle(())
        world.check_promise(ids(alert_event(1)))
        unmarked = [m for m in world.sent() if m.kind == "RESOLVED" and not m.repeat]
        assert len(unmarked) in {1, 2}
        assert len({m.page_id for m in world.sent() if m.kind == "RESOLVED"}) == 2
    assert number > 20


def test_an_act_that_crashes_is_told_of_once_when_it_is_sent_again() -> None:
    number = 0
    while True:
        world = paged()
        book = world.book(disturbed_at(number, crash))
        try:
            book.act(world.pager.sent[0].page_id, "RESOLVED", "Ana Vella")
        except CrashError:
            number += 1
        else:
            break
        world.page_waiting()
        world.book().act(world.pager.sent[0].page_id, "RESOLVED", "Ana Vella")
        world.settle(())
        assert kinds(world) == [("FIRST", 1), ("RESOLVED", 1)]
    assert number > 5


@pytest.mark.parametrize("act", ["ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE"])
def test_no_other_act_says_that_it_is_resolved(act: str) -> None:
    world = paged()
    world.act(act)
    world.settle(())
    assert kinds(world) == [("FIRST", 1)]
    assert not any(key.startswith(Resolution.key("")) for key in world.ledger.items)
