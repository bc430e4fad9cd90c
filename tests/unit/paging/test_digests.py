"""More cards than pages may go out: some page at once, the others are in a digest an interval."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

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
from cardwatch.paging.throttle import burst

INTERVAL = 60


@pytest.fixture
def world() -> World:
    return World(policy=Policy())


def on_card(number: int, at: datetime = NOON, **fields: str) -> Envelope:
    """Give an alert on a card of its own."""
    four = f"{number % 10_000:04d}"
    return alert_event(number, at=at, card_token=f"{number:032x}", card_last4=four, **fields)


def digests(world: World) -> list[set[str]]:
    return [set(m.alert_ids) for m in world.pager.sent if m.kind == "DIGEST"]


def test_what_waits_for_a_token_is_in_one_digest_and_new_cards_page_at_once_beside_it(
    world: World,
) -> None:
    world.spend_all_tokens()
    held = [on_card(n) for n in range(3)]
    for event in held:
        world.page_batch(records(event))
    world.clock.advance(3)
    world.page_waiting()
    assert digests(world) == [ids(*held)]

    world.spend_all_tokens()
    later = [on_card(n) for n in range(10, 13)]
    for event in later:
        world.page_batch(records(event))
    world.clock.advance(30)
    new = on_card(20)
    assert world.page_batch(records(new)).paged == 1
    assert kinds(world)[1:] == [("FIRST", 1)]
    assert world.page_waiting().pages_sent == 0, "the digest has its interval"

    world.clock.advance(INTERVAL - 30)
    world.page_waiting()
    assert digests(world) == [ids(*held), ids(*later)]
    world.check_promise(ids(*held, *later, new))


def test_a_digest_that_is_due_goes_with_the_next_page_of_its_rule(world: World) -> None:
    world.spend_all_tokens()
    held, new, large = on_card(1), on_card(2), rule_alert_event(3)
    world.page_batch(records(held))
    world.clock.advance(20)
    world.page_batch(records(large))
    world.page_batch(records(new))
    assert kinds(world) == [("FIRST", 1), ("DIGEST", 2)]


def test_one_card_that_waited_makes_no_digest(world: World) -> None:
    world.spend_all_tokens()
    world.page_batch(records(alert_event(1), alert_event(2)))
    world.clock.advance(3)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 2)]
    assert "2 alerts of this page waited" in world.pager.sent[0].text


def test_what_fits_no_digest_follows_at_once(world: World) -> None:
    world.spend_all_tokens()
    held = [on_card(n) for n in range(MAX_ALERTS_PER_PAGE + 50)]
    for start in range(0, len(held), 45):
        world.page_batch(records(*held[start : start + 45]))
    world.clock.advance(6)
    world.page_waiting()
    assert [len(digest) for digest in digests(world)] == [MAX_ALERTS_PER_PAGE, 50]
    world.check_promise(ids(*held))


def test_closing_sends_a_digest_before_its_interval_is_over(world: World) -> None:
    for _ in range(2):
        world.spend_all_tokens()
        now = world.clock.now()
        number = len(world.pager.sent) * 10
        world.page_batch(records(on_card(number, now), on_card(number + 1, now)))
        world.clock.advance(3)
        world.notifier().page_waiting(close_groups=True)
    assert kinds(world) == [("DIGEST", 2)] * 2


def test_a_digest_in_full(world: World) -> None:
    world.spend_all_tokens()
    held = [
        on_card(1),
        on_card(2, amount="900.00", merchant_id="mer_0009", city="Rabat"),
        on_card(3, amount="80", currency="USD"),
        on_card(4, amount="5000.00", status="DECLINED"),
        on_card(5, amount="20.00"),
        on_card(6, amount="30.00"),
    ]
    world.page_batch(records(*held))
    world.clock.advance(3)
    world.page_waiting()
    [digest] = world.pager.sent
    assert digest.subject == (
        "Digest: 6 payments on 6 stolen cards (1 declined): 962.50 EUR + 80 USD"
    )
    assert digest.text.startswith(
        """\
Digest: 6 payments on 6 stolen cards (1 declined)

In all: 962.50 EUR, 80 USD

Largest in EUR
900.00 EUR: card 424242******0002, mer_0009, Rabat, MT, 2026-11-21 12:00:00 UTC
30.00 EUR: card 424242******0006, mer_0007, Valletta, MT, 2026-11-21 12:00:00 UTC
20.00 EUR: card 424242******0005, mer_0007, Valletta, MT, 2026-11-21 12:00:00 UTC

Largest in USD
80 USD: card 424242******0003, mer_0007, Valletta, MT, 2026-11-21 12:00:00 UTC

1. Card """
    )
    assert "6 alerts of this page waited: at most 30 pages a minute go out." in digest.text


@settings(max_examples=30, deadline=None)
@given(
    cards=st.lists(st.tuples(st.floats(0, 200), st.integers(1, 60)), min_size=1, max_size=40),
    ticks_at=st.integers(0, 59),
)
def test_whatever_comes_no_minute_has_too_many_pages_and_each_alert_is_in_one_of_them(
    cards: list[tuple[float, int]], ticks_at: int
) -> None:
    world = World(policy=Policy(pages_per_minute=6))
    batches: list[tuple[float, list[Envelope]]] = []
    came: dict[str, datetime] = {}
    for at, count in sorted(cards):
        time = NOON + timedelta(seconds=at)
        batches.append((at, [on_card(len(came) + n, time) for n in range(count)]))
        came |= {event.event_id: time for event in batches[-1][1]}
    pages = play(world, batches, seconds=600, ticks_at=ticks_at)
    assert Counter(i for _, page in pages for i in page.alert_ids) == Counter(list(came))
    for begins, _ in pages:
        within = [at for at, _ in pages if timedelta(0) <= at - begins < timedelta(minutes=1)]
        assert len(within) <= 6
    # To the next digest, and from there to the schedule.
    longest = timedelta(seconds=INTERVAL + 60)
    assert all(at - came[i] <= longest for at, page in pages for i in page.alert_ids)
    times = [at for at, page in pages if page.kind == "DIGEST" and len(page.alert_ids) < 900]
    assert all(b - a >= timedelta(seconds=INTERVAL) for a, b in pairwise(times))
    assert world.unfinished() == []
    assert len(pages) >= min(len(cards), burst(6))
