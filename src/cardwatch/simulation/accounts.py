"""The accounts that the cards belong to, as a bank's books have them, and as it publishes them.

Where no bank's database publishes them, the simulator does. What an account is depends on the seed
and on its card's place in the file only, so it is the same whoever makes it. At each midnight (UTC)
it has a new version: what was spent by then.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from cardwatch.contract.account import (
    Account,
    AccountStatus,
    RiskSegment,
    account_event_id,
    mask_name,
)
from cardwatch.contract.streams import EARLIEST_EVENT_TIME, Envelope
from cardwatch.ports import StreamEntry
from cardwatch.simulation.population import PLACES, Population, account_id

_OPENED_WITHIN: Final = timedelta(days=3_650)
"""Before the contract's earliest event time: whenever a run is set, its accounts are open."""
_LIMITS_IN_EURO: Final = (500, 1_000, 2_500, 5_000, 10_000, 25_000)
_SEGMENTS: Final[tuple[RiskSegment, ...]] = ("LOW", "MEDIUM", "HIGH")
_OF_A_HUNDRED: Final = (80, 17, 3)
_SPENT_AT_MOST: Final = 0.7
"""Of the limit; the rest is left for what comes after midnight."""
_ACTS_ON_STATUS: Final = 1 / 3
_ABROAD: Final = 0.03
"""Share of holders who do not live where their card mostly pays."""
_GIVEN_NAMES: Final = ("Ada", "Björn", "Chiara", "Daan", "Elif", "Finn", "Grace", "Hana", "Ivo")
_FAMILY_NAMES: Final = ("Abela", "Borg", "Çelik", "Dubois", "Evans", "Farrugia", "Hansen", "Ito")


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One account in a bank's books: a row of banking.accounts, with the holder's full name."""

    account_id: str
    holder_name: str = field(repr=False)
    holder_country: str
    opened_at: datetime
    credit_limit: Decimal
    currency: str
    spent: Decimal
    spent_until: datetime
    status: AccountStatus
    risk_segment: RiskSegment
    updated_at: datetime


class Accounts:
    """One account per card of a population."""

    def __init__(self, population: Population, seed: int) -> None:
        """Take the cards' homes, where most of the holders live."""
        self._homes = population.homes
        self._seed = seed

    def entry(self, index: int, published: datetime) -> StreamEntry:
        """Give the record of a card's account in the version that holds when it is published."""
        account = self.account(index, published)
        event = Envelope(
            type="ACCOUNT",
            event_id=account_event_id(account.account_id, account.valid_from),
            schema_version=1,
            event_date_origin=published,
            event_json_data=account,
        )
        return StreamEntry(event.to_bytes(), account.account_id)

    def account(self, index: int, at: datetime) -> Account:
        """Give a card's account as it is at a moment, in UTC."""
        entry = self.entry_in_books(index, at)
        return Account(
            account_id=entry.account_id,
            account_name=mask_name(entry.holder_name),
            holder_country=entry.holder_country,
            opened_at=entry.opened_at,
            credit_limit=entry.credit_limit,
            currency=entry.currency,
            spent=entry.spent,
            spent_until=entry.spent_until,
            status=entry.status,
            risk_segment=entry.risk_segment,
            valid_from=entry.updated_at,
        )

    def entry_in_books(self, index: int, at: datetime) -> BookEntry:
        """Give a card's account in the books at a moment, in UTC; it last changed at midnight."""
        name = f"account|{self._seed}|{index}"
        draw = random.Random(name)  # noqa: S311  reproducible data, no secret
        home = PLACES[self._homes[index]]
        currency = home.currency
        limit = draw.choice(_LIMITS_IN_EURO) * currency.per_euro
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        today = random.Random(f"{name}|{midnight:%Y-%m-%d}")  # noqa: S311  the same
        spent = today.uniform(0, _SPENT_AT_MOST) * limit
        return BookEntry(
            account_id=account_id(index),
            holder_name=f"{draw.choice(_GIVEN_NAMES)} {draw.choice(_FAMILY_NAMES)}",
            holder_country=(draw.choice(PLACES) if draw.random() < _ABROAD else home).country,
            opened_at=EARLIEST_EVENT_TIME - draw.random() * _OPENED_WITHIN,
            credit_limit=Decimal(f"{limit:.{currency.decimals}f}"),
            currency=currency.code,
            spent=Decimal(f"{spent:.{currency.decimals}f}"),
            spent_until=midnight,
            status="ACTIVE",
            risk_segment=draw.choices(_SEGMENTS, _OF_A_HUNDRED)[0],
            updated_at=midnight,
        )

    def change(self, number: int) -> tuple[str, Decimal | None, AccountStatus | None]:
        """Give what the bank's people change as their `number`th act: an account, and to what.

        One in three blocks a card's account or opens it again; the others double or halve a limit:
        the factor is given, and the status is None.
        """
        draw = random.Random(f"change|{self._seed}|{number}")  # noqa: S311  the same
        account = account_id(draw.randrange(len(self._homes)))
        if draw.random() < _ACTS_ON_STATUS:
            return account, None, draw.choice(("ACTIVE", "BLOCKED"))
        return account, draw.choice((Decimal(2), Decimal("0.5"))), None
