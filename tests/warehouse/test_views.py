"""Every table and view answers its question: tests/warehouse/<name>/<case>/{events,expected}.jsonl.

A view of `banking` has its schema in its folder's name.

A line of events.jsonl is one row of staging.events: the envelope as it was on the stream, and when
it was loaded. Its data goes through the contract and the stager's transform, so a case cannot hold
what could never get there. Lines with a higher `round` are loaded after a refresh over the ones
before. expected.jsonl holds the rows, in any order.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.unit.canary.support import canary_alert

from cardwatch.audit.completeness import audit
from cardwatch.audit.typed_events import TypedEvents
from cardwatch.contract.canary import canary_payment, canary_report
from cardwatch.contract.streams import read_event
from cardwatch.local.redshift_dialect import SQL_FOLDER, to_postgres
from cardwatch.local.warehouse import Warehouse
from cardwatch.staging.transform import copy_line

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/events.jsonl"))
MARTS = sorted(SQL_FOLDER.glob("marts/*.sql"))
BANKING = sorted(SQL_FOLDER.glob("banking/*.sql"))
TYPED = sorted(SQL_FOLDER.glob("refresh/typed/*.sql"))
OF_THE_MOMENT = {"freshness", "data_quality"}
"""What they answer depends on the clock: test_refresh.py and test_upkeep.py ask them."""
ANSWERS = {
    **{
        p.stem: f"{p.parent.name}.{p.stem}" for p in (*MARTS, *TYPED) if p.stem not in OF_THE_MOMENT
    },
    **{f"banking.{p.stem}": f"banking.{p.stem}" for p in BANKING},
}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stage(connection: psycopg.Connection, line: dict[str, Any], *, now: datetime = NOW) -> None:
    columns = json.loads(copy_line(read_event(json.dumps(line["event"]).encode(), now=now)))
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


def refresh(connection: psycopg.Connection, warehouse: Warehouse) -> None:
    """Refresh, looking at all loads: those of a case are days old."""
    connection.execute("UPDATE refresh.progress SET as_of = '1970-01-01' WHERE step LIKE '%sweep'")
    warehouse.refresh().run()


def answer(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    rows = warehouse.rows(ANSWERS[name])
    for row in rows:
        # The lag is that of the moment, a batch the refresh's own business.
        assert row.pop("lag_seconds", 0) in range(60)
        row.pop("batch", None)
    return in_order([{column: plain(value) for column, value in row.items()} for row in rows])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_a_view_gives_the_rows_that_its_case_expects(
    case: Path, connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    lines = read_lines(case / "events.jsonl")
    for number in sorted({line.get("round", 1) for line in lines}):
        for line in lines:
            if line.get("round", 1) == number:
                stage(connection, line)
        refresh(connection, warehouse)
    expected = in_order(read_lines(case / "expected.jsonl"))
    assert answer(warehouse, case.parent.name) == expected
    refresh(connection, warehouse)
    assert answer(warehouse, case.parent.name) == expected, "a second refresh changes nothing"
    connection.execute("UPDATE refresh.progress SET batch = 0 WHERE step NOT LIKE 'refresh.%'")
    warehouse.refresh().run()
    assert answer(warehouse, case.parent.name) == expected, "nor do steps that begin anew"


def test_no_table_or_view_but_its_own_and_no_audit_knows_of_a_canary(
    connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    for event in (canary_report(NOW), canary_payment(NOW, NOW), canary_alert(NOW)):
        line = {"event": json.loads(event.to_bytes()), "loaded": NOW.replace(tzinfo=None)}
        stage(connection, line)
    refresh(connection, warehouse)
    assert [name for name in ANSWERS if answer(warehouse, name)] == ["canaries"]
    found = audit(TypedEvents(warehouse, translate=to_postgres).read(None), kept=timedelta(days=90))
    assert (found.owed, found.waiting, found.findings) == (0, 0, ())


def test_every_table_and_view_has_a_case_and_every_case_one() -> None:
    assert {case.parent.name for case in CASES} == set(ANSWERS)


@pytest.mark.parametrize("path", sorted(SQL_FOLDER.glob("[bmr]*/**/*.sql")), ids=lambda p: p.stem)
def test_a_file_states_its_question(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("CREATE")[0]
    assert "-- Question: " in head
