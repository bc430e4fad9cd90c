"""What the audit found of the time before a card's report is one page of that card."""

from datetime import datetime, timedelta

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, kinds, records

from cardwatch.contract.streams import Envelope
from cardwatch.paging.grouping import Policy

OTHER_CARD = "5" * 32


@pytest.fixture
def world() -> World:
    return World(policy=Policy())


def found_later(number: int, *, at: datetime = NOON, **fields: str) -> Envelope:
    """Give an alert that a look-back put."""
    now = NOON + timedelta(days=1)
    return alert_event(number, at=at, late=True, found_by="look_back", detected_at=now, **fields)


def test_each_card_that_was_looked_back_on_has_a_page_and_what_is_live_goes_before_them(
    world: World,
) -> None:
    ours = [found_later(n) for n in range(3)]
    others = [found_later(n, card_token=OTHER_CARD) for n in range(10, 12)]
    live = alert_event(20, card_token="6" * 32)
    mixed = [ours[0], others[0], live, ours[1], others[1], ours[2]]
    assert world.page_batch(records(*mixed)).failed == set()
    assert kinds(world) == [("FIRST", 1), ("LOOK_BACK", 3), ("LOOK_BACK", 2)]
    assert [set(m.alert_ids) for m in world.pager.sent[1:]] == [ids(*ours), ids(*others)]
    world.check_promise(ids(*mixed))
    assert [event.kind for event in world.page_events()] == ["FIRST", "LOOK_BACK", "LOOK_BACK"]


def test_more_than_an_entry_takes_is_one_page_all_the_same(world: World) -> None:
    world.page_batch(records(*[found_later(n) for n in range(250)]))
    assert kinds(world) == [("LOOK_BACK", 250)]


def test_on_a_card_that_people_were_just_paged_of_it_joins_the_follow_up(world: World) -> None:
    world.page_batch(records(alert_event(1)))
    assert world.page_batch(records(found_later(2))).gathered == 1
    world.clock.advance(300)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 1)]


def test_without_tokens_look_backs_on_several_cards_are_in_the_digest_and_on_one_are_one(
    world: World,
) -> None:
    for cards in ([None], [None, OTHER_CARD]):
        world.clock.advance(600)
        world.spend_all_tokens()
        for number, card in enumerate(cards):
            token = {"card_token": card} if card else {}
            event = found_later(100 * len(cards) + number, at=world.clock.now(), **token)
            assert world.page_batch(records(event)).held == 1
        world.clock.advance(3)
        world.page_waiting()
    assert kinds(world) == [("LOOK_BACK", 1), ("DIGEST", 2)]


def test_what_waits_is_not_carried_by_a_look_back(world: World) -> None:
    world.spend_all_tokens()
    world.page_batch(records(alert_event(1, card_token=OTHER_CARD)))
    world.clock.advance(3)
    world.page_batch(records(found_later(2)))
    assert kinds(world) == [("LOOK_BACK", 1)]
    world.clock.advance(3)
    world.page_waiting()
    assert kinds(world) == [("LOOK_BACK", 1), ("FIRST", 1)]


def test_a_look_back_in_full(world: World) -> None:
    events = [
        found_later(1, at=NOON - timedelta(days=2), amount="900.00", merchant_id="mer_0009"),
        found_later(2, at=NOON - timedelta(days=1), amount="80", currency="USD", city="Rabat"),
        found_later(3, at=NOON, status="DECLINED"),
    ]
    world.page_batch(records(*events))
    [page] = world.pager.sent
    assert page.subject == (
        "Look-back: 3 payments on 1 stolen card (1 declined): 900.00 EUR + 80 USD"
    )
    assert page.text.startswith(
        """\
Look-back: 3 payments on 1 stolen card (1 declined)

Card: 424242******4242
Alerts: 3
In all: 900.00 EUR, 80 USD
Merchants: mer_0007 (2); mer_0009 (1)
Places: Valletta, MT (2); Rabat, MT (1)
Happened: 2026-11-19 12:00:00 UTC to 2026-11-21 12:00:00 UTC

Why: card reported stolen 2026-11-20T22:10:00.000Z. It was found by looking back.

Payments
2026-11-21 12:00:00 UTC: 12.50 EUR, declined, mer_0007, Valletta, MT, pay_0003
2026-11-20 12:00:00 UTC: 80 USD, mer_0007, Rabat, MT, pay_0002
2026-11-19 12:00:00 UTC: 900.00 EUR, mer_0009, Valletta, MT, pay_0001

What to do
"""
    )
