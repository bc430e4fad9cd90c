"""What publishing from the bank's database asks of the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BankTable:
    """A table of the bank and what is read of it."""

    name: str
    """With its schema: `banking.accounts`."""
    key: str
    """The column that names a row; text."""
    columns: tuple[str, ...]
    """What else is read, besides `updated_at`."""


@dataclass(frozen=True, slots=True)
class BankRow:
    """One row as it stands now."""

    key: str
    updated_at: datetime
    """When it was last changed, UTC, microseconds."""
    values: Mapping[str, str | None] = field(repr=False)
    """By column, as PostgreSQL writes them. Names and card numbers are among them: never logged."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Up to when the bank's rows are settled: no transaction can still add one before it."""

    until: datetime
    """UTC; a row that was changed at it or later is not read yet."""
    blind: bool
    """Whether the open transactions are hidden, so that it is the clock less a fixed time."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place among rows in the order of (`updated_at`, key): behind the row that is named."""

    updated_at: datetime
    key: str


class Bank(Protocol):
    """The bank's database during one run; every method raises BankUnavailableError."""

    def horizon(self) -> Horizon:
        """Say up to when rows are settled. What is settled is visible to all later reads."""
        ...

    def changed(
        self, table: BankTable, after: Position | None, until: datetime, limit: int
    ) -> Sequence[BankRow]:
        """Give the next rows behind a position that were changed before an instant, in order."""
        ...

    def walk(self, table: BankTable, after: str, until: datetime, limit: int) -> Sequence[BankRow]:
        """Give the next rows by key, without those that were changed at an instant or later."""
        ...


class BankUnavailableError(Exception):
    """The bank's database does not answer or refuses; the text holds nothing of it but names."""
