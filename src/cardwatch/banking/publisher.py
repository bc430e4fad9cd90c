"""Publishes what changed in a table of the bank, and every account again and again.

Rows are read in the order of (`updated_at`, key), each behind the one before, so that none is lost
where many share a time. The cursor is saved when the rows are on the stream: what a run that died
had published is published again, under the same ids. Rows are read up to the horizon alone, before
which no transaction can still put one (ports.Horizon), and the horizon is cut to milliseconds: of
two versions within one millisecond, which share an event id, only the last is ever seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cardwatch.banking.ports import Bank, BankRow, Position
from cardwatch.banking.rows import Feed
from cardwatch.contract.fields import parse_time
from cardwatch.contract.streams import RejectedRecord
from cardwatch.ports import Clock, CursorStore, CursorUnavailableError, EventStream, SavedCursor

PAGE_ROWS: Final = 500
"""Rows that are read at once: one call's worth of the stream."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that breaks the contract; it holds no value of it."""

    table: str
    key: str
    """As people may see it."""
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Published:
    """What came of reading one table once."""

    published: int = 0
    """Rows on the stream that the cursor has passed."""
    refused: tuple[Refusal, ...] = ()
    undelivered: int = 0
    """Rows that the stream did not take; the next run reads them again."""
    error_codes: tuple[str, ...] = ()
    """Why it did not."""
    behind: timedelta = timedelta()
    """How far what is published is behind the clock."""
    overtaken: bool = False
    """Another run saved the cursor meanwhile, so this one stopped."""
    round_took: timedelta | None = None
    """Of a round through all accounts that this run ended."""

    def __add__(self, other: Self) -> Self:
        """Give both together; behind is the longer."""
        return replace(
            self,
            published=self.published + other.published,
            refused=self.refused + other.refused,
            undelivered=self.undelivered + other.undelivered,
            error_codes=tuple(sorted({*self.error_codes, *other.error_codes})),
            behind=max(self.behind, other.behind),
            overtaken=self.overtaken or other.overtaken,
            round_took=other.round_took or self.round_took,
        )


class _Cursor(BaseModel):
    model_config = ConfigDict(frozen=True)


_C = TypeVar("_C", bound=_Cursor)


class _Changes(_Cursor):
    """How far the changes of a table are published."""

    updated_at: datetime
    key: str


class _Round(_Cursor):
    """How far a round through all rows of a table is."""

    began: datetime
    after: str = ""
    ended: bool = False
    """It rests until the next one begins."""


class Publisher:
    """Publishes one table of the bank during one run."""

    def __init__(
        self,
        feed: Feed,
        *,
        bank: Bank,
        stream: EventStream,
        cursors: CursorStore,
        clock: Clock,
        until: datetime,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """Take the ports and the run's horizon; `page_rows` are read at once."""
        self._feed = feed
        self._bank = bank
        self._stream = stream
        self._cursors = cursors
        self._clock = clock
        self._page_rows = page_rows
        # Cut, for a version's id is of its millisecond; and nothing is valid before it is now.
        self._until = parse_time(min(until, clock.now()))

    def changes(self, in_time: Callable[[], bool], *, first: datetime | None = None) -> Published:
        """Publish what changed since the last run, as far as time allows.

        Without a cursor it begins at `first`, or with the oldest row. Raises BankUnavailableError
        or CursorUnavailableError; the cursor is then before all that is not published.
        """
        name = f"{self._feed.name}|changes"
        saved = self._cursors.read(name)
        at = _read(_Changes, name, saved)
        position = None if first is None else Position(first, "")
        if at is not None:
            position = Position(at.updated_at, at.key)
        total = Published()
        while True:
            rows = self._bank.changed(self._feed.table, position, self._until, self._page_rows)
            done, passed = self._put(rows)
            total += done
            if passed:
                last = rows[passed - 1]
                position = Position(last.updated_at, last.key)
                text = _Changes(updated_at=last.updated_at, key=self._kept(last) or "")
                saved = self._cursors.save(name, text.model_dump_json(), after=saved)
                if saved is None:
                    return replace(total, overtaken=True)
            if passed < len(rows):
                return replace(total, behind=self._clock.now() - rows[passed].updated_at)
            if len(rows) < self._page_rows:
                return replace(total, behind=self._clock.now() - self._until)
            if not in_time():
                return replace(total, behind=self._clock.now() - rows[-1].updated_at)

    def again(self, in_time: Callable[[], bool], *, period: timedelta, most: int) -> Published:
        """Publish the rows whose turn it is: by key, at most `most` a run, then rest.

        A round begins a period after the one before began, so each row's turn comes once a period;
        of a table that takes more runs, whenever the round comes by. Raises what `changes` raises.
        """
        name = f"{self._feed.name}|again"
        saved = self._cursors.read(name)
        now = self._clock.now()
        before = _read(_Round, name, saved)
        if before is not None and before.ended and now - before.began < period:
            return Published()
        at = _Round(began=now) if before is None or before.ended else before
        total = Published()
        left = most
        while True:
            limit = min(self._page_rows, left)
            rows = self._bank.walk(self._feed.table, at.after, self._until, limit)
            done, passed = self._put(rows)
            total += done
            left -= passed
            after = self._last_kept(rows[:passed]) or at.after
            ended = passed == len(rows) < limit
            at = at.model_copy(update={"after": after, "ended": ended})
            if ended or passed < len(rows) or not left or not in_time():
                break
        kept = self._cursors.save(name, at.model_dump_json(), after=saved)
        took = now - at.began if at.ended else None
        return replace(total, overtaken=kept is None, round_took=took)

    def _put(self, rows: Sequence[BankRow]) -> tuple[Published, int]:
        """Put rows on the stream, and give how many of them, from the first on, are dealt with."""
        if not rows:
            return Published(), 0
        refused: dict[int, Refusal] = {}
        entries = {}
        for place, row in enumerate(rows):
            try:
                entries[place] = self._feed.event(row, self._clock.now())
            except RejectedRecord as error:
                shown = self._feed.shown(row)
                refused[place] = Refusal(self._feed.table.name, shown, error.reason, error.detail)
        outcome = self._stream.put(list(entries.values()))
        lost = {item.entry for item in outcome.undelivered}
        places = (place for place, entry in entries.items() if entry in lost)
        passed = min(places, default=len(rows))
        done = Published(
            published=sum(place < passed for place in entries),
            refused=tuple(refusal for place, refusal in refused.items() if place < passed),
            undelivered=len(outcome.undelivered),
            error_codes=tuple(sorted({item.error_code for item in outcome.undelivered})),
        )
        return done, passed

    def _kept(self, row: BankRow) -> str | None:
        """Give a row's key for a cursor, or None where it may hold a card number.

        Behind none of its instant, that instant's rows are read again, and come under the same ids.
        """
        return row.key if self._feed.shown(row) == row.key else None

    def _last_kept(self, rows: Sequence[BankRow]) -> str | None:
        return next((key for row in reversed(rows) if (key := self._kept(row))), None)


def _read(kind: type[_C], name: str, saved: SavedCursor | None) -> _C | None:
    if saved is None:
        return None
    try:
        return kind.model_validate_json(saved.text)
    except ValidationError:
        msg = f"the cursor {name} cannot be read: remove it to begin again (docs/accounts.md)"
        raise CursorUnavailableError(msg) from None
