"""A storm on one card: the first alert pages at once, what comes on it then joins follow-ups."""

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import NOON
from tests.unit.paging.support import (
    World,
    alert_event,
    ids,
    kinds,
    play,
    records,
    rule_alert_event,
)

from cardwatch.contract.streams import Envelope
from cardwatch.paging.grouping import MAX_ALERTS_PER_PAGE, Policy
from cardwatch.paging.ports import PageNotSentError
from cardwatch.paging.records import PageState

INTERVAL = 300
OTHER_CARD = "5" * 32


@pytest.fixture
def world() -> World:
    return World(policy=Policy())


def test_the_first_alert_on_a_card_pages_at_once_and_what_follows_makes_one_page(
    world: World,
) -> None:
    first, *more = [alert_event(n) for n in range(4)]
    world.page_batch(records(first))
    for event in more:
        world.clock.advance(10)
        outcome = world.page_batch(records(event))
        assert (outcome.failed, outcome.gathered, outcome.held) == (set(), 1, 0)
    world.clock.advance(INTERVAL - 31)
    assert world.page_waiting().pages_sent == 0
    world.clock.advance(1)
    assert world.page_waiting().paged == 3
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 3)]
    world.check_promise(ids(first, *more))
    assert [event.kind for event in world.page_events()] == ["FIRST", "FOLLOW_UP"]


def test_all_that_comes_on_a_card_in_its_first_batch_is_in_the_first_page(world: World) -> None:
    events = [alert_event(n) for n in range(120)]
    assert world.page_batch(records(*events)).gathered == 0
    assert kinds(world) == [("FIRST", 120)]


def test_another_card_and_another_rule_on_the_same_card_page_at_once(world: World) -> None:
    events = [
        alert_event(1),
        alert_event(2, card_token=OTHER_CARD),
        rule_alert_event(1),
        rule_alert_event(2, entity_kind="account", entity_id="acc_1", card_last4=None),
    ]
    for event in events:
        world.page_batch(records(event))
        world.clock.advance(60)
    assert kinds(world) == [("FIRST", 1)] * 4


def test_a_batch_pages_new_cards_and_gathers_on_those_that_were_paged(world: World) -> None:
    known = [alert_event(n) for n in range(2)]
    world.page_batch(records(known[0]))
    new = alert_event(3, card_token=OTHER_CARD)
    outcome = world.page_batch(records(known[1], new, known[1]))
    assert (outcome.paged, outcome.gathered) == (1, 1)
    assert set(world.pager.sent[-1].alert_ids) == ids(new)


def test_a_card_that_was_quiet_for_the_interval_pages_at_once_again(world: World) -> None:
    for number in range(3):
        world.page_batch(records(alert_event(number, at=world.clock.now())))
        world.clock.advance(INTERVAL)
        world.page_waiting()
    assert kinds(world) == [("FIRST", 1)] * 3


def test_a_follow_up_opens_the_interval_anew(world: World) -> None:
    world.page_batch(records(alert_event(0)))
    for number in range(1, 4):
        world.page_batch(records(alert_event(number, at=world.clock.now())))
        world.clock.advance(INTERVAL)
        world.page_waiting()
    assert kinds(world) == [("FIRST", 1)] + [("FOLLOW_UP", 1)] * 3


def test_the_first_page_says_what_came_on_the_card_in_the_last_hour(world: World) -> None:
    for minutes in (0, 20, 40, 59):
        world.clock.time = NOON + timedelta(minutes=minutes)
        declined = {"status": "DECLINED"} if minutes == 20 else {}
        world.page_batch(records(alert_event(minutes, at=world.clock.now(), **declined)))
    world.clock.time = NOON + timedelta(minutes=61)
    world.page_waiting()
    said = [m.text.split("In the last 60 min")[1].split("\n\n")[0] for m in world.pager.sent]
    assert said == [
        "\ncard 424242******4242: 1 alert, 12.50 EUR",
        "\ncard 424242******4242: 2 alerts, 12.50 EUR",
        "\ncard 424242******4242: 3 alerts, 25.00 EUR",
        "\ncard 424242******4242: 4 alerts, 37.50 EUR",
    ]
    world.clock.time = NOON + timedelta(minutes=75)
    world.page_batch(records(alert_event(75, at=world.clock.now())))
    assert "424242******4242: 4 alerts, 37.50 EUR" in world.pager.sent[-1].text


