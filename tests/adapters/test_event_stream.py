"""The Kinesis adapter against a service that fails on purpose, and against the emulator."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeClock

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import (
    BAD_HASH_KEY,
    BAD_PARTITION_KEY,
    MAX_CALL_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    OUT_OF_TIME,
    RECORD_TOO_LARGE,
    KinesisEventStream,
)
from cardwatch.backoff import Backoff
from cardwatch.clock import SystemClock
from cardwatch.ports import EventStream, StreamEntry

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

THROTTLED = "ProvisionedThroughputExceededException"
Records = list[dict[str, Any]]
Fault = Callable[[Records], dict[int, str]]
"""Called before a call is served: gives the error code per failing index, or raises."""


def client_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutRecords")


@dataclass
class FaultyKinesis:
    """Keeps the API's limits, takes what it is given, and fails the way the next fault says."""

    faults: list[Fault] = field(default_factory=list)
    taken: Records = field(default_factory=list)
    calls: list[Records] = field(default_factory=list)

    def put_records(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401  the client's own shape
        records: Records = request["Records"]
        self.calls.append(records)
        sizes = [len(r["Data"]) + len(r["PartitionKey"].encode()) for r in records]
        if not 1 <= len(records) <= 500 or sum(sizes) > 10 * 2**20 or max(sizes) > 2**20:
            code = "ValidationException"
            raise client_error(code)
        codes = self.faults.pop(0)(records) if self.faults else {}
        self.taken += [r for i, r in enumerate(records) if i not in codes]
        results = [
            {"ErrorCode": codes[i], "ErrorMessage": "no"} if i in codes else {"SequenceNumber": "1"}
            for i in range(len(records))
        ]
        return {"FailedRecordCount": len(codes), "Records": results}

    def commit_then_time_out(self, records: Records) -> dict[int, str]:
        self.taken += records
        raise ReadTimeoutError(endpoint_url="http://kinesis")

    def data(self) -> list[bytes]:
        return [record["Data"] for record in self.taken]


def throttle(*indexes: int) -> Fault:
    return lambda records: {i: THROTTLED for i in indexes if i < len(records)}


def raising(error: Exception) -> Fault:
    def fault(_records: Records) -> dict[int, str]:
        raise error

    return fault


def stream_on(
    kinesis: FaultyKinesis, clock: FakeClock | None = None, backoff: Backoff | None = None
) -> KinesisEventStream:
    return KinesisEventStream(
        cast("KinesisClient", kinesis),
        "events",
        clock or FakeClock(),
        backoff=backoff,
        jitter=random.Random(7),
    )


def entries(count: int, size: int = 10) -> list[StreamEntry]:
    return [StreamEntry(f"{i:0{size}d}".encode(), f"key-{i % 7}") for i in range(count)]


def test_it_is_an_event_stream() -> None:
    stream: EventStream = stream_on(FaultyKinesis())
    assert stream.put([]).delivered == 0


def test_calls_keep_to_500_records_and_lose_none() -> None:
    kinesis = FaultyKinesis()
    sent = entries(1201)
    outcome = stream_on(kinesis).put(sent)
    assert [len(call) for call in kinesis.calls] == [500, 500, 201]
    assert kinesis.data() == [entry.data for entry in sent]
    assert (outcome.delivered, outcome.retried, outcome.undelivered) == (1201, 0, ())


def test_calls_keep_to_the_byte_limit_with_the_keys_counted() -> None:
    kinesis = FaultyKinesis()
    sent = [StreamEntry(b"x" * 900_000, "k" * 256) for _ in range(12)]
    assert stream_on(kinesis).put(sent).delivered == 12
    for call in kinesis.calls:
        size = sum(len(r["Data"]) + len(r["PartitionKey"]) for r in call)
        assert size <= MAX_CALL_BYTES


def test_only_the_entries_that_failed_are_sent_again() -> None:
    kinesis = FaultyKinesis(faults=[throttle(1, 3), throttle(0)])
    outcome = stream_on(kinesis).put(entries(5))
    assert [len(call) for call in kinesis.calls] == [5, 2, 1]
    assert Counter(kinesis.data()) == Counter(entry.data for entry in entries(5))
    assert (outcome.delivered, outcome.retried, outcome.undelivered) == (5, 3, ())


def test_an_entry_that_keeps_failing_comes_back_with_its_code_after_bounded_tries() -> None:
    kinesis = FaultyKinesis(faults=[throttle(2)] + [throttle(0)] * 20)
    outcome = stream_on(kinesis, backoff=Backoff(tries=4)).put(entries(5))
    assert len(kinesis.calls) == 4
    assert outcome.delivered == 4
    assert [(u.entry, u.error_code) for u in outcome.undelivered] == [(entries(5)[2], THROTTLED)]


def test_waits_double_up_to_the_cap_with_full_jitter() -> None:
    clock = FakeClock()
    backoff = Backoff(tries=8, first_seconds=0.1, longest_seconds=0.5)
    kinesis = FaultyKinesis(faults=[throttle(0)] * 20)
    stream_on(kinesis, clock, backoff).put(entries(1))
    bounds = [0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5]
    assert len(clock.slept) == len(bounds)
    assert all(0 <= wait <= bound for wait, bound in zip(clock.slept, bounds, strict=True))
    assert len(set(clock.slept)) > 3


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("LimitExceededException"),
        client_error("ServiceUnavailable", 503),
        client_error("NobodyKnowsThisOne", 500),
        EndpointConnectionError(endpoint_url="http://kinesis"),
        ResponseParserError("a proxy's web page"),
    ],
)
def test_a_failed_call_is_made_again(error: Exception) -> None:
    kinesis = FaultyKinesis(faults=[raising(error), raising(error)])
    outcome = stream_on(kinesis).put(entries(3))
    assert kinesis.data() == [entry.data for entry in entries(3)]
    assert (outcome.delivered, outcome.retried) == (3, 6)


