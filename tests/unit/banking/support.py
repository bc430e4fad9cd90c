"""A bank, its cursors and a stream in memory, each with the real one's semantics."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.card_numbers import NUMBERS
from tests.fakes import FakeClock

from cardwatch.banking.ports import Bank, BankRow, BankTable, Horizon, Position
from cardwatch.cards.number import CardNumber
from cardwatch.ports import PutOutcome, SavedCursor, StreamEntry, UndeliveredEntry

SLACK = timedelta(seconds=1)
CANARY = "Quirinalda Vexley-Thornbury"
CARD = CardNumber(NUMBERS[0])

ACCOUNT: Mapping[str, str | None] = {
    "holder_name": CANARY,
    "holder_country": "MT",
    "opened_at": "2019-03-01 09:00:00+00",
    "credit_limit": "2500.0000",
    "currency": "EUR",
    "spent": "12.5000",
    "spent_until": "2026-11-21 00:00:00+00",
    "status": "ACTIVE",
    "risk_segment": "LOW",
}
PAYMENT: Mapping[str, str | None] = {
    "card_number": CARD.reveal(),
    "account_id": "acc_1",
    "user_id": "usr_1",
    "amount": "12.5000",
    "currency": "EUR",
    "merchant_id": "mer_1",
    "country": "MT",
    "city": "Valletta",
    "status": "AUTHORIZED",
    "status_at": "2026-11-21 11:59:00.123456+00",
    "entry_mode": "CHIP",
    "merchant_category": "5411",
    "latitude": None,
    "longitude": None,
}


class CrashError(Exception):
    """The run dies here."""


@dataclass
class Transaction:
    """An open transaction; what it writes is its own until it commits."""

    began: datetime
    written: dict[str, BankRow] = field(default_factory=dict)


@dataclass
class FakeBank:
    """Tables in memory under read-committed transactions with row locks.

    A row's `updated_at` is when its transaction began, as the trigger of tables.sql has it.
    """

    clock: FakeClock
    tables: dict[str, dict[str, BankRow]] = field(default_factory=dict)
    open: list[Transaction] = field(default_factory=list)
    blind: timedelta | None = None
    reads: int = 0
    crash_at_read: int | None = None

    @property
    def accounts(self) -> dict[str, BankRow]:
        return self.tables.setdefault("banking.accounts", {})

    def put(self, key: str, *, table: str = "banking.accounts", **values: str | None) -> BankRow:
        """Write a row in a transaction of its own, now."""
        given = PAYMENT if table == "banking.transactions" else ACCOUNT
        row = BankRow(key, self.clock.now(), {**given, **values})
        self.tables.setdefault(table, {})[key] = row
        return row

    def begin(self) -> Transaction:
        self.open.append(Transaction(self.clock.now()))
        return self.open[-1]

    def write(self, transaction: Transaction, key: str, **values: str | None) -> bool:
        """Write a row, and say whether no other open transaction holds it."""
        if any(key in other.written for other in self.open if other is not transaction):
            return False
        transaction.written[key] = BankRow(key, transaction.began, {**ACCOUNT, **values})
        return True

    def commit(self, transaction: Transaction) -> None:
        self.open.remove(transaction)
        self.accounts.update(transaction.written)

    def roll_back(self, transaction: Transaction) -> None:
        self.open.remove(transaction)

    def horizon(self) -> Horizon:
        if self.blind is not None:
            return Horizon(self.clock.now() - self.blind, blind=True)
        began = [transaction.began for transaction in self.open]
        return Horizon(min(self.clock.now() - SLACK, *began, self.clock.now()), blind=False)

    def changed(
        self, table: BankTable, after: Position | None, until: datetime, limit: int
    ) -> Sequence[BankRow]:
        start = after or Position(datetime(1, 1, 1, tzinfo=UTC), "")
        rows = [
            row
            for row in self._read(table, until)
            if (row.updated_at, row.key) > (start.updated_at, start.key)
        ]
        return sorted(rows, key=lambda row: (row.updated_at, row.key))[:limit]

    def walk(self, table: BankTable, after: str, until: datetime, limit: int) -> Sequence[BankRow]:
        rows = [row for row in self._read(table, until) if row.key > after]
        return sorted(rows, key=lambda row: row.key)[:limit]

    def _read(self, table: BankTable, until: datetime) -> list[BankRow]:
        self.reads += 1
        if self.reads == self.crash_at_read:
            raise CrashError
        rows = self.tables.get(table.name, {}).values()
        return [row for row in rows if row.updated_at < until]

    @contextmanager
    def connect(self) -> Iterator[Bank]:
        yield self


@dataclass
class FakeCursors:
    """Cursors in memory; `crash` dies before or after one is kept."""

    kept: dict[str, SavedCursor] = field(default_factory=dict)
    crash: str | None = None

    def read(self, name: str) -> SavedCursor | None:
        return self.kept.get(name)

    def save(self, name: str, text: str, *, after: SavedCursor | None) -> SavedCursor | None:
        if self.crash == "before":
            raise CrashError
        if self.kept.get(name) != after:
            return None
        self.kept[name] = SavedCursor(text, after.version + 1 if after else 1)
        if self.crash == "after":
            raise CrashError
        return self.kept[name]

    def position(self, name: str = "accounts|changes") -> tuple[datetime, str] | None:
        if name not in self.kept:
            return None
        text = json.loads(self.kept[name].text)
        return datetime.fromisoformat(text["updated_at"]), text["key"]


@dataclass
class FakeStream:
    """A stream in memory that refuses some entries of the next call, by their places."""

    entries: list[StreamEntry] = field(default_factory=list)
    refuse: Collection[int] = ()
    crash: str | None = None
    meanwhile: Callable[[], object] | None = None

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        if self.crash == "before":
            raise CrashError
        undelivered = []
        for place, entry in enumerate(entries):
            if place in self.refuse:
                # An equal entry, for a port says nothing of the same object.
                undelivered.append(UndeliveredEntry(replace(entry), "Throttled"))
            else:
                self.entries.append(entry)
        if self.crash == "after":
            raise CrashError
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return PutOutcome(len(entries) - len(undelivered), 0, tuple(undelivered))

    def shard_hash_keys(self) -> Sequence[str]:
        return ["0"]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(entry.data) for entry in self.entries]

    def versions(self) -> dict[str, str]:
        """Give by event id what it says, without when it was published."""
        return {e["event_id"]: json.dumps(e["event_json_data"]) for e in self.events()}
