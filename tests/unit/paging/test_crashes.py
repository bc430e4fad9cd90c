"""A crash at every step, and another attempt between any two steps: nothing lost, nothing doubled.

docs/paging.md has the table that these tests prove.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.fakes import NOON, FakePageLedger, FakePager
from tests.unit.paging.support import (
    CrashError,
    World,
    alert_event,
    ids,
    kinds,
    records,
    rule_alert_event,
)

from cardwatch.contract.page import TELLS_AGAIN
from cardwatch.contract.streams import Envelope
from cardwatch.paging.grouping import Policy
from cardwatch.paging.notifier import AlertRecord, Notifier
from cardwatch.paging.ports import PageMayBeSentError
from cardwatch.paging.records import MAX_ALERTS_PER_ENTRY, PageState
from cardwatch.paging.subscriptions import Subscription

LEASE_AND_A_BIT = 61


@dataclass
class Scenario:
    """What was before, what the attempt that is disturbed does, and what must come of it."""

    world: World
    batch: Sequence[AlertRecord]
    expected: set[str]
    poison: frozenset[bytes] = frozenset()

    def attempt(self, notifier: Notifier) -> None:
        if self.batch:
            notifier.page_batch(self.batch)
        else:
            notifier.page_waiting()


def new_alerts() -> Scenario:
    events = [alert_event(n) for n in range(3)]
    batch = records(events[0], b"poison", *events[1:], events[0])
    return Scenario(World(), batch, ids(*events), frozenset({b"poison"}))


def new_alerts_that_carry_held_ones() -> Scenario:
    world = World()
    held = [alert_event(n) for n in range(3)]
    world.spend_all_tokens()
    world.page_batch(records(*held))
    world.clock.advance(10)
    new = [alert_event(n) for n in range(3, 5)]
    return Scenario(world, records(*new), ids(*held, *new))


def new_alerts_without_a_token() -> Scenario:
    world = World()
    world.spend_all_tokens()
    events = [alert_event(n) for n in range(3)]
    return Scenario(world, records(*events), ids(*events))


def new_and_expired_alerts() -> Scenario:
    old = [alert_event(n, at=NOON - timedelta(days=2)) for n in range(2)]
    new = [alert_event(n) for n in range(2, 4)]
    return Scenario(World(), records(*old, *new), ids(*old, *new))


def only_expired_alerts() -> Scenario:
    old = [alert_event(n, at=NOON - timedelta(days=2)) for n in range(2)]
    return Scenario(World(), records(*old), ids(*old))


def the_schedule_with_held_alerts() -> Scenario:
    scenario = new_alerts_without_a_token()
    scenario.world.page_batch(scenario.batch)
    scenario.world.clock.advance(60)
    return Scenario(scenario.world, (), scenario.expected)


def more_alerts_than_one_entry_holds() -> Scenario:
    events = [alert_event(n) for n in range(100)]
    return Scenario(World(), records(*events), ids(*events))


def a_redelivery_after_the_channel_timed_out_once() -> Scenario:
    world = World()
    events = [alert_event(n) for n in range(2)]
    batch = records(*events)
    world.pager.failures = [PageMayBeSentError("timed out")]
    world.page_batch(batch)
    more = alert_event(3)
    return Scenario(world, [*batch, *records(more)], ids(*events, more))


def alerts_of_several_rules() -> Scenario:
    events = [alert_event(1), rule_alert_event(1), rule_alert_event(2, rule="other")]
    return Scenario(World(), records(*events), ids(*events))


def the_schedule_with_held_alerts_of_several_rules() -> Scenario:
    scenario = alerts_of_several_rules()
    scenario.world.spend_all_tokens()
    scenario.world.page_batch(scenario.batch)
    scenario.world.clock.advance(60)
    return Scenario(scenario.world, (), scenario.expected)


def alerts_that_nobody_is_subscribed_to() -> Scenario:
    world = World()
    world.page_batch(records(alert_event(0)))
    world.subscriptions.listed = []
    before = [alert_event(n) for n in range(1, 3)]
    world.page_batch(records(*before))
    # Somebody is from the second look on: the disturbed attempt's own, or that of another.
    world.subscriptions.listed = [Subscription("email", "arn:1")]
    world.subscriptions.listed_before = [[]]
    events = [alert_event(n) for n in range(3, 5)]
    return Scenario(world, records(*events), ids(alert_event(0), *before, *events))


def the_first_alerts_after_a_silence() -> Scenario:
    world = World()
    somebody = world.subscriptions.listed
    world.subscriptions.listed = []
    held = [alert_event(n) for n in range(3)]
    world.page_batch(records(*held))
    world.subscriptions.listed = somebody
    new = [alert_event(n) for n in range(3, 5)]
    return Scenario(world, records(*new), ids(*held, *new))


def storm() -> tuple[World, list[Envelope]]:
    world = World(policy=Policy())
    events = [alert_event(n) for n in range(3)]
    world.page_batch(records(events[0]))
    world.page_batch(records(events[1]))
    return world, events


def alerts_on_a_card_that_was_paged_and_on_another() -> Scenario:
    world, events = storm()
    batch = [events[2], events[2], alert_event(3, card_token="5" * 32)]
    return Scenario(world, records(*batch), ids(*events, *batch))


@functools.cache
def nearly_full() -> tuple[World, set[str]]:
    world, _ = storm()
    waiting = [alert_event(n) for n in range(10, 10 + MAX_ALERTS_PER_ENTRY - 2)]
    world.page_batch(records(*waiting))
    return world, ids(alert_event(1), *waiting)


def more_alerts_on_a_card_that_was_paged_than_its_entry_still_takes() -> Scenario:
    before, waiting = nearly_full()
    more = [alert_event(n) for n in range(200, 203)]
    ledger = FakePageLedger(items=dict(before.ledger.items))
    world = World(policy=before.policy, ledger=ledger)
    return Scenario(world, records(*more), waiting | ids(*more))


def the_schedule_with_a_follow_up_that_is_due() -> Scenario:
    world, events = storm()
    world.page_batch(records(rule_alert_event(1)))
    world.page_batch(records(rule_alert_event(2)))
    world.clock.advance(300)
    expected = ids(*events[:2], rule_alert_event(1), rule_alert_event(2))
    return Scenario(world, (), expected)


def an_alert_on_a_card_whose_follow_up_is_due() -> Scenario:
    world, events = storm()
    world.clock.advance(300)
    return Scenario(world, records(events[2]), ids(*events))


def an_alert_gathered_while_nobody_is_subscribed() -> Scenario:
    world, events = storm()
    world.subscriptions.listed_before = [[]]
    return Scenario(world, records(events[2]), ids(*events))


def a_page_that_is_refused_in_full() -> Scenario:
    world = World()
    world.pager.refuses = lambda message: "What to do" in message.text
    events = [alert_event(n) for n in range(2)]
    return Scenario(world, records(*events), ids(*events))


def looking_back() -> tuple[World, list[Envelope]]:
    """Give a card that was looked back on; its page is due."""
    world = World(policy=Policy())
    found = [alert_event(n, found_by="look_back", late=True) for n in range(3)]
    world.page_batch(records(*found))
    world.clock.advance(10)
    return world, found


def alerts_beside_a_look_back_that_is_due() -> Scenario:
    world, found = looking_back()
    more = [alert_event(5, card_token="5" * 32), alert_event(6, found_by="look_back", late=True)]
    return Scenario(world, records(*more), ids(*found, *more))


def the_schedule_with_a_look_back_that_is_due() -> Scenario:
    world, found = looking_back()
    return Scenario(world, (), ids(*found))


def the_schedule_with_a_digest_that_is_due() -> Scenario:
    world = World(policy=Policy())
    world.spend_all_tokens()
    held = [alert_event(n, card_token=f"{n:032x}") for n in range(3)]
    for event in held:
        world.page_batch(records(event))
    world.clock.advance(60)
    return Scenario(world, (), ids(*held))


def an_alert_on_a_card_that_somebody_acted_on() -> Scenario:
    world, events = storm()
    world.clock.advance(300)
    world.page_waiting()
    world.act()
    batch = [events[2], alert_event(3, card_token="5" * 32)]
    return Scenario(world, records(*batch), ids(*events, *batch))


def the_schedule_with_a_follow_up_that_is_suppressed_in_part() -> Scenario:
    world = World(policy=Policy())
    other = "5" * 32
    first = [alert_event(0), alert_event(10, card_token=other)]
    waiting = [alert_event(1), alert_event(11, card_token=other), alert_event(2)]
    for event in first:
        world.page_batch(records(event))
    world.page_batch(records(*waiting))
    world.act(page=0)
    world.clock.advance(300)
    return Scenario(world, (), ids(*first, *waiting))


def new_alerts_beside_held_ones_that_are_suppressed() -> Scenario:
    world = World()
    first = alert_event(0)
    world.page_batch(records(first))
    world.spend_all_tokens()
    held = [alert_event(1), alert_event(2, card_token="5" * 32)]
    world.page_batch(records(*held))
    world.act()
    world.clock.advance(60)
    new = alert_event(3, card_token="6" * 32)
    return Scenario(world, records(new), ids(first, *held, new))


def the_first_alert_after_an_act_s_time() -> Scenario:
    world, events = storm()
    world.act()
    world.page_batch(records(alert_event(5)))
    world.clock.advance(3600)
    return Scenario(world, records(events[2]), ids(*events, alert_event(5)))


def alerts_of_which_some_are_snoozed() -> Scenario:
    world = World(policy=Policy())
    world.snooze("account:acc_00042")
    events = [alert_event(1), alert_event(2, card_token="5" * 32, account_id="acc_2")]
    return Scenario(world, records(*events), ids(*events))


def unacted(cards: int) -> tuple[World, set[str]]:
    """Give pages that nobody acted on in time; there are next people to be told."""
    world = World(policy=Policy(escalate_after=timedelta(minutes=15)), next_pager=FakePager())
    events = [alert_event(n, card_token=f"{n:032x}") for n in range(cards)]
    for event in events:
        world.page_batch(records(event))
    world.clock.advance(15 * 60)
    return world, ids(*events)


def the_schedule_with_pages_that_nobody_acted_on() -> Scenario:
    world, expected = unacted(2)
    return Scenario(world, (), expected)


def the_schedule_with_an_escalation_that_nobody_is_subscribed_to_yet() -> Scenario:
    world, expected = unacted(1)
    somebody, world.next_subscriptions.listed = world.next_subscriptions.listed, []
    world.page_waiting()
    world.next_subscriptions.listed = somebody
    return Scenario(world, (), expected)


SCENARIOS: list[Callable[[], Scenario]] = [
    new_alerts,
    new_alerts_that_carry_held_ones,
    new_alerts_without_a_token,
    new_and_expired_alerts,
    only_expired_alerts,
    the_schedule_with_held_alerts,
    more_alerts_than_one_entry_holds,
    a_redelivery_after_the_channel_timed_out_once,
    alerts_of_several_rules,
    the_schedule_with_held_alerts_of_several_rules,
    alerts_that_nobody_is_subscribed_to,
    the_first_alerts_after_a_silence,
    alerts_on_a_card_that_was_paged_and_on_another,
    more_alerts_on_a_card_that_was_paged_than_its_entry_still_takes,
    the_schedule_with_a_follow_up_that_is_due,
    an_alert_on_a_card_whose_follow_up_is_due,
    an_alert_gathered_while_nobody_is_subscribed,
    a_page_that_is_refused_in_full,
    alerts_beside_a_look_back_that_is_due,
    the_schedule_with_a_look_back_that_is_due,
    the_schedule_with_a_digest_that_is_due,
    an_alert_on_a_card_that_somebody_acted_on,
    the_schedule_with_a_follow_up_that_is_suppressed_in_part,
    new_alerts_beside_held_ones_that_are_suppressed,
    the_first_alert_after_an_act_s_time,
    alerts_of_which_some_are_snoozed,
    the_schedule_with_pages_that_nobody_acted_on,
    the_schedule_with_an_escalation_that_nobody_is_subscribed_to_yet,
]
ENTERED = 5
"""The step after an attempt's first write of new alerts, behind two looks into the ledger."""
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)


