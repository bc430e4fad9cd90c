"""Makes card files: seeded, so that the same request always gives the same cards."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from cardwatch.cards.card_file import Card
from cardwatch.cards.number import CardNumber
from cardwatch.cards.schemes import SHARES
from cardwatch.contract.card_numbers import luhn_check_digit

MAX_CARDS: Final = 1_000_000

# Fixed, so that publishing the registry again changes nothing, and past, so that no status takes
# effect after it is published.
_ISSUED_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
_ISSUED_WITHIN: Final = timedelta(days=365)
_STOLEN_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
_STOLEN_WITHIN: Final = timedelta(days=31)

Draw = Callable[[], float]

_TOTAL_WEIGHT: Final = sum(share.weight for share in SHARES)

_STOLEN_REASONS: Final = (
    "reported by holder: wallet stolen",
    "reported by holder: card lost",
    "reported by issuer: counterfeit use",
    "reported by merchant: terminal skimmed",
    "reported by police: found with a suspect",
)


def generate_cards(count: int, stolen_percent: float | Decimal, seed: int) -> tuple[Card, ...]:
    """Make `count` different cards of several schemes, `stolen_percent` of them stolen.

    The number of stolen cards is exact by largest remainder: `count * stolen_percent / 100`,
    rounded to the nearest whole card, a half counting as stolen. Raises ValueError for a count
    outside 1..1,000,000 or a percentage outside 0..100.
    """
    if not 1 <= count <= MAX_CARDS:
        msg = f"the count of cards must be 1 to {MAX_CARDS}"
        raise ValueError(msg)
    percent = Fraction(str(stolen_percent))
    if not 0 <= percent <= 100:  # noqa: PLR2004  per cent
        msg = "the stolen share must be 0 to 100 per cent"
        raise ValueError(msg)
    stolen_count = int(count * percent / 100 + Fraction(1, 2))
    # Only random() itself gives the same sequence in every version of Python.
    draw = random.Random(seed).random  # noqa: S311  a reproducible file, no secret
    numbers: dict[CardNumber, None] = {}
    while len(numbers) < count:
        numbers[_number(draw)] = None
    stolen = {
        index for _, index in sorted((draw(), index) for index in range(count))[:stolen_count]
    }
    return tuple(
        _stolen(number, draw) if index in stolen else _active(number, draw)
        for index, number in enumerate(numbers)
    )


def _number(draw: Draw) -> CardNumber:
    ticket = draw() * _TOTAL_WEIGHT
    for share in SHARES:
        ticket -= share.weight
        if ticket < 0:
            break
    test_bin = share.test_bins[int(draw() * len(share.test_bins))]
    account_digits = share.length - len(test_bin) - 1
    digits = f"{test_bin}{int(draw() * 10**account_digits):0{account_digits}d}"
    return CardNumber(digits + luhn_check_digit(digits))


def _active(number: CardNumber, draw: Draw) -> Card:
    return Card(number, "ACTIVE", _moment(_ISSUED_FROM, _ISSUED_WITHIN, draw), "issued")


def _stolen(number: CardNumber, draw: Draw) -> Card:
    reason = _STOLEN_REASONS[int(draw() * len(_STOLEN_REASONS))]
    return Card(number, "STOLEN", _moment(_STOLEN_FROM, _STOLEN_WITHIN, draw), reason)


def _moment(start: datetime, within: timedelta, draw: Draw) -> datetime:
    return start + timedelta(seconds=int(within.total_seconds() * draw()))
