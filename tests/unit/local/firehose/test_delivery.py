"""The delivery stand-in against Firehose's documented promises, whatever fails and whenever."""

import base64
import gzip
import hashlib
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardwatch.local.firehose.delivery import (
    INVOCATION_BYTES,
    INVOCATION_RECORDS,
    BufferingHints,
    Delivery,
    DeliveryPositions,
    InvocationError,
    Range,
    UnreachableError,
)
from cardwatch.local.firehose.program import run as run_process
from cardwatch.local.firehose.status import (
    DeliveryStatus,
    read_status,
    request_flush,
    together,
)
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import ShardRead, StreamRecord
from cardwatch.recovery.error_output import EVENTS, QUARANTINE, FailedRecord, read_failed_records
from cardwatch.recovery.ports import LoadOutcome, StoredObject
from cardwatch.warehouse.ports import WarehouseUnavailableError

SHARDS = ("shard-0", "shard-1")
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:stager"
START = datetime(2026, 11, 21, 7, 59, 58, tzinfo=UTC)


class CrashError(BaseException):
    """The process ends here; only what is durable goes on."""


@dataclass
class FakeClock:
    elapsed: float = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds


@dataclass
class World:
    """Everything that outlives a delivery process, and when it fails next."""

    hints: BufferingHints = field(default_factory=lambda: BufferingHints(seconds=5, size=40))
    page_size: int = 3
    clock: FakeClock = field(default_factory=FakeClock)
    made: str = "first"
    records: dict[str, list[StreamRecord]] = field(default_factory=lambda: {s: [] for s in SHARDS})
    objects: dict[str, bytes] = field(default_factory=dict)
    kept: DeliveryPositions = field(default_factory=DeliveryPositions)
    ledger: list[tuple[str, str]] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    warehouse_is_up: bool = True
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    answer: Callable[[list[dict[str, Any]]], object] | None = None
    invocations: list[list[dict[str, Any]]] = field(default_factory=list)
    sequence: int = 0

    def put(self, shard: str, *data: bytes) -> None:
        for item in data:
            self.sequence += 1
            record = StreamRecord(str(self.sequence), "key", item, self.clock.now())
            self.records[shard].append(record)

    def process(self) -> Delivery:
        """Start a delivery process."""
        return Delivery(
            source=FakeSource(self),
            transformer=FakeStager(self),
            objects=FakeBucket(self),
            loader=FakeLoader(self),
            positions=FakePositions(self),
            hints=self.hints,
            clock=self.clock,
        )

    def fault(self, *, error: type[Exception] = UnreachableError) -> "Fault":
        return Fault(next(self.faults, "none"), error)

    def quarantined(self) -> list[FailedRecord]:
        bodies = [body for key, body in sorted(self.objects.items()) if key.startswith(QUARANTINE)]
        return [r for body in bodies for r in read_failed_records(gzip.decompress(body))]


@dataclass
class Fault:
    """Fails before or after what is done inside it."""

    kind: str
    error: type[Exception]

    def __enter__(self) -> None:
        self._act("before")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._act("after")

    def _act(self, moment: str) -> None:
        if self.kind == f"crash {moment}":
            raise CrashError
        if self.kind == f"unreachable {moment}":
            msg = "away"
            raise self.error(msg)


@dataclass
class FakeSource:
    world: World

    def identity(self) -> str:
        return self.world.made

    def shards(self) -> Sequence[str]:
        return SHARDS

    def read(self, shard: str, after: str | None) -> ShardRead:
        with self.world.fault():
            left = [
                r for r in self.world.records[shard] if int(r.sequence_number) > int(after or 0)
            ]
            page = left[: self.world.page_size]
            return ShardRead(page, behind_ms=1000 if len(left) > len(page) else 0)


@dataclass
class FakeStager:
    world: World
    arn: str = FUNCTION

    def invoke(self, event: Mapping[str, Any]) -> object:
        with self.world.fault():
            self.world.invocations.append(event["records"])
            if self.world.answer is not None:
                return self.world.answer(event["records"])
            return {"records": [judge(record) for record in event["records"]]}


def judge(record: dict[str, Any]) -> dict[str, Any]:
    """Do what the stager does, on records that say themselves what they are."""
    raw = base64.b64decode(record["data"])
    if raw.startswith(b"poison"):
        return {**record, "result": "ProcessingFailed"}
    line = base64.b64encode(raw + b"\n").decode()
    return {"recordId": record["recordId"], "result": "Ok", "data": line}


