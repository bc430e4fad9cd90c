"""The event source's shard poller against Lambda's documented semantics, on fakes with state."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.local.eventsource.poller import (
    PAYLOAD_BYTES,
    WAITS,
    DestinationUnavailableError,
    FunctionAnswer,
    FunctionUnavailableError,
    MappingParameters,
    Pattern,
    ShardPoller,
    UnsupportedMappingError,
    read_patterns,
    record_filter,
    reported_failures,
)
from cardwatch.local.stream.shard import ShardRead, StreamRecord
from cardwatch.ports import StreamUnavailableError

START = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
SHARD = "shardId-000000000000"
ALERTS = read_patterns(['{"data": {"type": ["PAYMENT_ALERT"]}}'])
PARAMETERS = MappingParameters(
    uuid="0b5f",
    stream_arn="arn:aws:kinesis:us-east-1:000000000000:stream/events",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:notifier",
    role_arn="arn:aws:iam::000000000000:role/notifier",
    region="us-east-1",
    batch_size=7,
    patterns=ALERTS,
    report_batch_item_failures=True,
    bisect_batch_on_function_error=True,
)


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class FakeShard:
    """A shard's records, given in pages; some reads fail."""

    records: list[StreamRecord] = field(default_factory=list)
    page: int = 5
    closed: bool = False
    failing_reads: set[int] = field(default_factory=set)
    reads: int = 0

    def put(self, *datas: bytes, arrived: datetime = START) -> None:
        for data in datas:
            number = str(10**20 + len(self.records))
            self.records.append(StreamRecord(number, "key", data, arrived))

    def reader(self, after: str | None = None) -> "FakeReader":
        numbers = [record.sequence_number for record in self.records]
        return FakeReader(self, 0 if after is None else numbers.index(after) + 1)


@dataclass
class FakeReader:
    shard: FakeShard
    next: int

    def read(self, limit: int) -> ShardRead:
        self.shard.reads += 1
        if self.shard.reads in self.shard.failing_reads:
            message = "throttled"
            raise StreamUnavailableError(message)
        records = self.shard.records[self.next : self.next + min(limit, self.shard.page)]
        self.next += len(records)
        left = len(self.shard.records) - self.next
        return ShardRead(records, behind_ms=left, closed=self.shard.closed and not left)


class FakeFunction:
    """A function that remembers every event and answers by `behave`."""

    def __init__(self, behave: Callable[[list[bytes]], FunctionAnswer]) -> None:
        self.batches: list[list[bytes]] = []
        self.events: list[dict[str, Any]] = []
        self.behave = behave

    def invoke(self, event: bytes) -> FunctionAnswer:
        self.events.append(json.loads(event))
        batch = [base64.b64decode(r["kinesis"]["data"]) for r in self.events[-1]["Records"]]
        self.batches.append(batch)
        return self.behave(batch)

    @property
    def seen(self) -> list[bytes]:
        return [data for batch in self.batches for data in batch]


