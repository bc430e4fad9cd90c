"""A page ledger in memory: for what is played through once, and for tests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cardwatch.paging.ports import LedgerItem

MOST_ITEMS: Final = 100
"""Of one transaction, as in the table that it stands for."""


@dataclass
class PageLedgerInMemory:
    """The port PageLedger with the real one's limits; its index is never behind."""

    items: dict[str, LedgerItem] = field(default_factory=dict)

    def read(self, keys: Collection[str]) -> Mapping[str, LedgerItem]:
        return {key: self.items[key] for key in keys if key in self.items}

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        if not 1 <= len(items) <= MOST_ITEMS or len({item.key for item in items}) != len(items):
            msg = f"a transaction takes 1 to {MOST_ITEMS} different items, not {len(items)}"
            raise ValueError(msg)
        if any(self._version(item.key) != item.version for item in items):
            return False
        for item in items:
            self.items[item.key] = replace(item, version=item.version + 1)
        return True

    def waiting(self, kind: str, *, limit: int) -> Sequence[str]:
        return oldest(self.items, kind, limit=limit)

    def _version(self, key: str) -> int:
        return self.items[key].version if key in self.items else 0


def oldest(items: Mapping[str, LedgerItem], kind: str, *, limit: int) -> Sequence[str]:
    """Give the keys of unfinished items of a kind, oldest first."""
    found = [item for item in items.values() if item.unfinished == kind]
    return [item.key for item in sorted(found, key=lambda item: item.since)[:limit]]
