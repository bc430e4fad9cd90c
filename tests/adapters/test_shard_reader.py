"""The event source's shard reader against the emulator's Kinesis."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.clock import SystemClock
from cardwatch.local.eventsource.ends import ShardPositions, SourcePositions, parameters_from
from cardwatch.local.eventsource.poller import FunctionAnswer, ShardPoller
from cardwatch.local.eventsource.program import EventSource
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import ShardCursor
from cardwatch.local.stream.shard import Stream as Shards

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

pytestmark = pytest.mark.stack


@dataclass
class Stream:
    client: "KinesisClient"
    arn: str
    put_count: int = 0

    def put(self, count: int, *, hash_key: int = 0) -> None:
        for _ in range(count):
            self.client.put_record(
                StreamARN=self.arn,
                Data=str(self.put_count).encode(),
                PartitionKey="key",
                ExplicitHashKey=str(hash_key),
            )
            self.put_count += 1

    def cursor(self, *, after: str | None = None, since: datetime | None = None) -> ShardCursor:
        return ShardCursor(self.shards, "shardId-000000000000", after=after, since=since)

    @property
    def shards(self) -> Shards:
        return Shards(self.client, self.arn.rsplit("/", 1)[-1])


@pytest.fixture
def stream(emulator: AwsClients) -> Iterator[Stream]:
    client = emulator.kinesis()
    name = f"events-{uuid.uuid4().hex[:8]}"
    client.create_stream(StreamName=name, ShardCount=2)
    client.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    yield Stream(client, arn)
    client.delete_stream(StreamName=name)


def test_reads_go_on_where_the_last_one_ended(stream: Stream) -> None:
    stream.put(5)
    reader = stream.cursor()
    first = reader.read(3)
    assert [r.data for r in first.records] == [b"0", b"1", b"2"]
    stream.put(1)
    assert [r.data for r in reader.read(10).records] == [b"3", b"4", b"5"]
    assert not reader.read(10).records
    resumed = stream.cursor(after=first.records[-1].sequence_number)
    assert [r.data for r in resumed.read(10).records] == [b"3", b"4", b"5"]


def test_latest_means_from_the_first_start_on_also_after_a_restart(stream: Stream) -> None:
    stream.put(2)
    time.sleep(0.05)
    since = datetime.now(UTC)
    time.sleep(0.05)
    stream.put(2)
    for _ in range(2):
        assert [r.data for r in stream.cursor(since=since).read(10).records] == [b"2", b"3"]


@dataclass
class Function:
    calls: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, event: bytes) -> FunctionAnswer:
        self.calls.append(json.loads(event))
        return FunctionAnswer(b"")


def test_a_restarted_source_serves_all_shards_and_delivers_nothing_twice(
    stream: Stream, tmp_path: Path
) -> None:
    mapping = {
        "UUID": "u",
        "EventSourceArn": stream.arn,
        "FunctionArn": "f",
        "StartingPosition": "TRIM_HORIZON",
    }
    parameters = parameters_from(mapping, role_arn="r", region="us-east-1")
    function = Function()

    def serve_until(records: int) -> None:
        file = PositionFile(tmp_path / "positions.json", SourcePositions)
        positions = ShardPositions(file, stream=stream.shards.identity(), now=datetime.now(UTC))

        def make_poller(shard_id: str, reader: ShardCursor) -> ShardPoller:
            return ShardPoller(
                parameters,
                shard_id,
                reader=reader,
                function=function,
                destination=None,
                positions=positions,
                clock=SystemClock(),
            )

        source = EventSource(stream.shards, positions, make_poller)
        source.discover()
        assert len(source.pollers) == 2
        deadline = time.monotonic() + 20
        while sum(len(c["Records"]) for c in function.calls) < records:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        source.stop()
        assert source.crash is None

    stream.put(3)
    stream.put(3, hash_key=2**128 - 1)
    serve_until(6)
    stream.put(2)
    serve_until(8)

    event_ids = [record["eventID"] for call in function.calls for record in call["Records"]]
    assert len(event_ids) == len(set(event_ids)) == 8


def test_a_split_is_followed_and_what_was_not_read_before_it_is_still_there(
    stream: Stream,
) -> None:
    def read() -> list[bytes]:
        found: list[bytes] = []
        for shard in stream.shards.shards():
            found += [r.data for r in stream.shards.read(shard.shard_id, None).records]
        return found

    stream.put(3)
    stream.client.split_shard(
        StreamARN=stream.arn, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**125)
    )
    stream.put(2)
    stream.put(1, hash_key=2**126)
    parents = {shard.shard_id: shard.parents for shard in stream.shards.shards()}
    assert parents["shardId-000000000002"] == {"shardId-000000000000"}
    assert read() == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert stream.shards.read("shardId-000000000000", None).closed
