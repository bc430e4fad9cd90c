"""Quarantine: the wrapper is Firehose's, and the reason can be derived from it again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.recovery.error_output import FailedRecord, read_failed_records

EXAMPLES = Path(__file__).parents[3] / "events" / "examples"
ARRIVED = datetime(2026, 11, 21, 7, 0, 10, 250_000, tzinfo=UTC)


def failed(raw: bytes, code: str = "Lambda.ProcessingFailedStatus") -> FailedRecord:
    return FailedRecord(
        raw=raw,
        arrived_at=ARRIVED,
        attempts=1,
        attempts_ended_at=ARRIVED + timedelta(seconds=90),
        error_code=code,
        error_message="ProcessingFailed status set for record",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:stager",
    )


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_what_is_written_is_read_back(records: list[bytes]) -> None:
    written = [failed(raw) for raw in records]
    body = b"".join(record.to_line() for record in written)
    assert list(read_failed_records(body)) == written


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/invalid/*.json")), ids=lambda p: p.stem)
def test_the_reason_is_derived_again_from_the_raw_record(path: Path) -> None:
    body = failed(path.read_bytes()).to_line()
    assert [record.reason() for record in read_failed_records(body)] == [path.name.split(".")[0]]


def test_a_record_from_the_future_keeps_its_reason_when_its_time_has_come() -> None:
    raw = next((EXAMPLES / "heartbeat.v1/valid").glob("*.json")).read_bytes()
    early = replace(failed(raw), arrived_at=ARRIVED - timedelta(days=1))
    assert early.reason() == "future_time"


def test_a_valid_record_that_the_function_failed_on_is_counted_by_firehoses_error_code() -> None:
    raw = (EXAMPLES / "payment_event.v1/valid/authorized.json").read_bytes()
    assert failed(raw, "Lambda.FunctionError").reason() == "Lambda.FunctionError"
