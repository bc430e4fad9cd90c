"""Named scenarios of fraud that the simulator can put among the payments, off by default.

Each is what one detection is there for. They take turns, a slot of 24 s each, so that two minutes
have all of them, and all of a scenario is within its slot. Nothing in a payment says that it
belongs to one; what happens in which slot depends on the seed, its number and the cards alone. No
card in them is stolen, so that the detections of stolen cards see none of it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cardwatch.contract.streams import new_event_id
from cardwatch.simulation.events import (
    TICK_MS,
    TICKS_PER_MINUTE,
    Draft,
    DraftsOfTick,
    EventGenerator,
    seeded,
)
from cardwatch.simulation.population import PLACES, Merchant
from cardwatch.simulation.profiles import parse_profile

SLOT_TICKS: Final = 2 * TICKS_PER_MINUTE // 5
BEGINS_MS: Final = 2_000
"""Into its slot."""
EURO_PLACES: Final = tuple(i for i, place in enumerate(PLACES) if place.currency.code == "EUR")
FAR_APART: Final = tuple(i for i, place in enumerate(PLACES) if place.city in {"Madrid", "Vilnius"})
"""Places that nobody gets from one to the other of within seconds, by 2,600 km."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One payment of a scenario."""

    after_ms: int
    """After the scenario's begin."""
    card: int
    """Its place in the card file."""
    merchant: Merchant
    amount: float
    """In euro."""
    status: str = "AUTHORIZED"


Story = Callable[["Cast"], Iterator[Charge]]


class Cast:
    """Who may take part in one slot's scenario."""

    def __init__(self, generator: EventGenerator, draw: random.Random) -> None:
        """Draw from the generator's cards and merchants."""
        self._population = generator.population
        self.draw = draw

    def cards(self, count: int) -> list[int]:
        """Give so many cards that are not stolen, as far as there are."""
        stolen = set(self._population.stolen)
        active = [i for i in range(len(self._population.cards)) if i not in stolen]
        return self.draw.sample(active, min(count, len(active)))

    def merchants(
        self, count: int, *, online: bool, places: Sequence[int] = EURO_PLACES
    ) -> list[Merchant]:
        """Give so many merchants of some places, by default of those where one pays in euro."""
        known = [m for place in places for m in self._population.merchants[place]]
        return self.draw.sample([m for m in known if m.online == online], count)


def _card_testing(cast: Cast) -> Iterator[Charge]:
    [merchant] = cast.merchants(1, online=True)
    for number, card in enumerate(cast.cards(9)):
        status = "AUTHORIZED" if number % 4 == 3 else "DECLINED"  # noqa: PLR2004  one in four
        yield Charge(2_300 * number, card, merchant, cast.draw.uniform(0.5, 2.0), status)


def _account_takeover(cast: Cast) -> Iterator[Charge]:
    for card in cast.cards(1):
        for number, merchant in enumerate(cast.merchants(8, online=True)):
            yield Charge(3_100 * number, card, merchant, cast.draw.uniform(20, 90))


def _bust_out(cast: Cast) -> Iterator[Charge]:
    for card in cast.cards(1):
        for number, merchant in enumerate(cast.merchants(4, online=False)):
            yield Charge(6_100 * number, card, merchant, cast.draw.uniform(900, 1_400))


def _impossible_travel(cast: Cast) -> Iterator[Charge]:
    for card in cast.cards(1):
        for number in range(7):
            place = FAR_APART[number % len(FAR_APART)]
            [merchant] = cast.merchants(1, online=False, places=[place])
            yield Charge(3_400 * number, card, merchant, cast.draw.uniform(30, 120))


def _large_purchase(cast: Cast) -> Iterator[Charge]:
    for card in cast.cards(1):
        [merchant] = cast.merchants(1, online=False)
        yield Charge(0, card, merchant, cast.draw.uniform(12_000, 20_000))


SCENARIOS: Final[dict[str, Story]] = {
    # Stolen numbers are tried with small amounts at one merchant until some are taken.
    "card_testing": _card_testing,
    # Somebody has got into a person's account and shops for as long as it lasts.
    "account_takeover": _account_takeover,
    # An account is charged up to its limit and beyond within minutes, never to be paid.
    "bust_out": _bust_out,
    # A card and its copy are used by turns, with the card read, in two cities far apart.
    "impossible_travel": _impossible_travel,
    # One payment far above what is usual.
    "large_purchase": _large_purchase,
}


def parse_scenarios(text: str) -> tuple[str, ...]:
    """Read names separated by commas; raises UnknownNameError for a name that is none."""
    return parse_profile(text, tuple(SCENARIOS), "scenario")


def scenarios(names: Sequence[str]) -> Callable[[EventGenerator], DraftsOfTick] | None:
    """Give what puts these scenarios among the payments (for EventGenerator), or None for none."""
    if not names:
        return None

    def build(generator: EventGenerator) -> DraftsOfTick:
        @lru_cache(maxsize=2)
        def of_slot(slot: int) -> list[Draft]:
            return slot_drafts(generator, names, slot)

        def of_tick(tick: int) -> list[Draft]:
            first = tick * TICK_MS
            drafts = of_slot(tick // SLOT_TICKS)
            return [draft for draft in drafts if first <= draft.origin_ms < first + TICK_MS]

        return of_tick

    return build


def scenario_of(names: Sequence[str], slot: int) -> str:
    """Give the scenario of a slot, counted from the epoch."""
    return names[slot % len(names)]


def slot_drafts(generator: EventGenerator, names: Sequence[str], slot: int) -> list[Draft]:
    """Give a slot's scenario as payments, in order of time."""
    name = f"{generator.seed}|{scenario_of(names, slot)}|{slot}"
    story = SCENARIOS[scenario_of(names, slot)]
    begin = slot * SLOT_TICKS * TICK_MS + BEGINS_MS
    drafts = []
    for number, charge in enumerate(story(Cast(generator, seeded(name)))):
        ids = new_event_id(name, number) + new_event_id(name, number, "payment")
        drafts.append(
            generator.charge(
                charge.card,
                begin + charge.after_ms,
                ids,
                charge.merchant,
                amount=charge.amount,
                status=charge.status,
            )
        )
    return drafts
