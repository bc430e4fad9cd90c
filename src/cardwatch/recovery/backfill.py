"""Loads delivered objects into the warehouse, each once, whenever they were delivered.

Delivery puts objects into the bucket and knows nothing of a warehouse. What a warehouse has is in
its load ledger, in the transaction that loaded it; all else is loaded here: every minute what is
new, in a warehouse that is new everything there is, and by `cardwatch backfill` on demand. So a
load that broke off, ran twice or came late changes nothing but the time.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from cardwatch.recovery.error_output import EVENTS
from cardwatch.recovery.ports import DeliveredObjects, ForgettingLoader, Loader

DELIVERED: Final = f"{EVENTS}2"
"""The prefix of all that is to be loaded. The 2 is a year's: what waits for a person is under
`events/` too."""
GROUP: Final = 200
"""Objects that one COPY loads; the ledger's rows of more would not fit into one statement."""
LATE: Final = timedelta(hours=25)
"""How much older than others a new object may be: Firehose names it by its oldest record's hour and
tries for a day to store it."""
_HOUR: Final = re.compile(rf"{EVENTS}(\d{{4}})/(\d\d)/(\d\d)/(\d\d)/")

Progress = Callable[[str], None]


@dataclass(slots=True)
class BackfillReport:
    """What a load did, or in a dry run would do."""

    objects: int = 0
    """Objects that the ledger did not know."""
    loaded: int = 0
    rows: int = 0
    """Rows of the objects loaded; 0 in a dry run, which reads none."""
    already_loaded: int = 0
    """Those that somebody else loaded meanwhile."""
    waiting: int = 0
    """Those that there was no time for."""
    bad: dict[str, str] = field(default_factory=dict)
    """Objects that the warehouse refuses, and where their fault is; they stay aside."""
    problems: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Say whether nothing was left behind."""
        return not (self.bad or self.problems or self.waiting)


def load_delivered(
    bucket: DeliveredObjects,
    warehouse: Loader,
    *,
    everything: bool,
    dry_run: bool = False,
    enough: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _: None,
) -> BackfillReport:
    """Load what the ledger does not know, oldest first, until `enough`.

    Without `everything` it looks from a day before the newest object loaded, which finds all that
    Firehose can have stored since. Raises WarehouseUnavailableError and BucketUnavailableError as
    both do; what was loaded before stays loaded.
    """
    after = "" if everything else _before(warehouse.newest_object())
    known = warehouse.known_objects(after)
    unknown = [item for item in bucket.list(DELIVERED, after) if (item.key, item.etag) not in known]
    report = BackfillReport(objects=len(unknown))
    if dry_run:
        report.loaded = len(unknown)
        return report
    for begin in range(0, len(unknown), GROUP):
        if enough():
            report.waiting = len(unknown) - begin
            break
        group = unknown[begin : begin + GROUP]
        progress(f"objects {begin + 1} to {begin + len(group)} of {len(unknown)}")
        for item, outcome in zip(group, warehouse.load_all(group, bucket.get), strict=True):
            match outcome.result:
                case "loaded":
                    report.loaded += 1
                    report.rows += outcome.rows
                case "already_loaded":
                    report.already_loaded += 1
                case "bad":
                    report.bad[item.key] = outcome.error
                case "gone":
                    report.problems.append(f"{item.key} went from the bucket before it was loaded")
    return report


def load_again(
    bucket: DeliveredObjects,
    warehouse: ForgettingLoader,
    days: Collection[date],
    *,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> BackfillReport:
    """Load what was delivered on those days (UTC) once more, and all that the ledger does not know.

    For rows that retention removed. A run that broke off is ended by `load_delivered`. Raises as
    that does.
    """
    prefixes = [f"{EVENTS}{day:%Y/%m/%d}/" for day in days]
    if not dry_run:
        for prefix in prefixes:
            warehouse.forget(prefix)
        return load_delivered(bucket, warehouse, everything=True, progress=progress)
    report = load_delivered(bucket, warehouse, everything=True, dry_run=True)
    known = warehouse.known_objects()
    again = [i for prefix in prefixes for i in bucket.list(prefix) if (i.key, i.etag) in known]
    report.objects += len(again)
    report.loaded += len(again)
    return report


def _before(newest: str | None) -> str:
    """Give the key from which on an object may be new."""
    found = _HOUR.match(newest or "")
    if found is None:
        return ""
    year, month, day, hour_of_day = map(int, found.groups())
    hour = datetime(year, month, day, hour_of_day, tzinfo=UTC)
    return f"{EVENTS}{hour - LATE:%Y/%m/%d/%H}/"
