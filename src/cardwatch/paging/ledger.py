"""The page ledger with its records' types; every method is one or few calls of the port."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cardwatch.paging.canary import CANARY_KEY, CanaryArrival
from cardwatch.paging.ports import LedgerItem, PageLedger
from cardwatch.paging.records import (
    BUCKET_KEY,
    SILENCE_KEY,
    SNOOZES_KEY,
    Bucket,
    Entry,
    Group,
    Marker,
    Page,
    Resolution,
    Silence,
    Snoozes,
    Work,
)
from cardwatch.paging.throttle import TokenBucket


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of some alerts: their entries, and those entries' pages."""

    entry_by_alert: dict[str, Entry]
    pages: dict[str, Page]

    def page(self, entry: Entry) -> Page | None:
        return self.pages.get(entry.page_id) if entry.page_id else None


class Ledger:
    """Reads and writes records instead of items."""

    def __init__(self, store: PageLedger) -> None:
        self._store = store

    def known(self, alert_ids: Collection[str]) -> Known:
        """Find what is known of these alerts."""
        items = self._store.read([Marker.key(alert_id) for alert_id in alert_ids])
        markers = [Marker.of(item) for item in items.values()]
        entries = self.entries({marker.entry_id for marker in markers})
        pages = self.pages({entry.page_id for entry in entries.values() if entry.page_id})
        return Known({m.alert_id: entries[m.entry_id] for m in markers}, pages)

    def entries(self, entry_ids: Collection[str]) -> dict[str, Entry]:
        """Read entries by id."""
        items = self._read([Entry.key(entry_id) for entry_id in entry_ids])
        return {entry.entry_id: entry for entry in map(Entry.of, items)}

    def pages(self, page_ids: Collection[str]) -> dict[str, Page]:
        """Read pages by id."""
        items = self._read([Page.key(page_id) for page_id in page_ids])
        return {page.page_id: page for page in map(Page.of, items)}

    def groups(self, group_ids: Collection[str]) -> dict[str, Group]:
        """Read groups by id."""
        items = self._read([Group.key(group_id) for group_id in group_ids])
        return {group.group_id: group for group in map(Group.of, items)}

    def standing(
        self, group_ids: Collection[str], now: datetime
    ) -> tuple[dict[str, Group], Snoozes]:
        """Read groups by id, and of what nobody is paged; in one look."""
        items = self._read([SNOOZES_KEY, *(Group.key(group_id) for group_id in group_ids)])
        snoozes = next((Snoozes.of(item) for item in items if item.key == SNOOZES_KEY), None)
        groups = [Group.of(item) for item in items if item.key != SNOOZES_KEY]
        return {group.group_id: group for group in groups}, snoozes or Snoozes(since=now)

    def shared(self, *, pages_per_minute: int, now: datetime) -> tuple[Bucket, Silence]:
        """Read what is one for all attempts.

        The token bucket is full before anybody has taken from it, and there is no silence before
        somebody has noticed one.
        """
        found = {item.key: item for item in self._read([BUCKET_KEY, SILENCE_KEY])}
        bucket, silence = found.get(BUCKET_KEY), found.get(SILENCE_KEY)
        full = TokenBucket.full(pages_per_minute, now)
        return (
            Bucket.of(bucket) if bucket else Bucket(bucket=full, since=now),
            Silence.of(silence) if silence else Silence(since=now),
        )

    def canary(self) -> CanaryArrival | None:
        """Read when a canary came last."""
        return next(map(CanaryArrival.of, self._read([CANARY_KEY])), None)

    def waiting_entries(self, work: Work, *, limit: int) -> list[Entry]:
        """Read entries in a state of work, oldest or due first."""
        return [Entry.of(item) for item in self._waiting(work, limit) if item.unfinished == work]

    def waiting_pages(self, work: Work, *, limit: int) -> list[Page]:
        """Read pages in a state of work, oldest first."""
        items = self._waiting(work, limit)
        return [Page.of(item) for item in items if item.unfinished == work]

    def resolution(self, page_id: str) -> Resolution | None:
        """Read whether somebody resolved what a page is about."""
        return next(map(Resolution.of, self._read([Resolution.key(page_id)])), None)

    def waiting_resolutions(self, *, limit: int) -> list[Resolution]:
        """Read what was resolved and nobody was told of yet, oldest first."""
        items = self._waiting(Work.RESOLVED, limit)
        return [Resolution.of(item) for item in items if item.unfinished == Work.RESOLVED]

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        """Write all or nothing; False when something has changed since it was read."""
        return self._store.commit(items)

    def _waiting(self, work: Work, limit: int) -> list[LedgerItem]:
        keys = self._store.waiting(work, limit=limit)
        return self._read(keys)

    def _read(self, keys: Iterable[str]) -> list[LedgerItem]:
        """Read items in the order of the keys."""
        wanted = list(keys)
        items = self._store.read(wanted) if wanted else {}
        return [items[key] for key in wanted if key in items]
