"""Every example through the consumers in Python: the stager, and the notifier for alerts.

Through Flink's tables and the warehouse's views: test_examples.py in tests/flink, tests/warehouse.
"""

import base64
import json
from pathlib import Path

import pytest
from tests.examples import INVALID, NOW, VALID, label

from cardwatch.contract.streams import read_event
from cardwatch.paging.alerts import PagedAlert
from cardwatch.staging.transform import transform

ALERTS = [path for path in VALID if path.parts[-3] == "payment_alert.v1"]


def staged(raw: bytes) -> tuple[str, bytes]:
    record = {"recordId": "1", "data": base64.b64encode(raw).decode()}
    (answer,) = transform({"records": [record]}, now=NOW).response["records"]
    return answer["result"], base64.b64decode(answer["data"])


@pytest.mark.parametrize("path", VALID, ids=label)
def test_the_stager_stages_a_valid_example_with_its_data_unchanged(path: Path) -> None:
    result, line = staged(path.read_bytes())
    assert result == "Ok"
    row, event = json.loads(line), json.loads(path.read_bytes())
    assert json.loads(row["event_json_data"]) == event["event_json_data"]
    assert (row["event_id"], row["event_type"]) == (event["event_id"], event["type"])


@pytest.mark.parametrize("path", INVALID, ids=label)
def test_the_stager_quarantines_an_invalid_example(path: Path) -> None:
    assert staged(path.read_bytes())[0] == "ProcessingFailed"


@pytest.mark.parametrize("path", ALERTS, ids=label)
def test_the_notifier_can_page_a_valid_alert(path: Path) -> None:
    event = read_event(path.read_bytes(), now=NOW)
    assert PagedAlert.of(event).alert_id == event.event_id
