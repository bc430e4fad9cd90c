"""Somebody has acted: nobody is paged of what comes on it next, and nothing of it is lost."""

from datetime import timedelta

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, kinds, records, rule_alert_event

from cardwatch.paging.grouping import Policy
from cardwatch.paging.records import MAX_ALERTS_PER_ENTRY, Group, PageState

OTHER_CARD = "5" * 32
HOUR = 3600


@pytest.fixture
def world() -> World:
    return World(policy=Policy())


def paged(world: World) -> str:
    """Page one alert, and give its id."""
    event = alert_event(0)
    world.page_batch(records(event))
    return event.event_id


@pytest.mark.parametrize("act", ["ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE"])
def test_after_an_act_on_its_page_nobody_is_paged_of_what_comes_on_a_card(
    world: World, act: str
) -> None:
    paged(world)
    done = world.act(act)
    more = [alert_event(n, at=world.clock.now()) for n in range(1, 4)]
    outcome = world.page_batch(records(*more))
    assert (outcome.failed, outcome.suppressed, outcome.gathered) == (set(), 3, 0)
    world.clock.advance(HOUR - 1)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1)]
    world.check_promise(ids(*more))
    told = world.page_events()[-1]
    assert (told.state, told.reason, told.act_id) == ("EXPIRED", "suppressed", done.act_id)
    assert set(told.alert_ids) == ids(*more)


def test_another_card_and_another_rule_page_all_the_same(world: World) -> None:
    paged(world)
    world.act()
    world.page_batch(records(alert_event(1, card_token=OTHER_CARD), rule_alert_event(1)))
    assert kinds(world) == [("FIRST", 1)] * 3


def test_an_alert_that_waits_for_its_follow_up_is_suppressed_when_that_is_due(
    world: World,
) -> None:
    paged(world)
    waiting = [alert_event(1), alert_event(2)]
    assert world.page_batch(records(*waiting)).gathered == 2
    done = world.act()
    world.clock.advance(300)
    assert world.page_waiting().suppressed == 2
    assert kinds(world) == [("FIRST", 1)]
    assert world.page_events()[-1].act_id == done.act_id
    world.check_promise(ids(*waiting))


def test_of_a_follow_up_that_two_cards_share_only_the_other_card_is_in_the_page(
    world: World,
) -> None:
    first = [alert_event(0), alert_event(10, card_token=OTHER_CARD)]
    for event in first:
        world.page_batch(records(event))
    waiting = [alert_event(1), alert_event(11, card_token=OTHER_CARD)]
    world.page_batch(records(*waiting))
    world.act(page=0)
    world.clock.advance(300)
    world.page_waiting()
    assert set(world.pager.sent[-1].alert_ids) == ids(waiting[1])
    assert world.suppressed_ids() == ids(waiting[0])
    assert kinds(world)[2:] == [("FOLLOW_UP", 1)]


def test_alerts_held_for_a_token_are_suppressed_before_their_digest(world: World) -> None:
    paged(world)
    world.clock.advance(300)
    world.spend_all_tokens()
    held = alert_event(1, at=world.clock.now())
    assert world.page_batch(records(held)).held == 1
    world.act()
    world.clock.advance(60)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1)]
    assert world.suppressed_ids() == ids(held)


def test_the_first_alert_after_an_act_s_time_pages_at_once_and_says_what_was_suppressed(
    world: World,
) -> None:
    paged(world)
    world.clock.advance(60)
    world.act()
    for number in (1, 2):
        world.clock.advance(HOUR / 2 - 1)
        world.page_batch(records(alert_event(number, at=world.clock.now())))
    world.clock.advance(2)
    world.page_batch(records(alert_event(3, at=world.clock.now())))
    assert kinds(world) == [("FIRST", 1)] * 2
    assert (
        "Nobody was paged of what came before, because somebody had acted\n"
        "card 424242******4242: 2 alerts, 25.00 EUR; 2026-11-21 12:01:00 UTC "
        "Ana Vella (as typed) acknowledged it\n"
    ) in world.pager.sent[-1].text
    # It is told once, and what comes then waits for its follow-up again.
    assert world.page_batch(records(alert_event(4, at=world.clock.now()))).gathered == 1
    world.clock.advance(300)
    world.page_waiting()
    assert "Nobody was paged" not in world.pager.sent[-1].text


def test_when_nothing_was_suppressed_the_next_first_page_says_nothing_of_it(world: World) -> None:
    paged(world)
    world.act()
    world.clock.advance(HOUR)
    world.page_batch(records(alert_event(1, at=world.clock.now())))
    assert kinds(world) == [("FIRST", 1)] * 2
    assert "Nobody was paged" not in world.pager.sent[-1].text


