"""What pure code of several rooms asks of the world; what one room asks is in its ports.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time as a dependency."""

    def now(self) -> datetime:
        """Give the wall clock in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One record to put on the stream."""

    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None


@dataclass(frozen=True, slots=True)
class UndeliveredEntry:
    """An entry that the stream did not take, with the last error code."""

    entry: StreamEntry
    error_code: str


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """What became of one `put`: every entry is either delivered or in `undelivered`."""

    delivered: int
    retried: int
    undelivered: tuple[UndeliveredEntry, ...] = ()


class EventStream(Protocol):
    """A stream that events travel on."""

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        """Put entries in order of arrival per partition key, resending only those that failed.

        It never raises: what is not delivered comes back, whatever went wrong.
        """
        ...

    def shard_hash_keys(self) -> Sequence[str]:
        """Give one explicit hash key per open shard, so that a heartbeat reaches each.

        Raises StreamUnavailableError.
        """
        ...


class StreamUnavailableError(Exception):
    """The stream does not say what it is made of; the text names it and the error's code."""


class DeadLetters(Protocol):
    """Where what could not be delivered is kept whole, until somebody sends it again."""

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        """Keep records of one source and say where (an object's key).

        Raises NotKeptError; the records are then still the caller's to answer for.
        """
        ...


class NotKeptError(Exception):
    """The dead letters could not be written."""


@dataclass(frozen=True, slots=True)
class SavedCursor:
    """A cursor as it is kept: its text, and which writing of it this is, from 1."""

    text: str
    version: int


class CursorStore(Protocol):
    """Where cursors are kept; every method raises CursorUnavailableError."""

    def read(self, name: str) -> SavedCursor | None:
        """Give a cursor; None for one that was never saved."""
        ...

    def save(self, name: str, text: str, *, after: SavedCursor | None) -> SavedCursor | None:
        """Keep a cursor in the place of the one that was read.

        Gives it as it is kept now, or None, and keeps nothing, where another run saved meanwhile.
        """
        ...


class CursorUnavailableError(Exception):
    """A cursor cannot be read or saved; the text says which and what helps."""