@dataclass
class FakeBucket:
    world: World

    def put(self, key: str, body: bytes) -> str:
        with self.world.fault():
            self.world.objects[key] = body
            return etag(body)

    def get(self, key: str) -> bytes | None:
        with self.world.fault():
            return self.world.objects.get(key)

    def list(self, prefix: str) -> Sequence[StoredObject]:
        with self.world.fault():
            return [
                StoredObject(key, etag(body))
                for key, body in sorted(self.world.objects.items())
                if key.startswith(prefix)
            ]


@dataclass
class FakeLoader:
    world: World

    def load(self, key: str, tag: str, body: bytes) -> LoadOutcome:
        self._answer()
        with self.world.fault(error=WarehouseUnavailableError):
            if (key, tag) in self.world.ledger:
                return LoadOutcome("already_loaded")
            lines = gzip.decompress(body).splitlines()
            if b"refused" in lines:
                self.world.bad.append((key, tag))
                return LoadOutcome("bad", error="refused")
            self.world.ledger.append((key, tag))
            self.world.rows.extend(lines)
            return LoadOutcome("loaded", rows=len(lines))

    def load_all(
        self, objects: Sequence[StoredObject], get: Callable[[str], bytes | None]
    ) -> Sequence[LoadOutcome]:
        bodies = [(item, get(item.key)) for item in objects]
        return [self.load(item.key, item.etag, body) for item, body in bodies if body is not None]

    def known_objects(self, after: str = "") -> set[tuple[str, str]]:
        self._answer()
        with self.world.fault(error=WarehouseUnavailableError):
            return {known for known in (*self.world.ledger, *self.world.bad) if known[0] > after}

    def newest_object(self) -> str | None:
        return max((key for key, _ in self.known_objects()), default=None)

    def _answer(self) -> None:
        if not self.world.warehouse_is_up:
            msg = "away"
            raise WarehouseUnavailableError(msg)


@dataclass
class FakePositions:
    world: World

    def read(self) -> DeliveryPositions:
        return self.world.kept

    def write(self, positions: DeliveryPositions) -> None:
        fault = next(self.world.faults, "none")
        with Fault(fault if "crash" in fault else "none", UnreachableError):
            self.world.kept = positions


def etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def flush(world: World, delivery: Delivery) -> Delivery:
    """Deliver everything there is, without further faults."""
    world.faults = iter(())
    before = delivery.status().flush_completed
    delivery.request_flush()
    for _ in range(200):
        delivery.step()
        world.clock.elapsed += 1
        if delivery.status().flush_completed > before:
            return delivery
    msg = "the flush does not complete"
    raise AssertionError(msg)


def step(world: World, delivery: Delivery) -> Delivery:
    """Do one step; a crash is followed by a new process."""
    try:
        delivery.step()
    except UnreachableError:
        pass
    except CrashError:
        delivery = world.process()
    world.clock.elapsed += 1
    return delivery


def run(world: World, batches: Sequence[tuple[str, list[bytes]]]) -> Delivery:
    delivery = world.process()
    for shard, data in batches:
        world.put(shard, *data)
        delivery = step(world, delivery)
    # A process may die just before everything is quiet, too.
    for _ in range(8):
        delivery = step(world, delivery)
    return flush(world, delivery)


KINDS = ("valid", "poison")
BATCHES = st.lists(
    st.tuples(
        st.sampled_from(SHARDS),
        st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 30)), max_size=8),
    ),
    min_size=3,
    max_size=12,
).map(
    lambda batches: [
        (shard, [f"{kind}-{b}-{i}-{'x' * size}".encode() for i, (kind, size) in enumerate(items)])
        for b, (shard, items) in enumerate(batches)
    ]
)
KINDS_OF_FAULT = ("crash before", "crash after", "unreachable before", "unreachable after")
FAULTS = st.dictionaries(
    st.integers(0, 90), st.sampled_from(KINDS_OF_FAULT), min_size=3, max_size=20
).map(lambda faults: [faults.get(operation, "none") for operation in range(91)])
"""What happens at each operation on anything outside, counted from the first."""


