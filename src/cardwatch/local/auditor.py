"""The audit of a run that nobody ends, in the place of AWS's scheduled one."""

import threading
import time
from datetime import timedelta
from typing import Final

from cardwatch.audit.completeness import DEFECTS, LOOK_BACK
from cardwatch.audit.loaded_events import LoadedEvents
from cardwatch.audit.rounds import AuditRounds, Terms
from cardwatch.local.redshift_dialect import to_postgres
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.ports import Clock, CursorStore, CursorUnavailableError, EventStream
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError

AUDIT_SECONDS: Final = 3.0
SHARE: Final = 0.1
"""Of the time, a round takes at most so much: the next one waits accordingly longer."""
GROUPED: Final = timedelta(seconds=20)
"""GroupSeconds and DigestSeconds of one machine (samconfig.toml)."""
REACH: Final = timedelta(minutes=1)
"""Here a COPY takes seconds."""


class Auditor(threading.Thread):
    """Audits every few seconds; an outage of the warehouse or the stream only delays it."""

    def __init__(
        self,
        server: WarehouseServer,
        *,
        stream: EventStream,
        cursors: CursorStore,
        kept: timedelta,
        clock: Clock,
    ) -> None:
        """Audit the warehouse on `server`, which keeps events for so long."""
        super().__init__(name="auditor", daemon=True)
        self._warehouse = Warehouse(server)
        self._rounds = AuditRounds(
            events=LoadedEvents(
                self._warehouse, look_back=LOOK_BACK, reach=REACH, translate=to_postgres
            ),
            stream=stream,
            cursors=cursors,
            clock=clock,
            terms=Terms(kept, LOOK_BACK, grouped=GROUPED, digested=GROUPED, reach=REACH),
        )
        self._ended = threading.Event()
        self._troubles: tuple[str, ...] = ()

    def run(self) -> None:
        """Audit until stopped."""
        pause = AUDIT_SECONDS
        while not self._ended.wait(pause):
            began = time.monotonic()
            self.look()
            pause = max(AUDIT_SECONDS, (time.monotonic() - began) * (1 / SHARE - 1))

    def look(self) -> None:
        """Run one round; `troubles` says what it found that must not be."""
        try:
            done = self._rounds.run()
        except (CursorUnavailableError, StatementFailedError, WarehouseUnavailableError) as error:
            self._troubles = (f"audit: {error}",)
            return
        undelivered = sum(done.repaired.undelivered.values())
        self._troubles = (
            *(
                f"audit: {found} {kind} ({cause}); `cardwatch audit` names them"
                for (kind, cause), found in done.report.counts.items()
                if (kind, cause) in DEFECTS
            ),
            *([f"audit: {undelivered} alerts not on the stream yet"] if undelivered else []),
        )

    def troubles(self) -> tuple[str, ...]:
        """Say what the last round found that must not be, or why there was none."""
        return self._troubles

    def stop(self) -> None:
        """Audit no more."""
        self._ended.set()
        if self.is_alive():
            self.join()
        self._warehouse.close()
