"""What the warehouse offers to whoever deploys, loads or reads it."""

from collections.abc import Sequence
from typing import Any, Protocol


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
