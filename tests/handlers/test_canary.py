"""The sender of canaries as Lambda calls it, on AWS by moto."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from moto import mock_aws
from tests.deployed import cold_start
from tests.handlers.emf import metric_names
from tests.stream_records import records_on

from cardwatch.aws.clients import AwsClients
from cardwatch.observability import CanaryMetric

ROOT = Path(__file__).parents[2]
CONTEXT = SimpleNamespace(
    function_name="canary",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:canary",
    aws_request_id="request",
)


@mock_aws
def test_the_schedules_event_puts_the_report_and_the_minutes_payment_on_the_stream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "canary",
        "STREAM_NAME": "events",
    }.items():
        monkeypatch.setenv(name, value)
    kinesis = AwsClients().kinesis()
    kinesis.create_stream(StreamName="events", ShardCount=1)
    module = cold_start("canary")
    event = json.loads((ROOT / "events/invocations/scheduled.json").read_bytes())
    assert module.handler(event, CONTEXT) == {"sent": True}
    events = [json.loads(record["Data"]) for record in records_on(kinesis, "events")]
    assert [each["type"] for each in events] == ["CARD_STATUS", "PAYMENT_EVENT"]
    assert metric_names(capsys.readouterr().out) == set(get_args(CanaryMetric))