def steps_of(make: Callable[[], Scenario]) -> list[str]:
    """Name the port calls of an undisturbed attempt, before and after each."""
    steps: list[str] = []
    scenario = make()
    scenario.attempt(scenario.world.notifier(steps.append))
    return steps


def disturbed_at(step: int, disturb: Callable[[], None]) -> Callable[[str], None]:
    count = -1

    def interrupt(_name: str) -> None:
        nonlocal count
        count += 1
        if count == step:
            disturb()

    return interrupt


def crash() -> None:
    raise CrashError


@every_scenario
def test_a_crash_at_any_step_loses_nothing_and_repeats_only_around_the_publishing(
    scenario: Callable[[], Scenario],
) -> None:
    sent_twice_after = set()
    for number, step in enumerate(steps_of(scenario)):
        now = scenario()
        with pytest.raises(CrashError):
            now.attempt(now.world.notifier(disturbed_at(number, crash)))
        at_crash = len(now.world.sent())
        uncertain = [p.page_id for p in now.world.pages(PageState.PENDING) if p.may_be_sent]
        # The stream delivers again at once and goes on; the schedule comes every minute.
        now.world.page_batch(now.batch)
        now.world.settle(now.batch)
        now.world.check_promise(now.expected)
        sent = now.world.sent()
        kept = {letter.raw for found in now.world.dead_letters.letters.values() for letter in found}
        assert kept == now.poison
        assert [m.page_id for m in sent[at_crash:] if m.repeat] == uncertain
        if {m.page_id for m in sent[:at_crash]} & {m.page_id for m in sent[at_crash:]}:
            sent_twice_after.add(step)
    assert sent_twice_after <= {"after send", "before commit"}


