"""Every view answers its question: tests/warehouse/<view>/<case>/{events,expected}.jsonl.

A line of events.jsonl is one row of staging.events: the envelope as it was on the stream, and when
it was loaded. Its data goes through the contract and the stager's transform, so a case cannot hold
what could never get there. expected.jsonl holds the view's rows, in any order.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cardwatch.contract.streams import read_event
from cardwatch.local.warehouse import SQL_FOLDER, Warehouse
from cardwatch.staging.transform import copy_line

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/events.jsonl"))
VIEWS = {path.stem: path.parent.name for path in SQL_FOLDER.glob("[sm]*/*.sql")}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stage(connection: psycopg.Connection, line: dict[str, Any]) -> None:
    columns = json.loads(copy_line(read_event(json.dumps(line["event"]).encode(), now=NOW)))
    connection.execute(
        "INSERT INTO staging.events VALUES (%(event_id)s, %(event_type)s, %(event_date_origin)s,"
        " %(loaded)s, %(event_json_data)s)",
        {**columns, "loaded": line["loaded"]},
    )


def plain(value: object) -> object:
    if isinstance(value, datetime):
        assert value.tzinfo is None
        return value.isoformat(sep=" ", timespec="milliseconds")
    return str(value) if isinstance(value, Decimal) else value


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_a_view_gives_the_rows_that_its_case_expects(
    case: Path, connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    for line in read_lines(case / "events.jsonl"):
        stage(connection, line)
    view = case.parent.name
    rows = [
        {column: plain(value) for column, value in row.items()}
        for row in warehouse.rows(f"{VIEWS[view]}.{view}")
    ]
    assert in_order(rows) == in_order(read_lines(case / "expected.jsonl"))


def test_every_view_has_a_case_and_every_case_a_view() -> None:
    assert {case.parent.name for case in CASES} == set(VIEWS)


@pytest.mark.parametrize("path", sorted(SQL_FOLDER.glob("[sm]*/*.sql")), ids=lambda p: p.stem)
def test_a_view_states_its_question(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("CREATE")[0]
    assert "-- Question: " in head
