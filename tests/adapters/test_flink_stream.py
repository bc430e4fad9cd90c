"""The local edge's reader and writer keep to the Kinesis API's rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from local_stream import (
    GIVE_UP_SECONDS,
    LONGEST_WAIT_SECONDS,
    ShardReader,
    Start,
    StreamAddress,
    StreamError,
    StreamWriter,
    list_shards,
    wait_seconds,
)

ADDRESS = StreamAddress("events", "us-east-1", "http://127.0.0.1:9")
Arrived = tuple[str, str, bytes]


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


@dataclass
class FakeKinesis:
    """A stream in memory. A record is (arrival in epoch seconds, data); time stands still."""

    shards: dict[str, list[tuple[float, bytes]]] = field(default_factory=dict)
    now: float = 1_000.0
    slept: float = 0.0
    limit: int = 10_000
    closed: set[str] = field(default_factory=set)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    """What the next calls that concern a shard, or a put, raise."""
    refuse: list[set[int]] = field(default_factory=list)
    """Which entries the next puts do not take."""
    puts: list[list[dict[str, Any]]] = field(default_factory=list)
    iterators: dict[str, tuple[str, int]] = field(default_factory=dict)

    def clock(self) -> float:
        return self.now + self.slept

    def monotonic(self) -> float:
        return self.now

    def expire_iterators(self) -> None:
        self.iterators.clear()

    def list_shards(self, *, StreamName: str) -> Mapping[str, Any]:  # noqa: N803
        assert StreamName == ADDRESS.name
        return {"Shards": [{"ShardId": shard} for shard in self.shards]}

    def get_shard_iterator(
        self,
        *,
        StreamName: str,  # noqa: N803  the API's own names
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        StartingSequenceNumber: str = "",  # noqa: N803
        Timestamp: datetime | None = None,  # noqa: N803
    ) -> Mapping[str, str]:
        assert StreamName == ADDRESS.name
        if ShardId not in self.shards:
            gone = refusal("ResourceNotFoundException")
            raise gone
        records = self.shards[ShardId]
        at = 0
        if ShardIteratorType == "AFTER_SEQUENCE_NUMBER":
            at = int(StartingSequenceNumber) + 1
        elif ShardIteratorType == "AT_TIMESTAMP":
            assert Timestamp is not None
            since = Timestamp.timestamp()
            at = sum(arrival < since for arrival, _ in records)
        return {"ShardIterator": self._iterator(ShardId, at)}

    def get_records(self, *, ShardIterator: str, Limit: int) -> Mapping[str, Any]:  # noqa: N803
        if ShardIterator not in self.iterators:
            expired = refusal("ExpiredIteratorException")
            raise expired
        shard, at = self.iterators[ShardIterator]
        if self.failures.get(shard):
            raise self.failures[shard].pop(0)
        end = at + min(Limit, self.limit)
        records = self.shards[shard]
        answer: dict[str, Any] = {
            "Records": [
                {
                    "SequenceNumber": str(number),
                    "ApproximateArrivalTimestamp": datetime.fromtimestamp(arrival, UTC),
                    "Data": data,
                }
                for number, (arrival, data) in enumerate(records[at:end], start=at)
            ],
            "MillisBehindLatest": 0,
        }
        if end < len(records):
            answer["MillisBehindLatest"] = max(1, int((self.now - records[end][0]) * 1000))
        if end < len(records) or shard not in self.closed:
            answer["NextShardIterator"] = self._iterator(shard, min(end, len(records)))
        return answer

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> Mapping[str, Any]:  # noqa: N803
        assert StreamName == ADDRESS.name
        if self.failures.get("put"):
            raise self.failures["put"].pop(0)
        refused = self.refuse.pop(0) if self.refuse else set()
        self.puts.append([entry for at, entry in enumerate(Records) if at not in refused])
        return {
            "FailedRecordCount": len(refused),
            "Records": [
                {"ErrorCode": "ProvisionedThroughputExceededException"}
                if at in refused
                else {"SequenceNumber": str(at), "ShardId": "shard-0"}
                for at in range(len(Records))
            ],
        }

    def taken(self) -> list[bytes]:
        return [entry["Data"] for batch in self.puts for entry in batch]

    def _iterator(self, shard: str, at: int) -> str:
        name = f"iterator-{len(self.iterators)}-{shard}-{at}"
        self.iterators[name] = (shard, at)
        return name


def reader(
    kinesis: FakeKinesis, positions: Mapping[str, str] | None = None, start: Start | None = None
) -> ShardReader:
    return ShardReader(
        kinesis,
        ADDRESS,
        sorted(kinesis.shards),
        positions or {},
        start or Start(),
        clock=kinesis.clock,
        monotonic=kinesis.monotonic,
    )


def drain(of: ShardReader, polls: int = 50) -> list[Arrived]:
    return [arrived for _ in range(polls) for arrived in read_once(of)]


def read_once(of: ShardReader) -> list[Arrived]:
    return [(shard, number, data) for shard, number, _, data in of.poll()]


def in_order(read: list[Arrived], kinesis: FakeKinesis) -> list[Arrived]:
    """Check that records came in order of arrival, each shard's in its own; give them sorted."""
    arrivals = [kinesis.shards[shard][int(number)][0] for shard, number, _ in read]
    assert arrivals == sorted(arrivals)
    for shard in kinesis.shards:
        numbers = [int(number) for of, number, _ in read if of == shard]
        assert numbers == sorted(numbers)
    return sorted(read)