def test_a_follow_up_in_full(world: World) -> None:
    world.page_batch(records(alert_event(0), alert_event(9, card_token=OTHER_CARD)))
    more = [
        alert_event(1, at=NOON + timedelta(seconds=5)),
        alert_event(2, at=NOON + timedelta(seconds=65), merchant_id="mer_0009", city="Rabat"),
        alert_event(3, at=NOON + timedelta(seconds=35), amount="80", currency="USD"),
    ]
    world.page_batch(records(*more))
    world.clock.advance(INTERVAL)
    world.page_waiting()
    follow_up = world.pager.sent[-1]
    assert follow_up.subject == ("Follow-up: 3 payments on 1 stolen card: 25.00 EUR + 80 USD")
    assert (
        follow_up.text
        == f"""\
Follow-up: 3 payments on 1 stolen card

Card: 424242******4242
Alerts: 3
In all: 25.00 EUR, 80 USD
Merchants: mer_0007 (2); mer_0009 (1)
Places: Valletta, MT (2); Rabat, MT (1)
Happened: 2026-11-21 12:00:05 UTC to 2026-11-21 12:01:05 UTC
In the last 60 min: 4 alerts, 37.50 EUR, 80 USD

What to do
1. Block the card, if it is not blocked yet.
2. Stop or reverse the payment.
3. Call the account holder on the number on file.

Page: {follow_up.page_id}
Alerts in this page: 3
"""
    )


def test_follow_ups_of_several_cards_of_a_rule_share_a_page_each_with_its_own_paragraph(
    world: World,
) -> None:
    cards = [f"{n:032x}" for n in range(30)]
    for number in range(2):
        events = [
            alert_event(100 * number + n, card_token=card, card_last4=f"{n:04d}")
            for n, card in enumerate(cards)
        ]
        world.page_batch(records(*events, rule_alert_event(number)))
    world.clock.advance(INTERVAL)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 30), ("FIRST", 1), ("FOLLOW_UP", 30), ("FOLLOW_UP", 1)]
    text = world.pager.sent[2].text
    assert "\n\n20. Card 424242******" in text
    assert "And 10 alerts on 10 others, not listed here." in text


def test_without_a_token_follow_ups_wait_and_lose_nothing(world: World) -> None:
    world.page_batch(records(alert_event(0)))
    world.page_batch(records(alert_event(1)))
    world.clock.advance(INTERVAL)
    world.spend_all_tokens()
    assert world.page_waiting().pages_sent == 0
    world.clock.advance(3)
    assert world.page_waiting().pages_sent == 1
    world.check_promise(ids(alert_event(0), alert_event(1)))


def test_closing_the_groups_sends_what_is_not_due_yet(world: World) -> None:
    world.page_batch(records(alert_event(0)))
    world.page_batch(records(alert_event(1)))
    world.notifier().page_waiting(close_groups=True)
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 1)]


def test_a_follow_up_that_the_channel_refused_goes_out_later_and_is_one(world: World) -> None:
    world.page_batch(records(alert_event(0)))
    world.page_batch(records(alert_event(1)))
    world.clock.advance(INTERVAL)
    world.pager.failures = [PageNotSentError("down")]
    assert world.page_waiting().pages_sent == 0
    assert world.page_waiting().pages_sent == 1
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 1)]
    assert [m.repeat for m in world.pager.sent] == [False, False]


def test_an_alert_that_is_too_old_opens_no_group_and_waits_for_none(world: World) -> None:
    old = [alert_event(n, at=NOON - timedelta(days=2)) for n in range(2)]
    world.page_batch(records(old[0]))
    assert world.page_batch(records(alert_event(2))).paged == 1
    assert world.page_batch(records(old[1])).expired == 1
    assert world.expired_ids() == ids(*old)


def test_what_waits_for_a_follow_up_until_it_is_too_old_expires(world: World) -> None:
    world.page_batch(records(alert_event(0)))
    world.page_batch(records(alert_event(1)))
    world.clock.advance(86_401)
    world.page_waiting()
    assert [page.state for page in world.pages()] == [PageState.SENT, PageState.EXPIRED]
    assert world.expired_ids() == ids(alert_event(1))
    world.page_batch(records(alert_event(2, at=world.clock.now())))
    assert kinds(world)[-1] == ("FIRST", 1)


def test_a_group_opened_by_a_clock_that_is_hours_ahead_holds_nobody_up(world: World) -> None:
    world.clock.advance(3600)
    world.page_batch(records(alert_event(0)))
    world.page_batch(records(alert_event(1)))
    world.clock.advance(-3600)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 1)]
    world.clock.advance(3600)
    world.page_batch(records(alert_event(2)))
    world.clock.advance(-3600)
    assert world.page_batch(records(alert_event(3))).paged == 1


