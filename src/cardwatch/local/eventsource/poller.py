"""What a Lambda event source mapping does with one Kinesis shard, by AWS's documented semantics.

The emulator's own mapping loses records on partial failures and knows no retry limit, so this takes
its place on one machine. Pure: the stream, the function, the failure destination, the positions and
the clock come from outside.

For each shard, independently of the others:
- records are read in order, filtered on `data`, and gathered to a batch until it is full (BatchSize
  or Lambda's 6 MB) or its window is over; what does not match is passed over and never seen again;
- a batch that succeeds moves the position. With ReportBatchItemFailures the lowest sequence number
  that the function names is the new position, and everything from there on runs again;
- a batch that fails as a whole is halved (BisectBatchOnFunctionError, which costs no retry) or runs
  again, up to MaximumRetryAttempts; a call that could not be made costs no retry either;
- what has used its retries, or is older than MaximumRecordAgeInSeconds, goes whole to the failure
  destination, and the shard moves on. Until then the shard waits: order is kept.
"""

import base64
import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from cardwatch.backoff import Backoff
from cardwatch.contract.fields import format_time
from cardwatch.local.stream.shard import READ_LIMIT, ShardRead, StreamRecord
from cardwatch.ports import Clock, StreamUnavailableError

PAYLOAD_BYTES: Final = 6_000_000
"""What one synchronous invocation takes, a little below Lambda's 6 MiB."""
RECORD_OVERHEAD_BYTES: Final = 1_000
"""A record's fields beside its data in the event, generously."""
IDLE_SECONDS: Final = 0.1
"""Between two reads of a quiet shard; AWS reads once a second."""
SLOWEST_IDLE_SECONDS: Final = 1.0
READ_SHARE: Final = 0.2
"""Most of the time that reads of a quiet shard may take: a slow emulator is asked less often."""
WAITS: Final = Backoff(first_seconds=0.1, longest_seconds=10.0)
"""Between the tries of what failed."""

RETRIES_EXHAUSTED: Final = "RetryAttemptsExhausted"
TOO_OLD: Final = "RecordAgeExceeded"

Scalar = str | int | float | bool | None
Pattern = dict[str, "Pattern | list[Scalar]"]


class UnsupportedMappingError(ValueError):
    """The mapping asks for something that is not implemented here; the text names it."""


class FunctionUnavailableError(Exception):
    """The function could not be called, or nobody knows how the call ended."""


class DestinationUnavailableError(Exception):
    """The failure destination did not take what was sent."""


@dataclass(frozen=True, slots=True)
class FunctionAnswer:
    """How an invocation ended."""

    payload: bytes
    error: str | None = None
    """Lambda's FunctionError: the function raised, ran out of time or died."""
    request_id: str = ""


class ShardReader(Protocol):
    """One shard, read in order from where the last read ended."""

    def read(self, limit: int) -> ShardRead:
        """Give the next records; raises StreamUnavailableError and goes on from there later."""
        ...


class InvokedFunction(Protocol):
    """The deployed function."""

    def invoke(self, event: bytes) -> FunctionAnswer:
        """Call it and wait; raises FunctionUnavailableError."""
        ...


class FailureDestination(Protocol):
    """The bucket for what is given up."""

    def put(self, key: str, body: bytes) -> None:
        """Keep an invocation record; raises DestinationUnavailableError."""
        ...


class PositionStore(Protocol):
    """How far each shard is done."""

    def save(self, shard_id: str, sequence_number: str, *, at_once: bool) -> None:
        """Remember that everything up to this record is done; `at_once` if it may not be lost."""
        ...


@dataclass(frozen=True, slots=True)
class MappingParameters:
    """The parameters of AWS::Lambda::EventSourceMapping; None for a limit means no limit."""

    uuid: str
    stream_arn: str
    function_arn: str
    role_arn: str
    region: str
    batch_size: int = 100
    batching_window_seconds: float = 0.0
    patterns: tuple[Pattern, ...] = ()
    report_batch_item_failures: bool = False
    bisect_batch_on_function_error: bool = False
    maximum_retry_attempts: int | None = None
    maximum_record_age_seconds: int | None = None
    from_latest: bool = False
    """StartingPosition is LATEST, not TRIM_HORIZON."""
    failure_bucket: str | None = None


