"""What cardwatch's pure code asks of the world; the adapters are in `aws` and `local`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol


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
    """The one stream that all events travel on."""

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        """Put entries in order of arrival per partition key, resending only those that failed."""
        ...

    def shard_hash_keys(self) -> Sequence[str]:
        """Give one explicit hash key per open shard, so that a heartbeat reaches each."""
        ...


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
class KnownStatus:
    """What is known of one card: the newest status that was seen of it."""

    card_token: str
    stolen: bool
    effective_from: datetime

    def outdates(self, other: "KnownStatus") -> bool:
        """Say whether this one is newer; of two from the same instant STOLEN wins."""
        return (self.effective_from, self.stolen) > (other.effective_from, other.stolen)


class CardRegistry(Protocol):
    """What the stager has seen of the registry. Both methods raise RegistryUnavailableError."""

    def read(self, card_tokens: Collection[str]) -> Mapping[str, KnownStatus]:
        """Give what is known of those cards, by token; a moment behind, perhaps."""
        ...

    def write(self, status: KnownStatus) -> None:
        """Remember a status, unless a newer one of the card is known."""
        ...


class RegistryUnavailableError(Exception):
    """The card registry does not answer; the text names it and the error's code, nothing else."""


class TokenKeys(Protocol):
    """Where the tokenizer's HMAC key comes from."""

    def current(self) -> bytes:
        """Give the key, at least 32 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """One item of the page ledger; what `body` means is the paging code's business."""

    key: str
    version: int
    """How often it was written; 0 is an item that is not in the ledger yet."""
    state: str
    body: str
    """JSON text, at most 300 KB."""
    unfinished: str | None
    """Which kind of work is still to do, or None: what has one is found by `PageLedger.waiting`."""
    since: datetime
    """When it was first written; the order in which unfinished work is done."""


class PageLedger(Protocol):
    """The memory that makes a page happen once: versioned items, changed all or none.

    Whatever goes wrong, an exception leaves a `commit` either done or not; a reader finds out.
    """

    def read(self, keys: Collection[str]) -> Mapping[str, LedgerItem]:
        """Give the newest version of those items that there are, by key."""
        ...

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        """Write at most 100 items as the next version, if every one still has the version given.

        False, and nothing is written, when another attempt has changed one of them meanwhile.
        """
        ...

    def waiting(self, kind: str, *, limit: int) -> Sequence[str]:
        """Give the keys of unfinished items of a kind, oldest first; may be a moment behind."""
        ...


@dataclass(frozen=True, slots=True)
class PageMessage:
    """One page as it is handed to the channel."""

    page_id: str
    subject: str
    """At most 100 printable ASCII characters."""
    text: str
    alert_ids: tuple[str, ...]
    """Every alert that the page accounts for, listed in the text or not."""
    repeat: bool
    """An earlier message with the same page id may have gone out."""


class PageNotSentError(Exception):
    """The channel refused the page or was not reached: nobody has received it."""


class PageMayBeSentError(Exception):
    """The channel did not answer: the page may have gone out."""


class Pager(Protocol):
    """The channel that pages people."""

    @property
    def channel(self) -> str:
        """Give the channel's name as PAGE_EVENT has it."""
        ...

    def send(self, message: PageMessage) -> None:
        """Send one page, once; raises PageNotSentError or PageMayBeSentError."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be delivered or handled."""

    raw: bytes
    reason: str
    partition_key: str | None = None
    """The key it had on the stream, where that is known."""


class DeadLetterStore(DeadLetters, Protocol):
    """The dead letters as redrive sees them."""

    def sources(self) -> Sequence[str]:
        """Name the sources that letters can be of."""
        ...

    def objects(self, source: str) -> Iterable[str]:
        """Give the names of a source's objects."""
        ...

    def open(self, name: str) -> Sequence[DeadLetter]:
        """Read one object's letters; raises UnreadableObjectError when it holds none."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object whose letters are dealt with."""
        ...


class UnreadableObjectError(Exception):
    """An object among the dead letters is none of the formats that hold letters."""


class WarehouseUnavailableError(Exception):
    """The warehouse cannot be reached, started or used; the text says where and how to mend it."""


class StatementFailedError(Exception):
    """The warehouse refused a statement; the text is its own, and nothing of the call was done."""

    def __init__(self, text: str, *, transient: bool = False) -> None:
        """Take the warehouse's words, and whether the same call may succeed later."""
        super().__init__(text)
        self.transient = transient


class WarehouseSession(Protocol):
    """SQL on the warehouse. Both methods raise StatementFailedError, WarehouseUnavailableError."""

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and give its rows."""
        ...

    def run(self, statements: Sequence[str]) -> None:
        """Run at most 40 statements in one transaction: all of them, or none."""
        ...


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What became of one delivered object."""

    result: Literal["loaded", "already_loaded", "bad"]
    rows: int = 0
    error: str = ""


class Loader(Protocol):
    """The warehouse as whoever loads it sees it; methods raise WarehouseUnavailableError."""

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        """Load one delivered object (gzip, a row a line) once."""
        ...

    def known_objects(self) -> set[tuple[str, str]]:
        """Give key and etag of all objects that are loaded or kept aside."""
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the delivery bucket."""

    key: str
    etag: str
    """Without quotes."""


class DeliveredObjects(Protocol):
    """The delivery bucket."""

    @property
    def bucket(self) -> str:
        """Give the bucket's name."""
        ...

    def list(self, prefix: str) -> Sequence[StoredObject]:
        """Give all objects under a prefix, by key."""
        ...

    def get(self, key: str) -> bytes | None:
        """Give an object's body, or None where there is none."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object."""
        ...
