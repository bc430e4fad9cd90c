"""What each scenario is, held against what it is played for."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import NormalDist, fmean

import pytest
from tests.paying_cards import make_cards

from cardwatch.contract.fields import parse_time
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.rules.file import read_rules_file
from cardwatch.simulation.events import TICK_MS, TICKS_PER_MINUTE, EventGenerator
from cardwatch.simulation.population import PLACES, Population
from cardwatch.simulation.profiles import UnknownNameError
from cardwatch.simulation.scenarios import (
    SCENARIOS,
    SLOT_TICKS,
    parse_scenarios,
    scenario_of,
    scenarios,
)

NAMES = tuple(SCENARIOS)
CARDS = make_cards(200, 20)
FIRST_SLOT = 74_000_000
LIMITS = read_rules_file(Path(__file__).parents[3] / "rules.yaml").rules.large_amount.limits
PAYMENTS_TOO = 0.001
"""A rate at which the slots below have no other payment."""


def played(slot: int, names: Sequence[str] = NAMES, seed: int = 7) -> list[Envelope]:
    """The payments of one slot, tick by tick as the simulator sends them."""
    generator = EventGenerator(CARDS, seed=seed, scenarios=scenarios(names))
    with_them, without = (
        [
            entry.data
            for tick in range(slot * SLOT_TICKS, (slot + 1) * SLOT_TICKS)
            for entry in each.tick(tick, PAYMENTS_TOO, [])
        ]
        for each in (generator, EventGenerator(CARDS, seed=seed))
    )
    others = Counter(without)
    now = parse_time("2030-01-01T00:00:00Z")
    return [read_event(data, now=now) for data in with_them if data not in others]


def payments(slot: int, names: Sequence[str] = NAMES) -> list[Payment]:
    found = [event.event_json_data for event in played(slot, names)]
    assert all(isinstance(payment, Payment) for payment in found)
    return [payment for payment in found if isinstance(payment, Payment)]


def slot_of(name: str) -> int:
    return next(s for s in range(FIRST_SLOT, FIRST_SLOT + 9) if scenario_of(NAMES, s) == name)


def test_scenarios_take_turns_and_any_two_minutes_have_them_all() -> None:
    in_two_minutes = 2 * TICKS_PER_MINUTE // SLOT_TICKS
    for first in range(FIRST_SLOT, FIRST_SLOT + len(NAMES)):
        slots = range(first, first + in_two_minutes)
        assert {scenario_of(NAMES, slot) for slot in slots} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_within_its_slot_and_on_no_stolen_card(name: str) -> None:
    slot = slot_of(name)
    begin = slot * SLOT_TICKS * TICK_MS / 1000
    stolen = {card.token for card in CARDS if card.status == "STOLEN"}
    for event in played(slot):
        assert begin <= event.event_date_origin.timestamp() < begin + SLOT_TICKS * TICK_MS / 1000
        assert isinstance(event.event_json_data, Payment)
        assert event.event_json_data.card_token not in stolen


@pytest.mark.parametrize("name", NAMES)
def test_the_same_slot_is_the_same_again_and_under_another_seed_another(name: str) -> None:
    slot = slot_of(name)
    assert played(slot) == played(slot)
    assert {e.event_id for e in played(slot)}.isdisjoint(e.event_id for e in played(slot, seed=8))


def test_cards_are_tested_at_one_merchant_with_little_money_and_few_are_taken() -> None:
    found = payments(slot_of("card_testing"))
    assert len({payment.card_token for payment in found}) == len(found) > 5
    assert len({payment.merchant_id for payment in found}) == 1
    assert all(payment.amount <= 2 for payment in found)
    statuses = Counter(payment.status for payment in found)
    assert statuses["DECLINED"] > statuses["AUTHORIZED"] > 0


def test_a_taken_over_account_pays_at_many_merchants_within_a_minute() -> None:
    found = payments(slot_of("account_takeover"))
    assert len({payment.user_id for payment in found}) == 1
    assert len({payment.merchant_id for payment in found}) == len(found) > 5
    assert sum(payment.amount for payment in found) < 3_000


def test_an_account_that_busts_out_spends_more_than_its_limit_by_few_payments() -> None:
    found = payments(slot_of("bust_out"))
    assert len({payment.account_id for payment in found}) == 1
    assert sum(payment.amount for payment in found) > 3_000
    assert len(found) <= 5
    assert max(payment.amount for payment in found) < Decimal(5_000)


def test_a_copied_card_pays_in_two_cities_between_which_nobody_travels_so_fast() -> None:
    found = payments(slot_of("impossible_travel"))
    assert len({payment.card_token for payment in found}) == 1
    assert len(found) > 5
    cities = [payment.city for payment in found]
    assert all(here != there for here, there in pairwise(cities))
    assert set(cities) == {"Madrid", "Vilnius"}
    assert {payment.entry_mode for payment in found} <= {
        "CHIP",
        "CONTACTLESS",
        "MAGSTRIPE",
        "KEYED",
    }
    assert all(payment.latitude is not None for payment in found)


def test_a_large_purchase_is_one_payment_above_the_limit() -> None:
    [payment] = payments(slot_of("large_purchase"))
    assert payment.currency == "EUR"
    assert payment.amount > LIMITS["EUR"]


def test_a_person_makes_a_large_payment_seldom_enough_to_be_paged_for_it() -> None:
    """Less than once in ten minutes at 20 payments a second; a scenario has one every two."""
    population = Population(CARDS, 7)
    large = [
        1 - NormalDist(merchant.mu, merchant.sigma).cdf(log(LIMITS[place.currency.code]))
        for place, merchants in zip(PLACES, population.merchants, strict=True)
        for merchant in merchants
    ]
    assert 0 < 20 * 600 * fmean(large) < 1


def test_no_scenario_is_played_while_payments_are_off() -> None:
    generator = EventGenerator(CARDS, seed=7, scenarios=scenarios(NAMES))
    slot = slot_of("card_testing")
    ticks = range(slot * SLOT_TICKS, (slot + 1) * SLOT_TICKS)
    sent = [entry.data for tick in ticks for entry in generator.tick(tick, None, [])]
    assert not any(b"PAYMENT_EVENT" in data for data in sent)


def test_scenarios_are_asked_for_by_name() -> None:
    assert parse_scenarios("bust_out, card_testing") == ("card_testing", "bust_out")
    assert parse_scenarios("all") == NAMES
    assert (parse_scenarios("none"), scenarios(())) == ((), None)
    with pytest.raises(UnknownNameError, match="no such scenario: busts; valid names are none"):
        parse_scenarios("busts")
