"""What recovery asks of the world; the adapters are in `aws` and `local`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from cardwatch.ports import DeadLetters


class BucketUnavailableError(Exception):
    """The bucket refuses or does not answer; the text says which and what was asked."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be delivered or handled."""

    raw: bytes
    reason: str
    partition_key: str | None = None
    """The key it had on the stream, where that is known."""


class DeadLetterStore(DeadLetters, Protocol):
    """The dead letters as redrive sees them; these four raise BucketUnavailableError."""

    def sources(self) -> Sequence[str]:
        """Name the sources that letters can be of."""
        ...

    def objects(self, source: str) -> Iterable[str]: ...

    def letters_in(self, name: str) -> Sequence[DeadLetter]:
        """Read one object's letters; raises UnreadableObjectError when it holds none."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object whose letters are dealt with."""
        ...


class UnreadableObjectError(Exception):
    """An object among the dead letters is none of the formats that hold letters."""


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What became of one delivered object."""

    result: Literal["loaded", "already_loaded", "bad", "gone"]
    rows: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the delivery bucket."""

    key: str
    etag: str
    """Without quotes."""


FORGOTTEN: Final = "forgotten"
"""What the ledger has in the place of an object's etag when the object is to be loaded again."""


class Loader(Protocol):
    """The warehouse as whoever loads it sees it; methods raise WarehouseUnavailableError."""

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        """Load one delivered object (gzip, a row a line) once."""
        ...

    def load_all(
        self, objects: Sequence[StoredObject], get: Callable[[str], bytes | None]
    ) -> Sequence[LoadOutcome]:
        """Load delivered objects, each once, and give what became of each, in their order.

        `get` gives an object's body by its key, or None for one that is gone.
        """
        ...

    def known_objects(self, after: str = "") -> set[tuple[str, str]]:
        """Give key and etag of the objects loaded or kept aside whose keys come after that one."""
        ...

    def newest_object(self) -> str | None:
        """Give the last key that was loaded or kept aside; None in an empty warehouse."""
        ...


class DeliveredObjects(Protocol):
    """The delivery bucket; every method raises BucketUnavailableError."""

    @property
    def bucket(self) -> str: ...

    def list(self, prefix: str, after: str = "") -> Sequence[StoredObject]:
        """Give all objects under a prefix whose keys come after that one, by key."""
        ...

    def get(self, key: str) -> bytes | None: ...

    def remove(self, key: str) -> None:
        """Remove an object."""
        ...


class WritableObjects(DeliveredObjects, Protocol):
    """The delivery bucket for whoever puts something back."""

    def put(self, key: str, body: bytes) -> str:
        """Store an object and give its etag without quotes."""
        ...


class ForgettingLoader(Loader, Protocol):
    """One that can be made to load again; it raises WarehouseUnavailableError."""

    def forget(self, prefix: str) -> int:
        """Have the objects with this prefix loaded again, and give how many there were."""
        ...
