"""The one place that asks the warehouse: each question is a file of `queries/`.

They are written in the SQL that Redshift and PostgreSQL share and take bound values (`:since`);
`${place}` is a column's name out of a closed list. Who carries them there is a Database: on one
machine its PostgreSQL, over the socket, in read-only transactions that end after STATEMENT_SECONDS;
on AWS Redshift's Data API (`redshift`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import psycopg
from psycopg.rows import dict_row

QUERIES: Final = Path(__file__).with_name("queries")
CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 10
NEVER: Final = 1_000_000_000
"""Seconds; the marts' lag reaches back to 1970 before their first refresh."""

Row = Mapping[str, Any]
Entity = Literal["card_token", "account_id", "merchant_id"]
Place = Literal["merchant_id", "country"]

PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z][a-z_]*)")
"""A bound value in a statement."""
_COLUMN: Final = re.compile(r"\$\{(entity|place)\}")
_COLUMNS: Final = frozenset(("card_token", "account_id", "merchant_id", "country"))


class WarehouseAwayError(Exception):
    """The warehouse does not answer; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question's rows, and how old they are."""

    rows: Sequence[Row]
    as_of: datetime | None
    """UTC without a zone: what was loaded by then is in the rows. None: nothing was refreshed."""
    lag_seconds: int
    """How long ago that was."""


class Database(Protocol):
    """Carries statements to a warehouse that it only reads."""

    def rows(self, statements: Sequence[str], values: Mapping[str, object]) -> list[list[Row]]:
        """Give the rows of each statement, in their order; raises WarehouseAwayError.

        A later statement sees what the ones before it saw, and maybe more. `values` has a value
        for each `:name`, and may have others.
        """
        ...


class Warehouse:
    """Asks one warehouse."""

    def __init__(self, database: Database) -> None:
        """Take what carries the questions."""
        self._database = database

    def ask(
        self, question: str, *, column: Entity | Place | None = None, **values: object
    ) -> Answer:
        """Answer a question by the name of its file; raises WarehouseAwayError."""
        # The age first: rows that are newer than it says are nobody's mistake.
        fresh, rows = self._database.rows(
            [statement("freshness"), statement(question, column)], values
        )
        if not fresh or fresh[0]["lag_seconds"] > NEVER:
            return Answer(rows, None, 0)
        return Answer(rows, fresh[0]["as_of"], int(fresh[0]["lag_seconds"]))


class PostgreSql:
    """The Database over one data folder on this machine."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder; a server may come, go and come back."""
        self._folder = folder

    def rows(self, statements: Sequence[str], values: Mapping[str, object]) -> list[list[Row]]:
        try:
            with self._connect() as connection:
                return [list(connection.execute(in_psycopg(each), values)) for each in statements]
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            msg = "The warehouse has no tables yet: a run makes them (`make run`, `cardwatch up`)."
            raise WarehouseAwayError(msg) from None
        except psycopg.errors.QueryCanceled:
            msg = (
                f"The warehouse took longer than {STATEMENT_SECONDS} s to answer: look back less "
                "far, or see what else it does (`cardwatch status`)."
            )
            raise WarehouseAwayError(msg) from None
        except psycopg.Error as error:
            # PostgreSQL's own text may quote a row.
            raise WarehouseAwayError(_away(type(error).__name__)) from None

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        """Connect; for each question anew, so that a server that was started again is found."""
        try:
            # PostgreSQL documents the file: the fourth line is the port, the fifth the socket's
            # folder, which need not be the data folder.
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
            port, socket = int(lines[3]), lines[4].strip()
        except (OSError, IndexError, ValueError):
            raise WarehouseAwayError(_away("no server runs")) from None
        return psycopg.connect(
            host=socket,
            port=port,
            user="postgres",
            dbname="postgres",
            connect_timeout=CONNECT_SECONDS,
            options=(
                "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\"
                f" read -c jit=off -c statement_timeout={STATEMENT_SECONDS * 1000}"
            ),
            row_factory=dict_row,
        )


def _away(why: str) -> str:
    return (
        f"The warehouse does not answer ({why}). It runs while cardwatch does: start it with "
        "`make run` or `cardwatch up`; `cardwatch status` says what is wrong. This page asks again "
        "by itself."
    )


@lru_cache(maxsize=128)
def statement(question: str, column: Entity | Place | None = None) -> str:
    """Give a question's SQL without its comments; raises ValueError for another column."""
    if column is not None and column not in _COLUMNS:
        msg = f"{column} is no column that can be asked for"
        raise ValueError(msg)
    lines = (QUERIES / f"{question}.sql").read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return _COLUMN.sub(lambda _: column or "", text).strip().removesuffix(";")


@lru_cache(maxsize=128)
def in_psycopg(text: str) -> bytes:
    """Give a statement as psycopg takes it."""
    return PARAMETER.sub(r"%(\1)s", text.replace("%", "%%")).encode()
