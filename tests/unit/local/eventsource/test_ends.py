"""The event source's parameters, its positions on disk and its shards."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cardwatch.local.eventsource.ends import ShardPositions, SourcePositions, parameters_from
from cardwatch.local.eventsource.poller import UnsupportedMappingError
from cardwatch.local.stream.positions import PositionFile

CREATED = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
MAPPING: dict[str, Any] = {
    "UUID": "u-1",
    "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:notifier",
    "StartingPosition": "TRIM_HORIZON",
}


def positions_in(path: Path, *, stream: str = "events@1", hours: int = 0) -> ShardPositions:
    file = PositionFile(path, SourcePositions)
    return ShardPositions(file, stream=stream, now=CREATED + timedelta(hours=hours))


def test_positions_survive_a_restart(tmp_path: Path) -> None:
    first = positions_in(tmp_path / "p.json")
    first.save("shard-0", "100", at_once=True)
    again = positions_in(tmp_path / "p.json", hours=1)
    assert again.get("shard-0") == "100"
    assert again.get("shard-1") is None
    assert again.started == CREATED


def test_a_position_that_only_passed_records_over_is_written_with_the_next_flush(
    tmp_path: Path,
) -> None:
    first = positions_in(tmp_path / "p.json")
    first.save("shard-0", "100", at_once=False)
    assert positions_in(tmp_path / "p.json").get("shard-0") is None
    first.flush()
    assert positions_in(tmp_path / "p.json").get("shard-0") == "100"


def test_positions_of_a_stream_that_was_made_anew_are_forgotten(tmp_path: Path) -> None:
    first = positions_in(tmp_path / "p.json")
    first.save("shard-0", "100", at_once=True)
    anew = positions_in(tmp_path / "p.json", stream="events@2", hours=2)
    assert anew.get("shard-0") is None
    assert anew.started == CREATED + timedelta(hours=2)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stream_created": 1}', "null"])
def test_a_damaged_position_file_is_started_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    positions_in(path).save("shard-0", "7", at_once=True)
    assert json.loads(path.read_text())["shards"] == {"shard-0": "7"}


def test_a_mapping_without_limits_has_lambda_s_defaults() -> None:
    parameters = parameters_from(MAPPING, role_arn="r", region="us-east-1")
    assert parameters.batch_size == 100
    assert parameters.batching_window_seconds == 0
    assert parameters.maximum_retry_attempts is None
    assert parameters.maximum_record_age_seconds is None
    assert parameters.failure_bucket is None
    assert not parameters.bisect_batch_on_function_error
    assert not parameters.report_batch_item_failures
    assert not parameters.from_latest


def test_numbers_that_cloudformation_left_as_text_are_read() -> None:
    mapping = {**MAPPING, "MaximumRecordAgeInSeconds": "86400", "MaximumRetryAttempts": "3"}
    parameters = parameters_from(mapping, role_arn="r", region="us-east-1")
    assert parameters.maximum_record_age_seconds == 86_400
    assert parameters.maximum_retry_attempts == 3


@pytest.mark.parametrize(
    "change",
    [
        {"ParallelizationFactor": 2},
        {"TumblingWindowInSeconds": 30},
        {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": CREATED},
        {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:0:q"}}},
        {"FilterCriteria": {"Filters": [{"Pattern": '{"data": {"type": [{"prefix": "P"}]}}'}]}},
    ],
)
def test_a_mapping_that_the_stand_in_cannot_follow_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedMappingError):
        parameters_from({**MAPPING, **change}, role_arn="r", region="us-east-1")
