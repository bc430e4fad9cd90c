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
_STREETS: Final = 5
_BLOCK_DEGREES: Final = 0.005
"""A city's merchants stand at the corners of a grid, some hundred metres apart."""
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
    latitude: float
    longitude: float
    """Of its centre, in degrees (WGS 84)."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of shop: log-normal amounts around a median in euro, and its share of payments."""

    name: str
    code: str
    """ISO 18245."""
    median: float
    sigma: float
    weight: int
    online: bool = False
    """Cards are never present there."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant, with what of a payment's JSON depends on it ready made."""

    mu: float
    """Of the log-normal amount, in the merchant's currency."""
    sigma: float
    decimals: int
    smallest: float
    online: bool
    json: str
    """What stands before the payment's status."""
    circumstances: str
    """What stands behind the entry mode: the category, and where the terminal stands."""


_EUR: Final = Currency("EUR", 2, 1.0)
PLACES: Final = (
    Place("Valletta", "MT", _EUR, 35.8989, 14.5146),
    Place("Berlin", "DE", _EUR, 52.52, 13.405),
    Place("München", "DE", _EUR, 48.1374, 11.5755),
    Place("Paris", "FR", _EUR, 48.8566, 2.3522),
    Place("Madrid", "ES", _EUR, 40.4168, -3.7038),
    Place("Rome", "IT", _EUR, 41.9028, 12.4964),
    Place("Amsterdam", "NL", _EUR, 52.3676, 4.9041),
    Place("Vilnius", "LT", _EUR, 54.6872, 25.2797),
    Place("London", "GB", Currency("GBP", 2, 0.86), 51.5074, -0.1278),
    Place("Zürich", "CH", Currency("CHF", 2, 0.95), 47.3769, 8.5417),
    Place("Warsaw", "PL", Currency("PLN", 2, 4.3), 52.2297, 21.0122),
    Place("Stockholm", "SE", Currency("SEK", 2, 11.2), 59.3293, 18.0686),
    Place("New York", "US", Currency("USD", 2, 1.1), 40.7128, -74.006),
    Place("San Francisco", "US", Currency("USD", 2, 1.1), 37.7749, -122.4194),
    Place("São Paulo", "BR", Currency("BRL", 2, 6.1), -23.5505, -46.6333),
    Place("Mumbai", "IN", Currency("INR", 2, 95.0), 19.076, 72.8777),
    Place("Sydney", "AU", Currency("AUD", 2, 1.7), -33.8688, 151.2093),
    Place("Tokyo", "JP", Currency("JPY", 0, 165.0), 35.6762, 139.6503),
    Place("Osaka", "JP", Currency("JPY", 0, 165.0), 34.6937, 135.5023),
    Place("Kuwait City", "KW", Currency("KWD", 3, 0.33), 29.3759, 47.9774),
)
CATEGORIES: Final = (
    Category("groceries", "5411", 28.0, 0.7, 32),
    Category("restaurant", "5812", 24.0, 0.6, 22),
    Category("fuel", "5541", 48.0, 0.4, 12),
    Category("online shop", "5399", 39.0, 0.9, 20, online=True),
    Category("electronics", "5732", 180.0, 0.9, 5),
    Category("travel", "4722", 260.0, 0.8, 4),
    Category("jewellery", "5944", 420.0, 0.8, 1),
    Category("digital goods", "5815", 9.0, 0.5, 4, online=True),
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
        }
        circumstances: dict[str, str | None] = {"merchant_category": category.code}
        if not category.online:
            fields["city"] = place.city
            row, column = divmod(index, _STREETS)
            circumstances["latitude"] = f"{place.latitude + row * _BLOCK_DEGREES:.4f}"
            circumstances["longitude"] = f"{place.longitude + column * _BLOCK_DEGREES:.4f}"
        # Merchants of one category differ in price level.
        median = category.median * currency.per_euro * (0.6 + 0.8 * draw())
        merchants.append(
            Merchant(
                mu=math.log(median),
                sigma=category.sigma,
                decimals=currency.decimals,
                smallest=10.0**-currency.decimals,
                online=category.online,
                json=_inner_json(fields),
                circumstances=_inner_json(circumstances),
            )
        )
    return merchants


def account_id(index: int) -> str:
    """Give the account of the card at that place in the card file, counted from 0."""
    return f"acc_{index + 1:05d}"


def _card_json(index: int, card: PayingCard) -> str:
    return _inner_json(
        {
            "account_id": account_id(index),
            "user_id": f"usr_{int(index * _USERS_PER_CARD) + 1:05d}",
            "card_token": card.token,
            "card_bin": card.bin,
            "card_last4": card.last4,
        }
    )


def _inner_json(fields: dict[str, str | None]) -> str:
    """Give the fields as JSON without the braces, compact, ready to be joined."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]