@settings(deadline=None, max_examples=250)
@given(batches=BATCHES, faults=FAULTS, page_size=st.integers(1, 5))
def test_whatever_fails_and_whenever_every_record_ends_in_one_row_or_in_quarantine_once(
    batches: list[tuple[str, list[bytes]]], faults: list[str], page_size: int
) -> None:
    world = World(page_size=page_size, faults=iter(faults))
    run(world, batches)
    # Another process finds whatever an earlier one stored and did not get to load.
    delivery = flush(world, world.process())
    sent = [item for _, data in batches for item in data]
    valid = [item for item in sent if item.startswith(b"valid")]
    poison = [item for item in sent if item.startswith(b"poison")]
    assert sorted(world.rows) == sorted(valid)
    assert sorted(r.raw for r in world.quarantined()) == sorted(poison)
    assert len(world.ledger) == len(set(world.ledger))
    totals = delivery.status()
    assert totals.records_read == len(sent)
    assert totals.records_staged == len(valid)
    assert totals.records_quarantined == len(poison)
    assert totals.buffered_records == 0


@settings(deadline=None, max_examples=100)
@given(
    batches=BATCHES,
    faults=FAULTS,
    answers=st.lists(st.sampled_from(["right", "error", "garbage", "short"]), max_size=40),
)
def test_a_failing_stager_loses_nothing_a_record_is_in_a_row_or_whole_in_quarantine(
    batches: list[tuple[str, list[bytes]]], faults: list[str], answers: list[str]
) -> None:
    plan = iter(answers)

    def answer(records: list[dict[str, Any]]) -> object:
        match next(plan, "right"):
            case "error":
                code = "Lambda.FunctionError"
                raise InvocationError(code, "it raised")
            case "garbage":
                return "not an answer"
            case "short":
                return {"records": [judge(record) for record in records[1:]]}
            case _:
                return {"records": [judge(record) for record in records]}

    world = World(faults=iter(faults), answer=answer)
    delivery = run(world, batches)
    flush(world, world.process())
    sent = Counter(item for _, data in batches for item in data)
    found = Counter(world.rows) + Counter(r.raw for r in world.quarantined())
    assert set(found) == set(sent)
    assert not [row for row in world.rows if row.startswith(b"poison")]
    assert delivery.status().records_read == sent.total()


@settings(deadline=None, max_examples=60)
@given(batches=BATCHES)
def test_a_buffer_ends_with_the_record_that_fills_it_or_when_its_interval_is_over(
    batches: list[tuple[str, list[bytes]]],
) -> None:
    world = World(hints=BufferingHints(seconds=4, size=40), page_size=1000)
    delivery = world.process()
    for shard, data in batches:
        world.put(shard, *data)
        delivery = step(world, delivery)
        delivered = {s: int(world.kept.delivered.get(s, 0)) for s in SHARDS}
        for shard_id, records in world.records.items():
            for record in records:
                waited = (world.clock.now() - record.arrived_at).total_seconds()
                stored = int(record.sequence_number) <= delivered[shard_id]
                assert stored or waited <= world.hints.seconds + 1
    for key, body in world.objects.items():
        if key.startswith(EVENTS) and not key.startswith(QUARANTINE):
            lines = gzip.decompress(body).splitlines()
            assert sum(len(line) for line in lines[:-1]) < world.hints.size


def test_the_interval_counts_from_a_buffers_first_record() -> None:
    world = World(hints=BufferingHints(seconds=5, size=10**6))
    delivery = world.process()
    world.put("shard-0", b"valid-1")
    for _ in range(5):
        delivery.step()
        assert not world.objects
        world.clock.elapsed += 1
    delivery.step()
    assert world.rows == [b"valid-1"]


def test_an_object_is_named_by_its_range_under_the_hour_of_its_first_record() -> None:
    world = World(hints=BufferingHints(seconds=3, size=10**6))
    delivery = world.process()
    world.put("shard-0", b"valid-1")
    world.clock.elapsed += 2  # past eight o'clock
    world.put("shard-0", b"valid-2")
    world.put("shard-1", b"valid-3")
    flush(world, delivery)
    stream = hashlib.sha256(b"first").hexdigest()[:8]
    assert sorted(world.objects) == [
        f"events/2026/11/21/07/{stream}-shard-0-1-2.gz",
        f"events/2026/11/21/08/{stream}-shard-1-3-3.gz",
    ]