@st.composite
def streams(draw: st.DrawFn) -> FakeKinesis:
    """One to three shards with up to 30 records each, and a small limit on one read."""
    shards = {}
    for shard in range(draw(st.integers(1, 3))):
        arrivals = sorted(draw(st.lists(st.integers(0, 900), max_size=30)))
        shards[f"shard-{shard}"] = [
            (float(arrival), f"{shard}/{number}".encode())
            for number, arrival in enumerate(arrivals)
        ]
    return FakeKinesis(shards, limit=draw(st.integers(1, 10)))


@given(streams())
def test_every_record_is_read_once_in_order_of_arrival_over_all_shards(
    kinesis: FakeKinesis,
) -> None:
    read = in_order(drain(reader(kinesis)), kinesis)
    assert read == sorted(
        (shard, str(number), data)
        for shard, records in kinesis.shards.items()
        for number, (_, data) in enumerate(records)
    )


@given(streams(), st.integers(0, 90))
def test_a_reader_with_positions_goes_on_exactly_where_they_say(
    kinesis: FakeKinesis, taken: int
) -> None:
    whole = drain(reader(kinesis))
    positions = {shard: number for shard, number, _ in whole[:taken]}
    rest = drain(reader(kinesis, positions))
    assert in_order(rest, kinesis) == sorted(whole[taken:])


@given(streams(), st.data())
def test_failures_on_the_way_lose_and_repeat_nothing(
    kinesis: FakeKinesis, data: st.DataObject
) -> None:
    whole = drain(reader(kinesis))
    passing = st.sampled_from(
        [
            refusal("ProvisionedThroughputExceededException"),
            refusal("InternalFailure", 500),
            EndpointConnectionError(endpoint_url=ADDRESS.endpoint),
        ]
    )
    for shard in kinesis.shards:
        kinesis.failures[shard] = data.draw(st.lists(passing, max_size=3))
    of = reader(kinesis)
    read = []
    for _ in range(80):
        read += read_once(of)
        kinesis.now += data.draw(st.sampled_from([0.2, 1.0]))
        if data.draw(st.integers(0, 3)) == 0:
            kinesis.expire_iterators()
    assert in_order(read, kinesis) == sorted(whole)


def test_a_shard_that_fails_holds_the_others_back_so_that_nothing_of_it_is_late() -> None:
    kinesis = FakeKinesis({"a": [], "b": []})
    of = reader(kinesis)
    assert list(of.poll()) == []
    kinesis.shards = {"a": [(1_000.5, b"a1")], "b": [(1_000.8, b"b2")]}
    kinesis.now = 1_001.0
    kinesis.failures["a"] = [refusal("ProvisionedThroughputExceededException")]
    assert list(of.poll()) == []
    kinesis.now += wait_seconds(1)
    assert [data for *_, data in of.poll()] == [b"a1", b"b2"]


def test_a_quiet_shard_does_not_hold_the_others_back() -> None:
    kinesis = FakeKinesis({"a": [], "b": [(2.0, b"b2")]})
    of = reader(kinesis)
    assert [data for *_, data in of.poll()] == [b"b2"]
    kinesis.shards["b"].append((3.0, b"b3"))
    assert [data for *_, data in of.poll()] == [b"b3"]