@every_scenario
def test_two_attempts_at_the_same_alerts_never_page_twice(
    scenario: Callable[[], Scenario],
) -> None:
    for number in range(len(steps_of(scenario))):
        now = scenario()

        def another(now: Scenario = now) -> None:
            now.world.page_batch(now.batch)
            now.world.page_waiting()

        now.attempt(now.world.notifier(disturbed_at(number, another)))
        now.world.settle(now.batch)
        now.world.check_promise(now.expected)
        sent = now.world.sent()
        told = [
            (i, message.kind in TELLS_AGAIN and message.kind)
            for message in sent
            for i in message.alert_ids
        ]
        assert len(told) == len(set(told))
        if scenario is not a_redelivery_after_the_channel_timed_out_once:
            assert not any(message.repeat for message in sent)


@every_scenario
def test_an_attempt_that_wakes_up_after_its_lease_cannot_send_an_unmarked_second_page(
    scenario: Callable[[], Scenario],
) -> None:
    for number in range(len(steps_of(scenario))):
        now = scenario()

        def overtaken(now: Scenario = now) -> None:
            now.world.clock.advance(LEASE_AND_A_BIT)
            now.world.page_batch(now.batch)
            now.world.page_waiting()

        now.attempt(now.world.notifier(disturbed_at(number, overtaken)))
        now.world.settle(now.batch)
        now.world.check_promise(now.expected)


