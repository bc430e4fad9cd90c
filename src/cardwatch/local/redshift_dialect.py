"""Redshift's SQL as PostgreSQL runs it.

The SQL in `warehouse/` is written for Redshift and is the source; what PostgreSQL gets is derived
from it here. `docs/warehouse.md` says which subset the SQL keeps to.
"""

import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Final

import sqlglot
from sqlglot import exp

from cardwatch.warehouse.sql import WarehouseSqlError, read_warehouse_sql

SQL_FOLDER: Final = Path(__file__).resolve().parents[3] / "warehouse"
"""Where the SQL is; its `access` is about users, and this server has one."""

# Redshift's functions that PostgreSQL lacks. Redshift takes JSON as text. PostgreSQL cannot hold
# a NUL character in text, so an escaped one becomes U+FFFD instead of failing a whole view.
REDSHIFT_FUNCTIONS: Final = r"""
CREATE OR REPLACE FUNCTION public.json_extract_path_text(document text, VARIADIC path text[])
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN pg_catalog.json_extract_path_text(
    replace(document, '\u0000', '\ufffd')::json, VARIADIC path);
CREATE OR REPLACE FUNCTION public.json_extract_array_element_text(document text, place bigint)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    replace(document, '\u0000', '\ufffd')::json ->> place::int;
CREATE OR REPLACE FUNCTION public.json_array_length(document text)
RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    pg_catalog.json_array_length(document::json);
"""


# What sort and distribution keys do on Redshift, indexes do here.
INDEXES: Final = (
    "staging.events (event_dw_regdate, event_type)",
    "staging.events (event_type, event_date_origin)",
    "typed.payment_event (card_token, payment_id, status)",
    "typed.payment_event (account_id, event_date_origin)",
    "typed.payment_event (merchant_id, event_date_origin)",
    "typed.payment_event (event_date_origin)",
    "typed.payment_event USING brin (batch)",
    "typed.card_status (card_token)",
    "typed.payment_attributed (event_date_origin)",
    "typed.payment_attributed (score, event_date_origin)",
    "typed.payment_attributed (card_token, payment_id)",
    "typed.payment_attributed (account_id, event_date_origin)",
    "typed.payment_attributed (merchant_id, event_date_origin)",
    "typed.payment_attributed USING brin (batch)",
    "facts.stolen_payments (payment_id, card_token)",
    "facts.page_alerts (event_id)",
    "facts.spend_minutes (minute)",
    "facts.country_minutes (minute)",
    "facts.score_minutes (minute)",
    "facts.event_minutes (event_type, minute)",
    "refresh.loads (loaded_at)",
    "refresh.loads (batch)",
)
_BY_EVENT_ID: Final = "(event_id)"
"""Every typed table has this one: what is known is found by it."""


def postgres_statements(sql_folder: Path = SQL_FOLDER) -> list[str]:
    """Derive the PostgreSQL statements that define the warehouse, in an order that runs.

    They are run at every start, so they make what is missing and leave the rest. Raises
    WarehouseSqlError for a migration that does anything but create or add columns.
    """
    sql = read_warehouse_sql(sql_folder)
    made: list[str] = []
    typed: list[str] = []
    for migration in sql.migrations:
        for text in migration.statements:
            statement = sqlglot.parse_one(text, read="redshift")
            if not isinstance(statement, exp.Create) and not _adds_columns(statement):
                msg = (
                    f"{sql_folder}/tables/{migration.name}.sql: only CREATE and ALTER TABLE … ADD "
                    "COLUMN belong here"
                )
                raise WarehouseSqlError(msg)
            table = statement.find(exp.Table)
            if table is not None and table.db == "typed" and statement.args.get("kind") == "TABLE":
                typed.append(f"{table.db}.{table.name} {_BY_EVENT_ID}")
            made.append(to_postgres(text))
    indexes = [
        f"CREATE INDEX IF NOT EXISTS {re.sub(r'[^a-z]+', '_', where).strip('_')} ON {where}"
        for where in (*INDEXES, *typed)
    ]
    return [*made, *indexes, *(to_postgres(view.statement) for view in sql.views)]


def _adds_columns(statement: exp.Expr) -> bool:
    return isinstance(statement, exp.Alter) and all(
        isinstance(action, exp.ColumnDef) for action in statement.args["actions"]
    )


@lru_cache(maxsize=256)
def to_postgres(text: str) -> str:
    """Give PostgreSQL's form of one Redshift statement; parameters like `:since` stay.

    Physical attributes go, SYSDATE becomes the transaction's start in UTC, and a VARCHAR(n), which
    counts bytes on Redshift and characters here, gets a check of its bytes.
    """
    if text.startswith("LOCK "):
        return text
    statement = sqlglot.parse_one(text, read="redshift")
    if isinstance(statement, exp.Alter):
        # Redshift runs a migration once; here everything is run at every start.
        for action in statement.args["actions"]:
            action.set("exists", True)  # noqa: FBT003  the library has no name for it
    physical = (exp.DistStyleProperty, exp.DistKeyProperty, exp.SortKeyProperty)
    for node in list(statement.find_all(*physical)):
        node.pop()
    for encode in list(statement.find_all(exp.EncodeColumnConstraint)):
        (encode.parent or encode).pop()
    for column in statement.find_all(exp.ColumnDef):
        length = column.kind.find(exp.DataTypeParam) if column.kind else None
        if length is not None and column.kind is not None and column.kind.is_type("varchar"):
            check = sqlglot.parse_one(
                f"CREATE TABLE t (c INT CHECK (OCTET_LENGTH({column.name}) <= {length.name}))",
                read="postgres",
            ).find(exp.ColumnConstraint)
            column.append("constraints", check)
    for select in statement.find_all(exp.Select):
        _read_documents_once(select)
    # SYSDATE and CURRENT_TIMESTAMP are both the start of the transaction; SYSDATE has no zone.
    derived = re.sub(
        r"\bCURRENT_TIMESTAMP\b(?!\()",
        "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')",
        statement.sql(dialect="postgres", comments=False),
    )
    return re.sub(r"%\((\w+)\)s", r":\1", derived)


def _read_documents_once(select: exp.Select) -> None:
    """Have a SELECT read each JSON text once for all fields that it takes out of it.

    Ten calls of JSON_EXTRACT_PATH_TEXT read a text ten times; Redshift does the same in less time.
    """
    calls: dict[str, list[tuple[exp.JSONExtractScalar, str]]] = defaultdict(list)
    for projection in select.expressions:
        for call in projection.find_all(exp.JSONExtractScalar):
            path = [key.name for key in call.expression.find_all(exp.JSONPathKey)]
            if call.find_ancestor(exp.Select) is select and len(path) == 1:
                calls[call.this.sql(dialect="postgres")].append((call, path[0]))
    for number, (document, found) in enumerate(calls.items()):
        name = f"document_{number}"
        columns = ", ".join(f'"{key}" TEXT' for key in dict.fromkeys(key for _, key in found))
        select.join(
            f"LATERAL json_to_record(replace({document}, '\\u0000', '\\ufffd')::json) "
            f"AS {name}({columns})",
            join_type="CROSS",
            dialect="postgres",
            copy=False,
        )
        for call, key in found:
            call.replace(exp.column(key, table=name, quoted=True))