def test_after_a_crash_the_same_range_is_written_again_although_more_has_come() -> None:
    world = World(hints=BufferingHints(seconds=1, size=10**6))
    world.put("shard-0", b"valid-1", b"valid-2")
    delivery = world.process()
    delivery.step()
    world.clock.elapsed += 1
    # read, read, the begun range; then the object is stored and the process ends.
    world.faults = iter(["none", "none", "none", "none", "crash after"])
    with pytest.raises(CrashError):
        delivery.step()
    (key,) = world.objects
    world.put("shard-0", b"valid-3")
    flush(world, world.process())
    assert [k for k in world.objects if k.endswith("-1-2.gz")] == [key]
    assert sorted(world.rows) == [b"valid-1", b"valid-2", b"valid-3"]


def test_an_object_that_is_about_to_be_written_again_is_not_loaded_before() -> None:
    verdicts = iter([b"early", b"later"])

    def answer(records: list[dict[str, Any]]) -> object:
        line = base64.b64encode(next(verdicts) + b"\n").decode()
        return {"records": [{**record, "result": "Ok", "data": line} for record in records]}

    world = World(hints=BufferingHints(seconds=1, size=1), page_size=1, answer=answer)
    world.put("shard-0", b"valid-1")
    # position, read, position, function; then the object is stored and the process ends.
    world.faults = iter([*["none"] * 4, "crash after"])
    with pytest.raises(CrashError):
        world.process().step()
    assert len(world.objects) == 1
    delivery = world.process()
    world.records["shard-0"], kept = [], world.records["shard-0"]
    delivery.step()
    assert not world.rows
    world.records["shard-0"] = kept
    flush(world, delivery)
    assert world.rows == [b"later"]


def test_a_begun_range_that_the_stream_no_longer_holds_stops_nothing() -> None:
    world = World(hints=BufferingHints(seconds=1, size=10**6))
    world.kept = DeliveryPositions(
        stream="first", begun={"shard-0": Range(first="1", last="3", name="2026/11/21/07/x.gz")}
    )
    world.sequence = 2
    world.put("shard-0", b"valid-3", b"valid-4")
    world.records["shard-0"].pop(0)
    flush(world, world.process())
    assert world.rows == [b"valid-4"]


def test_a_failed_record_lies_in_quarantine_in_firehoses_wrapper() -> None:
    world = World()
    world.put("shard-0", b"poison-1")
    flush(world, world.process())
    ((key, body),) = world.objects.items()
    assert key.startswith("events/processing-failed/2026/11/21/07/")
    assert [json.loads(line) for line in gzip.decompress(body).splitlines()] == [
        {
            "attemptsMade": 1,
            "arrivalTimestamp": int(START.timestamp() * 1000),
            "errorCode": "Lambda.ProcessingFailedStatus",
            "errorMessage": "ProcessingFailed status set for record",
            "attemptEndingTimestamp": int(START.timestamp() * 1000),
            "rawData": base64.b64encode(b"poison-1").decode(),
            "lambdaArn": FUNCTION,
        }
    ]


def test_a_function_that_keeps_failing_is_tried_four_times_then_its_batch_is_quarantined() -> None:
    def fail(_records: list[dict[str, Any]]) -> object:
        code = "Lambda.FunctionError"
        raise InvocationError(code, "it raised")

    world = World(answer=fail)
    world.put("shard-0", b"valid-1", b"valid-2")
    flush(world, world.process())
    assert len(world.invocations) == 4
    failed = world.quarantined()
    assert [(r.raw, r.attempts, r.error_code) for r in failed] == [
        (b"valid-1", 4, "Lambda.FunctionError"),
        (b"valid-2", 4, "Lambda.FunctionError"),
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda answers: answers[1:], "Lambda.MissingRecordId"),
        (lambda answers: [answers[0], *answers], "Lambda.DuplicatedRecordId"),
        (lambda answers: [{**answers[0], "result": "Fine"}, answers[1]], None),
        (lambda answers: [{**answers[0], "data": "no base64!"}, answers[1]], None),
    ],
    ids=["missing", "twice", "unknown result", "not base64"],
)
def test_an_answer_that_breaks_firehoses_rules_fails_that_record_and_no_other(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], code: str | None
) -> None:
    world = World(answer=lambda records: {"records": change([judge(r) for r in records])})
    world.put("shard-0", b"valid-1", b"valid-2")
    flush(world, world.process())
    assert world.rows == [b"valid-2"]
    (failed,) = world.quarantined()
    assert failed.raw == b"valid-1"
    assert failed.error_code == (code or "Lambda.JsonProcessingException")


