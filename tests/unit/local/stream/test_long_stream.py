"""Every reader of the one-machine stack on the emulator's own Kinesis code, hours and days long.

`as it is` is the emulator without what cardwatch replaces in it: a reader may rely on nothing that
only the replacement gives.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.emulated_kinesis import STREAM, EmulatedKinesis
from tests.fakes import FakeClock

from cardwatch.local.eventsource.ends import ShardPositions, SourcePositions
from cardwatch.local.eventsource.poller import FunctionAnswer, MappingParameters, ShardPoller
from cardwatch.local.eventsource.program import EventSource
from cardwatch.local.firehose.delivery import BufferingHints, Delivery, DeliveryPositions
from cardwatch.local.firehose.ends import StreamSource
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import ShardCursor, Stream
from cardwatch.local.witness.observer import StreamObserver
from cardwatch.local.witness.receipts import Fact, RejectedSeen
from cardwatch.recovery.ports import LoadOutcome, StoredObject
from cardwatch.warehouse.ports import WarehouseUnavailableError
from local_stream import ShardReader, Start, StreamAddress

Seen = list[str]
Turn = Callable[[], None]
"""Lets a reader read what is there."""


def event_source(kinesis: EmulatedKinesis, seen: Seen, folder: Path) -> Turn:
    class Notifier:
        def invoke(self, event: bytes) -> FunctionAnswer:
            for record in json.loads(event)["Records"]:
                seen.append(base64.b64decode(record["kinesis"]["data"]).decode())
            return FunctionAnswer(b"")

    parameters = MappingParameters("u", "arn", "f", "r", "us-east-1")
    file = PositionFile(folder / "event-source.json", SourcePositions)
    stream = Stream(kinesis.client, STREAM)
    positions = ShardPositions(file, stream=stream.identity(), now=datetime.now(UTC))

    def make_poller(shard_id: str, cursor: ShardCursor) -> ShardPoller:
        return ShardPoller(
            parameters,
            shard_id,
            reader=cursor,
            function=Notifier(),
            destination=None,
            positions=positions,
            clock=FakeClock(),
        )

    class Unthreaded(EventSource):
        def _serve(self, poller: ShardPoller) -> None:
            """Let the test take the steps."""

    source = Unthreaded(stream, positions, make_poller)

    def turn() -> None:
        source.discover()
        for poller in source.pollers.values():
            while not poller.finished and poller.step() == 0.0:
                pass

    return turn


@dataclass
class Ends:
    """What delivery writes to, in memory."""

    seen: Seen
    arn: str = "f"
    kept: DeliveryPositions = field(default_factory=DeliveryPositions)

    def invoke(self, event: Mapping[str, Any]) -> object:
        for record in event["records"]:
            self.seen.append(base64.b64decode(record["data"]).decode())
        records = [{**r, "result": "Ok"} for r in event["records"]]
        return {"records": records}

    def put(self, key: str, body: bytes) -> str:
        del key, body
        return "etag"

    def get(self, key: str) -> bytes | None:
        del key
        return b""

    def list(self, prefix: str) -> list[StoredObject]:
        del prefix
        return []

    def read(self) -> DeliveryPositions:
        return self.kept

    def write(self, positions: DeliveryPositions) -> None:
        self.kept = positions


class AwayWarehouse:
    """One that never answers: delivery waits with loading and with nothing else."""

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        del key, etag, body
        raise WarehouseUnavailableError

    def load_all(
        self, objects: Sequence[StoredObject], get: Callable[[str], bytes | None]
    ) -> Sequence[LoadOutcome]:
        del objects, get
        raise WarehouseUnavailableError

    def known_objects(self, after: str = "") -> set[tuple[str, str]]:
        del after
        raise WarehouseUnavailableError

    def newest_object(self) -> str | None:
        raise WarehouseUnavailableError


def delivery(kinesis: EmulatedKinesis, seen: Seen, folder: Path) -> Turn:
    del folder
    ends, clock = Ends(seen), FakeClock()
    of = Delivery(
        source=StreamSource(Stream(kinesis.client, STREAM)),
        transformer=ends,
        objects=ends,
        loader=AwayWarehouse(),
        positions=ends,
        hints=BufferingHints(seconds=0, size=1),
        clock=clock,
    )
    return of.step


def observer(kinesis: EmulatedKinesis, seen: Seen, folder: Path) -> Turn:
    del folder

    def keep(facts: list[Fact]) -> None:
        # What is no event is a fact too; its place on the stream names it.
        for fact in facts:
            assert isinstance(fact, RejectedSeen)
            seen.append(kinesis.data_of(fact.sequence))

    of = StreamObserver(Stream(kinesis.client, STREAM), keep)

    def turn() -> None:
        of.look()

    return turn


def flink_edge(kinesis: EmulatedKinesis, seen: Seen, folder: Path) -> Turn:
    del folder
    address = StreamAddress(STREAM, "us-east-1", "http://127.0.0.1:9")
    shards = [shard.shard_id for shard in Stream(kinesis.client, STREAM).shards()]
    of = ShardReader(
        kinesis.client, address, shards, {}, Start(), clock=lambda: kinesis.clock.seconds
    )

    def turn() -> None:
        seen.extend(data.decode() for *_, data in of.poll())

    return turn


READERS = (event_source, delivery, observer, flink_edge)
STARTED = pytest.mark.parametrize("start", READERS, ids=lambda start: start.__name__)
EMULATOR = pytest.mark.parametrize("as_it_is", [True, False], ids=["as it is", "as it is run"])


@STARTED
@EMULATOR
def test_every_record_is_read_once_also_when_retention_trims_the_shards(
    start: Callable[[EmulatedKinesis, Seen, Path], Turn], tmp_path: Path, *, as_it_is: bool
) -> None:
    kinesis, seen = EmulatedKinesis(as_it_is=as_it_is), Seen()
    turn = start(kinesis, seen, tmp_path)
    read_in_hour = []
    for _hour in range(31):
        before = len(seen)
        for _ in range(4):
            kinesis.clock.seconds += 900
            kinesis.put()
            turn()
        read_in_hour.append(len(seen) - before)
    assert read_in_hour == [4] * 31
    assert sorted(seen, key=int) == [str(number) for number in range(4 * 31)]


def split(kinesis: EmulatedKinesis) -> None:
    kinesis.client.split_shard(
        StreamName=STREAM, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126)
    )


def merge(kinesis: EmulatedKinesis) -> None:
    kinesis.client.merge_shards(
        StreamName=STREAM,
        ShardToMerge="shardId-000000000000",
        AdjacentShardToMerge="shardId-000000000001",
    )


def double(kinesis: EmulatedKinesis) -> None:
    kinesis.client.update_shard_count(
        StreamName=STREAM, TargetShardCount=4, ScalingType="UNIFORM_SCALING"
    )


def grow_by_half(kinesis: EmulatedKinesis) -> None:
    kinesis.client.update_shard_count(
        StreamName=STREAM, TargetShardCount=3, ScalingType="UNIFORM_SCALING"
    )


@STARTED
@pytest.mark.parametrize("reshard", [split, merge, double, grow_by_half])
def test_a_reshard_loses_and_doubles_nothing_also_of_what_was_not_read_before_it(
    start: Callable[[EmulatedKinesis, Seen, Path], Turn],
    reshard: Callable[[EmulatedKinesis], None],
    tmp_path: Path,
) -> None:
    kinesis, seen = EmulatedKinesis(), Seen()
    turn = start(kinesis, seen, tmp_path)

    def put(count: int) -> None:
        for _ in range(count):
            kinesis.clock.seconds += 1
            kinesis.put()

    put(10)
    turn()
    put(10)
    reshard(kinesis)
    put(10)
    for _ in range(4):
        kinesis.clock.seconds += 1
        turn()
    put(10)
    turn()
    assert sorted(seen, key=int) == [str(number) for number in range(40)]
    again = kinesis.client.list_shards(StreamName=STREAM)["Shards"]
    closed = [s for s in again if "EndingSequenceNumber" in s["SequenceNumberRange"]]
    assert closed


@STARTED
def test_a_reader_goes_on_in_the_children_of_a_shard_that_the_emulator_forgot(
    start: Callable[[EmulatedKinesis, Seen, Path], Turn], tmp_path: Path
) -> None:
    kinesis, seen = EmulatedKinesis(as_it_is=True), Seen()
    turn = start(kinesis, seen, tmp_path)
    kinesis.put()
    turn()
    split(kinesis)
    for _ in range(10):
        kinesis.clock.seconds += 1
        kinesis.put()
        turn()
    kinesis.clock.seconds += 10
    turn()
    assert sorted(seen, key=int) == [str(number) for number in range(11)]


def chained(kinesis: EmulatedKinesis) -> Iterator[list[str]]:
    """Read as the official connector does: from one iterator to the next."""
    iterator = kinesis.client.get_shard_iterator(
        StreamName=STREAM, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    while True:
        answer = kinesis.client.get_records(ShardIterator=iterator)
        yield [record["Data"].decode() for record in answer["Records"]]
        iterator = answer["NextShardIterator"]


def test_a_chain_of_iterators_skips_nothing_of_a_trimmed_shard_as_the_emulator_is_run() -> None:
    kinesis = EmulatedKinesis(shards=1)
    reads = chained(kinesis)
    for number in range(12 * 30):
        kinesis.clock.seconds += 300 - 10
        kinesis.put()
        # Within the life of an iterator.
        kinesis.clock.seconds += 10
        assert next(reads) == [str(number)]


def test_a_call_costs_the_same_on_a_long_stream() -> None:
    looked_at = 0

    class Counting(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            nonlocal looked_at
            for item in super().__iter__():
                looked_at += 1
                yield item

        def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  as list does
            nonlocal looked_at
            found = super().__getitem__(key)
            looked_at += len(found) if isinstance(key, slice) else 1
            return found

    def cost(records: int) -> int:
        nonlocal looked_at
        kinesis = EmulatedKinesis(shards=1)
        kinesis.fill(records)
        (shard,) = kinesis.module._streams[STREAM]["shards"].values()  # noqa: SLF001
        shard["records"] = Counting(shard["records"])
        stream = Stream(kinesis.client, STREAM)
        looked_at = 0
        kinesis.put()
        stream.read("shardId-000000000000", kinesis.last_sequence)
        return looked_at

    assert cost(64_000) <= cost(1_000) + 20


def test_a_stream_that_is_too_long_drops_its_oldest_records_and_says_how_many(
    tmp_path: Path,
) -> None:
    told = tmp_path / "dropped"
    kinesis = EmulatedKinesis(most=100, told=told)
    for _ in range(130):
        kinesis.clock.seconds += 1
        kinesis.put()
    stream = Stream(kinesis.client, STREAM)
    left = sorted(
        int(record.data)
        for shard in stream.shards()
        for record in stream.read(shard.shard_id, None).records
    )
    assert left[-1] == 129
    assert left == list(range(left[0], 130))
    assert 90 <= len(left) <= 100
    assert int(told.read_text()) == 130 - len(left)


def test_a_closed_shard_is_listed_until_its_last_record_could_have_been_read() -> None:
    kinesis = EmulatedKinesis()
    kinesis.put()
    split(kinesis)
    stream = Stream(kinesis.client, STREAM)
    assert "shardId-000000000000" in [shard.shard_id for shard in stream.shards()]
    kinesis.clock.seconds += timedelta(hours=25).total_seconds()
    kinesis.put()
    assert "shardId-000000000000" not in [shard.shard_id for shard in stream.shards()]


@pytest.mark.parametrize("target", [1, 5])
def test_a_count_of_shards_goes_to_half_or_twice_as_many_at_once(target: int) -> None:
    kinesis = EmulatedKinesis(shards=2 if target == 5 else 3)
    with pytest.raises(kinesis.client.exceptions.InvalidArgumentException):
        kinesis.client.update_shard_count(
            StreamName=STREAM, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )


def iterator(kinesis: EmulatedKinesis) -> str:
    shard = kinesis.client.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
    answer = kinesis.client.get_shard_iterator(
        StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    return answer["ShardIterator"]


def test_iterators_expire_after_five_minutes_and_are_forgotten() -> None:
    kinesis = EmulatedKinesis()
    old = iterator(kinesis)
    kinesis.clock.seconds += 299
    young = iterator(kinesis)
    kinesis.clock.seconds += 2
    with pytest.raises(ClientError, match="ExpiredIterator"):
        kinesis.client.get_records(ShardIterator=old)
    kinesis.client.get_records(ShardIterator=young)
    kinesis.clock.seconds += 301
    last = iterator(kinesis)
    assert set(kinesis.module._shard_iterators) == {last}  # noqa: SLF001  no call lists them