def test_a_shard_that_was_closed_is_read_to_its_end() -> None:
    kinesis = FakeKinesis({"a": [(1.0, b"a1"), (2.0, b"a2")], "b": []}, limit=1, closed={"a"})
    of = reader(kinesis)
    assert [data for *_, data in drain(of)] == [b"a1", b"a2"]
    kinesis.shards["b"].append((3.0, b"b3"))
    assert [data for *_, data in of.poll()] == [b"b3"]


def test_a_record_comes_with_its_arrival_in_milliseconds() -> None:
    kinesis = FakeKinesis({"a": [(1_000.123, b"a1")]})
    assert [(arrived, data) for _, _, arrived, data in reader(kinesis).poll()] == [
        (1_000_123, b"a1")
    ]


def test_the_children_of_a_split_shard_are_read_after_it_in_order_of_arrival() -> None:
    kinesis = FakeKinesis({"a": [(1.0, b"a1")], "b": []})
    of = reader(kinesis)
    assert [data for *_, data in of.poll()] == [b"a1"]
    kinesis.shards["a"] += [(2.0, b"a2"), (3.0, b"a3")]
    kinesis.closed = {"a"}
    kinesis.shards |= {"c": [(5.0, b"c5")], "d": [(4.0, b"d4")]}
    assert [data for *_, data in drain(of)] == [b"a2", b"a3", b"d4", b"c5"]


def test_a_restored_reader_goes_on_in_the_children_that_it_found_before() -> None:
    kinesis = FakeKinesis({"a": [(1.0, b"a1")]}, closed={"a"})
    of = ShardReader(kinesis, ADDRESS, ["a"], {}, Start(), clock=kinesis.clock)
    kinesis.shards["c"] = [(2.0, b"c2")]
    positions = {shard: number for shard, number, _ in drain(of)}
    kinesis.shards["c"] += [(3.0, b"c3")]
    again = ShardReader(kinesis, ADDRESS, ["a"], positions, Start(), clock=kinesis.clock)
    assert [data for *_, data in drain(again)] == [b"c3"]


def test_a_shard_that_the_stream_has_forgotten_is_at_its_end() -> None:
    kinesis = FakeKinesis({"a": [(1.0, b"a1")]})
    of = reader(kinesis)
    assert [data for *_, data in of.poll()] == [b"a1"]
    kinesis.shards = {"c": [(2.0, b"c2")]}
    assert [data for *_, data in drain(of)] == [b"c2"]


def test_reading_can_begin_at_a_moment() -> None:
    kinesis = FakeKinesis({"a": [(1.0, b"a1"), (2.0, b"a2")]})
    start = Start(datetime.fromtimestamp(2.0, UTC))
    assert [data for *_, data in drain(reader(kinesis, start=start))] == [b"a2"]


@pytest.mark.parametrize(
    ("position", "timestamp"),
    [
        ("LATEST", "2026-11-21T07:00:00.000Z"),
        ("AT_TIMESTAMP", "none"),
        ("AT_TIMESTAMP", "2026-11-21T07:00:00"),
    ],
)
def test_a_start_that_is_none_is_refused(position: str, timestamp: str) -> None:
    with pytest.raises(ValueError, match="start_"):
        Start.of(position, timestamp)


def test_a_start_is_the_oldest_record_or_a_moment() -> None:
    moment = datetime(2026, 11, 21, 7, tzinfo=UTC)
    assert Start.of("TRIM_HORIZON", "none") == Start()
    assert Start.of("AT_TIMESTAMP", "2026-11-21T07:00:00.000Z") == Start(moment)


def test_the_reader_gives_up_on_a_stream_that_does_not_answer_for_a_minute() -> None:
    kinesis = FakeKinesis({"a": []})
    kinesis.failures["a"] = [EndpointConnectionError(endpoint_url=ADDRESS.endpoint)] * 1000
    of = reader(kinesis)
    begin = kinesis.now
    while kinesis.now <= begin + GIVE_UP_SECONDS:
        assert list(of.poll()) == []
        kinesis.now += 1.0
    kinesis.now += LONGEST_WAIT_SECONDS
    with pytest.raises(
        StreamError, match=r"a of stream 'events' at http://127\.0\.0\.1:9 for 60 s"
    ):
        list(of.poll())


