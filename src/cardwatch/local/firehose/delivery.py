"""Firehose's stand-in: stream -> stager function -> gzip objects -> warehouse.

What it promises, as Firehose does: at least once, never lost. Each shard has a buffer that ends by
size or interval; the deployed stager transforms it in batches; what it accepts is written as one
gzip object under `events/`, what fails under `events/processing-failed/` in Firehose's wrapper;
then objects are copied into the warehouse. A shard's position moves only after its objects are
stored. Before it stores one, a buffer's range is written to the position file: after a crash the
same range gets the same object names, so an object is replaced and not doubled, and the load ledger
loads it once.
"""

import base64
import contextlib
import gzip
import hashlib
import logging
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict

from cardwatch.backoff import Backoff
from cardwatch.local.firehose.status import DeliveryStatus
from cardwatch.local.stream.shard import ShardRead, StreamRecord
from cardwatch.ports import Clock
from cardwatch.recovery.error_output import EVENTS, QUARANTINE, FailedRecord
from cardwatch.recovery.ports import Loader, StoredObject
from cardwatch.warehouse.ports import WarehouseUnavailableError

POLL_SECONDS: Final = 1.0
"""Firehose reads a shard once a second; the rest of its five reads is for others."""
SHARDS_SECONDS: Final = 30.0
"""How often new shards are looked for."""
INVOCATION_RECORDS: Final = 500
INVOCATION_BYTES: Final = 1024 * 1024
"""Firehose's default buffer for a transformation; both limits bound one invocation."""
INVOCATION_RETRIES: Final = 3
"""Firehose's default NumberOfRetries; then the batch goes to the error output."""
INVOCATIONS: Final = Backoff(
    tries=1 + INVOCATION_RETRIES,
    first_seconds=0.4,
    longest_seconds=1.6,
    patience_seconds=float("inf"),
)
WAITS: Final = Backoff(first_seconds=1.0, longest_seconds=15.0)
"""Between the tries of an end that is away."""

log = logging.getLogger("cardwatch.delivery")


class UnreachableError(Exception):
    """An end cannot be reached; nothing was done, and it is tried again."""


class InvocationError(Exception):
    """The function was reached and failed; retried as Firehose does, then given up."""

    def __init__(self, code: str, message: str) -> None:
        """Take Firehose's error code and its text for people, free of data."""
        super().__init__(message)
        self.code = code


class Source(Protocol):
    """The stream. Every method raises UnreachableError."""

    def identity(self) -> str:
        """Name this very stream; another one of the same name has another identity."""
        ...

    def shards(self) -> Sequence[str]:
        """Give the ids of all shards, closed ones included."""
        ...

    def read(self, shard: str, after: str | None) -> ShardRead:
        """Read the records after a sequence number; None: from the oldest there is."""
        ...


class Transformer(Protocol):
    """The stager function."""

    @property
    def arn(self) -> str:
        """Name the function, for the error output."""
        ...

    def invoke(self, event: Mapping[str, Any]) -> object:
        """Invoke it and give its answer; raises InvocationError, UnreachableError."""
        ...


class Objects(Protocol):
    """The delivery bucket. Every method raises UnreachableError."""

    def put(self, key: str, body: bytes) -> str:
        """Store an object and give its etag."""
        ...

    def get(self, key: str) -> bytes | None: ...

    def list(self, prefix: str) -> Sequence[StoredObject]: ...


class Totals(BaseModel):
    """What was delivered since the stream began; counted with the position, so never twice."""

    model_config = ConfigDict(frozen=True)

    records_read: int = 0
    records_staged: int = 0
    records_quarantined: int = 0
    records_dropped: int = 0
    """The stager answered Dropped; ours never does."""
    objects_written: int = 0


class Range(BaseModel):
    """The records of one delivery that may have begun: replayed as they were, under this name."""

    model_config = ConfigDict(frozen=True)

    first: str
    last: str
    name: str


class DeliveryPositions(BaseModel):
    """Where delivery stands; what is in the position file."""

    stream: str = ""
    delivered: dict[str, str] = {}
    """Per shard the last sequence number whose objects are stored."""
    begun: dict[str, Range] = {}
    totals: Totals = Totals()


