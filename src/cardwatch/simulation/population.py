"""Who pays whom: merchants by city, and an account, a user and a home for every card."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cardwatch.contract.card_status import Status

_MERCHANTS_PER_PLACE: Final = 24
_USERS_PER_CARD: Final = 0.8
"""Some people have two cards."""


class PayingCard(Protocol):
    """What the simulator knows of a card; it cannot see the number."""

    @property
    def token(self) -> str: ...

    @property
    def bin(self) -> str | None:
        """Give the first digits as far as they may be shown."""
        ...

    @property
    def last4(self) -> str: ...

    @property
    def status(self) -> Status: ...

    @property
    def effective_from(self) -> datetime: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency: its decimals by ISO 4217, and about what one euro is worth in it."""

    code: str
    decimals: int
    per_euro: float


@dataclass(frozen=True, slots=True)
class Place:
    """A city where merchants are."""

    city: str
    country: str
    currency: Currency


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of shop: log-normal amounts around a median in euro, and its share of payments."""

    name: str
    median: float
    sigma: float
    weight: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant, with what of a payment's JSON depends on it ready made."""

    mu: float
    """Of the log-normal amount, in the merchant's currency."""
    sigma: float
    decimals: int
    smallest: float
    json: str


_EUR: Final = Currency("EUR", 2, 1.0)
PLACES: Final = (
    Place("Valletta", "MT", _EUR),
    Place("Berlin", "DE", _EUR),
    Place("München", "DE", _EUR),
    Place("Paris", "FR", _EUR),
    Place("Madrid", "ES", _EUR),
    Place("Rome", "IT", _EUR),
    Place("Amsterdam", "NL", _EUR),
    Place("Vilnius", "LT", _EUR),
    Place("London", "GB", Currency("GBP", 2, 0.86)),
    Place("Zürich", "CH", Currency("CHF", 2, 0.95)),
    Place("Warsaw", "PL", Currency("PLN", 2, 4.3)),
    Place("Stockholm", "SE", Currency("SEK", 2, 11.2)),
    Place("New York", "US", Currency("USD", 2, 1.1)),
    Place("San Francisco", "US", Currency("USD", 2, 1.1)),
    Place("São Paulo", "BR", Currency("BRL", 2, 6.1)),
    Place("Mumbai", "IN", Currency("INR", 2, 95.0)),
    Place("Sydney", "AU", Currency("AUD", 2, 1.7)),
    Place("Tokyo", "JP", Currency("JPY", 0, 165.0)),
    Place("Osaka", "JP", Currency("JPY", 0, 165.0)),
    Place("Kuwait City", "KW", Currency("KWD", 3, 0.33)),
)
CATEGORIES: Final = (
    Category("groceries", 28.0, 0.7, 32),
    Category("restaurant", 24.0, 0.6, 22),
    Category("fuel", 48.0, 0.4, 12),
    Category("online shop", 39.0, 0.9, 20),
    Category("electronics", 180.0, 0.9, 5),
    Category("travel", 260.0, 0.8, 4),
    Category("jewellery", 420.0, 0.8, 1),
    Category("digital goods", 9.0, 0.5, 4),
)


class Population:
    """Cards at home in places, and merchants there; the same for the same cards and seed."""

    def __init__(self, cards: Sequence[PayingCard], seed: int) -> None:
        """Give each card an account, a user and a home; raises ValueError without a card."""
        if not cards:
            msg = "the simulator needs at least one card"
            raise ValueError(msg)
        draw = random.Random(seed).random  # noqa: S311  reproducible data, no secret
        self.cards: Final = tuple(cards)
        self.merchants: Final = tuple(
            tuple(_merchants(place, index, draw)) for index, place in enumerate(PLACES)
        )
        self.homes: Final = tuple(int(draw() * len(PLACES)) for _ in cards)
        self.card_json: Final = tuple(_card_json(i, card) for i, card in enumerate(cards))
        self.stolen: Final = tuple(i for i, card in enumerate(cards) if card.status == "STOLEN")


def _merchants(place: Place, place_index: int, draw: Callable[[], float]) -> list[Merchant]:
    """Fill a place with merchants, categories in proportion to their weights."""
    total = sum(category.weight for category in CATEGORIES)
    merchants = []
    for index in range(_MERCHANTS_PER_PLACE):
        ticket = draw() * total
        for category in CATEGORIES:
            ticket -= category.weight
            if ticket < 0:
                break
        currency = place.currency
        fields: dict[str, str | None] = {
            "currency": currency.code,
            "merchant_id": f"mer_{place_index * _MERCHANTS_PER_PLACE + index + 1:04d}",
            "country": place.country,
            "city": place.city,
        }
        # Merchants of one category differ in price level.
        median = category.median * currency.per_euro * (0.6 + 0.8 * draw())
        merchants.append(
            Merchant(
                mu=math.log(median),
                sigma=category.sigma,
                decimals=currency.decimals,
                smallest=10.0**-currency.decimals,
                json=_inner_json(fields),
            )
        )
    return merchants


def _card_json(index: int, card: PayingCard) -> str:
    return _inner_json(
        {
            "account_id": f"acc_{index + 1:05d}",
            "user_id": f"usr_{int(index * _USERS_PER_CARD) + 1:05d}",
            "card_token": card.token,
            "card_bin": card.bin,
            "card_last4": card.last4,
        }
    )


def _inner_json(fields: dict[str, str | None]) -> str:
    """Give the fields as JSON without the braces, compact, ready to be joined."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]
