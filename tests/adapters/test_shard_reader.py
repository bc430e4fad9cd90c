"""The event source's shard reader against the emulator's Kinesis."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.clock import SystemClock
from cardwatch.local.eventsource.ends import KinesisShardReader, PositionFile, parameters_from
from cardwatch.local.eventsource.poller import Answer, ShardPoller, StreamUnavailableError
from cardwatch.local.eventsource.program import EventSource

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

    def reader(
        self, *, after: str | None = None, since: datetime | None = None
    ) -> KinesisShardReader:
        return KinesisShardReader(
            self.client, self.arn, "shardId-000000000000", after=after, since=since
        )


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
    reader = stream.reader()
    first = reader.read(3)
    assert [r.data for r in first.records] == [b"0", b"1", b"2"]
    stream.put(1)
    assert [r.data for r in reader.read(10).records] == [b"3", b"4", b"5"]
    assert not reader.read(10).records
    resumed = stream.reader(after=first.records[-1].sequence_number)
    assert [r.data for r in resumed.read(10).records] == [b"3", b"4", b"5"]


def test_a_lost_iterator_skips_and_repeats_nothing(stream: Stream) -> None:
    stream.put(4)
    reader = stream.reader()
    reader.read(2)
    reader._iterator = "long expired"  # noqa: SLF001  no client can age an iterator
    with pytest.raises(StreamUnavailableError):
        reader.read(10)
    assert [r.data for r in reader.read(10).records] == [b"2", b"3"]


def test_latest_means_from_the_first_start_on_also_after_a_restart(stream: Stream) -> None:
    stream.put(2)
    time.sleep(0.05)
    since = datetime.now(UTC)
    time.sleep(0.05)
    stream.put(2)
    for _ in range(2):
        assert [r.data for r in stream.reader(since=since).read(10).records] == [b"2", b"3"]


def test_a_closed_shard_ends_after_its_last_record(stream: Stream) -> None:
    stream.put(2)
    reader = stream.reader()
    reader.ending = True
    assert not reader.read(10).closed
    assert reader.read(10).closed


@dataclass
class Function:
    calls: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, event: bytes) -> Answer:
        self.calls.append(json.loads(event))
        return Answer(b"")


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
        created = datetime(2026, 11, 21, tzinfo=UTC)
        positions = PositionFile(
            tmp_path / "positions.json", stream_created=created, now=created + timedelta(days=1)
        )

        def make_poller(shard_id: str, reader: KinesisShardReader) -> ShardPoller:
            return ShardPoller(
                parameters,
                shard_id,
                reader=reader,
                function=function,
                destination=None,
                positions=positions,
                clock=SystemClock(),
            )

        source = EventSource(stream.client, parameters, positions, make_poller)
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