class PositionStore(Protocol):
    """What keeps the positions."""

    def read(self) -> DeliveryPositions:
        """Give what was written last."""
        ...

    def write(self, positions: DeliveryPositions) -> None:
        """Keep them, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class BufferingHints:
    """When a buffer ends: whichever comes first."""

    seconds: float
    size: int
    """Bytes of record data."""


@dataclass(slots=True)
class _Buffer:
    records: list[StreamRecord] = field(default_factory=list)
    size: int = 0
    opened: float = 0.0

    def add(self, record: StreamRecord, now: float) -> None:
        if not self.records:
            self.opened = now
        self.records.append(record)
        self.size += len(record.data)


@dataclass(slots=True)
class _Transformed:
    lines: list[bytes] = field(default_factory=list)
    failed: list[FailedRecord] = field(default_factory=list)
    dropped: int = 0


class Delivery:
    """The delivery of one stream. One thread; call `step` about once a second.

    Any method may raise UnreachableError at any point: call it again later, nothing is lost.
    """

    def __init__(
        self,
        *,
        source: Source,
        transformer: Transformer,
        objects: Objects,
        loader: Loader,
        positions: PositionStore,
        hints: BufferingHints,
        clock: Clock,
    ) -> None:
        """Take the ends and where the last process stopped; nothing is read yet."""
        self._source = source
        self._transformer = transformer
        self._objects = objects
        self._loader = loader
        self._store = positions
        self._hints = hints
        self._clock = clock
        self._positions = positions.read()
        self._shards: Sequence[str] = ()
        self._shards_looked_up = float("-inf")
        self._buffers: dict[str, _Buffer] = {}
        self._read: dict[str, str] = dict(self._positions.delivered)
        self._behind: dict[str, int] = {}
        self._closed: set[str] = set()
        """Shards that were read to their end."""
        self._waiting: deque[StoredObject] = deque()
        self._backlog_listed = False
        self._load_not_before = float("-inf")
        self._load_failures = 0
        self._status = DeliveryStatus()
        # Apart from the status: a signal handler counts it up, at any moment.
        self._flush_requested = 0

    def step(self) -> None:
        """Read every shard once, deliver the buffers that are due, load what waits."""
        self._find_stream()
        requested = self._flush_requested
        flushing = requested > self._status.flush_completed
        for shard in self._shards:
            self._read_shard(shard)
        self._deliver_due(everything=flushing)
        self._load()
        caught_up = not any(self._behind.values()) and not self._buffered()
        if flushing and caught_up and self._backlog_listed and not self._waiting:
            self._status = replace(self._status, flush_completed=requested)

    def request_flush(self) -> None:
        """Have the next steps deliver and load all that is on the stream by then."""
        self._flush_requested += 1

    def finish(self) -> None:
        """Deliver and load what is buffered, and read no more."""
        self._deliver_due(everything=True)
        self._load_not_before = float("-inf")
        self._load()

    def status(self, *, problem: str | None = None) -> DeliveryStatus:
        """Give the counters as they are now."""
        return replace(
            self._status,
            **self._positions.totals.model_dump(),
            pid=os.getpid(),
            updated_at=self._clock.now().isoformat(timespec="milliseconds"),
            stream=self._positions.stream,
            objects_waiting=len(self._waiting),
            buffered_records=self._buffered(),
            buffered_bytes=sum(buffer.size for buffer in self._buffers.values()),
            behind_ms=max(self._behind.values(), default=0),
            flush_requested=self._flush_requested,
            problem=problem or self._status.problem,
        )

    def _buffered(self) -> int:
        return sum(len(buffer.records) for buffer in self._buffers.values())

    def _find_stream(self) -> None:
        """Look for new shards; start from the beginning where the stream is another one."""
        now = self._clock.monotonic()
        if now - self._shards_looked_up < SHARDS_SECONDS:
            return
        identity = self._source.identity()
        if self._positions.stream != identity:
            if self._positions.stream:
                log.warning("the stream is a new one: delivery starts from its oldest record")
            self._save(DeliveryPositions(stream=identity))
            self._read.clear()
            self._buffers.clear()
            self._behind.clear()
            self._closed.clear()
        self._shards = self._source.shards()
        self._shards_looked_up = now

    def _read_shard(self, shard: str) -> None:
        buffer = self._buffers.setdefault(shard, _Buffer())
        if self._is_full(shard, buffer):
            self._deliver(shard)
        if shard in self._closed:
            return
        got = self._source.read(shard, self._read.get(shard))
        self._behind[shard] = got.behind_ms
        if got.closed and not got.records:
            self._closed.add(shard)
            self._shards_looked_up = float("-inf")  # its children are there
        for record in got.records:
            buffer.add(record, self._clock.monotonic())
            self._read[shard] = record.sequence_number
            if self._is_full(shard, buffer):
                self._deliver(shard)

    def _is_full(self, shard: str, buffer: _Buffer) -> bool:
        """Say whether a buffer ends here: by its size, or with the range that was begun."""
        if not buffer.records:
            return False
        begun = self._positions.begun.get(shard)
        if begun is not None:
            return not _after(begun.last, buffer.records[-1].sequence_number)
        return buffer.size >= self._hints.size

    def _deliver_due(self, *, everything: bool) -> None:
        now = self._clock.monotonic()
        for shard, buffer in self._buffers.items():
            full = self._is_full(shard, buffer)
            # What was begun before a crash is read to its end first, to keep its range.
            if not buffer.records or (shard in self._positions.begun and not full):
                continue
            if everything or full or now - buffer.opened >= self._hints.seconds:
                self._deliver(shard)

    def _deliver(self, shard: str) -> None:
        """Transform and store one buffer, then move the shard's position."""
        buffer = self._buffers[shard]
        positions = self._positions
        first, last = buffer.records[0], buffer.records[-1]
        begun = positions.begun.get(shard)
        span = (first.sequence_number, last.sequence_number)
        if begun is None or (begun.first, begun.last) != span:
            begun = Range(first=span[0], last=span[1], name=self._name(shard, first, last))
            self._save(positions.model_copy(update={"begun": {**positions.begun, shard: begun}}))
        transformed = self._transform(shard, buffer.records)
        stored = None
        if transformed.lines:
            key = EVENTS + begun.name
            stored = StoredObject(key, self._objects.put(key, _compress(transformed.lines)))
        if transformed.failed:
            lines = [record.to_line() for record in transformed.failed]
            self._objects.put(QUARANTINE + begun.name, _compress(lines))
        totals = self._positions.totals
        self._save(
            self._positions.model_copy(
                update={
                    "delivered": {**self._positions.delivered, shard: span[1]},
                    "begun": {s: r for s, r in self._positions.begun.items() if s != shard},
                    "totals": Totals(
                        records_read=totals.records_read + len(buffer.records),
                        records_staged=totals.records_staged + len(transformed.lines),
                        records_quarantined=totals.records_quarantined + len(transformed.failed),
                        records_dropped=totals.records_dropped + transformed.dropped,
                        objects_written=totals.objects_written
                        + bool(transformed.lines)
                        + bool(transformed.failed),
                    ),
                }
            )
        )
        if stored is not None:
            self._waiting.append(stored)
        # The dict keeps its key: somebody may be iterating over it.
        buffer.records, buffer.size = [], 0
        self._status = replace(self._status, last_delivery_at=_text(self._clock.now()))
        log.info(
            "delivered %s: %d staged, %d quarantined",
            begun.name,
            len(transformed.lines),
            len(transformed.failed),
        )

    def _save(self, positions: DeliveryPositions) -> None:
        self._store.write(positions)
        self._positions = positions

    def _name(self, shard: str, first: StreamRecord, last: StreamRecord) -> str:
        """Name a delivery by what is in it, under the hour (UTC) its first record arrived."""
        stream = hashlib.sha256(self._positions.stream.encode()).hexdigest()[:8]
        hour = first.arrived_at.astimezone(UTC).strftime("%Y/%m/%d/%H")
        return f"{hour}/{stream}-{shard}-{first.sequence_number}-{last.sequence_number}.gz"

    def _transform(self, shard: str, records: Sequence[StreamRecord]) -> _Transformed:
        transformed = _Transformed()
        for batch in _batches(records):
            ids = [f"{shard}-{record.sequence_number}" for record in batch]
            attempts, answers = self._invoke(shard, ids, batch)
            ended = self._clock.now()
            for record_id, record in zip(ids, batch, strict=True):
                answer = answers[record_id]
                if isinstance(answer, bytes):
                    transformed.lines.append(answer)
                elif answer is None:
                    transformed.dropped += 1
                else:
                    transformed.failed.append(
                        FailedRecord(
                            raw=record.data,
                            arrived_at=record.arrived_at,
                            attempts=attempts,
                            attempts_ended_at=ended,
                            error_code=answer.code,
                            error_message=str(answer),
                            function_arn=self._transformer.arn,
                        )
                    )
        return transformed

    def _invoke(
        self, shard: str, ids: Sequence[str], batch: Sequence[StreamRecord]
    ) -> tuple[int, Mapping[str, bytes | InvocationError | None]]:
        """Invoke the function with Firehose's retries; give the attempts and an answer per id."""
        event = {
            "invocationId": ids[0],
            "deliveryStreamArn": self._positions.stream,
            "records": [
                {
                    "recordId": record_id,
                    "approximateArrivalTimestamp": round(record.arrived_at.timestamp() * 1000),
                    "data": base64.b64encode(record.data).decode(),
                    "kinesisRecordMetadata": {
                        "sequenceNumber": record.sequence_number,
                        "partitionKey": record.partition_key,
                        "shardId": shard,
                    },
                }
                for record_id, record in zip(ids, batch, strict=True)
            ],
        }
        failed: dict[str, InvocationError] = {}
        attempt = 0
        for attempt in INVOCATIONS.attempts(self._clock):
            try:
                return attempt, _read_answer(self._transformer.invoke(event), ids)
            except InvocationError as error:
                log.warning("stager attempt %d failed: %s %s", attempt, error.code, error)
                failed = dict.fromkeys(ids, error)
        return attempt, failed

    def _load(self) -> None:
        """Load what waits. A warehouse that is away delays loads and nothing else."""
        if self._clock.monotonic() < self._load_not_before:
            return
        try:
            self._list_backlog()
            while self._waiting:
                self._load_one(self._waiting[0])
                self._waiting.popleft()
        except WarehouseUnavailableError as error:
            self._load_failures += 1
            wait = WAITS.longest_wait(self._load_failures)
            self._load_not_before = self._clock.monotonic() + wait
            if self._status.problem is None:
                log.warning("%s: objects wait until it answers", error)
            self._status = replace(self._status, problem=str(error))
        else:
            self._load_failures = 0
            self._status = replace(self._status, problem=None)

    def _list_backlog(self) -> None:
        """Once per process: queue the objects that were stored but not loaded before it began.

        What is begun and not finished is left out: it is about to be written again.
        """
        if self._backlog_listed:
            return
        known = self._loader.known_objects() | {(o.key, o.etag) for o in self._waiting}
        begun = {EVENTS + item.name for item in self._positions.begun.values()}
        backlog = [
            item
            for item in self._objects.list(EVENTS)
            if (item.key, item.etag) not in known
            and item.key not in begun
            and not item.key.startswith(QUARANTINE)
        ]
        self._waiting.extendleft(reversed(backlog))
        self._backlog_listed = True

    def _load_one(self, item: StoredObject) -> None:
        body = self._objects.get(item.key)
        if body is None:
            log.error("%s is gone from the bucket before it was loaded", item.key)
            return
        outcome = self._loader.load(item.key, item.etag, body)
        status = replace(self._status, last_load_at=_text(self._clock.now()))
        if outcome.result == "loaded":
            status = replace(
                status,
                objects_loaded=status.objects_loaded + 1,
                rows_loaded=status.rows_loaded + outcome.rows,
            )
        elif outcome.result == "bad":
            log.error("%s cannot be loaded and is kept aside: %s", item.key, outcome.error)
            status = replace(status, objects_bad=status.objects_bad + 1)
        self._status = status


