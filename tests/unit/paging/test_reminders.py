"""What nobody acts on: repeated once, and told to the next people."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from tests.fakes import NOON, FakePager
from tests.unit.paging.support import (
    World,
    alert_event,
    ids,
    kinds,
    records,
    rule_alert_event,
)

from cardwatch.contract.streams import Envelope
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import PageMayBeSentError
from cardwatch.paging.records import Snoozes, Work
from cardwatch.paging.reminding import MAX_PAGES_AGAIN, Reminding, Told, remind
from cardwatch.paging.subscriptions import Subscription

AFTER = timedelta(minutes=15)
OTHER = "5" * 32


def world(*, next_ones: bool = True, policy: Policy | None = None) -> World:
    policy = policy or Policy(escalate_after=AFTER)
    return World(policy=policy, next_pager=FakePager() if next_ones else None)


def paged(world: World, *events: Envelope) -> World:
    world.page_batch(records(*events))
    return world


def later(world: World, minutes: float) -> World:
    """Let the schedule run each minute for so long."""
    for _ in range(round(minutes)):
        world.clock.advance(60)
        world.page_waiting()
    return world


def escalated(world: World) -> Sequence[tuple[str, int]]:
    assert world.next_pager is not None
    return [(message.kind, len(message.alert_ids)) for message in world.next_pager.sent]


def test_what_nobody_acts_on_is_repeated_and_escalated_once_after_its_time() -> None:
    now = later(paged(world(), alert_event(1)), 14)
    assert kinds(now) == [("FIRST", 1)]
    assert escalated(now) == []
    later(now, 60)
    assert kinds(now) == [("FIRST", 1), ("REMINDER", 1)]
    assert escalated(now) == [("ESCALATION", 1)]
    now.check_promise(ids(alert_event(1)))


def test_without_next_people_only_the_reminder_goes_out() -> None:
    now = later(paged(world(next_ones=False), alert_event(1)), 30)
    assert kinds(now) == [("FIRST", 1), ("REMINDER", 1)]
    assert now.page_acts() == []


def test_reminders_are_off_at_zero() -> None:
    now = later(paged(world(policy=Policy()), alert_event(1)), 120)
    assert kinds(now) == [("FIRST", 1)]


def test_once_they_are_off_nobody_is_reminded_of_a_page_of_before() -> None:
    now = later(paged(world(), alert_event(1)), 10)
    now.policy = Policy()
    later(now, 120)
    assert kinds(now) == [("FIRST", 1)]
    assert escalated(now) == []


@pytest.mark.parametrize("act", ["ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE"])
def test_an_act_before_the_time_stops_both(act: str) -> None:
    now = later(paged(world(), alert_event(1)), 10)
    now.act(act)
    later(now, 120)
    assert kinds(now) == [("FIRST", 1)]
    assert escalated(now) == []


def test_an_act_that_no_longer_holds_has_stopped_them_all_the_same() -> None:
    now = paged(world(policy=Policy(escalate_after=AFTER, act_holds=timedelta(0))), alert_event(1))
    now.act()
    later(now, 8)
    paged(now, alert_event(2))
    later(now, 10)
    assert kinds(now) == [("FIRST", 1), ("FIRST", 1)]
    later(now, 10)
    assert kinds(now)[2:] == [("REMINDER", 1)]


def test_a_snooze_that_covers_it_stops_both_and_another_does_not() -> None:
    covered, other = (paged(world(), alert_event(1)) for _ in range(2))
    covered.snooze("account:acc_00042")
    other.snooze("account:acc_7")
    assert kinds(later(covered, 300)) == [("FIRST", 1)]
    assert kinds(later(other, 16)) == [("FIRST", 1), ("REMINDER", 1)]


def test_a_snooze_stops_no_reminder_of_what_is_too_large_to_be_snoozed() -> None:
    policy = Policy(escalate_after=AFTER, snooze_floors={"EUR": Decimal("12.50")})
    now = paged(world(policy=policy), alert_event(1))
    now.snooze("rule:stolen_card")
    assert kinds(later(now, 16)) == [("FIRST", 1), ("REMINDER", 1)]


def test_follow_ups_ask_for_no_act_of_their_own() -> None:
    now = paged(world(), alert_event(1))
    paged(now, alert_event(2))
    later(now, 30)
    assert kinds(now) == [("FIRST", 1), ("FOLLOW_UP", 1), ("REMINDER", 1)]


def test_look_backs_and_digests_ask_for_one() -> None:
    now = paged(world(), alert_event(1, found_by="look_back", late=True))
    assert kinds(later(now, 20)) == [("LOOK_BACK", 1), ("REMINDER", 1)]
    now = world()
    now.spend_all_tokens()
    for number in range(3):
        paged(now, alert_event(number, card_token=f"{number:032x}"))
    assert kinds(later(now, 20)) == [("DIGEST", 3), ("REMINDER", 3)]


def test_of_a_page_that_was_acted_on_in_part_people_are_reminded_of_the_rest() -> None:
    now = paged(world(), alert_event(1), alert_event(2, card_token=OTHER))
    later(now, 6)
    paged(now, alert_event(3))
    now.act()
    later(now, 20)
    assert kinds(now)[-1] == ("REMINDER", 1)
    assert set(now.pager.sent[-1].alert_ids) == ids(alert_event(2, card_token=OTHER))


def test_pages_of_one_card_are_told_of_again_together_however_many_came() -> None:
    now = world()
    for number in range(3):
        paged(now, alert_event(number))
        later(now, 6)
    assert kinds(now)[:3] == [("FIRST", 1)] * 3
    assert kinds(now)[3:] == [("REMINDER", 3)]
    assert escalated(later(now, 60)) == [("ESCALATION", 3)]


def test_a_storm_on_many_cards_makes_one_reminder_a_minute_at_most() -> None:
    now = world()
    for number in range(300):
        paged(now, alert_event(number, card_token=f"{number:032x}", at=now.clock.now()))
        now.clock.advance(1)
        if number % 60 == 0:
            now.page_waiting()
    asking = len(now.pager.sent)
    later(now, 40)
    reminders = [message for message in now.pager.sent if message.kind == "REMINDER"]
    assert asking > 60
    assert 1 <= len(reminders) <= 7
    told = {i for message in reminders for i in message.alert_ids}
    assert len(told) == 300
    now.check_promise({alert_event(n, card_token=f"{n:032x}").event_id for n in range(300)})


def test_what_one_reminder_cannot_tell_of_the_next_one_does() -> None:
    now = world(policy=Policy(escalate_after=AFTER, pages_per_minute=300))
    events = [alert_event(n, card_token=f"{n:032x}") for n in range(MAX_PAGES_AGAIN + 2)]
    for event in events:
        paged(now, event)
        now.clock.advance(1)
    now.subscriptions.listed = []
    later(now, 16)
    now.subscriptions.listed = [Subscription("email", "arn:1")]
    later(now, 1)
    reminders = [message for message in now.pager.sent if message.kind == "REMINDER"]
    assert [len(message.alert_ids) for message in reminders] == [MAX_PAGES_AGAIN, 2]
    assert {i for message in reminders for i in message.alert_ids} == ids(*events)
    assert escalated(now) == [("ESCALATION", MAX_PAGES_AGAIN), ("ESCALATION", 2)]


def test_of_pages_that_are_not_due_nothing_is_decided_and_a_moment_later_it_is() -> None:
    now = paged(world(), alert_event(1))
    ledger = Ledger(now.ledger)
    pages = ledger.waiting_pages(Work.UNACTED, limit=10)
    entries = ledger.entries({i for page in pages for i in page.entry_ids})
    waiting = [Told(page, tuple(page.alerts_of(entries.values()))) for page in pages]

    def reminded(at: datetime) -> Reminding | None:
        return remind(
            waiting,
            groups={},
            snoozes=Snoozes(since=NOON),
            now=at,
            policy=now.policy,
            escalates=False,
        )

    assert reminded(NOON + AFTER - timedelta(milliseconds=1)) is None
    due = reminded(NOON + AFTER)
    assert due is not None
    assert [page.kind for page in due.again] == ["REMINDER"]


def test_reminders_take_tokens_like_other_pages_and_wait_for_them() -> None:
    now = later(paged(world(), alert_event(1)), 14)
    now.clock.advance(60)
    now.spend_all_tokens()
    now.page_waiting()
    assert kinds(now) == [("FIRST", 1)]
    later(now, 1)
    assert kinds(now) == [("FIRST", 1), ("REMINDER", 1)]


def test_an_escalation_waits_until_the_next_people_are_subscribed() -> None:
    now = paged(world(), alert_event(1))
    somebody, now.next_subscriptions.listed = now.next_subscriptions.listed, []
    later(now, 20)
    assert kinds(now) == [("FIRST", 1), ("REMINDER", 1)]
    assert escalated(now) == []
    assert now.page_acts() == []
    now.next_subscriptions.listed = somebody
    assert escalated(later(now, 1)) == [("ESCALATION", 1)]


def test_an_act_stops_an_escalation_that_waits() -> None:
    now = paged(world(), alert_event(1))
    now.next_subscriptions.listed = []
    later(now, 20)
    now.act(page=0)
    now.next_subscriptions.listed = [Subscription("email", "arn:1")]
    assert escalated(later(now, 5)) == []
    assert now.unfinished() == []


def test_while_nobody_is_subscribed_reminders_wait_and_go_together() -> None:
    now = paged(world(), alert_event(1))
    later(now, 10)
    paged(now, alert_event(2, card_token=OTHER, at=now.clock.now()))
    now.subscriptions.listed = []
    later(now, 20)
    now.subscriptions.listed = [Subscription("email", "arn:1")]
    later(now, 1)
    assert kinds(now)[2:] == [("REMINDER", 2)]


def test_each_escalated_page_is_an_act_of_the_notifier_on_the_stream() -> None:
    now = paged(world(), alert_event(1))
    paged(now, alert_event(2, card_token=OTHER))
    later(now, 20)
    escalations = [act for act in now.page_acts() if act.act == "ESCALATED"]
    assert {act.page_id for act in escalations} == {m.page_id for m in now.pager.sent[:2]}
    assert {(act.by, act.claimed, act.scope) for act in escalations} == {
        ("notifier", False, "page")
    }


def test_the_pages_say_their_kind_on_the_stream() -> None:
    now = later(paged(world(), alert_event(1)), 20)
    said = [(event.kind, event.state, event.alert_ids) for event in now.page_events()]
    alerts = (alert_event(1).event_id,)
    assert said == [(kind, "SENT", alerts) for kind in ("FIRST", "REMINDER", "ESCALATION")]


def test_a_reminder_names_the_page_and_says_since_when_nobody_has_acted() -> None:
    now = later(paged(world(), alert_event(1)), 20)
    first, reminder = now.pager.sent
    assert reminder.page_id != first.page_id
    assert reminder.subject.startswith("Reminder: ")
    assert "This is a reminder: nobody has acted on 1 page about this for 15 min" in reminder.text
    assert f"Tells again of: {first.page_id}" in reminder.text
    assert now.next_pager is not None
    (escalation,) = now.next_pager.sent
    assert escalation.subject.startswith("Escalation: ")
    assert "You are paged because nobody has acted on 1 page" in escalation.text


def test_an_act_on_the_reminder_s_link_is_one_on_its_page() -> None:
    class Links:
        def link(self, page_id: str, since: datetime) -> str:
            return f"{page_id} since {since:%H:%M}"

    now = world()
    now.links = Links()
    later(paged(now, alert_event(1)), 20)
    first, reminder = now.pager.sent
    assert f"{first.page_id} since 12:15" in reminder.text


def test_people_are_reminded_of_each_rule_by_a_page_of_its_own_the_urgent_one_first() -> None:
    now = paged(world(), rule_alert_event(1))
    paged(now, alert_event(1))
    later(now, 20)
    assert kinds(now)[2:] == [("REMINDER", 1)] * 2
    assert now.pager.sent[2].alert_ids == (alert_event(1).event_id,)


def test_nobody_is_reminded_of_what_is_too_old_to_be_paged() -> None:
    policy = Policy(escalate_after=AFTER, max_age=timedelta(minutes=10))
    now = later(paged(world(policy=policy), alert_event(1)), 60)
    assert kinds(now) == [("FIRST", 1)]
    now.check_promise(ids(alert_event(1)))


def test_a_reminder_that_expires_loses_no_alert_and_is_told_of_by_no_page() -> None:
    policy = Policy(escalate_after=AFTER, max_age=timedelta(minutes=20))
    now = paged(world(policy=policy), alert_event(1))
    now.next_subscriptions.listed = []
    later(now, 30)
    (expired,) = [event for event in now.page_events() if event.state == "EXPIRED"]
    assert expired.kind == "ESCALATION"
    paged(now, alert_event(2, at=now.clock.now()))
    assert "EXPIRED" not in now.pager.sent[-1].text
    now.check_promise(ids(alert_event(1), alert_event(2)))


def test_a_reminder_that_may_have_been_sent_is_repeated_under_its_id_and_marked() -> None:
    now = later(paged(world(), alert_event(1)), 14)
    now.pager.lost_answers = [PageMayBeSentError("timed out")]
    later(now, 5)
    _, reminder, again = now.pager.sent
    assert (reminder.page_id, reminder.repeat) == (again.page_id, False)
    assert again.repeat
    now.check_promise(ids(alert_event(1)))


def test_reminders_count_no_alert_as_paged_again() -> None:
    now = paged(world(), alert_event(1))
    now.clock.advance(AFTER.total_seconds())
    outcome = now.page_waiting()
    assert (outcome.paged, outcome.pages_sent) == (0, 2)
    assert outcome.told_again == {"REMINDER": 1, "ESCALATION": 1}
    assert outcome.latencies_ms == []
    assert now.clock.now() == NOON + AFTER
