"""What the audit found of the time before a card's report is one page of that card."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, kinds, records

from cardwatch.contract.streams import Envelope
from cardwatch.paging.grouping import MAX_LOOK_BACKS, Policy

OTHER_CARD = "5" * 32


@pytest.fixture
def world() -> World:
    return World(policy=Policy())


def found_later(number: int, *, at: datetime = NOON, **fields: Any) -> Envelope:  # noqa: ANN401  any field of the data
    """Give an alert that a look-back put."""
    said = {"late": True, "found_by": "look_back", "detected_at": NOON + timedelta(days=1)}
    return alert_event(number, at=at, **(said | fields))


def test_each_card_that_was_looked_back_on_has_a_page_of_its_own_behind_what_is_live(
    world: World,
) -> None:
    ours = [found_later(n) for n in range(3)]
    others = [found_later(n, card_token=OTHER_CARD) for n in range(10, 12)]
    live = alert_event(20, card_token="6" * 32)
    mixed = [ours[0], others[0], live, ours[1], others[1], ours[2]]
    assert world.page_batch(records(*mixed)).failed == set()
    assert kinds(world) == [("FIRST", 1)]
    world.clock.advance(10)
    world.page_waiting()
    assert kinds(world)[1:] == [("LOOK_BACK", 3), ("LOOK_BACK", 2)]
    assert [set(m.alert_ids) for m in world.pager.sent[1:]] == [ids(*ours), ids(*others)]
    world.check_promise(ids(*mixed))
    assert [event.kind for event in world.page_events()] == ["FIRST", "LOOK_BACK", "LOOK_BACK"]


def test_what_the_stream_delivers_in_several_batches_is_one_page(world: World) -> None:
    found = [found_later(n) for n in range(250)]
    for start, end in ((0, 1), (1, 100), (100, 250)):
        assert world.page_batch(records(*found[start:end])).gathered == end - start
        world.clock.advance(3)
    world.clock.advance(1)
    live = alert_event(900, card_token=OTHER_CARD)
    world.page_batch(records(live))
    assert kinds(world) == [("FIRST", 1), ("LOOK_BACK", 250)]
    world.check_promise(ids(live, *found))


def test_a_live_alert_on_a_card_that_is_looked_back_on_pages_at_once(world: World) -> None:
    world.page_batch(records(found_later(1)))
    world.page_batch(records(alert_event(2)))
    assert kinds(world) == [("FIRST", 1)]
    world.page_batch(records(found_later(3)))
    world.clock.advance(10)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("LOOK_BACK", 2)]


def test_many_cards_that_were_looked_back_on_are_one_digest(world: World) -> None:
    found = [found_later(n, card_token=f"{n:032x}") for n in range(MAX_LOOK_BACKS + 1)]
    world.page_batch(records(*found))
    world.clock.advance(10)
    world.page_waiting()
    assert kinds(world) == [("DIGEST", MAX_LOOK_BACKS + 1)]
    world.check_promise(ids(*found))


def test_without_a_token_a_look_back_waits_and_without_anybody_too(world: World) -> None:
    somebody, world.subscriptions.listed = world.subscriptions.listed, []
    world.page_batch(records(found_later(1)))
    world.clock.advance(10)
    assert world.page_waiting().pages_sent == 0
    world.subscriptions.listed = somebody
    world.spend_all_tokens()
    assert world.page_waiting().pages_sent == 0
    world.clock.advance(3)
    world.page_waiting()
    assert kinds(world) == [("LOOK_BACK", 1)]
    assert "Nobody was subscribed" in world.pager.sent[0].text


def test_a_look_back_that_is_too_old_expires(world: World) -> None:
    old = found_later(1, detected_at=NOON - timedelta(days=2))
    assert world.page_batch(records(old)).expired == 1


def test_a_look_back_in_full(world: World) -> None:
    events = [
        found_later(1, at=NOON - timedelta(days=2), amount="900.00", merchant_id="mer_0009"),
        found_later(2, at=NOON - timedelta(days=1), amount="80", currency="USD", city="Rabat"),
        found_later(3, at=NOON, status="DECLINED"),
    ]
    world.page_batch(records(*events))
    world.clock.advance(10)
    world.page_waiting()
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