@dataclass(slots=True)
class ShardStatus:
    """What happened on one shard since the start."""

    records_seen: int = 0
    records_matched: int = 0
    records_done: int = 0
    records_discarded: int = 0
    invocations: int = 0
    failed_invocations: int = 0
    unavailable: int = 0
    """How often the stream, the function or the destination did not answer."""
    iterator_age_ms: int = 0
    """Age of the oldest record read and not done; when all is done, how far behind the read was."""
    position: str | None = None
    last_error: str | None = None


@dataclass(slots=True)
class _Batch:
    records: Sequence[StreamRecord]
    failures: int = 0
    """Failed invocations that count as attempts."""
    invocations: int = 0
    answer: FunctionAnswer | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    at: int
    """Index of the lowest failed record."""
    whole: bool
    """The batch failed as a whole: nothing in it is known to be done."""


_WHOLE: Final = _Failure(at=0, whole=True)


class ShardPoller:
    """Carries the records of one shard to the function."""

    def __init__(
        self,
        parameters: MappingParameters,
        shard_id: str,
        *,
        reader: ShardReader,
        function: InvokedFunction,
        destination: FailureDestination | None,
        positions: PositionStore,
        clock: Clock,
    ) -> None:
        """Start where `reader` stands; without a destination what is given up is only counted."""
        self.status = ShardStatus()
        self.finished = False
        """The shard is closed and everything on it is done."""
        self._parameters = parameters
        self.shard_id = shard_id
        self._reader = reader
        self._function = function
        self._destination = destination
        self._positions = positions
        self._clock = clock
        self._matches = record_filter(parameters.patterns)
        self._waiting: deque[StreamRecord] = deque()
        self._waiting_since = 0.0
        self._last_read: str | None = None
        self._closed = False
        self._batches: deque[_Batch] = deque()
        self._troubles = 0

    def step(self) -> float:
        """Do one thing (read or invoke) and say how many seconds to wait before the next."""
        try:
            wait = self._attempt() if self._batches else self._read()
        except StreamUnavailableError as error:
            return self._trouble(f"stream: {error}")
        except FunctionUnavailableError as error:
            return self._trouble(f"function: {error}")
        except DestinationUnavailableError as error:
            return self._trouble(f"failure destination: {error}")
        self._troubles = 0
        return wait

    def _trouble(self, error: str) -> float:
        self._troubles += 1
        self.status.unavailable += 1
        self.status.last_error = error
        self._observe_age()
        return WAITS.longest_wait(self._troubles)

    # Reading

    def _read(self) -> float:
        quiet = 0.0
        if len(self._waiting) < self._parameters.batch_size and not self._closed:
            began = self._clock.monotonic()
            got = self._reader.read(READ_LIMIT)
            took = self._clock.monotonic() - began
            self._take_in(got)
            if got.behind_ms == 0 and len(got.records) < READ_LIMIT:
                quiet = min(max(IDLE_SECONDS, took / READ_SHARE), SLOWEST_IDLE_SECONDS)
        if self._batch_is_due():
            self._batches.append(_Batch(self._next_batch()))
            return 0.0
        self.finished = self._closed and not self._waiting
        return quiet

    def _take_in(self, got: ShardRead) -> None:
        self.status.records_seen += len(got.records)
        for record in got.records:
            if self._matches(record.data):
                if not self._waiting:
                    self._waiting_since = self._clock.monotonic()
                self._waiting.append(record)
                self.status.records_matched += 1
        self._closed = got.closed
        if got.records:
            self._last_read = got.records[-1].sequence_number
            if not self._waiting:
                self._move_to(self._last_read, at_once=False)
        self._observe_age(got.behind_ms)

    def _batch_is_due(self) -> bool:
        if not self._waiting:
            return False
        waited = self._clock.monotonic() - self._waiting_since
        return (
            len(self._waiting) >= self._parameters.batch_size
            or waited >= self._parameters.batching_window_seconds
            or self._closed
            or sum(map(_event_bytes, self._waiting)) >= PAYLOAD_BYTES
        )

    def _next_batch(self) -> list[StreamRecord]:
        batch: list[StreamRecord] = []
        size = 0
        while self._waiting and len(batch) < self._parameters.batch_size:
            size += _event_bytes(self._waiting[0])
            if batch and size > PAYLOAD_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    # Invoking

    def _attempt(self) -> float:
        batch = self._batches[0]
        old = self._count_too_old(batch.records)
        if old:
            self._discard(batch, old, TOO_OLD)
            return 0.0
        answer = self._function.invoke(self._event(batch.records))
        self.status.invocations += 1
        batch.invocations += 1
        batch.answer = answer
        failure = self._failure(batch.records, answer)
        if failure is None:
            self._finish(batch, len(batch.records))
            return 0.0
        self.status.failed_invocations += 1
        self.status.last_error = answer.error or "the function reported failed records"
        self._observe_age()
        return self._after_failure(batch, failure)

    def _failure(self, records: Sequence[StreamRecord], answer: FunctionAnswer) -> _Failure | None:
        if answer.error is not None:
            return _WHOLE
        if not self._parameters.report_batch_item_failures:
            return None
        reported = reported_failures(answer.payload)
        if reported is None:
            return _WHOLE
        index = {record.sequence_number: i for i, record in enumerate(records)}
        if not set(reported) <= set(index):
            return _WHOLE  # a number that is not in the batch says nothing about where to go on
        at = min((index[number] for number in reported), default=None)
        return None if at is None else _Failure(at=at, whole=False)

    def _after_failure(self, batch: _Batch, failure: _Failure) -> float:
        halve = failure.whole and self._parameters.bisect_batch_on_function_error
        if halve and len(batch.records) > 1:
            middle = len(batch.records) // 2
            self._batches.popleft()
            # Splitting is no retry, so both halves keep the count they had.
            self._batches.extendleft(
                _Batch(part, failures=batch.failures, invocations=batch.invocations)
                for part in (batch.records[middle:], batch.records[:middle])
            )
            return 0.0
        if failure.at > 0:
            self._finish(batch, failure.at)
            batch.failures = 0  # another record heads the batch now, and this was its first try
        batch.failures += 1
        limit = self._parameters.maximum_retry_attempts
        if limit is not None and batch.failures > limit:
            self._discard(batch, len(batch.records), RETRIES_EXHAUSTED)
            return 0.0
        return WAITS.longest_wait(batch.failures)

    def _count_too_old(self, records: Sequence[StreamRecord]) -> int:
        limit = self._parameters.maximum_record_age_seconds
        if limit is None:
            return 0
        now = self._clock.now()
        old = (i for i, r in enumerate(records) if (now - r.arrived_at).total_seconds() <= limit)
        return next(old, len(records))

    def _finish(self, batch: _Batch, count: int) -> None:
        self._leave(batch, count)
        self.status.records_done += count

    def _discard(self, batch: _Batch, count: int, condition: str) -> None:
        records = batch.records[:count]
        if self._destination is not None:
            now = self._clock.now()
            key = failure_key(self._parameters.uuid, self.shard_id, now)
            body = self._invocation_record(batch, records, condition, now)
            self._destination.put(key, body)
        self._leave(batch, count)
        self.status.records_discarded += count

    def _leave(self, batch: _Batch, count: int) -> None:
        """Move on past the first `count` records of the batch at hand."""
        last = batch.records[count - 1].sequence_number
        batch.records = batch.records[count:]
        if not batch.records:
            self._batches.popleft()
        all_done = not self._batches and not self._waiting
        self._move_to(self._last_read if all_done and self._last_read else last, at_once=True)
        self._observe_age()

    def _move_to(self, sequence_number: str, *, at_once: bool) -> None:
        self._positions.save(self.shard_id, sequence_number, at_once=at_once)
        self.status.position = sequence_number

    def _observe_age(self, behind_ms: int = 0) -> None:
        if self._batches:
            oldest = self._batches[0].records[0]
        elif self._waiting:
            oldest = self._waiting[0]
        else:
            self.status.iterator_age_ms = behind_ms
            return
        age = (self._clock.now() - oldest.arrived_at).total_seconds()
        self.status.iterator_age_ms = max(0, int(age * 1000))

    # What is sent

    def _event(self, records: Sequence[StreamRecord]) -> bytes:
        return json.dumps({"Records": [self._event_record(record) for record in records]}).encode()

    def _event_record(self, record: StreamRecord) -> dict[str, Any]:
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": record.sequence_number,
                "data": base64.b64encode(record.data).decode(),
                "approximateArrivalTimestamp": round(record.arrived_at.timestamp(), 3),
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{self.shard_id}:{record.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._parameters.role_arn,
            "awsRegion": self._parameters.region,
            "eventSourceARN": self._parameters.stream_arn,
        }

    def _invocation_record(
        self, batch: _Batch, records: Sequence[StreamRecord], condition: str, now: datetime
    ) -> bytes:
        answer = batch.answer
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": (answer.request_id if answer else "") or str(uuid.uuid4()),
                "functionArn": self._parameters.function_arn,
                "condition": condition,
                "approximateInvokeCount": batch.invocations,
            },
            "version": "1.0",
            "timestamp": format_time(now),
            "KinesisBatchInfo": {
                "shardId": self.shard_id,
                "startSequenceNumber": records[0].sequence_number,
                "endSequenceNumber": records[-1].sequence_number,
                "approximateArrivalOfFirstRecord": format_time(records[0].arrived_at),
                "approximateArrivalOfLastRecord": format_time(records[-1].arrived_at),
                "batchSize": len(records),
                "streamArn": self._parameters.stream_arn,
            },
            # A bucket, unlike a queue or a topic, gets the event itself: its JSON as a string.
            "payload": self._event(records).decode(),
        }
        if answer is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST"}
            if answer.error is not None:
                record["responseContext"]["functionError"] = answer.error
        return json.dumps(record).encode()

    def snapshot(self) -> dict[str, Any]:
        return asdict(self.status)


