"""The example invocations say what the services send."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.infrastructure.conftest import ROOT

from cardwatch.contract.alert import PaymentAlert, alert_id
from cardwatch.contract.streams import EVENT_TYPES, RejectedRecord, read_event

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def invocation(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events/invocations" / f"{name}.json").read_text())
    return event


def verdicts(datas: list[str]) -> list[str]:
    """Give the type of each record, or "poison"."""
    found = []
    for data in datas:
        try:
            event = read_event(base64.b64decode(data, validate=True), now=NOW)
        except RejectedRecord:
            found.append("poison")
        else:
            found.append(event.type)
            if isinstance(event.event_json_data, PaymentAlert):
                alert = event.event_json_data
                assert alert.alert_id == event.event_id
                assert alert.alert_id == alert_id(alert.payment_id, alert.card_token)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kinesis-good", ["PAYMENT_ALERT"] * 3),
        ("kinesis-mixed", ["PAYMENT_ALERT", "poison", "PAYMENT_ALERT", "poison"]),
        ("kinesis-poison", ["poison"] * 4),
    ],
)
def test_a_kinesis_batch_holds_what_its_name_says(name: str, expected: list[str]) -> None:
    records = invocation(name)["Records"]
    assert verdicts([r["kinesis"]["data"] for r in records]) == expected
    numbers = [int(r["kinesis"]["sequenceNumber"]) for r in records]
    assert numbers == sorted(set(numbers))
    assert all(r["eventID"].endswith(f":{r['kinesis']['sequenceNumber']}") for r in records)


def test_the_firehose_batch_holds_every_type_and_poison() -> None:
    records = invocation("firehose")["records"]
    found = verdicts([r["data"] for r in records])
    assert set(found[:6]) == set(EVENT_TYPES)
    assert found[6:] == ["poison"] * 3
    assert len({r["recordId"] for r in records}) == len(records)


def test_the_scheduled_event_is_the_scheduler_s() -> None:
    event = invocation("scheduled")
    assert event["source"] == "aws.scheduler"
    assert datetime.fromisoformat(event["time"]) < NOW
