"""The refresh: brings the typed tables and the tables behind the marts up to what is loaded.

A round begins by looking for loads that the ledger `refresh.loads` does not know, and numbers them
in batches. Then each step of `warehouse/refresh` does the batches that it has not done, in one
transaction with its row in `refresh.progress`. So a round that broke off is taken up where it
stopped, a step that fails holds back nobody but those that read what it writes, and a round with
nothing to do changes nothing. Rounds take turns by a lock; one that finds another's work done fails
on purpose, by a division by zero, and is undone (compare `schema`).

No time is a border: a load becomes visible when its COPY commits, and carries the time at which it
began. A round looks back REACH behind the round before it, and every SWEEP over everything, so
that a COPY that took longer than REACH is found as well, if later.

Standard library only.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cardwatch.warehouse.ports import StatementFailedError, WarehouseSession
from cardwatch.warehouse.sql import RefreshSql, RefreshStep, bind, quoted

BATCH_ROWS: Final = 500_000
"""A batch takes loads until it has so many rows; a step does at most so many at once, or one."""
REACH: Final = timedelta(minutes=15)
SWEEP: Final = timedelta(hours=1)
LEDGER_ROWS: Final = 2_000
"""How many of the ledger's batches are read at once."""

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the warehouse's times are UTC without a zone
_SWEEP_STEP: Final = "refresh.sweep"
LOCK: Final = "LOCK refresh.turn"
"""First in each transaction that writes: one at a time, and nobody who reads waits for it."""
_LOG = logging.getLogger(__name__)