def test_a_call_that_timed_out_after_it_was_taken_repeats_but_never_loses() -> None:
    kinesis = FaultyKinesis()
    kinesis.faults = [kinesis.commit_then_time_out]
    assert stream_on(kinesis).put(entries(3)).delivered == 3
    assert set(kinesis.data()) == {entry.data for entry in entries(3)}


def test_a_stream_that_is_not_there_is_not_tried_again_and_raises_nothing() -> None:
    kinesis = FaultyKinesis(faults=[raising(client_error("ResourceNotFoundException"))])
    outcome = stream_on(kinesis).put(entries(2))
    assert len(kinesis.calls) == 1
    assert {u.error_code for u in outcome.undelivered} == {"ResourceNotFoundException"}


def test_entries_the_api_would_refuse_come_back_and_the_others_go() -> None:
    kinesis = FaultyKinesis()
    good = entries(2)
    bad = [
        StreamEntry(b"x" * MAX_RECORD_BYTES, "k"),
        StreamEntry(b"x", ""),
        StreamEntry(b"x", "k" * 257),
        StreamEntry(b"x", "k", explicit_hash_key=str(2**128)),
        StreamEntry(b"x", "k", explicit_hash_key="-1"),
    ]
    outcome = stream_on(kinesis).put([good[0], *bad, good[1]])
    assert kinesis.data() == [entry.data for entry in good]
    assert [u.error_code for u in outcome.undelivered] == [
        RECORD_TOO_LARGE,
        BAD_PARTITION_KEY,
        BAD_PARTITION_KEY,
        BAD_HASH_KEY,
        BAD_HASH_KEY,
    ]


def test_a_record_of_exactly_the_limit_goes() -> None:
    entry = StreamEntry(b"x" * (MAX_RECORD_BYTES - 1), "k")
    assert stream_on(FaultyKinesis()).put([entry]).delivered == 1


def test_a_put_ends_when_its_patience_does_and_says_what_was_left() -> None:
    clock = FakeClock()

    def slow(_records: Records) -> dict[int, str]:
        clock.advance(5)
        raise ReadTimeoutError(endpoint_url="http://kinesis")

    kinesis = FaultyKinesis(faults=[slow] * 100)
    backoff = Backoff(tries=50, patience_seconds=12)
    outcome = stream_on(kinesis, clock, backoff).put(entries(3 * MAX_RECORDS))
    assert len(kinesis.calls) == 3
    assert Counter(u.error_code for u in outcome.undelivered) == {
        "ReadTimeoutError": 500,
        OUT_OF_TIME: 1000,
    }


@given(
    count=st.integers(0, 40),
    rounds=st.lists(st.sets(st.integers(0, 39)), max_size=6),
    tries=st.integers(1, 4),
)
def test_every_entry_is_either_taken_once_or_undelivered(
    count: int, rounds: list[set[int]], tries: int
) -> None:
    kinesis = FaultyKinesis(faults=[throttle(*bad) for bad in rounds])
    sent = entries(count)
    outcome = stream_on(kinesis, backoff=Backoff(tries=tries)).put(sent)
    back = [u.entry.data for u in outcome.undelivered]
    assert Counter(kinesis.data() + back) == Counter(entry.data for entry in sent)
    assert outcome.delivered == len(kinesis.taken)
    assert all(call for call in kinesis.calls)


def test_the_adapter_itself_puts_far_more_than_2000_records_a_second() -> None:
    sent = entries(20_000, size=600)
    started = time.process_time()
    stream_on(FaultyKinesis()).put(sent)
    assert len(sent) / (time.process_time() - started) > 20_000


def test_entries_arrive_on_the_shard_their_hash_key_names(aws: AwsClients) -> None:
    client = aws.kinesis()
    name = f"events-{random.getrandbits(32):08x}"
    client.create_stream(StreamName=name, ShardCount=2)
    client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    stream = KinesisEventStream(client, name, SystemClock())
    keys = stream.shard_hash_keys()
    assert keys == ["0", str(2**127)]
    sent = [StreamEntry(f"beat {key}".encode(), "beat", explicit_hash_key=key) for key in keys]
    assert stream.put(sent).delivered == 2
    shards = client.list_shards(StreamName=name)["Shards"]
    for shard, entry in zip(shards, sent, strict=True):
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = client.get_records(ShardIterator=iterator)["Records"]
        assert [record["Data"] for record in records] == [entry.data]


def test_closed_shards_get_no_heartbeat(aws: AwsClients) -> None:
    client = aws.kinesis()
    name = f"events-{random.getrandbits(32):08x}"
    client.create_stream(StreamName=name, ShardCount=1)
    waiter = client.get_waiter("stream_exists")
    waiter.wait(StreamName=name, WaiterConfig={"Delay": 1})
    parent = client.list_shards(StreamName=name)["Shards"][0]["ShardId"]
    client.split_shard(StreamName=name, ShardToSplit=parent, NewStartingHashKey=str(2**127))
    waiter.wait(StreamName=name, WaiterConfig={"Delay": 1})
    assert KinesisEventStream(client, name, SystemClock()).shard_hash_keys() == ["0", str(2**127)]