def test_an_act_at_any_step_of_a_reminder_leaves_one_of_each_kind_at_most() -> None:
    steps = steps_of(the_schedule_with_pages_that_nobody_acted_on)
    told = set()
    for number in range(len(steps)):
        world, expected = unacted(1)

        def somebody_acts(world: World = world) -> None:
            world.act(page=0)

        world.notifier(disturbed_at(number, somebody_acts)).page_waiting()
        world.settle(())
        world.check_promise(expected)
        told.add(tuple(message.kind for message in world.sent()[1:]))
    assert told == {(), ("REMINDER",), ("REMINDER", "ESCALATION")}


def a_card_that_is_acted_on() -> tuple[World, set[str]]:
    """Give a card that was paged, and one alert that waits for its follow-up."""
    world, events = storm()
    return world, ids(*events[:2])


def act_on(world: World, interrupt: Callable[[str], None] | None = None) -> None:
    world.book(interrupt).act(world.pager.sent[0].page_id, "ACKNOWLEDGED", "Ana Vella")


def steps_of_an_act() -> list[str]:
    steps: list[str] = []
    act_on(a_card_that_is_acted_on()[0], steps.append)
    return steps


def test_an_act_that_crashes_is_done_once_when_it_is_sent_again() -> None:
    for number, _ in enumerate(steps_of_an_act()):
        world, expected = a_card_that_is_acted_on()
        with pytest.raises(CrashError):
            act_on(world, disturbed_at(number, crash))
        act_on(world)
        world.clock.advance(300)
        world.settle(records(alert_event(7)))
        world.check_promise(expected | ids(alert_event(7)))
        assert kinds(world) == [("FIRST", 1)]
        assert len({entry.data for entry in world.stream.entries if b"PAGE_ACT" in entry.data}) == 1