@dataclass
class FakeBucket:
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: int = 0

    def put(self, key: str, body: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            message = "slow down"
            raise DestinationUnavailableError(message)
        self.objects[key] = json.loads(body)

    @property
    def records(self) -> list[bytes]:
        payloads = [json.loads(body["payload"]) for body in self.objects.values()]
        return [base64.b64decode(r["kinesis"]["data"]) for p in payloads for r in p["Records"]]


@dataclass
class FakePositions:
    saved: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def save(self, shard_id: str, sequence_number: str, *, at_once: bool) -> None:
        del at_once
        self.saved[shard_id] = sequence_number
        self.history.append(sequence_number)


@dataclass
class World:
    """One shard and all around it."""

    shard: FakeShard
    function: FakeFunction
    parameters: MappingParameters = PARAMETERS
    bucket: FakeBucket = field(default_factory=FakeBucket)
    positions: FakePositions = field(default_factory=FakePositions)
    clock: FakeClock = field(default_factory=FakeClock)
    waits: list[float] = field(default_factory=list)

    def poller(self) -> ShardPoller:
        return ShardPoller(
            self.parameters,
            SHARD,
            reader=self.shard.reader(self.positions.saved.get(SHARD)),
            function=self.function,
            destination=self.bucket,
            positions=self.positions,
            clock=self.clock,
        )

    def run(self, steps: int = 2_000) -> ShardPoller:
        """Step until all that is on the shard is done, or for `steps`."""
        poller = self.poller()
        for _ in range(steps):
            if poller.finished:
                break
            wait = poller.step()
            self.waits.append(wait)
            self.clock.sleep(wait)
        return poller


def alert(number: int) -> bytes:
    return json.dumps({"type": "PAYMENT_ALERT", "n": number}).encode()


def ok(_batch: list[bytes]) -> FunctionAnswer:
    return FunctionAnswer(b'{"batchItemFailures": []}')


def world(
    behave: Callable[[list[bytes]], FunctionAnswer], *datas: bytes, **changes: object
) -> World:
    shard = FakeShard(closed=True)
    shard.put(*datas)
    parameters = replace(PARAMETERS, **changes)  # type: ignore[arg-type]  # names of its fields
    return World(shard, FakeFunction(behave), parameters)


def reporting(made: World, bad: Callable[[bytes], bool]) -> Callable[[list[bytes]], FunctionAnswer]:
    """Give a handler that processes each record and reports the bad ones, as Powertools does."""

    def behave(_batch: list[bytes]) -> FunctionAnswer:
        failed = [
            {"itemIdentifier": r["kinesis"]["sequenceNumber"]}
            for r in made.function.events[-1]["Records"]
            if bad(base64.b64decode(r["kinesis"]["data"]))
        ]
        return FunctionAnswer(json.dumps({"batchItemFailures": failed}).encode())

    return behave


numbers_of_alerts = st.integers(0, 30)
foreign = st.sampled_from(
    [b"", b"not json", b"\xff\xfe", b"[1]", b"null", b'{"type":"HEARTBEAT"}', b'{"type":1}', b"{}"]
)


@given(st.lists(st.one_of(foreign, st.integers(0, 99).map(alert)), max_size=40), st.integers(1, 9))
def test_matching_records_come_once_and_in_order_and_the_position_passes_the_others(
    datas: list[bytes], page: int
) -> None:
    made = world(ok, *datas)
    made.shard.page = page

    poller = made.run()

    assert made.function.seen == [data for data in datas if b"PAYMENT_ALERT" in data]
    assert all(len(batch) <= PARAMETERS.batch_size for batch in made.function.batches)
    assert poller.finished
    if datas:
        assert made.positions.saved[SHARD] == made.shard.records[-1].sequence_number


@given(numbers_of_alerts, st.data())
def test_reported_failures_rerun_from_the_lowest_and_nothing_is_lost_or_skipped(
    count: int, data: st.DataObject
) -> None:
    datas = [alert(i) for i in range(count)]
    failures_left = {d: data.draw(st.integers(0, 3), label="failures") for d in datas}
    made = world(ok, *datas)
    done: list[bytes] = []

    def behave(batch: list[bytes]) -> FunctionAnswer:
        failed = []
        for record in made.function.events[-1]["Records"]:
            item = base64.b64decode(record["kinesis"]["data"])
            if failures_left[item]:
                failures_left[item] -= 1
                failed.append({"itemIdentifier": record["kinesis"]["sequenceNumber"]})
            elif not failed and item not in done:
                done.append(item)
        del batch
        return FunctionAnswer(json.dumps({"batchItemFailures": failed[::-1]}).encode())

    made.function.behave = behave
    made.run()

    assert done == datas
    assert not made.bucket.objects
    for before, after in zip(made.function.batches, made.function.batches[1:], strict=False):
        assert after[0] in before or after[0] == datas[datas.index(before[-1]) + 1]


@given(numbers_of_alerts, st.sets(st.integers(0, 29), max_size=4), st.integers(0, 3))
def test_halving_isolates_poison_that_fails_the_whole_batch(
    count: int, poison: set[int], retries: int
) -> None:
    bad = {alert(i) for i in poison if i < count}
    datas = [alert(i) for i in range(count)]

    def behave(batch: list[bytes]) -> FunctionAnswer:
        return FunctionAnswer(b"{}", error="Unhandled") if bad & set(batch) else ok(batch)

    made = world(behave, *datas, maximum_retry_attempts=retries)
    made.run()

    succeeded = [d for batch in made.function.batches if not bad & set(batch) for d in batch]
    assert succeeded == [data for data in datas if data not in bad]
    assert sorted(made.bucket.records) == sorted(bad)
    for item in bad:
        assert made.function.batches.count([item]) == 1 + retries


@given(st.integers(1, 20), st.integers(0, 4))
def test_without_halving_a_failing_batch_is_tried_once_and_then_the_retries(
    count: int, retries: int
) -> None:
    made = world(
        lambda _batch: FunctionAnswer(b"{}", error="Unhandled"),
        *map(alert, range(count)),
        maximum_retry_attempts=retries,
        bisect_batch_on_function_error=False,
    )
    made.run()

    batches = {tuple(batch) for batch in made.function.batches}
    assert all(made.function.batches.count(list(b)) == 1 + retries for b in batches)
    assert made.bucket.records == [alert(i) for i in range(count)]
    conditions = {body["requestContext"]["condition"] for body in made.bucket.objects.values()}
    assert conditions == {"RetryAttemptsExhausted"}


def test_retries_without_a_limit_outlast_any_outage_of_the_function() -> None:
    made = world(ok, alert(1), alert(2))
    attempts = 0

    def behave(batch: list[bytes]) -> FunctionAnswer:
        nonlocal attempts
        attempts += 1
        return ok(batch) if attempts > 300 else FunctionAnswer(b"", error="Unhandled")

    made.function.behave = behave
    made.run()

    assert made.function.batches[-2:] == [[alert(1)], [alert(2)]]
    assert not made.bucket.objects
    assert max(made.waits) == WAITS.longest_seconds


@given(st.lists(st.integers(0, 400), min_size=1, max_size=20), st.integers(60, 300))
def test_records_older_than_the_age_are_kept_whole_in_the_bucket_and_never_invoked(
    ages: list[int], limit: int
) -> None:
    made = world(ok, maximum_record_age_seconds=limit)
    made.shard.closed = True
    for i, age in enumerate(sorted(ages, reverse=True)):
        made.shard.put(alert(i), arrived=START - timedelta(seconds=age))
    made.run()

    old = [alert(i) for i, age in enumerate(sorted(ages, reverse=True)) if age > limit]
    assert made.bucket.records == old
    assert made.function.seen == [alert(i) for i in range(len(old), len(ages))]
    conditions = {body["requestContext"]["condition"] for body in made.bucket.objects.values()}
    assert conditions <= {"RecordAgeExceeded"}


def test_a_failing_batch_is_given_up_when_it_grows_too_old() -> None:
    made = world(
        lambda _batch: FunctionAnswer(b"", error="Unhandled"),
        alert(1),
        maximum_record_age_seconds=60,
        maximum_retry_attempts=None,
    )
    poller = made.run()

    assert made.bucket.records == [alert(1)]
    assert 60 <= made.clock.seconds <= 60 + WAITS.longest_seconds + 1
    assert poller.finished


@given(
    count=numbers_of_alerts,
    stop_after=st.integers(0, 40),
    poison=st.integers(0, 29),
    page=st.integers(1, 20),
    whole=st.booleans(),
)
def test_a_restart_at_any_moment_loses_nothing_and_redelivers_only_the_unfinished_batch(
    *, count: int, stop_after: int, poison: int, page: int, whole: bool
) -> None:
    datas = [alert(i) for i in range(count)]
    made = world(ok, *datas)
    made.shard.page = page
    tries = 0
    succeeded: list[bytes] = []

    def behave(batch: list[bytes]) -> FunctionAnswer:
        nonlocal tries
        if alert(poison) not in batch or tries >= 5:
            succeeded.extend(batch)
            return ok(batch)
        tries += 1
        if whole:
            return FunctionAnswer(b"", error="Unhandled")
        at = batch.index(alert(poison))
        succeeded.extend(batch[:at])
        number = made.function.events[-1]["Records"][at]["kinesis"]["sequenceNumber"]
        return FunctionAnswer(
            json.dumps({"batchItemFailures": [{"itemIdentifier": number}]}).encode()
        )

    made.function.behave = behave
    made.run(steps=stop_after)
    made.run()

    # A step ends with the positions saved, so a stop between two steps repeats nothing at all; a
    # kill inside an invocation repeats that batch, because the position moves only behind it.
    assert succeeded == datas
    assert made.positions.history == sorted(made.positions.history)


def test_a_kill_inside_an_invocation_repeats_that_batch_alone() -> None:
    made = world(ok, *map(alert, range(20)))
    made.shard.page = 20
    calls = 0

    def behave(batch: list[bytes]) -> FunctionAnswer:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return ok(batch)

    made.function.behave = behave
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made.run()

    batches = [list(map(alert, numbers)) for numbers in (range(7), range(7, 14), range(14, 20))]
    assert made.function.batches == [batches[0], batches[1], batches[1], batches[2]]


def test_every_record_at_the_head_of_a_batch_has_all_its_retries() -> None:
    made = world(ok, alert(1), alert(2), maximum_retry_attempts=2)
    tries: dict[bytes, int] = {}

    def fails_twice(item: bytes) -> bool:
        tries[item] = tries.get(item, 0) + 1
        return tries[item] <= (2 if item == alert(1) else 5)

    made.function.behave = reporting(made, fails_twice)
    made.run()

    assert made.function.batches == [[alert(1), alert(2)]] * 3 + [[alert(2)]] * 2
    assert made.bucket.records == [alert(2)]


def test_the_wait_after_an_outage_starts_small_again() -> None:
    made = world(ok)
    made.shard.closed = False
    made.shard.failing_reads = {1, 2, 3, 5}
    poller = made.poller()

    assert [poller.step() for _ in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.1])


