"""The stager's handler on the invocation that Firehose would send, on AWS by moto."""

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest
from moto import mock_aws
from tests.deployed import cold_start, create_key_table
from tests.handlers.emf import metric_names
from tests.stream_records import records_on

from cardwatch.aws.clients import AwsClients
from cardwatch.clock import SystemClock
from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.observability import StagerMetric

ROOT = Path(__file__).parents[2]
INVOCATION: dict[str, Any] = json.loads((ROOT / "events/invocations/firehose.json").read_bytes())
EXAMPLES = ROOT / "events/examples"
CONTEXT = SimpleNamespace(
    function_name="stager",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:stager",
    aws_request_id="request",
)


@pytest.fixture
def stager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """Give what imports the function as a cold start does; its table and stream are there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "CARD_REGISTRY_TABLE": "registry",
        "STREAM_NAME": "events",
    }.items():
        monkeypatch.setenv(name, value)

    with mock_aws():
        create_key_table(AwsClients(), "registry")
        AwsClients().kinesis().create_stream(StreamName="events", ShardCount=1)
        yield lambda: cold_start("stager")


def on_stream() -> list[dict[str, Any]]:
    return [json.loads(record["Data"]) for record in records_on(AwsClients().kinesis(), "events")]


def batch(*records: bytes) -> dict[str, Any]:
    return {
        "records": [
            {"recordId": str(n), "data": base64.b64encode(raw).decode()}
            for n, raw in enumerate(records)
        ]
    }


def metrics_of(output: str) -> dict[str, Any]:
    """Give the metrics that a function printed, those with a reason under name and reason."""
    found: dict[str, Any] = {}
    for line in output.splitlines():
        if "_aws" in line:
            entry = json.loads(line)
            reason = entry.pop("reason", None)
            found |= {f"{k} {reason}" if reason else k: v for k, v in entry.items()}
    return found


def test_the_handler_answers_every_record_by_the_contract(
    stager: Callable[[], ModuleType],
) -> None:
    answers = stager().handler(INVOCATION, CONTEXT)["records"]
    assert [a["recordId"] for a in answers] == [r["recordId"] for r in INVOCATION["records"]]
    expected = []
    for record in INVOCATION["records"]:
        try:
            read_event(base64.b64decode(record["data"]), now=SystemClock().now())
        except RejectedRecord:
            expected.append("ProcessingFailed")
        else:
            expected.append("Ok")
    assert [answer["result"] for answer in answers] == expected
    assert {"Ok", "ProcessingFailed"} == set(expected)


def test_the_handler_logs_and_counts_numbers_and_no_data(
    stager: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    module = stager()
    log = io.StringIO()
    listener = logging.StreamHandler(log)
    listener.setFormatter(module.logger.registered_formatter)
    module.logger.addHandler(listener)
    try:
        module.handler(INVOCATION, CONTEXT)
    finally:
        module.logger._logger.removeHandler(listener)  # noqa: SLF001 - Powertools offers no other way
    output = capsys.readouterr().out
    assert metric_names(output) == set(get_args(StagerMetric))
    metrics = metrics_of(output)
    count = len(INVOCATION["records"])
    assert metrics["EventsStaged"][0] + metrics["EventsQuarantined"][0] == count
    entry = json.loads(log.getvalue().splitlines()[0])
    assert entry["staged"] == metrics["EventsStaged"][0]
    assert entry["quarantined"] == {
        name.split()[1]: value[0]
        for name, value in metrics.items()
        if name.startswith("EventsQuarantined ")
    }
    assert sum(entry["quarantined"].values()) == metrics["EventsQuarantined"][0]
    said = output + log.getvalue()
    for record in INVOCATION["records"]:
        raw = base64.b64decode(record["data"])
        assert record["data"] not in said
        if len(raw) > 10:
            assert raw.decode(errors="replace") not in said
    assert "event_json_data" not in said


def test_a_quarantined_payment_on_a_card_that_an_earlier_batch_reported_stolen_is_counted(
    stager: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads((EXAMPLES / "card_status.v1/valid/stolen.json").read_bytes())
    stager().handler(batch(json.dumps(report).encode()), CONTEXT)
    assert metrics_of(capsys.readouterr().out)["StolenPaymentsQuarantined"] == [0.0]
    bad = json.loads((EXAMPLES / "payment_event.v1/valid/authorized.json").read_bytes())
    bad["event_json_data"]["card_token"] = report["event_json_data"]["card_token"]
    bad["event_json_data"]["amount"] = 12.5
    stager().handler(batch(json.dumps(bad).encode(), b"{"), CONTEXT)
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["EventsQuarantined"] == [2.0]
    assert metrics["StolenPaymentsQuarantined"] == [1.0]
    assert metrics["QuarantineUnjudged"] == [0.0]
    assert metrics["QuarantineNotTold"] == [0.0]
    (told,) = on_stream()
    assert told["type"] == "QUARANTINED_EVENT"
    assert told["event_json_data"]["payment_id"] == bad["event_json_data"]["payment_id"]


def test_the_answer_is_the_same_when_the_stream_is_gone_and_what_was_not_told_is_counted(
    stager: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    status = json.loads((EXAMPLES / "card_status.v1/valid/stolen.json").read_bytes())
    del status["event_json_data"]["reason"]
    records = batch(json.dumps(status).encode(), b"{")
    good = stager().handler(records, CONTEXT)
    (told,) = on_stream()
    assert told["event_json_data"]["kind"] == "CARD_STATUS"
    capsys.readouterr()
    AwsClients().kinesis().delete_stream(StreamName="events")
    assert stager().handler(records, CONTEXT) == good
    assert metrics_of(capsys.readouterr().out)["QuarantineNotTold"] == [1.0]


def test_the_answer_is_the_same_when_the_registry_cannot_be_reached(
    stager: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    good = stager().handler(INVOCATION, CONTEXT)
    capsys.readouterr()
    AwsClients().dynamodb().delete_table(TableName="registry")
    assert stager().handler(INVOCATION, CONTEXT) == good
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["StatusesNotLearned"] == [1.0]
    assert metrics["StolenPaymentsQuarantined"] == [0.0]
