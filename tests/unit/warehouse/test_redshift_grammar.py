"""Every statement that goes to Redshift, by its grammar as far as a parser knows it, and its words.

Nothing here runs Redshift. What PostgreSQL takes and Redshift refuses is often a name: its list of
reserved words is longer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import sqlglot
from sqlglot import exp
from tests.fake_redshift_data import Answers, FakeRedshiftData
from tests.fakes import FakeClock

from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.aws.redshift_loads import RedshiftLoads
from cardwatch.recovery.ports import StoredObject
from cardwatch.warehouse.schema import Password, WarehouseSchema
from cardwatch.warehouse.sql import read_warehouse_sql, statements

ROOT = Path(__file__).parents[3]
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
    WarehouseSchema(session, sql, Password("1", "p"), pause=lambda _: None).bring_up_to_date()
    loads = RedshiftLoads(session, _Bucket(), "arn:aws:iam::1:role/copy")
    loads.known_objects("events/2026")
    loads.load("events/2026/11/21/12/one.gz", "etag", b"")
    return iter(engine.ran)


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