class RefreshFailedError(Exception):
    """Steps of a round failed and were undone; the text names them and the warehouse's reason."""


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a round did."""

    rows: int
    """Rows of staging.events that it saw for the first time."""
    transactions: Mapping[str, int] = field(default_factory=dict)
    """How many transactions of each step that had anything to do."""
    complete: bool = True
    """Whether every step has done all that was found; False where time ran out."""


@dataclass(frozen=True, slots=True)
class _Batch:
    ordinal: int
    rows: int
    loaded_from: datetime
    loaded_to: datetime


class Refresh:
    """Rounds over one warehouse."""

    def __init__(
        self,
        session: WarehouseSession,
        sql: RefreshSql,
        *,
        batch_rows: int = BATCH_ROWS,
        translate: Callable[[str], str] = str,
    ) -> None:
        """Take the owner's session; `translate` turns Redshift's SQL into what the session runs."""
        self._session = session
        self._sql = sql
        self._batch_rows = batch_rows
        self._translate = translate

    def run(self, *, in_time: Callable[[], bool] = lambda: True) -> RefreshReport:
        """Run a round; no transaction is begun when `in_time` says that time is over.

        Raises RefreshFailedError when a step failed, after all that do not need it have run, and
        WarehouseUnavailableError as the session does.
        """
        progress = self._progress()
        rows = self._look(progress)
        progress = self._progress()
        done: dict[str, int] = {}
        failed: dict[str, str] = {}
        late = False
        for step in self._sql.steps:
            while not late and (window := self._window(step, progress)):
                if not in_time():
                    late = True
                    break
                try:
                    self._do(step, progress[step.name][0], window)
                except StatementFailedError as error:
                    now = self._progress()
                    if now[step.name] == progress[step.name]:
                        failed[step.name] = str(error)
                        break
                    # Another round was faster.
                    progress = now
                else:
                    progress[step.name] = (window[-1].ordinal, progress[step.name][1])
                    done[step.name] = done.get(step.name, 0) + 1
        if failed:
            why = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            msg = f"the refresh could not bring up to date: {why}"
            raise RefreshFailedError(msg)
        if not late:
            self._note_complete(progress)
        return RefreshReport(rows, done, not late)

    def _progress(self) -> dict[str, tuple[int, datetime]]:
        """Read how far each step is; a step that is new begins at nothing."""
        found = {
            str(step): (int(batch), read_time(as_of))
            for step, batch, as_of in self._query("SELECT step, batch, as_of FROM refresh.progress")
        }
        names = [self._sql.loads.name, _SWEEP_STEP, *(step.name for step in self._sql.steps)]
        if missing := [name for name in names if name not in found]:
            # Whoever else adds them has the lock, and then there is nothing left to add.
            self._keep(
                f"INSERT INTO refresh.progress (step, batch, as_of) SELECT {quoted(name)}, 0, "  # noqa: S608 - names of files
                f"{bind(':as_of', as_of=EPOCH)} WHERE NOT EXISTS "
                f"(SELECT 1 FROM refresh.progress WHERE step = {quoted(name)})"
                for name in missing
            )
            found |= dict.fromkeys(missing, (0, EPOCH))
        return found

    def _look(self, progress: Mapping[str, tuple[int, datetime]]) -> int:
        """Put what is new into the ledger, and give its rows."""
        name = self._sql.loads.name
        last_batch, looked_at = progress[name]
        swept_at = progress[_SWEEP_STEP][1]
        sweeps = looked_at - swept_at >= SWEEP or swept_at == EPOCH
        since = EPOCH if sweeps else looked_at - REACH
        values: dict[str, int | datetime] = {
            "last_batch": last_batch,
            "batch_rows": self._batch_rows,
            "since": since,
        }
        statements = [
            _still_at(name, last_batch),
            *(bind(self._translate(text), **values) for text in self._sql.loads.statements),
            # A round with nothing new must not go back where retention emptied the ledger.
            self._translate(
                "UPDATE refresh.progress SET as_of = SYSDATE, batch = (SELECT "  # noqa: S608 - constants
                f"GREATEST(COALESCE(MAX(batch), 0), {last_batch}) FROM refresh.loads) "
                f"WHERE step = {quoted(name)}"
            ),
        ]
        if sweeps:
            statements.append(
                self._translate(
                    "UPDATE refresh.progress SET as_of = SYSDATE "  # noqa: S608 - constants
                    f"WHERE step = {quoted(_SWEEP_STEP)}"
                )
            )
        try:
            self._run(statements)
        except StatementFailedError as error:
            if self._progress()[name][0] == last_batch:
                msg = f"the refresh could not look for new loads: {error}"
                raise RefreshFailedError(msg) from None
            return 0
        ((rows,),) = self._query(
            f"SELECT COALESCE(SUM(row_count), 0) FROM refresh.loads WHERE batch > {last_batch}"  # noqa: S608 - a number
        )
        return int(rows)

    def _window(
        self, step: RefreshStep, progress: Mapping[str, tuple[int, datetime]]
    ) -> Sequence[_Batch]:
        """Give the batches that a step does next; none when it has done all that it may."""
        done = progress[step.name][0]
        sources = [progress[name][0] for name in step.reads if name in progress]
        if done >= (limit := min(sources, default=0)):
            return []
        found = self._query(
            "SELECT batch, SUM(row_count), MIN(loaded_at), MAX(loaded_at) FROM refresh.loads "  # noqa: S608 - numbers
            f"WHERE batch > {done} AND batch <= {limit} "
            f"GROUP BY batch ORDER BY batch LIMIT {LEDGER_ROWS}"
        )
        batches = [
            _Batch(int(number), int(rows), read_time(first), read_time(last))
            for number, rows, first, last in found
        ]
        if not batches:
            # Retention forgot what this step never did: there is nothing left of it.
            return [_Batch(limit, 0, EPOCH, EPOCH)]
        taken = batches[:1]
        for batch in batches[1:]:
            if sum(b.rows for b in taken) + batch.rows > self._batch_rows:
                break
            taken.append(batch)
        return taken

    def _do(self, step: RefreshStep, done: int, window: Sequence[_Batch]) -> None:
        values: dict[str, int | datetime] = {
            "from_batch": done,
            "to_batch": window[-1].ordinal,
            "loaded_from": min(batch.loaded_from for batch in window),
            "loaded_to": max(batch.loaded_to for batch in window),
        }
        self._run(
            [
                _still_at(step.name, done),
                *(bind(self._translate(text), **values) for text in step.statements),
                (
                    f"UPDATE refresh.progress SET batch = {window[-1].ordinal} "  # noqa: S608 - a number, a file's name
                    f"WHERE step = {quoted(step.name)}"
                ),
            ]
        )
        _LOG.info("%s: to batch %d", step.name, window[-1].ordinal)

    def _note_complete(self, progress: Mapping[str, tuple[int, datetime]]) -> None:
        """Say that all steps hold what was visible when this round looked."""
        batch, as_of = progress[self._sql.loads.name]
        update = (
            f"UPDATE refresh.progress SET as_of = :as_of WHERE batch >= {batch} "  # noqa: S608 - a number
            "AND as_of < :as_of AND step NOT LIKE 'refresh.%'"
        )
        self._keep([bind(update, as_of=as_of)])

    def _query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        try:
            return self._session.query(statement)
        except StatementFailedError as error:
            msg = f"the refresh cannot read its own tables: {error}; is the schema up to date?"
            raise RefreshFailedError(msg) from None

    def _keep(self, statements: Iterable[str]) -> None:
        try:
            self._run(statements)
        except StatementFailedError as error:
            msg = f"the refresh cannot write its own tables: {error}; is the schema up to date?"
            raise RefreshFailedError(msg) from None

    def _run(self, statements: Iterable[str]) -> None:
        self._session.run([LOCK, *statements])


def _still_at(step: str, batch: int) -> str:
    """Divide by zero where another round was faster, which undoes the transaction."""
    return (
        "SELECT 1 / COUNT(*) FROM refresh.progress "  # noqa: S608 - a file's name, a number
        f"WHERE step = {quoted(step)} AND batch = {batch}"
    )


def read_time(value: Any) -> datetime:  # noqa: ANN401 - the Data API gives a time as text
    """Read a TIMESTAMP of a query's answer: UTC, without a zone."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