def test_a_snooze_that_crashes_is_in_force_once_it_is_sent_again() -> None:
    def snooze(world: World, interrupt: Callable[[str], None] | None = None) -> None:
        until = world.clock.now() + timedelta(hours=1)
        world.book(interrupt).snooze("rule:stolen_card", "Ana Vella", "a test", until)

    steps: list[str] = []
    snooze(World(), steps.append)
    for number, _ in enumerate(steps):
        world = World(policy=Policy())
        with pytest.raises(CrashError):
            snooze(world, disturbed_at(number, crash))
        snooze(world)
        world.settle(records(alert_event(1)))
        world.check_promise(ids(alert_event(1)))
        assert kinds(world) == []
        assert len({entry.data for entry in world.stream.entries if b"PAGE_ACT" in entry.data}) == 1


def test_alerts_that_come_at_any_step_of_an_act_are_paged_or_suppressed() -> None:
    for number, _ in enumerate(steps_of_an_act()):
        world, expected = a_card_that_is_acted_on()

        def another(world: World = world) -> None:
            world.page_batch(records(alert_event(7)))

        act_on(world, disturbed_at(number, another))
        world.clock.advance(300)
        world.settle(())
        world.check_promise(expected | ids(alert_event(7)))
        assert kinds(world) == [("FIRST", 1)]


@pytest.mark.parametrize("first", range(0, 40, 3))
def test_a_second_crash_during_the_recovery_loses_nothing_either(first: int) -> None:
    make = new_alerts_that_carry_held_ones
    second = 0
    while True:
        now = make()
        with contextlib.suppress(CrashError):
            now.attempt(now.world.notifier(disturbed_at(first, crash)))
        now.world.clock.advance(LEASE_AND_A_BIT)
        try:
            now.attempt(now.world.notifier(disturbed_at(second, crash)))
        except CrashError:
            second += 1
        else:
            break
        now.world.settle(now.batch)
        now.world.check_promise(now.expected)
    assert second > 5


def test_while_an_attempt_holds_the_lease_its_records_are_not_done_and_are_after_it() -> None:
    event = alert_event()
    world = World()
    seen: list[set[str]] = []
    batch = records(event)

    def another() -> None:
        seen.append(world.page_batch(batch).failed)

    steps = steps_of(lambda: Scenario(World(), records(event), ids(event)))
    sending = steps.index("before send")
    world.notifier(disturbed_at(sending, another)).page_batch(batch)
    assert seen == [{batch[0].sequence_number}]
    assert world.page_batch(batch).failed == set()


def test_an_attempt_that_wakes_up_after_its_lease_does_not_send() -> None:
    batch = records(alert_event())
    world = World()
    last_write = steps_of(lambda: Scenario(World(), batch, set())).index("before send") - 1
    sleepy = world.notifier(disturbed_at(last_write, lambda: world.clock.advance(61)))
    assert sleepy.page_batch(batch).failed == {batch[0].sequence_number}
    assert world.pager.sent == []
    assert world.page_batch(batch).failed == set()
    assert len(world.pager.sent) == 1


def test_the_schedule_pages_what_a_crash_left_although_the_stream_never_delivers_it_again() -> None:
    batch = records(alert_event(1), alert_event(2))
    last_write = steps_of(lambda: Scenario(World(), batch, set())).index("before send") - 1
    for step in range(ENTERED + 1, last_write + 1):
        world = World()
        with pytest.raises(CrashError):
            world.notifier(disturbed_at(step, crash)).page_batch(batch)
        world.page_waiting()
        assert world.pager.sent == []
        world.clock.advance(LEASE_AND_A_BIT)
        world.page_waiting()
        world.check_promise(ids(alert_event(1), alert_event(2)))


def test_a_crash_delays_an_alert_by_the_lease_and_no_longer() -> None:
    event: Envelope = alert_event()
    batch = records(event)
    world = World()
    with pytest.raises(CrashError):
        world.notifier(disturbed_at(ENTERED, crash)).page_batch(batch)
    world.clock.advance(LEASE_AND_A_BIT - 2)
    assert world.page_batch(batch).failed == {batch[0].sequence_number}
    world.clock.advance(2)
    assert world.page_batch(batch).failed == set()
    assert [m.alert_ids for m in world.pager.sent] == [(event.event_id,)]
