"""While nobody is subscribed to pages, alerts wait; the first page after that says how many."""

from datetime import timedelta

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, records, rule_alert_event

from cardwatch.paging.ports import PageMayBeSentError, PageNotSentError
from cardwatch.paging.subscriptions import FilterPolicy, Subscription

PENDING = Subscription("email", None)
CONFIRMED = Subscription("email", "arn:1")


@pytest.fixture
def world() -> World:
    world = World()
    world.subscriptions.listed = [PENDING]
    return world


def test_while_nobody_is_subscribed_alerts_are_held_and_their_records_are_done(
    world: World,
) -> None:
    outcome = world.page_batch(records(*(alert_event(n) for n in range(3))))
    assert (outcome.failed, outcome.held, outcome.problems) == (set(), 3, [])
    assert world.page_waiting().pages_sent == 0
    assert (world.pager.sent, world.pages(), world.stream.entries) == ([], [], [])


def test_the_first_page_after_it_says_since_when_and_how_many_waited_and_the_next_does_not(
    world: World,
) -> None:
    held = [alert_event(n) for n in range(3)]
    world.page_batch(records(*held[:2]))
    world.clock.advance(600)
    world.page_batch(records(held[2]))
    world.subscriptions.listed = [CONFIRMED]
    world.page_waiting()
    later = alert_event(9, at=world.clock.now())
    world.page_batch(records(later))
    first, second = world.pager.sent
    assert set(first.alert_ids) == ids(*held)
    assert (
        "Nobody was subscribed to these pages from 2026-11-21 12:00:00 UTC on: 3 alerts came until "
        "somebody was, and waited. This page has 3 of them.\n" in first.text
    )
    assert "pages a minute" not in first.text
    assert "subscribed" not in second.text


def test_the_first_page_counts_what_only_the_next_ones_have(world: World) -> None:
    cards, rules = [alert_event(n) for n in range(1000)], [rule_alert_event(1)]
    for start in range(0, 1000, 100):
        world.page_batch(records(*cards[start : start + 100]))
    world.page_batch(records(*rules))
    world.subscriptions.listed = [CONFIRMED]
    world.page_waiting()
    assert [len(m.alert_ids) for m in world.pager.sent] == [900, 100, 1]
    notes = [m.text.split("\n\n")[-2] for m in world.pager.sent]
    assert notes == [
        (
            "Nobody was subscribed to these pages from 2026-11-21 12:00:00 UTC on: 1001 alerts "
            "came until somebody was, and waited. This page has 900 of them; the others follow."
        ),
        "100 alerts of this page waited, because nobody was subscribed.",
        "1 alert of this page waited, because nobody was subscribed.",
    ]
    world.check_promise(ids(*cards, *rules))


def test_a_new_alert_takes_what_waited_along(world: World) -> None:
    world.page_batch(records(alert_event(1)))
    world.subscriptions.listed = [CONFIRMED]
    world.page_batch(records(alert_event(2)))
    [page] = world.pager.sent
    assert set(page.alert_ids) == ids(alert_event(1), alert_event(2))
    assert "1 alert came until somebody was, and waited. This page has 1 of them." in page.text


def test_a_second_silence_counts_anew(world: World) -> None:
    for number in range(2):
        world.subscriptions.listed = [PENDING]
        world.page_batch(records(alert_event(number, at=world.clock.now())))
        world.subscriptions.listed = [CONFIRMED]
        world.clock.advance(3600)
        world.page_waiting()
    begun = ["from 2026-11-21 12:00:00 UTC on: 1 alert", "from 2026-11-21 13:00:00 UTC on: 1 alert"]
    assert [words in m.text for words, m in zip(begun, world.pager.sent, strict=True)] == [
        True,
        True,
    ]


def test_who_filters_all_pages_away_is_nobody(world: World) -> None:
    world.subscriptions.listed = [CONFIRMED]
    world.subscriptions.filters = {"arn:1": FilterPolicy({"team": ["fraud"]})}
    assert world.page_batch(records(alert_event())).held == 1


def test_who_cannot_be_asked_does_not_stop_paging_and_is_told_as_a_problem(world: World) -> None:
    world.subscriptions.broken = True
    outcome = world.page_batch(records(alert_event()))
    assert (outcome.paged, outcome.held) == (1, 0)
    assert outcome.problems == [
        "the subscriptions cannot be listed: Throttled; pages go out as if somebody were subscribed"
    ]


@pytest.mark.parametrize("failure", [PageNotSentError("down"), PageMayBeSentError("timed out")])
def test_a_page_that_failed_before_is_not_sent_into_the_silence(
    world: World, failure: Exception
) -> None:
    batch = records(alert_event())
    world.subscriptions.listed = [CONFIRMED]
    world.pager.failures = [failure]
    world.page_batch(batch)
    world.subscriptions.listed = [PENDING]
    assert world.page_batch(batch).failed == set()
    world.page_batch(records(alert_event(2)))
    world.page_waiting()
    assert world.pager.sent == []
    world.subscriptions.listed = [CONFIRMED]
    world.page_waiting()
    # What may be a repeat says nothing new, so the other page tells it.
    silent = ["Nobody was subscribed" in m.text for m in world.pager.sent]
    assert silent == ([True, False] if isinstance(failure, PageNotSentError) else [False, True])
    world.check_promise(ids(alert_event(1), alert_event(2)))


def test_what_grows_too_old_in_the_silence_expires_and_the_first_page_says_so(
    world: World,
) -> None:
    old = alert_event(1)
    world.page_batch(records(old))
    world.clock.advance(86_401)
    world.page_waiting()
    assert world.expired_ids() == ids(old)
    world.subscriptions.listed = [CONFIRMED]
    world.page_batch(records(alert_event(2, at=NOON + timedelta(days=1))))
    [page] = world.pager.sent
    assert "1 alert came until somebody was, and waited. This page has 0 of them" in page.text
    assert "1 alert was not paged" in page.text


def test_alerts_are_held_for_both_reasons_and_each_page_names_the_one_that_is_its(
    world: World,
) -> None:
    world.subscriptions.listed = [CONFIRMED]
    world.spend_all_tokens()
    world.page_batch(records(alert_event(1)))
    world.subscriptions.listed = []
    world.page_batch(records(alert_event(2)))
    world.subscriptions.listed = [CONFIRMED]
    world.clock.advance(60)
    world.page_waiting()
    [page] = world.pager.sent
    assert "1 alert of this page waited: at most 30 pages a minute go out." in page.text
    assert "This page has 1 of them." in page.text
