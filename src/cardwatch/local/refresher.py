"""The run's refresh of its warehouse, in the place of AWS's scheduled one."""

import threading
from typing import Final

from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.refresh import RefreshFailedError

REFRESH_SECONDS: Final = 5.0


class Refresher(threading.Thread):
    """Refreshes every few seconds; an outage only delays it."""

    def __init__(self, server: WarehouseServer) -> None:
        """Refresh the warehouse on `server`, which need not run yet."""
        super().__init__(name="refresher", daemon=True)
        self._warehouse = Warehouse(server)
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self.error: str | None = None
        """Why the marts stay behind at the moment, or None."""

    def run(self) -> None:
        """Refresh until stopped."""
        while not self._ended.wait(REFRESH_SECONDS):
            self.refresh()

    def refresh(self) -> None:
        """Bring the marts up to what is loaded now; `error` says where that did not work."""
        with self._turn:
            try:
                self._warehouse.refresh().run()
                self.error = None
            except (RefreshFailedError, WarehouseUnavailableError) as error:
                self.error = f"refresh: {error}"

    def stop(self) -> None:
        """Refresh no more."""
        self._ended.set()
        if self.is_alive():
            self.join()
        self._warehouse.close()