@given(numbers_of_alerts, st.sets(st.integers(1, 12), max_size=6), st.integers(0, 5))
def test_outages_of_stream_function_and_bucket_cost_time_and_nothing_else(
    count: int, failing_reads: set[int], outages: int
) -> None:
    made = world(ok, *map(alert, range(count)), maximum_retry_attempts=0)
    made.shard.failing_reads = failing_reads
    made.bucket.refusals = outages
    calls = 0

    def behave(batch: list[bytes]) -> FunctionAnswer:
        nonlocal calls
        calls += 1
        if calls <= outages:
            message = "connection refused"
            raise FunctionUnavailableError(message)
        return FunctionAnswer(b"", error="Unhandled") if alert(3) in batch else ok(batch)

    made.function.behave = behave
    poller = made.run()

    assert poller.finished
    kept = set(made.bucket.records)
    assert kept == ({alert(3)} if count > 3 else set())
    assert set(made.function.seen) == {alert(i) for i in range(count)}


@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"batchItemFailures": null}'])
def test_an_answer_without_failures_is_success(answer: bytes) -> None:
    assert reported_failures(answer) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"[]",
        b'"done"',
        b'{"batchItemFailures": "x"}',
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"wrong": "1"}]}',
        b'{"batchItemFailures": ["1"]}',
        b'{"batchItemFailures": [{"itemIdentifier": "999"}]}',
    ],
)
def test_an_answer_that_names_no_record_of_the_batch_fails_all_of_it(answer: bytes) -> None:
    made = world(
        lambda _batch: FunctionAnswer(answer),
        *map(alert, range(3)),
        maximum_retry_attempts=0,
        bisect_batch_on_function_error=False,
    )
    made.run()

    assert made.bucket.records == [alert(i) for i in range(3)]