def _batches(records: Sequence[StreamRecord]) -> Iterator[Sequence[StreamRecord]]:
    """Split records into invocations: a count, and bytes unless one record alone is longer."""
    batch: list[StreamRecord] = []
    size = 0
    for record in records:
        full = len(batch) == INVOCATION_RECORDS or size + len(record.data) > INVOCATION_BYTES
        if batch and full:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record.data)
    if batch:
        yield batch


def _read_answer(answer: object, ids: Sequence[str]) -> dict[str, bytes | InvocationError | None]:
    """Read a transformation's answer by Firehose's rules: bytes to deliver, None for Dropped.

    Raises InvocationError where it is no answer at all; a record that is missing, there twice or
    malformed fails alone.
    """
    records = answer.get("records") if isinstance(answer, dict) else None
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        code, text = "Lambda.JsonProcessingException", "the answer has no list of records"
        raise InvocationError(code, text)
    times = Counter(r.get("recordId") for r in records if isinstance(r.get("recordId"), str))
    by_id = {r.get("recordId"): r for r in records if isinstance(r.get("recordId"), str)}
    missing = InvocationError("Lambda.MissingRecordId", "the answer lacks the record id")
    doubled = InvocationError("Lambda.DuplicatedRecordId", "the answer has the record id twice")
    return {
        record_id: missing
        if record_id not in by_id
        else doubled
        if times[record_id] > 1
        else _read_result(by_id[record_id])
        for record_id in ids
    }


def _read_result(record: Mapping[str, Any]) -> bytes | InvocationError | None:
    match record.get("result"):
        case "Ok":
            with contextlib.suppress(ValueError, TypeError, KeyError):
                return base64.b64decode(record["data"], validate=True)
            return InvocationError("Lambda.JsonProcessingException", "the data is not base64")
        case "Dropped":
            return None
        case "ProcessingFailed":
            code, text = "Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record"
            return InvocationError(code, text)
        case _:
            code, text = "Lambda.JsonProcessingException", "the result is not one of Firehose's"
            return InvocationError(code, text)


def _compress(lines: Sequence[bytes]) -> bytes:
    """Compress without a time stamp: the same lines give the same bytes, so the same etag."""
    return gzip.compress(b"".join(lines), compresslevel=6, mtime=0)


def _after(one: str, other: str) -> bool:
    """Compare sequence numbers, which are decimal numbers of any length."""
    return int(one) > int(other)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
