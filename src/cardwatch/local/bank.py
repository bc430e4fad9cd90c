"""A bank on one machine: its database, the people who change it, and who publishes from it.

The database is the embedded server's second one, `bank`. It holds what a real one would, the
holders' full names included, which leave it masked. A run begins with the books of the last
midnight. On AWS the banking function (functions/banking) does what the thread here does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Placeholder

from cardwatch.banking.ports import Bank, BankUnavailableError
from cardwatch.banking.publishing import Publishing
from cardwatch.local.warehouse import SESSION_OPTIONS, WarehouseServer
from cardwatch.ports import Clock, CursorStore, CursorUnavailableError, EventStream
from cardwatch.postgres import connected
from cardwatch.simulation.accounts import Accounts, BookEntry
from cardwatch.warehouse.ports import WarehouseUnavailableError

DATABASE: Final = "bank"
PUBLISH_SECONDS: Final = 2.0
RUN_SECONDS: Final = 20.0
"""How long one run may begin another page."""
CHANGE_SECONDS: Final = 5
"""How often somebody at the bank changes an account."""
PERIOD: Final = timedelta(minutes=15)
"""As BankingSettings.again_minutes."""
MOST_AGAIN: Final = 20
"""A run; there is one every PUBLISH_SECONDS, so that 9,000 accounts come round in the period."""
SETTLE: Final = timedelta(seconds=60)
"""Not needed, for the server's owner sees every transaction."""
_COLUMNS: Final = tuple(field.name for field in fields(BookEntry))


class BankDatabase:
    """The bank's own side of its database."""

    def __init__(self, server: WarehouseServer) -> None:
        """Use a database of its own on `server`, which need not run yet."""
        self._server = server

    def open(self, books: list[BookEntry]) -> None:
        """Make the tables anew with these accounts; raises WarehouseUnavailableError."""
        with self._server.connect() as owner:
            owner.autocommit = True
            known = owner.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if known is None:
                owner.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))
        with self._transaction() as connection:
            connection.execute("DROP SCHEMA IF EXISTS banking CASCADE")
            connection.execute(files("cardwatch.banking").joinpath("tables.sql").read_bytes())
            insert = SQL("INSERT INTO banking.accounts ({}) VALUES ({})").format(
                SQL(", ").join(map(Identifier, _COLUMNS)),
                SQL(", ").join(Placeholder() for _ in _COLUMNS),
            )
            connection.cursor().executemany(insert, [astuple(entry) for entry in books])

    def close_day(self, books: list[BookEntry]) -> None:
        """Set what each account has spent by midnight; raises WarehouseUnavailableError."""
        with self._transaction() as connection:
            connection.cursor().executemany(
                "UPDATE banking.accounts SET spent = %s, spent_until = %s WHERE account_id = %s",
                [(entry.spent, entry.spent_until, entry.account_id) for entry in books],
            )

    def change(self, account: str, factor: object, status: str | None) -> None:
        """Change one account's limit or status; raises WarehouseUnavailableError."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE banking.accounts SET"
                " credit_limit = trunc(credit_limit * coalesce(%s::numeric, 1)),"
                " status = coalesce(%s, status) WHERE account_id = %s",
                (factor, status, account),
            )

    def dsn(self) -> str:
        """Give what cardwatch connects by; raises WarehouseUnavailableError."""
        return make_conninfo(self._server.uri(), dbname=DATABASE)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._server.connect(database=DATABASE) as connection:
                yield connection
        except psycopg.Error as error:
            # PostgreSQL's own text may quote a row.
            msg = f"the bank's database does not answer ({type(error).__name__})"
            raise WarehouseUnavailableError(msg) from None


class LocalBank(threading.Thread):
    """Changes the bank's accounts as its people do, and publishes them every two seconds."""

    def __init__(
        self,
        database: BankDatabase,
        accounts: Accounts,
        count: int,
        *,
        stream: EventStream,
        cursors: CursorStore,
        clock: Clock,
    ) -> None:
        """Take the database, the population's accounts and how many they are, and the stream."""
        super().__init__(name="bank", daemon=True)
        self._database = database
        self._accounts = accounts
        self._count = count
        self._clock = clock
        self._ended = threading.Event()
        self._trouble: str | None = None
        self._refused = 0
        self._day = clock.now().date()
        self._changed_at = clock.now()
        self._publishing = Publishing(
            connect=self._connect,
            stream=stream,
            cursors=cursors,
            clock=clock,
            period=PERIOD,
            most_again=MOST_AGAIN,
        )

    def open(self) -> None:
        """Open the books of the last midnight; raises WarehouseUnavailableError."""
        self._database.open(self._books(self._clock.now()))

    def run(self) -> None:
        """Change and publish until stopped; an outage only delays it."""
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                self.work()
                self.publish(lambda: time.monotonic() < began + RUN_SECONDS)  # noqa: B023  called at once
                self._trouble = None
            except (
                BankUnavailableError,
                CursorUnavailableError,
                WarehouseUnavailableError,
            ) as error:
                self._trouble = str(error)
            self._ended.wait(max(0.0, began + PUBLISH_SECONDS - time.monotonic()))

    def work(self) -> None:
        """Do what the bank does by now: the day's end, and its people's changes."""
        now = self._clock.now()
        if now.date() != self._day:
            self._database.close_day(self._books(now))
            self._day = now.date()
        while now - self._changed_at >= timedelta(seconds=CHANGE_SECONDS):
            self._changed_at += timedelta(seconds=CHANGE_SECONDS)
            number = int(self._changed_at.timestamp()) // CHANGE_SECONDS
            self._database.change(*self._accounts.change(number))

    def publish(self, in_time: Callable[[], bool]) -> None:
        """Publish once; raises BankUnavailableError or CursorUnavailableError."""
        self._refused += len(self._publishing.run(in_time).published.refused)

    def troubles(self) -> tuple[str, ...]:
        """Say what keeps accounts from the stream."""
        refused = f"bank: {self._refused} rows break the contract" if self._refused else None
        trouble = f"bank: {self._trouble}" if self._trouble else None
        return tuple(text for text in (trouble, refused) if text)

    def stop(self) -> None:
        """Change and publish no more."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def _books(self, at: datetime) -> list[BookEntry]:
        return [self._accounts.entry_in_books(index, at) for index in range(self._count)]

    @contextmanager
    def _connect(self) -> Iterator[Bank]:
        with connected(self._database.dsn(), settle=SETTLE, options=SESSION_OPTIONS) as bank:
            yield bank
