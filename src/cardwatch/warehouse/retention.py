"""Retention: rows of a time that is kept no longer leave the warehouse, a few hours at a time.

Every pass is one transaction of `warehouse/refresh/retention.sql`, so one that broke off is gone on
with by the next. What left the warehouse is in the delivery bucket for as long as that keeps it.
Standard library only.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from cardwatch.warehouse.ports import WarehouseSession
from cardwatch.warehouse.refresh import LOCK, read_time
from cardwatch.warehouse.sql import bind

STEP: Final = timedelta(hours=6)
"""How much of time one transaction removes."""


class Retention:
    """Removes what is older than some days."""

    def __init__(
        self,
        session: WarehouseSession,
        statements: Sequence[str],
        days: int,
        *,
        translate: Callable[[str], str] = str,
    ) -> None:
        """Take the owner's session and the statements of RefreshSql.retention."""
        self._session = session
        self._statements = statements
        self._kept = timedelta(days=days)
        self._translate = translate

    def run(self, *, in_time: Callable[[], bool] = lambda: True) -> bool:
        """Remove what is too old by the warehouse's clock; False when time ran out before the end.

        Raises StatementFailedError and WarehouseUnavailableError as the session does.
        """
        ((oldest, now),) = self._session.query(
            self._translate("SELECT MIN(loaded_at), SYSDATE FROM refresh.loads")
        )
        before = (read_time(now) - self._kept).replace(second=0, microsecond=0)
        for border in _borders(None if oldest is None else read_time(oldest), before):
            if not in_time():
                return False
            self._session.run(
                [LOCK, *(bind(self._translate(text), before=border) for text in self._statements)]
            )
        return True


def _borders(oldest: datetime | None, before: datetime) -> Iterator[datetime]:
    """Give the borders up to which to remove; nothing was loaded much before it happened."""
    border = oldest.replace(second=0, microsecond=0) if oldest else None
    while border is not None and border + STEP < before:
        border += STEP
        yield border
    # What came late, or was loaded again, is older than its load.
    yield before