def failure_key(mapping_uuid: str, shard_id: str, now: datetime) -> str:
    """Give the name that Lambda gives an object in a failure destination."""
    name = f"{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
    return f"aws/lambda/{mapping_uuid}/{shard_id}/{now:%Y/%m/%d}/{name}"


def reported_failures(payload: bytes) -> list[str] | None:
    """Read the sequence numbers of a ReportBatchItemFailures answer; empty is success.

    None is an answer that Lambda cannot read or an entry without a number: the whole batch failed.
    """
    try:
        answer = json.loads(payload or b"null")
    except ValueError:
        return None
    if answer is None:
        return []
    if not isinstance(answer, dict):
        return None
    entries = answer.get("batchItemFailures")
    if entries is None:
        return []
    if not isinstance(entries, list):
        return None
    numbers = [e.get("itemIdentifier") if isinstance(e, dict) else None for e in entries]
    valid = [number for number in numbers if isinstance(number, str) and number]
    return valid if len(valid) == len(numbers) else None


def read_patterns(texts: Sequence[str]) -> tuple[Pattern, ...]:
    """Read FilterCriteria's patterns; raises UnsupportedMappingError for what is not equality.

    Only `data` may be looked at, down to lists of wanted values; they are all that cardwatch uses.
    """
    patterns = []
    for text in texts:
        pattern = json.loads(text)
        if not isinstance(pattern, dict) or set(pattern) != {"data"}:
            msg = f"a filter pattern must look at `data` alone: {text}"
            raise UnsupportedMappingError(msg)
        _check_pattern(pattern["data"], text)
        patterns.append(pattern["data"])
    return tuple(patterns)


