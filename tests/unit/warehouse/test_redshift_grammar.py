"""Every statement that goes to Redshift, by its grammar as far as a parser knows it, and its words.

Nothing here runs Redshift. What PostgreSQL takes and Redshift refuses is often a name: its list of
reserved words is longer.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import pytest
import sqlglot
from sqlglot import exp
from tests.fake_redshift_data import Answers, FakeRedshiftData
from tests.fakes import FakeClock

from cardwatch.audit.loaded_events import LoadedEvents
from cardwatch.audit.typed_events import TypedEvents
from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.aws.redshift_loads import RedshiftLoads
from cardwatch.recovery.ports import StoredObject
from cardwatch.warehouse.schema import Password, WarehouseSchema
from cardwatch.warehouse.sql import read_warehouse_sql, statements

ROOT = Path(__file__).parents[3]
NOON: Final = datetime(2026, 11, 21, 12)  # noqa: DTZ001 - as the warehouse has it
CARD: Final = "a" * 32
LOADED: Final = (
    (
        *("one", "CARD_STATUS"),
        json.dumps(
            {"card_token": CARD, "status": "STOLEN", "effective_from": "2026-11-20T12:00:00.000Z"}
        ),
    ),
    ("two", "PAYMENT_EVENT", json.dumps({"payment_id": "p", "card_token": "b" * 32})),
    (
        *("three", "PAYMENT_ALERT"),
        json.dumps({"alert_id": "a", "payment_id": "p", "card_token": CARD, "late": False}),
    ),
)
NOT_PARSED = ("GRANT ", "LOCK ", "CREATE ROLE ", "CREATE USER ", "ALTER USER ", "COPY ")
"""Statements that the parser hands on as they are."""
RESERVED = frozenset(
    # Amazon Redshift Database Developer Guide, "Reserved words".
    [
        "aes128",
        "aes256",
        "all",
        "allowoverwrite",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "authorization",
        "az64",
        "backup",
        "between",
        "binary",
        "blanksasnull",
        "both",
        "bytedict",
        "bzip2",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "credentials",
        "cross",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "current_user_id",
        "default",
        "deferrable",
        "deflate",
        "defrag",
        "delta",
        "delta32k",
        "desc",
        "disable",
        "distinct",
        "do",
        "else",
        "emptyasnull",
        "enable",
        "encode",
        "encrypt",
        "encryption",
        "end",
        "except",
        "explicit",
        "false",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "globaldict256",
        "globaldict64k",
        "grant",
        "group",
        "gzip",
        "having",
        "identity",
        "ignore",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "language",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "lun",
        "luns",
        "lzo",
        "lzop",
        "minus",
        "mostly16",
        "mostly32",
        "mostly8",
        "natural",
        "new",
        "not",
        "notnull",
        "null",
        "nulls",
        "off",
        "offline",
        "offset",
        "oid",
        "old",
        "on",
        "only",
        "open",
        "or",
        "order",
        "outer",
        "overlaps",
        "parallel",
        "partition",
        "percent",
        "permissions",
        "pivot",
        "placing",
        "primary",
        "raw",
        "readratio",
        "recover",
        "references",
        "rejectlog",
        "resort",
        "respect",
        "restore",
        "right",
        "select",
        "session_user",
        "similar",
        "snapshot",
        "some",
        "sysdate",
        "system",
        "table",
        "tag",
        "tdes",
        "text255",
        "text32k",
        "then",
        "timestamp",
        "to",
        "top",
        "trailing",
        "true",
        "truncatecolumns",
        "union",
        "unique",
        "unnest",
        "unpivot",
        "user",
        "using",
        "verbose",
        "wallet",
        "when",
        "where",
        "with",
        "without",
    ]
)


class _Bucket:
    """The delivery bucket, which takes a manifest."""

    bucket = "delivered"

    def put(self, key: str, body: bytes) -> str:
        del key, body
        return "etag"

    def get(self, key: str) -> bytes | None:
        raise NotImplementedError

    def list(self, prefix: str, after: str = "") -> list[StoredObject]:
        raise NotImplementedError

    def remove(self, key: str) -> None:
        raise NotImplementedError


def sent() -> Iterator[str]:
    """Give the statements that the code itself sends: the schema's and the load's."""
    engine = Answers({"SELECT MAX": [(None,)]})
    api = FakeRedshiftData(engine, looks=0)
    database = RedshiftDatabase("w", serverless=False, database="d", secret_arn="arn:aws:s")  # noqa: S106
    clock = FakeClock()
    session = RedshiftDataSession(cast("Any", api), database, clock, patience_seconds=60)
    sql = read_warehouse_sql(ROOT / "warehouse")
    WarehouseSchema(
        session, sql, Password("1", "p"), auditor=Password("1", "q"), pause=lambda _: None
    ).bring_up_to_date()
    loads = RedshiftLoads(session, _Bucket(), "arn:aws:iam::1:role/copy")
    loads.known_objects("events/2026")
    loads.load("events/2026/11/21/12/one.gz", "etag", b"")
    return iter([*engine.ran, *audited()])


class Warehouse:
    """A session with something of each type, for the audit."""

    ANSWERS: Final = (
        ("SELECT COUNT(*), MIN(as_of)", [(7, NOON)]),
        ("SELECT MAX(event_dw_regdate)", [(NOON,)]),
        ("SELECT as_of, newest_load", [(NOON, NOON)]),
        ("SELECT COALESCE(MIN(CASE", [(1,)]),
        ("SELECT event_id, event_type", [(*event, NOON, NOON, data) for *event, data in LOADED]),
    )

    def __init__(self) -> None:
        self.ran: list[str] = []

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        self.ran.append(statement)
        plain = " ".join(statement.split())
        return next((rows for begin, rows in self.ANSWERS if plain.startswith(begin)), [])

    def run(self, statements: Sequence[str]) -> None:
        self.ran += statements


def audited() -> Iterator[str]:
    """Give the statements that the audit sends."""
    session = Warehouse()
    LoadedEvents(session, look_back=timedelta(days=7)).read(NOON.replace(tzinfo=UTC))
    TypedEvents(session).read(NOON.replace(tzinfo=UTC))
    tables = ("typed.payment_event", "typed.payment_alert", "facts.page_alerts")
    assert all(any(table in each for each in session.ran) for table in tables)
    return iter(session.ran)


def written() -> Iterator[str]:
    """Give the statements of the files."""
    for path in sorted((ROOT / "warehouse").glob("**/*.sql")):
        yield from statements(path.read_text("utf-8"))


def all_statements() -> list[str]:
    return sorted({*written(), *sent()})


def test_what_the_code_sends_is_among_them() -> None:
    for begin in NOT_PARSED:
        if not begin.startswith("ALTER"):  # of a second password
            assert any(statement.startswith(begin) for statement in all_statements()), begin


def test_every_statement_is_one_by_redshift_s_grammar() -> None:
    for statement in all_statements():
        [parsed] = sqlglot.parse(statement, read="redshift")
        passed_on = isinstance(parsed, exp.Command)
        assert not passed_on or statement.startswith(NOT_PARSED), statement


def reserved_names(statement: str) -> set[str]:
    """Give the words that a statement uses as names without quotes and Redshift reserves."""
    [parsed] = sqlglot.parse(statement, read="redshift")
    assert parsed is not None
    names = {i.name.lower() for i in parsed.find_all(exp.Identifier) if not i.quoted}
    return names & RESERVED


def test_no_name_is_a_word_that_redshift_reserves() -> None:
    assert {s: found for s in all_statements() if (found := reserved_names(s))} == {}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT a AS tag FROM t", {"tag"}),
        ("CREATE TABLE t (oid INTEGER)", {"oid"}),
        ("SELECT open FROM t AS snapshot", {"open", "snapshot"}),
        ('SELECT a AS "tag" FROM t', set()),
    ],
)
def test_a_reserved_name_is_found(statement: str, found: set[str]) -> None:
    assert reserved_names(statement) == found
