"""The run's upkeep of its warehouse, in the place of AWS's scheduled one."""

import threading
import time
from typing import Final

from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError
from cardwatch.warehouse.refresh import RefreshFailedError
from cardwatch.warehouse.upkeep import Finding, StagedCounts

REFRESH_SECONDS: Final = 5.0
UPKEEP_SECONDS: Final = 60.0


class Refresher(threading.Thread):
    """Refreshes every few seconds, checks every minute; an outage only delays it."""

    def __init__(
        self, server: WarehouseServer, *, retention_days: int, staged: StagedCounts
    ) -> None:
        """Refresh the warehouse on `server`, which need not run yet."""
        super().__init__(name="refresher", daemon=True)
        self._warehouse = Warehouse(server)
        self._refresh = self._warehouse.refresh()
        self._upkeep = self._warehouse.upkeep(retention_days=retention_days, staged=staged)
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._error: str | None = None
        self._troubles: tuple[Finding, ...] = ()

    def run(self) -> None:
        """Refresh until stopped."""
        checked = time.monotonic()
        while not self._ended.wait(REFRESH_SECONDS):
            if time.monotonic() - checked < UPKEEP_SECONDS:
                self.refresh()
            else:
                checked = time.monotonic()
                self.check()

    def refresh(self) -> None:
        """Bring the marts up to what is loaded now; `troubles` says where that did not work."""
        with self._turn:
            try:
                self._refresh.run()
                self._error = None
            except (RefreshFailedError, WarehouseUnavailableError) as error:
                self._error = str(error)

    def check(self) -> None:
        """Refresh, remove what is too old, and look for what should not be there."""
        with self._turn:
            try:
                report = self._upkeep.run()
            except (RefreshFailedError, StatementFailedError, WarehouseUnavailableError) as error:
                self._error = str(error)
            else:
                self._error, self._troubles = report.problem, report.troubles

    def troubles(self) -> tuple[str, ...]:
        """Say what keeps the marts behind, and what the last checks found."""
        found = tuple(
            f"{trouble.check}: {trouble.found} (at most {trouble.allowed}; marts.data_quality)"
            for trouble in self._troubles
        )
        return ((f"refresh: {self._error}",) if self._error else ()) + found

    def stop(self) -> None:
        """Refresh no more."""
        self._ended.set()
        if self.is_alive():
            self.join()
        self._warehouse.close()