def test_a_dropped_record_is_counted_and_goes_nowhere() -> None:
    world = World(
        answer=lambda records: {
            "records": [{"recordId": r["recordId"], "result": "Dropped"} for r in records]
        }
    )
    world.put("shard-0", b"valid-1")
    delivery = flush(world, world.process())
    assert not world.objects
    assert delivery.status().records_dropped == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, INVOCATION_BYTES + 10), max_size=12), st.integers(0, 1200))
def test_an_invocation_stays_within_its_limits_unless_one_record_alone_is_longer(
    sizes: list[int], small: int
) -> None:
    world = World(hints=BufferingHints(seconds=1, size=10**9), page_size=10_000)
    world.put("shard-0", *[b"v" * size for size in sizes], *[b"v"] * small)
    flush(world, world.process())
    for records in world.invocations:
        size = sum(len(base64.b64decode(r["data"])) for r in records)
        assert len(records) <= INVOCATION_RECORDS
        assert size <= INVOCATION_BYTES or len(records) == 1
    assert len(world.rows) == len(sizes) + small


def test_while_the_warehouse_is_away_objects_are_stored_and_loaded_when_it_is_back() -> None:
    world = World(hints=BufferingHints(seconds=1, size=10**6), warehouse_is_up=False)
    delivery = world.process()
    for number in range(4):
        world.put("shard-0", f"valid-{number}".encode())
        delivery.step()
        world.clock.elapsed += 2
    delivery.step()
    status = delivery.status()
    assert (status.objects_waiting, len(world.objects), status.rows_loaded) == (2, 2, 0)
    assert "away" in (status.problem or "")
    world.warehouse_is_up = True
    world.clock.elapsed += 60
    delivery.step()
    assert sorted(world.rows) == [f"valid-{number}".encode() for number in range(4)]
    assert delivery.status().problem is None


def test_a_bad_object_is_kept_aside_and_the_others_are_loaded() -> None:
    world = World(hints=BufferingHints(seconds=1, size=1))
    world.put("shard-0", b"valid-1", b"refused", b"valid-2")
    delivery = flush(world, world.process())
    assert sorted(world.rows) == [b"valid-1", b"valid-2"]
    assert delivery.status().objects_bad == 1
    assert world.bad[0][0] in world.objects
    flush(world, world.process())
    assert len(world.bad) == 1


def test_a_new_stream_of_the_same_name_is_read_from_its_oldest_record() -> None:
    world = World()
    world.put("shard-0", b"valid-1", b"valid-2")
    flush(world, world.process())
    world.made = "second"
    world.records = {shard: [] for shard in SHARDS}
    world.sequence = 0
    world.put("shard-0", b"valid-3")
    delivery = flush(world, world.process())
    assert sorted(world.rows) == [b"valid-1", b"valid-2", b"valid-3"]
    assert delivery.status().records_read == 1


def test_the_end_of_a_process_delivers_and_loads_what_is_buffered() -> None:
    world = World(hints=BufferingHints(seconds=900, size=10**6))
    world.put("shard-0", b"valid-1")
    delivery = world.process()
    delivery.step()
    assert not world.rows
    delivery.finish()
    assert world.rows == [b"valid-1"]


def test_a_flush_completes_only_when_all_that_was_on_the_stream_is_loaded() -> None:
    world = World(hints=BufferingHints(seconds=900, size=10**6), page_size=2)
    world.put("shard-1", *[f"valid-{number}".encode() for number in range(5)])
    delivery = world.process()
    delivery.request_flush()
    completed = []
    for _ in range(4):
        delivery.step()
        completed.append((delivery.status().flush_completed, len(world.rows)))
    assert completed == [(0, 2), (0, 4), (1, 5), (1, 5)]


def test_positions_survive_on_disk(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "positions" / "delivery.json", DeliveryPositions, durable=True)
    assert file.read() == DeliveryPositions()
    positions = DeliveryPositions(stream="first", delivered={"shard-0": "7"})
    file.write(positions)
    assert file.read() == positions
    assert [path.name for path in (tmp_path / "positions").iterdir()] == ["delivery.json"]


def test_a_damaged_position_file_is_one_message_that_names_it_and_the_remedy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "delivery.json"
    path.write_text('{"stream": ')
    with pytest.raises(ValueError, match=r"delivery\.json is damaged: delete it"):
        PositionFile(path, DeliveryPositions).read()