def test_without_report_batch_item_failures_the_answer_is_not_read() -> None:
    made = world(
        lambda _batch: FunctionAnswer(b'{"batchItemFailures": [{"itemIdentifier": ""}]}'),
        alert(1),
        report_batch_item_failures=False,
    )
    made.run()

    assert made.function.batches == [[alert(1)]]


def test_a_window_gathers_records_and_ends_when_its_time_or_the_batch_size_is_reached() -> None:
    made = world(ok, batching_window_seconds=5.0)
    made.shard.closed = False
    made.shard.put(alert(0))
    poller = made.poller()
    for second in range(1, 5):
        made.clock.seconds = float(second)
        poller.step()
    assert made.function.batches == []
    made.shard.put(alert(1))
    made.clock.seconds = 6.5
    for _ in range(3):
        poller.step()
    assert made.function.batches == [[alert(0), alert(1)]]
    made.shard.put(*map(alert, range(2, 9)))
    for _ in range(4):
        poller.step()
    assert made.function.batches[1] == [alert(i) for i in range(2, 9)]


def test_a_batch_stays_within_what_one_invocation_takes() -> None:
    big = json.dumps({"type": "PAYMENT_ALERT", "text": "x" * 900_000}).encode()
    made = world(ok, *[big] * 12, batch_size=100)
    made.run()

    assert len(made.function.seen) == 12
    assert all(len(json.dumps(event)) <= PAYLOAD_BYTES for event in made.function.events)


