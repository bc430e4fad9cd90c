"""What the delivery process says of itself, and how it is asked to deliver everything now.

The file is `var/run/delivery-status.json`. SIGUSR1 has the process deliver and load all that is on
the stream: `flush_completed` then counts up.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from cardwatch import files
from cardwatch.local.processes.run_folder import status_path

PROGRAM: Final = "delivery"


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """What the status file says; times are ISO-8601 UTC or None."""

    pid: int = 0
    updated_at: str = ""
    stream: str = ""
    records_read: int = 0
    records_staged: int = 0
    records_quarantined: int = 0
    records_dropped: int = 0
    objects_written: int = 0
    objects_loaded: int = 0
    """Loaded since this process began; the ledger has the sum."""
    objects_bad: int = 0
    """Refused by the warehouse since this process began; staging.bad_objects names them."""
    objects_waiting: int = 0
    rows_loaded: int = 0
    buffered_records: int = 0
    buffered_bytes: int = 0
    behind_ms: int = 0
    """How far reading is behind the stream, the worst shard."""
    last_delivery_at: str | None = None
    last_load_at: str | None = None
    flush_requested: int = 0
    flush_completed: int = 0
    problem: str | None = None
    """Why it waits, for people; None while all is well."""


def together(statuses: Sequence[DeliveryStatus], problem: str | None = None) -> DeliveryStatus:
    """Give one status for the deliveries of several streams: their sums, and the worst of each.

    A flush is complete when each of them has completed it. The stream is the first one's.
    """
    first = statuses[0]
    added = {
        name: sum(getattr(status, name) for status in statuses)
        for name in asdict(first)
        if name.startswith(("records_", "objects_", "rows_", "buffered_"))
    }
    return replace(
        first,
        **added,
        last_delivery_at=max(s.last_delivery_at or "" for s in statuses) or None,
        last_load_at=max(s.last_load_at or "" for s in statuses) or None,
        behind_ms=max(status.behind_ms for status in statuses),
        flush_requested=max(status.flush_requested for status in statuses),
        flush_completed=min(status.flush_completed for status in statuses),
        problem=problem or next((s.problem for s in statuses if s.problem), None),
    )


def read_status(var: Path) -> DeliveryStatus | None:
    """Read the status file; None where delivery has never run."""
    try:
        return DeliveryStatus(**json.loads(status_path(var, PROGRAM).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def request_flush(var: Path, pid: int, *, timeout_seconds: float) -> DeliveryStatus | None:
    """Have the delivery process deliver and load all that is on the stream now, and wait for it.

    `pid` is the process as its supervisor knows it. Gives the status after the flush, or None when
    it does not complete in time. Raises ProcessLookupError where the process has ended.
    """
    deadline = time.monotonic() + timeout_seconds
    done: int | None = None
    while time.monotonic() < deadline:
        status = read_status(var)
        # Its first status says that it listens: before, the signal would end it.
        if status is not None and status.pid == pid:
            if done is None:
                done = status.flush_completed
                os.kill(pid, signal.SIGUSR1)
            elif status.flush_completed > done:
                return status
        time.sleep(0.1)
    return None


def write_status(var: Path, status: DeliveryStatus) -> None:
    """Replace the status file."""
    files.replace(status_path(var, PROGRAM), json.dumps(asdict(status)))