def _check_pattern(pattern: object, text: str) -> None:
    if isinstance(pattern, dict):
        for part in pattern.values():
            _check_pattern(part, text)
    elif not isinstance(pattern, list) or not all(
        value is None or isinstance(value, str | int | float) for value in pattern
    ):
        msg = f"only equality with listed values is supported in a filter pattern: {text}"
        raise UnsupportedMappingError(msg)


def record_filter(patterns: Sequence[Pattern]) -> Callable[[bytes], bool]:
    """Give the test that a record's data must pass: any of the patterns, or there are none.

    With patterns, data that is no JSON passes none of them, as on AWS.
    """
    if not patterns:
        return lambda _data: True

    def matches(data: bytes) -> bool:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return False
        return any(_matches(pattern, value) for pattern in patterns)

    return matches


def _matches(pattern: Pattern | list[Scalar], value: object) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and _matches(part, value[key]) for key, part in pattern.items()
        )
    values = value if isinstance(value, list) else [value]
    return any(_same(wanted, given) for wanted in pattern for given in values)


def _same(wanted: Scalar, given: object) -> bool:
    # In Python true is 1; in JSON it is not.
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted is given
    return wanted == given


def _event_bytes(record: StreamRecord) -> int:
    return len(record.data) * 4 // 3 + len(record.partition_key) + RECORD_OVERHEAD_BYTES
