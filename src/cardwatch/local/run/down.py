"""Stopping everything, also what a broken run left behind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import psutil

from cardwatch.local.processes.run_folder import RunFolder, stop_supervisor, sweep
from cardwatch.local.run.status import mark_stopped, status_path
from cardwatch.warehouse.ports import WarehouseUnavailableError

DOWN_SECONDS: Final = 60.0


class Server(Protocol):
    """The database, which no supervisor owns."""

    def pid(self) -> int | None:
        """Give its process id; None where it does not run."""
        ...

    def stop(self) -> None:
        """Stop it; raises WarehouseUnavailableError."""
        ...


@dataclass(slots=True)
class Down:
    """What became of it."""

    stopped: bool = False
    """A run was going on and was asked to stop."""
    removed: list[str] = field(default_factory=list)
    """What was left behind."""
    failures: list[str] = field(default_factory=list)
    """Steps that failed; those after them were taken all the same."""


def take_down(var: Path, postgres: Server, *, wait_seconds: float = DOWN_SECONDS) -> Down:
    """Stop the run whose state is in `var`, and its database; remove what is left of both."""
    folder = RunFolder(var)
    done = Down()

    def stop_run() -> None:
        done.stopped = stop_supervisor(folder, wait_seconds=wait_seconds)

    def stop_postgres() -> None:
        if postgres.pid() is not None:
            postgres.stop()

    def remove() -> None:
        done.removed = sweep(folder)

    steps: list[tuple[str, Callable[[], None]]] = [
        ("the run", stop_run),
        ("PostgreSQL", stop_postgres),
        # The last resort: whatever else failed, it is done.
        ("what is left", remove),
        ("the status file", lambda: mark_stopped(status_path(var))),
    ]
    for what, step in steps:
        try:
            step()
        except (OSError, psutil.Error, WarehouseUnavailableError) as error:
            done.failures.append(f"{what}: {error}")
    return done
