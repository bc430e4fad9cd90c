"""The bank's database in PostgreSQL, read by cardwatch and never written.

Every statement is a read-only transaction of its own, with its settings local to it, so that a
pooler between does no harm. No error of the database passes on: its text may quote a row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier

from cardwatch.banking.ports import (
    Bank,
    BankRow,
    BankTable,
    BankUnavailableError,
    Horizon,
    Position,
)

CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 20
SLACK: Final = timedelta(seconds=1)
"""Between a transaction's first instant and that it is seen among the open ones."""

# A transaction of another database cannot change this one's rows, and autovacuum changes none.
# Whoever may not see a session's activity gets null for when its transaction began.
_HORIZON: Final = SQL(
    """
    SELECT
        now() AS now,
        pg_is_in_recovery() AS replica,
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
        (
            SELECT min(xact_start)
            FROM pg_stat_activity
            WHERE
                datname = current_database()
                AND pid <> pg_backend_pid()
                AND backend_type <> 'autovacuum worker'
        ) AS oldest_open
    """
)
_LOCAL: Final = SQL(
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),"
    " set_config('statement_timeout', %s, true)"
)
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
"""What Python calls time; a row from before it is not read."""


class PostgresBank:
    """The bank over one connection."""

    def __init__(self, connection: psycopg.Connection[Any], *, settle: timedelta) -> None:
        """Take the connection; `settle` is waited for where open transactions are hidden."""
        self._connection = connection
        self._settle = settle

    def horizon(self) -> Horizon:
        [row] = self._select(_HORIZON, ())
        if row["replica"]:
            msg = "the bank's database is a replica, which hides what is open: name the primary"
            raise BankUnavailableError(msg)
        now: datetime = row["now"]
        if not row["sees_all"]:
            return Horizon(now - self._settle, blind=True)
        return Horizon(min(now - SLACK, row["oldest_open"] or now), blind=False)

    def changed(
        self, table: BankTable, after: Position | None, until: datetime, limit: int
    ) -> Sequence[BankRow]:
        start = after or Position(_EARLIEST, "")
        return self._rows(
            table,
            SQL(
                "(updated_at, {key}) > (%s, %s) AND updated_at < %s"
                " ORDER BY updated_at, {key} LIMIT %s"
            ),
            (start.updated_at, start.key, until, limit),
        )

    def walk(self, table: BankTable, after: str, until: datetime, limit: int) -> Sequence[BankRow]:
        return self._rows(
            table,
            SQL("{key} > %s AND updated_at >= %s AND updated_at < %s ORDER BY {key} LIMIT %s"),
            (after, _EARLIEST, until, limit),
        )

    def _rows(
        self, table: BankTable, condition: SQL, values: Sequence[object]
    ) -> Sequence[BankRow]:
        key = Identifier(table.key)
        # As texts: what Python has no value for, like a time of infinity, is one row's trouble.
        columns = [
            SQL("{0}::text AS {0}").format(Identifier(name)) for name in (table.key, *table.columns)
        ]
        statement = SQL("SELECT updated_at, {} FROM {} WHERE {}").format(
            SQL(", ").join(columns),
            Identifier(*table.name.split(".")),
            condition.format(key=key),
        )
        return [
            BankRow(
                key=row[table.key],
                updated_at=row["updated_at"].astimezone(UTC),
                values={name: row[name] for name in table.columns},
            )
            for row in self._select(statement, values)
        ]

    def _select(self, statement: SQL | Composed, values: Sequence[object]) -> list[dict[str, Any]]:
        try:
            with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as c:
                c.execute(_LOCAL, (f"{STATEMENT_SECONDS}s",))
                return list(c.execute(statement, values).fetchall())
        except psycopg.Error as error:
            raise _unavailable(error) from None


@contextmanager
def connected(dsn: str, *, settle: timedelta, options: str | None = None) -> Iterator[Bank]:
    """Give the bank while it is connected to; raises BankUnavailableError.

    The connection is encrypted, unless the DSN says otherwise with `sslmode`.
    """
    try:
        parameters: dict[str, Any] = {
            "sslmode": "require",
            "connect_timeout": CONNECT_SECONDS,
            # A network that swallows everything is noticed within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 4,
            **conninfo_to_dict(dsn),
        }
        if options is not None:
            parameters["options"] = options
        connection: psycopg.Connection[Any] = psycopg.connect(
            make_conninfo(**parameters),
            autocommit=True,
            # A pooler may give each transaction another connection of its own.
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise _unavailable(error) from None
    try:
        connection.read_only = True
        yield PostgresBank(connection, settle=settle)
    finally:
        connection.close()


def _unavailable(error: psycopg.Error) -> BankUnavailableError:
    """Say what went wrong by its name and its SQLSTATE: the text may quote a row or the DSN."""
    state = f", SQLSTATE {error.sqlstate}" if error.sqlstate else ""
    return BankUnavailableError(f"the bank's database: {type(error).__name__}{state}")
