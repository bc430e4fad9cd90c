"""What acting on pages asks of the world beside the ledger and the stream."""

from dataclasses import dataclass, field
from typing import Protocol

from cardwatch.paging.ports import LinkUnavailableError


@dataclass(frozen=True, slots=True)
class LinkKey:
    """One key that signs links."""

    key_id: str
    """Stands in every link that it signed; letters, digits and hyphens."""
    secret: bytes = field(repr=False)
    """At least 32 bytes."""


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The key that signs, and the one before it, whose links still count."""

    current: LinkKey
    previous: LinkKey | None = None

    def find(self, key_id: str) -> LinkKey | None:
        """Give the key of an id, if it is one of them."""
        known = (self.current, self.previous)
        return next((key for key in known if key is not None and key.key_id == key_id), None)


class LinkKeysUnavailableError(LinkUnavailableError):
    """The keys cannot be had; the text names where they are kept, never a key."""


class LinkKeyStore(Protocol):
    """Where the keys of links are kept."""

    def read(self) -> LinkKeys:
        """Give the keys as they are now; raises LinkKeysUnavailableError."""
        ...