def test_the_event_has_the_fields_that_lambda_gives_a_kinesis_record() -> None:
    made = world(ok, alert(1))
    made.run()

    assert made.function.events == [
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": "key",
                        "sequenceNumber": "100000000000000000000",
                        "data": base64.b64encode(alert(1)).decode(),
                        "approximateArrivalTimestamp": START.timestamp(),
                    },
                    "eventSource": "aws:kinesis",
                    "eventVersion": "1.0",
                    "eventID": f"{SHARD}:100000000000000000000",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": PARAMETERS.role_arn,
                    "awsRegion": "us-east-1",
                    "eventSourceARN": PARAMETERS.stream_arn,
                }
            ]
        }
    ]


def test_what_is_given_up_is_an_invocation_record_under_the_documented_name() -> None:
    made = world(
        lambda _batch: FunctionAnswer(b"", error="Unhandled", request_id="r-1"),
        alert(1),
        maximum_retry_attempts=1,
    )
    made.run()

    [(key, body)] = made.bucket.objects.items()
    assert key.startswith(f"aws/lambda/0b5f/{SHARD}/2026/11/21/2026-11-21T07.00.00-")
    payload = json.loads(body.pop("payload"))
    assert payload == made.function.events[-1]
    assert body == {
        "requestContext": {
            "requestId": "r-1",
            "functionArn": PARAMETERS.function_arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": body["timestamp"],
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": "100000000000000000000",
            "endSequenceNumber": "100000000000000000000",
            "approximateArrivalOfFirstRecord": "2026-11-21T07:00:00.000Z",
            "approximateArrivalOfLastRecord": "2026-11-21T07:00:00.000Z",
            "batchSize": 1,
            "streamArn": PARAMETERS.stream_arn,
        },
    }


def test_a_blocked_shard_does_not_hold_up_another() -> None:
    blocked = world(lambda _batch: FunctionAnswer(b"", error="Unhandled"), alert(1))
    free = world(ok, *map(alert, range(20)))
    first, second = blocked.poller(), free.poller()
    for _ in range(50):
        first.step()
        second.step()

    assert not first.finished
    assert second.finished
    assert len(free.function.seen) == 20


def test_a_slow_stream_is_asked_less_often_and_a_quiet_one_ten_times_a_second() -> None:
    made = world(ok)
    made.shard.closed = False
    assert made.poller().step() == pytest.approx(0.1)

    class SlowReader:
        def read(self, limit: int) -> ShardRead:
            del limit
            made.clock.seconds += 0.1
            return ShardRead([])

    slow = ShardPoller(
        PARAMETERS,
        SHARD,
        reader=SlowReader(),
        function=made.function,
        destination=None,
        positions=made.positions,
        clock=made.clock,
    )
    assert slow.step() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("pattern", "data", "expected"),
    [
        ({"type": ["A", "B"]}, b'{"type": "B"}', True),
        ({"type": ["A"]}, b'{"type": ["x", "A"]}', True),
        ({"type": ["A"]}, b'{"type": {"A": 1}}', False),
        ({"a": {"b": [1]}}, b'{"a": {"b": 1.0}}', True),
        ({"a": {"b": [1]}}, b'{"a": {"b": true}}', False),
        ({"a": [None]}, b'{"a": null}', True),
        ({"a": [None]}, b"{}", False),
        ({"a": [1], "b": [2]}, b'{"a": 1}', False),
        ({"a": [1]}, b"[" * 100_000, False),
    ],
)
def test_filter_patterns_compare_as_eventbridge_does(
    pattern: Pattern, data: bytes, *, expected: bool
) -> None:
    assert record_filter([pattern])(data) is expected


@pytest.mark.parametrize(
    "text",
    [
        '{"data": {"type": [{"prefix": "PAY"}]}}',
        '{"partitionKey": ["1"]}',
        '{"data": {"type": "A"}}',
    ],
)
def test_a_filter_that_is_not_implemented_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedMappingError, match="pattern"):
        read_patterns([text])


def test_without_a_filter_everything_comes() -> None:
    datas: Sequence[bytes] = [b"not json", alert(1)]
    made = world(ok, *datas, patterns=())
    made.run()

    assert made.function.seen == datas
