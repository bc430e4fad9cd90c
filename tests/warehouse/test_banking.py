"""What a bank's people ask, in their own words."""

import json
from pathlib import Path

import psycopg
from tests.warehouse.test_views import refresh, stage

from cardwatch.local.warehouse import Warehouse

EVENTS = Path(__file__).parents[2] / "events"
EXAMPLES = sorted(EVENTS.glob("examples/payment_attributed.v1/valid/*.json"))

AS_PRINTED = (
    "SELECT transaction_id, account_id, account_name, amount, risk_score FROM"
    " banking.attributed_transactions ORDER BY datetime_occured desc limit 5;"
)


def test_the_newest_five_attributed_transactions_are_asked_for_as_ever(
    connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    example = json.loads(EXAMPLES[0].read_bytes())
    for second in range(7):
        event = {
            **example,
            "event_id": f"event-{second}",
            "event_date_origin": f"2026-11-21T07:00:0{second}.000Z",
            "event_json_data": {**example["event_json_data"], "payment_id": f"pay_{second}"},
        }
        stage(connection, {"loaded": "2026-11-21T07:00:20.000Z", "event": event})
    refresh(connection, warehouse)
    rows = connection.execute(AS_PRINTED).fetchall()
    assert [row[0] for row in rows] == ["pay_6", "pay_5", "pay_4", "pay_3", "pay_2"]
    said = example["event_json_data"]
    assert {row[4] for row in rows} == {said["score"]}
    assert {row[2] for row in rows} == {said["account_name"]}
