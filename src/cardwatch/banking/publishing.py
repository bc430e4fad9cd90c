"""One run over the bank's database: what changed, what is published again, within its time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cardwatch.banking.accounts import ACCOUNTS
from cardwatch.banking.ports import Bank
from cardwatch.banking.publisher import Published, Publisher
from cardwatch.banking.rows import Feed
from cardwatch.ports import Clock, CursorStore, EventStream

FIRST_TRANSACTIONS: Final = timedelta(hours=24)
"""How far back transactions are read where there is no cursor. Alerts on older ones would expire
(PAGE_MAX_AGE_SECONDS); accounts are read from the oldest on."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run."""

    published: Published
    blind: bool
    """The bank hides its open transactions: a row that settled later than is waited for is lost."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """What is published of a bank, and where to."""

    connect: Callable[[], AbstractContextManager[Bank]]
    """Gives the bank for one run; entering it raises BankUnavailableError."""
    stream: EventStream
    cursors: CursorStore
    clock: Clock
    period: timedelta
    """In which every account is published again."""
    most_again: int
    """Accounts that one run publishes again at most."""
    transactions: Feed | None = None

    def run(self, in_time: Callable[[], bool]) -> Report:
        """Publish as far as time allows; raises BankUnavailableError or CursorUnavailableError."""
        with self.connect() as bank:
            # Before anything is read: what it says is settled is visible to what comes after.
            horizon = bank.horizon()

            def publisher(feed: Feed) -> Publisher:
                return Publisher(
                    feed,
                    bank=bank,
                    stream=self.stream,
                    cursors=self.cursors,
                    clock=self.clock,
                    until=horizon.until,
                )

            done = publisher(ACCOUNTS).changes(in_time)
            if self.transactions is not None:
                first = self.clock.now() - FIRST_TRANSACTIONS
                done += publisher(self.transactions).changes(in_time, first=first)
            done += publisher(ACCOUNTS).again(in_time, period=self.period, most=self.most_again)
        return Report(done, horizon.blind)