def test_what_is_gathered_while_nobody_is_subscribed_is_counted_with_what_waits(
    world: World,
) -> None:
    somebody = world.subscriptions.listed
    world.page_batch(records(alert_event(0)))
    world.subscriptions.listed = []
    world.page_batch(records(alert_event(1)))
    world.page_batch(records(alert_event(2, card_token=OTHER_CARD)))
    world.clock.advance(INTERVAL)
    assert world.page_waiting().pages_sent == 0
    world.subscriptions.listed = somebody
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("FIRST", 1), ("FOLLOW_UP", 1)]
    texts = [m.text for m in world.pager.sent]
    assert "2 alerts came until somebody was, and waited. This page has 1 of them; the" in texts[1]
    assert "1 alert of this page waited, because nobody was subscribed." in texts[2]


def test_page_latency_is_of_first_pages_and_follow_ups_have_a_figure_of_their_own(
    world: World,
) -> None:
    world.clock.advance(5)
    assert world.page_batch(records(alert_event(0))).latencies_ms == [5000]
    world.page_batch(records(alert_event(1)))
    world.clock.advance(INTERVAL)
    outcome = world.page_waiting()
    assert (outcome.latencies_ms, outcome.follow_up_latencies_ms) == ([], [305_000])


@pytest.mark.parametrize(("seed", "ticks_at"), [(1, 0), (2, 37)])
def test_ten_thousand_alerts_on_one_card_in_a_minute_make_13_pages_and_each_is_in_one(
    seed: int, ticks_at: int
) -> None:
    chance = random.Random(seed)
    world = World(policy=Policy())
    batches: list[tuple[float, list[Envelope]]] = []
    number = 0
    while number < 10_000:
        size = min(chance.randint(1, 100), 10_000 - number)
        at = 60 * number / 10_000
        time = NOON + timedelta(seconds=at)
        batches.append((at, [alert_event(n, at=time) for n in range(number, number + size)]))
        number += size
    pages = play(world, batches, seconds=3600, ticks_at=ticks_at)
    told = Counter(alert for _, page in pages for alert in page.alert_ids)
    assert (len(told), set(told.values())) == (10_000, {1})
    assert not any(page.repeat for _, page in pages)
    assert len(pages) <= 13
    assert Counter(page.kind for _, page in pages)["FIRST"] == 1
    assert all(len(page.alert_ids) <= MAX_ALERTS_PER_PAGE for _, page in pages)
    assert world.unfinished() == []


@settings(max_examples=30, deadline=None)
@given(
    arrivals=st.lists(st.tuples(st.floats(0, 2000), st.integers(0, 4)), min_size=1, max_size=60),
    ticks_at=st.integers(0, 59),
)
def test_whatever_comes_when_each_alert_is_in_one_page_at_the_latest_after_interval_and_a_minute(
    arrivals: list[tuple[float, int]], ticks_at: int
) -> None:
    world = World(policy=Policy())
    batches = []
    came: dict[str, datetime] = {}
    for number, (at, card) in enumerate(sorted(arrivals)):
        time = NOON + timedelta(seconds=at)
        event = alert_event(number, at=time, card_token=f"{card:032x}")
        batches.append((at, [event]))
        came[event.event_id] = time
    pages = play(world, batches, seconds=2000 + INTERVAL + 120, ticks_at=ticks_at)
    assert sorted(a for _, page in pages for a in page.alert_ids) == sorted(came)
    for sent_at, page in pages:
        bound = INTERVAL + 60 if page.kind == "FOLLOW_UP" else 60
        assert all(sent_at - came[alert] <= timedelta(seconds=bound) for alert in page.alert_ids)


def test_ten_thousand_alerts_on_5000_cards_keep_to_the_bucket_and_each_is_in_one_page() -> None:
    world = World(policy=Policy())
    batches: list[tuple[float, list[Envelope]]] = []
    for start in range(0, 10_000, 100):
        at = 60 * start / 10_000
        time = NOON + timedelta(seconds=at)
        batch = [
            alert_event(n, at=time, card_token=f"{n % 5000:032x}")
            for n in range(start, start + 100)
        ]
        batches.append((at, batch))
    pages = play(world, batches, seconds=1200, ticks_at=30)
    told = Counter(alert for _, page in pages for alert in page.alert_ids)
    assert (len(told), set(told.values())) == (10_000, {1})
    per_minute = world.policy.pages_per_minute
    for begins, _ in pages:
        within = [at for at, _ in pages if timedelta(0) <= at - begins < timedelta(minutes=1)]
        assert len(within) <= per_minute
    assert world.unfinished() == []
