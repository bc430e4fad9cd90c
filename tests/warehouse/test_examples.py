"""Every example of the contract through the stager into the warehouse, and into its typed table."""

import base64
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.examples import INVALID, NOW, VALID, label

from cardwatch.contract.streams import EVENT_TYPES, Envelope, read_event
from cardwatch.local.warehouse import Warehouse
from cardwatch.staging.transform import transform


def load(warehouse: Warehouse, *examples: bytes) -> None:
    """Load what the stager makes of one batch."""
    records = [
        {"recordId": str(number), "data": base64.b64encode(raw).decode()}
        for number, raw in enumerate(examples)
    ]
    answers = transform({"records": records}, now=NOW).response["records"]
    staged = [base64.b64decode(a["data"]) for a in answers if a["result"] == "Ok"]
    assert warehouse.load("events/1.gz", "etag", gzip.compress(b"".join(staged))).result == "loaded"


def in_tables(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """Give the rows of every typed table that has any, by event type."""
    warehouse.refresh().run()
    tables = {name: warehouse.rows(f"typed.{name.lower()}") for name in EVENT_TYPES}
    return {name: rows for name, rows in tables.items() if rows}


def expected(event: Envelope) -> dict[str, object]:
    """Give an event as its table's row: typed, times in UTC without a zone, the rest as in JSON."""
    row = {"event_id": event.event_id, "event_date_origin": event.event_date_origin}
    row |= dict(event.event_json_data)
    for name, value in row.items():
        if isinstance(value, datetime):
            row[name] = value.astimezone(UTC).replace(tzinfo=None)
        elif isinstance(value, tuple | BaseModel):
            row[name] = json.loads(event.data_text())[name]
    return row


def without_load_time(row: dict[str, Any], event: Envelope) -> dict[str, object]:
    """Give a table's row with its lists, which are JSON text there, as in JSON."""
    lists = {name for name, value in event.event_json_data if isinstance(value, tuple | BaseModel)}
    return {
        name: json.loads(value) if name in lists else value
        for name, value in row.items()
        if name not in {"event_dw_regdate", "batch"}
    }


@pytest.mark.parametrize("path", VALID, ids=label)
def test_a_valid_example_is_in_its_typed_table_with_its_values(
    path: Path, warehouse: Warehouse
) -> None:
    load(warehouse, path.read_bytes())
    event = read_event(path.read_bytes(), now=NOW)
    found = in_tables(warehouse)
    assert found.keys() == {event.type}
    (row,) = found[event.type]
    assert without_load_time(row, event) == expected(event)


@pytest.mark.parametrize("path", INVALID, ids=label)
def test_an_invalid_example_is_in_no_table_and_its_neighbour_is(
    path: Path, warehouse: Warehouse
) -> None:
    neighbour = next(p for p in VALID if p.parts[-3] == "heartbeat.v1").read_bytes()
    neighbour = neighbour.replace(b'"event_id": "', b'"event_id": "beside-')
    load(warehouse, path.read_bytes(), neighbour)
    rows = [row["event_id"] for rows in in_tables(warehouse).values() for row in rows]
    assert rows == [json.loads(neighbour)["event_id"]]
