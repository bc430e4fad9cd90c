"""What paging asks of the world; the adapters are in `aws`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cardwatch.contract.page import PageKind


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

    Every method raises LedgerUnavailableError. After one a `commit` is either done or not; a reader
    finds out.
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


class LedgerUnavailableError(Exception):
    """The ledger does not answer or refuses; the text names it and the error's code."""


PAGE_ATTRIBUTES: Final = frozenset({"page_id", "kind", "alert_ids", "alert_count", "repeat"})
"""What a page says of itself to programs, beside its text; subscriptions may filter by it."""


@dataclass(frozen=True, slots=True)
class PageMessage:
    """One page as it is handed to the channel."""

    page_id: str
    subject: str
    """At most 100 printable ASCII characters."""
    text: str
    alert_ids: tuple[str, ...]
    """Every alert that the page accounts for, listed in the text or not."""
    kind: PageKind
    repeat: bool
    """An earlier message with the same page id may have gone out."""


class PageNotSentError(Exception):
    """The channel refused the page or was not reached: nobody has received it."""


class PageRefusedError(PageNotSentError):
    """The channel refuses this page for what it is, and will refuse it again; others may pass."""


class PageMayBeSentError(Exception):
    """The channel did not answer: the page may have gone out."""


class Pager(Protocol):
    """The channel that pages people."""

    @property
    def channel(self) -> str: ...

    def send(self, message: PageMessage) -> None:
        """Send one page, once; raises PageNotSentError, PageRefusedError or PageMayBeSentError."""
        ...


class LinkUnavailableError(Exception):
    """No link can be made now; the text says what is missing, never the key."""


class PageLinks(Protocol):
    """Where people act on pages."""

    def link(self, page_id: str, since: datetime) -> str:
        """Give a page's address, the same on every try while the key is the same.

        It holds for a while after `since`, when the page was first written. Raises
        LinkUnavailableError.
        """
        ...


class HeartbeatFailedError(Exception):
    """The heartbeat was not taken, or may not have been; the text does not quote its address."""


class Heartbeat(Protocol):
    """A watch outside AWS, which rings when it is told of no canary for a while."""

    def send(self) -> None:
        """Say that a canary came; raises HeartbeatFailedError."""
        ...