def test_a_later_act_holds_from_its_own_time_and_what_was_suppressed_before_is_still_told(
    world: World,
) -> None:
    paged(world)
    world.act()
    world.page_batch(records(alert_event(1)))
    world.clock.advance(HOUR / 2)
    world.act("CONFIRMED", by="Ben Borg")
    world.clock.advance(HOUR - 1)
    assert world.page_batch(records(alert_event(2, at=world.clock.now()))).suppressed == 1
    world.clock.advance(1)
    world.page_batch(records(alert_event(3, at=world.clock.now())))
    said = world.pager.sent[-1].text
    assert "2 alerts, 25.00 EUR; 2026-11-21 12:30:00 UTC Ben Borg (as typed) confirmed" in said


def test_what_is_suppressed_counts_in_the_card_s_last_hour(world: World) -> None:
    world.policy = Policy(act_holds=timedelta(minutes=10))
    paged(world)
    world.act()
    world.page_batch(records(alert_event(1)))
    world.clock.advance(600)
    world.page_batch(records(alert_event(2, at=world.clock.now())))
    assert "In the last 60 min\ncard 424242******4242: 3 alerts, 37.50 EUR" in (
        world.pager.sent[-1].text
    )


def test_what_is_too_old_expires_whoever_has_acted(world: World) -> None:
    paged(world)
    world.act()
    old = alert_event(1, at=NOON - timedelta(days=2))
    outcome = world.page_batch(records(old))
    assert (outcome.expired, outcome.suppressed) == (1, 0)
    world.check_promise(ids(old))


def test_what_is_suppressed_is_known_when_the_stream_delivers_it_again(world: World) -> None:
    paged(world)
    world.act()
    batch = records(alert_event(1))
    for suppressed in (1, 0):
        outcome = world.page_batch(batch)
        assert (outcome.suppressed, outcome.failed) == (suppressed, set())
    assert len(world.page_events()) == 2


def test_more_than_one_write_takes_is_suppressed_whole(world: World) -> None:
    paged(world)
    world.act()
    events = [alert_event(n) for n in range(1, MAX_ALERTS_PER_ENTRY + 30)]
    assert world.page_batch(records(*events)).suppressed == len(events)
    world.check_promise(ids(*events))
    assert len(world.pages(PageState.SUPPRESSED)) == 2


def test_an_act_on_a_digest_of_more_cards_than_one_write_takes_holds_for_all(world: World) -> None:
    cards = [f"{n:032x}" for n in range(150)]
    world.spend_all_tokens()
    for start in range(0, 150, 30):
        events = [alert_event(n, card_token=cards[n]) for n in range(start, start + 30)]
        world.page_batch(records(*events))
    world.clock.advance(60)
    world.page_waiting()
    assert kinds(world) == [("DIGEST", 150)]
    world.act()
    more = [alert_event(1000 + n, card_token=card) for n, card in enumerate(cards)]
    assert world.page_batch(records(*more)).suppressed == 150
    world.check_promise(ids(*more))


def test_an_act_on_a_look_back_suppresses_no_live_alert(world: World) -> None:
    world.page_batch(records(alert_event(1, found_by="look_back", late=True)))
    world.clock.advance(10)
    world.page_waiting()
    world.act()
    world.page_batch(records(alert_event(2)))
    assert kinds(world) == [("LOOK_BACK", 1), ("FIRST", 1)]


def test_without_a_time_an_act_suppresses_nothing_and_changes_no_page(world: World) -> None:
    world.policy = Policy(act_holds=timedelta(0))
    paged(world)
    world.act()
    assert world.page_batch(records(alert_event(1))).gathered == 1
    world.clock.advance(300)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 1)]


def test_an_act_of_a_clock_that_is_hours_ahead_holds_nobody_up(world: World) -> None:
    paged(world)
    world.clock.advance(2 * HOUR)
    world.act()
    world.clock.time = NOON + timedelta(seconds=30)
    world.page_batch(records(alert_event(1)))
    assert kinds(world) == [("FIRST", 1)] * 2


def test_the_stream_s_refusal_is_made_up_for_by_the_schedule(world: World) -> None:
    paged(world)
    world.act()
    world.stream.refuse = "Throttled"
    world.page_batch(records(alert_event(1)))
    world.stream.refuse = None
    world.clock.advance(61)
    world.page_waiting()
    world.check_promise(ids(alert_event(1)))


def test_an_act_on_a_page_whose_groups_are_forgotten_is_noted_all_the_same(world: World) -> None:
    paged(world)
    for key in [key for key in world.ledger.items if key.startswith(Group.key(""))]:
        del world.ledger.items[key]
    world.act()
    world.page_batch(records(alert_event(1)))
    assert kinds(world) == [("FIRST", 1)] * 2