def test_a_machine_that_slept_between_two_failures_has_not_waited_meanwhile() -> None:
    kinesis = FakeKinesis({"a": [(1_000.0, b"paid")]})
    kinesis.failures["a"] = [EndpointConnectionError(endpoint_url=ADDRESS.endpoint)] * 2
    of = reader(kinesis)
    assert list(of.poll()) == []
    kinesis.slept = 8 * 3600
    kinesis.now += LONGEST_WAIT_SECONDS
    assert list(of.poll()) == []
    kinesis.now += LONGEST_WAIT_SECONDS
    assert [data for *_, data in of.poll()] == [b"paid"]


def test_an_answer_that_will_not_change_fails_at_once() -> None:
    kinesis = FakeKinesis({"a": []})
    kinesis.failures["a"] = [refusal("ResourceNotFoundException")]
    with pytest.raises(StreamError, match="ResourceNotFoundException"):
        list(reader(kinesis).poll())


def test_a_stream_that_cannot_be_reached_is_one_line_that_names_it() -> None:
    with pytest.raises(StreamError) as caught:
        list_shards(ADDRESS)
    text = str(caught.value)
    assert "stream 'events' at http://127.0.0.1:9" in text
    assert "start the local stack" in text
    assert "\n" not in text


def until_taken(writer: StreamWriter, records: list[str]) -> Iterator[int]:
    left = [(record, "key") for record in records]
    while left:
        left = writer.put(left)
        yield len(left)


@given(
    st.lists(st.text(max_size=5), max_size=30), st.lists(st.sets(st.integers(0, 29)), max_size=4)
)
def test_only_the_entries_that_failed_are_sent_again(
    records: list[str], refuse: list[set[int]]
) -> None:
    kinesis = FakeKinesis(refuse=[{at for at in some if at < len(records)} for some in refuse])
    list(until_taken(StreamWriter(kinesis, ADDRESS), records))
    assert sorted(kinesis.taken()) == sorted(record.encode() for record in records)


def test_a_put_that_may_pass_later_gives_all_records_back() -> None:
    kinesis = FakeKinesis()
    kinesis.failures["put"] = [
        EndpointConnectionError(endpoint_url=ADDRESS.endpoint),
        refusal("ThrottlingException"),
        refusal("InternalFailure", 500),
    ]
    assert list(until_taken(StreamWriter(kinesis, ADDRESS), ["x", "y"])) == [2, 2, 2, 0]
    assert kinesis.taken() == [b"x", b"y"]


def test_a_put_that_cannot_pass_fails_at_once() -> None:
    kinesis = FakeKinesis()
    kinesis.failures["put"] = [refusal("ResourceNotFoundException")]
    with pytest.raises(StreamError, match="cannot write to stream 'events'"):
        StreamWriter(kinesis, ADDRESS).put([("x", "key")])


def test_one_call_keeps_to_the_limits_of_the_api() -> None:
    kinesis = FakeKinesis()
    records = [("x", "é" * 256)] * 1_201 + [("é" * 400_000, "key")] * 20
    assert StreamWriter(kinesis, ADDRESS).put(records) == []
    assert len(kinesis.taken()) == len(records)
    for batch in kinesis.puts:
        assert len(batch) <= 500
        assert sum(len(e["Data"]) + len(e["PartitionKey"]) for e in batch) <= 5 * 2**20


def test_each_record_stands_under_its_own_partition_key_also_when_sent_again() -> None:
    kinesis = FakeKinesis(refuse=[{0}])
    writer = StreamWriter(kinesis, ADDRESS)
    assert writer.put(writer.put([("x", "card_1"), ("y", "card_2")])) == []
    sent = [entry for batch in kinesis.puts for entry in batch]
    assert {entry["Data"]: entry["PartitionKey"] for entry in sent} == {
        b"x": "card_1",
        b"y": "card_2",
    }


def test_a_partition_key_longer_than_the_stream_takes_is_cut() -> None:
    kinesis = FakeKinesis()
    assert StreamWriter(kinesis, ADDRESS).put([("x", "k" * 300)]) == []
    assert kinesis.puts[0][0]["PartitionKey"] == "k" * 256
