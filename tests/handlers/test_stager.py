"""The stager's handler on the invocation that Firehose would send."""

import base64
import io
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from functions.stager.handler import handler, logger

from cardwatch.clock import SystemClock
from cardwatch.contract.streams import RejectedRecord, read_event

INVOCATION = Path(__file__).parents[2] / "events" / "invocations" / "firehose.json"
CONTEXT = SimpleNamespace(
    function_name="stager",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:stager",
    aws_request_id="request",
)


def test_the_handler_answers_every_record_by_the_contract() -> None:
    event = json.loads(INVOCATION.read_bytes())
    answers = handler(event, CONTEXT)["records"]
    assert [a["recordId"] for a in answers] == [r["recordId"] for r in event["records"]]
    expected = []
    for record in event["records"]:
        try:
            read_event(base64.b64decode(record["data"]), now=SystemClock().now())
        except RejectedRecord:
            expected.append("ProcessingFailed")
        else:
            expected.append("Ok")
    assert [answer["result"] for answer in answers] == expected
    assert {"Ok", "ProcessingFailed"} == set(expected)


def test_the_handler_logs_and_counts_numbers_and_no_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = json.loads(INVOCATION.read_bytes())
    log = io.StringIO()
    listener = logging.StreamHandler(log)
    listener.setFormatter(logger.registered_formatter)
    logger.addHandler(listener)
    try:
        handler(event, CONTEXT)
    finally:
        logger._logger.removeHandler(listener)  # noqa: SLF001 - Powertools offers no other way
    output = capsys.readouterr().out
    metrics = json.loads(next(line for line in output.splitlines() if "_aws" in line))
    assert metrics["EventsStaged"][0] + metrics["EventsQuarantined"][0] == len(event["records"])
    entry = json.loads(log.getvalue())
    assert entry["staged"] == metrics["EventsStaged"][0]
    assert sum(entry["quarantined"].values()) == metrics["EventsQuarantined"][0]
    said = output + log.getvalue()
    for record in event["records"]:
        raw = base64.b64decode(record["data"])
        assert record["data"] not in said
        if len(raw) > 10:
            assert raw.decode(errors="replace") not in said
    assert "event_json_data" not in said
