"""What keeps the warehouse right, every few seconds or minutes: refresh, retention, checks.

Standard library only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cardwatch.warehouse.ports import StatementFailedError, WarehouseSession
from cardwatch.warehouse.refresh import (
    EPOCH,
    LOCK,
    Refresh,
    RefreshFailedError,
    read_time,
)
from cardwatch.warehouse.retention import Retention
from cardwatch.warehouse.sql import RefreshSql, bind, quoted

RETENTION_PERIOD: Final = timedelta(hours=1)
COMPARED: Final = timedelta(minutes=90)
"""How far back the stream's counts are written; marts.data_quality looks back 70 minutes."""
_RETENTION_STEP: Final = "refresh.retention"
_BEGINNING: Final = "refresh.beginning"
"""A step of the first round alone: what was never loaded is waited for since then."""


class StagedCounts(Protocol):
    """Who counted the events that belong into the warehouse, before they were delivered."""

    def per_minute(self, since: datetime, until: datetime) -> Mapping[datetime, int]:
        """Give events per minute of event time (UTC, without a zone) in `[since, until)`."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of marts.data_quality."""

    check: str
    found: int
    allowed: int | None
    """None: a figure for people."""

    @property
    def is_trouble(self) -> bool:
        """Say whether more was found than is allowed."""
        return self.allowed is not None and self.found > self.allowed


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What a round of upkeep did and found."""

    rows: int
    """Rows of staging.events that it saw for the first time."""
    lag_seconds: int
    """How far the marts are behind now."""
    findings: tuple[Finding, ...]
    problem: str | None = None
    """Why something could not be done, in the warehouse's words."""

    @property
    def troubles(self) -> tuple[Finding, ...]:
        """Give the findings that are troubles."""
        return tuple(finding for finding in self.findings if finding.is_trouble)


class Upkeep:
    """Rounds of upkeep over one warehouse."""

    def __init__(
        self,
        session: WarehouseSession,
        sql: RefreshSql,
        *,
        retention_days: int,
        staged: StagedCounts | None = None,
        translate: Callable[[str], str] = str,
    ) -> None:
        """Take the owner's session; `staged` is the other side of the check against the stream."""
        self._session = session
        self._translate = translate
        self._staged = staged
        self._refresh = Refresh(session, sql, translate=translate)
        self._retention = Retention(session, sql.retention, retention_days, translate=translate)

    def run(self, *, in_time: Callable[[], bool] = lambda: True) -> UpkeepReport:
        """Refresh, remove what is too old once an hour, and check.

        What the warehouse refuses is the report's `problem`; WarehouseUnavailableError is raised.
        """
        rows = 0
        problems = []
        try:
            rows = self._refresh.run(in_time=in_time).rows
        except RefreshFailedError as error:
            problems.append(str(error))
        try:
            self._note_beginning()
            self._retain(in_time)
            self._note_staged(in_time)
        except StatementFailedError as error:
            problems.append(str(error))
        ((lag,),) = self._session.query("SELECT lag_seconds FROM marts.freshness")
        found = self._session.query("SELECT check_name, found, allowed FROM marts.data_quality")
        findings = tuple(
            Finding(str(check), int(count), None if allowed is None else int(allowed))
            for check, count, allowed in found
        )
        return UpkeepReport(rows, int(lag), findings, "; ".join(problems) or None)

    def _note_beginning(self) -> None:
        ((rounds, now),) = self._session.query(
            self._translate(
                f"SELECT COUNT(*), SYSDATE FROM refresh.progress WHERE step = {quoted(_BEGINNING)}"  # noqa: S608 - a constant
            )
        )
        if int(rounds) == 0:
            insert = (
                "INSERT INTO refresh.progress (step, batch, as_of) "  # noqa: S608 - a constant
                f"VALUES ({quoted(_BEGINNING)}, 0, :now)"
            )
            self._session.run([LOCK, bind(insert, now=read_time(now))])

    def _retain(self, in_time: Callable[[], bool]) -> None:
        ((last, now),) = self._session.query(
            self._translate(
                f"SELECT COALESCE(MAX(as_of), {bind(':epoch', epoch=EPOCH)}), SYSDATE "  # noqa: S608 - constants
                f"FROM refresh.progress WHERE step = {quoted(_RETENTION_STEP)}"
            )
        )
        if read_time(now) - read_time(last) < RETENTION_PERIOD:
            return
        if self._retention.run(in_time=in_time):
            insert = (
                "INSERT INTO refresh.progress (step, batch, as_of) "  # noqa: S608 - a constant
                f"VALUES ({quoted(_RETENTION_STEP)}, 0, :now)"
            )
            self._session.run(
                [
                    LOCK,
                    f"DELETE FROM refresh.progress WHERE step = {quoted(_RETENTION_STEP)}",  # noqa: S608 - a constant
                    bind(insert, now=read_time(now)),
                ]
            )

    def _note_staged(self, in_time: Callable[[], bool]) -> None:
        """Write what was counted on the way here, for the check that compares it."""
        if self._staged is None or not in_time():
            return
        ((as_of,),) = self._session.query("SELECT as_of FROM marts.freshness")
        until = read_time(as_of)
        since = until - COMPARED
        counts = self._staged.per_minute(since, until)
        rows = ", ".join(
            bind(f"(:minute, {int(count)})", minute=minute) for minute, count in counts.items()
        )
        statements = [
            LOCK,
            bind("DELETE FROM staging.staged_minutes WHERE minute >= :since", since=since),
        ]
        if rows:
            statements.append(
                f"INSERT INTO staging.staged_minutes (minute, staged_count) VALUES {rows}"  # noqa: S608 - times and numbers
            )
        self._session.run(statements)
