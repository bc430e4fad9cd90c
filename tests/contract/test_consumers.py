"""Every example through the consumers in Python: the stager, and the notifier for alerts.

Flink's tables and the warehouse's views have data folders of their own.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cardwatch.contract.streams import read_event
from cardwatch.paging.alerts import PagedAlert
from cardwatch.staging.transform import transform

EXAMPLES = Path(__file__).parents[2] / "events" / "examples"
NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
VALID = sorted(EXAMPLES.glob("*/valid/*.json"))
INVALID = sorted(EXAMPLES.glob("*/invalid/*.json"))


def staged(raw: bytes) -> tuple[str, bytes]:
    record = {"recordId": "1", "data": base64.b64encode(raw).decode()}
    (answer,) = transform({"records": [record]}, now=NOW).response["records"]
    return answer["result"], base64.b64decode(answer["data"])


@pytest.mark.parametrize("path", VALID, ids=str)
def test_the_stager_stages_a_valid_example_with_its_data_unchanged(path: Path) -> None:
    result, line = staged(path.read_bytes())
    assert result == "Ok"
    row, event = json.loads(line), json.loads(path.read_bytes())
    assert json.loads(row["event_json_data"]) == event["event_json_data"]
    assert (row["event_id"], row["event_type"]) == (event["event_id"], event["type"])


@pytest.mark.parametrize("path", INVALID, ids=str)
def test_the_stager_quarantines_an_invalid_example(path: Path) -> None:
    assert staged(path.read_bytes())[0] == "ProcessingFailed"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("payment_alert.v1/valid/*.json")), ids=str)
def test_the_notifier_can_page_a_valid_alert(path: Path) -> None:
    event = read_event(path.read_bytes(), now=NOW)
    assert PagedAlert.of(event).alert_id == event.event_id