@pytest.fixture
def signals() -> Iterator[None]:
    """The process's own reactions, put back after a test that replaces them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, reaction in zip(numbers, before, strict=True):
        signal.signal(number, reaction)


@pytest.mark.usefixtures("signals")
def test_a_process_flushes_on_sigusr1_and_on_sigterm_delivers_its_buffer_and_ends(
    tmp_path: Path,
) -> None:
    world = World(hints=BufferingHints(seconds=900, size=10**6))
    world.put("shard-0", b"valid-1")
    seen: list[tuple[DeliveryStatus | None, list[bytes]]] = []

    def somebody_else() -> None:
        flushed = request_flush(tmp_path, os.getpid(), timeout_seconds=20)
        seen.append((flushed, list(world.rows)))
        world.put("shard-0", b"valid-2")
        deadline = time.monotonic() + 20
        status = read_status(tmp_path)
        while (status is None or not status.buffered_records) and time.monotonic() < deadline:
            time.sleep(0.05)
            status = read_status(tmp_path)
        seen.append((status, list(world.rows)))
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=somebody_else, daemon=True)
    other.start()
    run_process([world.process()], tmp_path)
    other.join()
    (flushed, rows), (buffering, rows_then) = seen
    assert flushed is not None
    assert (flushed.pid, flushed.flush_completed, flushed.records_staged) == (os.getpid(), 1, 1)
    assert rows == rows_then == [b"valid-1"]
    assert buffering is not None
    assert world.rows == [b"valid-1", b"valid-2"]
    ended = read_status(tmp_path)
    assert ended is not None
    assert (ended.buffered_records, ended.records_staged) == (0, 2)


@pytest.mark.usefixtures("signals")
def test_an_end_that_is_away_is_tried_again_and_the_status_says_why(tmp_path: Path) -> None:
    world = World(hints=BufferingHints(seconds=0, size=1))
    world.put("shard-0", b"valid-1")
    world.faults = iter(["none", "unreachable before"])
    problems: list[str | None] = []

    def somebody_else() -> None:
        deadline = time.monotonic() + 20
        while not world.rows and time.monotonic() < deadline:
            if (status := read_status(tmp_path)) is not None:
                problems.append(status.problem)
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=somebody_else, daemon=True)
    other.start()
    run_process([world.process()], tmp_path)
    other.join()
    assert "away" in problems
    assert world.rows == [b"valid-1"]


def test_a_flush_of_a_process_that_never_listens_gives_up_without_a_signal(tmp_path: Path) -> None:
    assert request_flush(tmp_path, os.getpid(), timeout_seconds=0.2) is None


@pytest.mark.usefixtures("signals")
def test_each_stream_is_delivered_though_another_one_cannot_be_read(tmp_path: Path) -> None:
    away, there = (World(hints=BufferingHints(seconds=0, size=1)) for _ in range(2))
    away.faults = itertools.repeat("unreachable before")
    there.put("shard-0", b"valid-1")
    problems: list[str | None] = []

    def somebody_else() -> None:
        deadline = time.monotonic() + 20
        while not there.rows and time.monotonic() < deadline:
            time.sleep(0.05)
        if (status := read_status(tmp_path)) is not None:
            problems.append(status.problem)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=somebody_else, daemon=True)
    other.start()
    run_process([away.process(), there.process()], tmp_path)
    other.join()
    assert there.rows == [b"valid-1"]
    assert problems != [None]


def test_the_status_of_several_streams_is_their_sum_and_the_worst_of_each() -> None:
    busy = DeliveryStatus(
        pid=7,
        stream="events",
        records_read=5,
        objects_loaded=2,
        behind_ms=10,
        last_load_at="2026-11-21T10:00:00.000",
        flush_requested=1,
        flush_completed=1,
    )
    behind = DeliveryStatus(
        pid=7,
        stream="scores",
        records_read=3,
        behind_ms=90,
        flush_requested=1,
        problem="S3 is away",
    )
    both = together([busy, behind])
    assert (both.pid, both.stream, both.records_read, both.objects_loaded) == (7, "events", 8, 2)
    assert (both.behind_ms, both.last_load_at) == (90, busy.last_load_at)
    assert (both.flush_requested, both.flush_completed) == (1, 0), "one of them is not done"
    assert both.problem == "S3 is away"
    assert together([busy]) == busy
