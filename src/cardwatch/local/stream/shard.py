"""The one reader of a stream's shards on one machine.

A read is told after which record, and asks for a new iterator each time: the emulator's own are
places in a list that retention shortens, and a chain of them skips records. A shard that was split
or merged is read to its end, and its children are found among the stream's shards.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cardwatch.aws.failures import FAILURES, code, reason
from cardwatch.ports import StreamUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

READ_LIMIT: Final = 10_000
"""Records that one GetRecords may give."""
EMPTY_ANSWERS: Final = 5
"""A shard may answer without records before its records come; so many are passed over in a read."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record as it was read."""

    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class ShardRead:
    """What one read of a shard gave."""

    records: Sequence[StreamRecord]
    behind_ms: int = 0
    """How far the last record is behind the shard's end; 0 at the end."""
    closed: bool = False
    """The shard was split or merged, and this was its end."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that can be read, closed or not."""

    shard_id: str
    parents: frozenset[str] = frozenset()
    """The shards it came from, so far as they can still be read."""


class Stream:
    """A stream's shards; a failed call is a StreamUnavailableError."""

    def __init__(self, client: "KinesisClient", name: str) -> None:
        """Read the stream called `name`; the client need not retry."""
        self._client = client
        self._name = name

    def identity(self) -> str:
        """Give the stream's ARN and when it was made: another one of its name differs."""
        with self._asking():
            answer = self._client.describe_stream_summary(StreamName=self._name)
        summary = answer["StreamDescriptionSummary"]
        return f"{summary['StreamARN']}@{summary['StreamCreationTimestamp'].timestamp():.0f}"

    def shards(self) -> Sequence[Shard]:
        """Give all shards that hold records or may get some, parents before their children."""
        with self._asking():
            pages = self._client.get_paginator("list_shards").paginate(StreamName=self._name)
            listed = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
        found = [
            Shard(
                shard_id,
                frozenset(
                    parent
                    for name in ("ParentShardId", "AdjacentParentShardId")
                    if (parent := str(shard.get(name))) in listed
                ),
            )
            for shard_id, shard in listed.items()
        ]
        # A child's id is a higher number than its parents'.
        return sorted(found, key=lambda shard: shard.shard_id)

    def read(
        self,
        shard_id: str,
        after: str | None,
        *,
        since: datetime | None = None,
        limit: int = READ_LIMIT,
    ) -> ShardRead:
        """Read on after a sequence number; without one from `since`, without that the oldest.

        A shard that the stream no longer knows is at its end.
        """
        with self._asking():
            try:
                answer = self._get(shard_id, after, since, limit)
            except FAILURES as error:
                if code(error) != "ResourceNotFoundException" or self._knows(shard_id):
                    raise
                return ShardRead((), closed=True)
        records = [
            StreamRecord(
                sequence_number=record["SequenceNumber"],
                partition_key=record["PartitionKey"],
                data=record["Data"],
                arrived_at=record["ApproximateArrivalTimestamp"].astimezone(UTC),
            )
            for record in answer["Records"]
        ]
        at_end = "NextShardIterator" not in answer
        return ShardRead(records, answer.get("MillisBehindLatest", 0), closed=at_end)

    def _get(
        self, shard_id: str, after: str | None, since: datetime | None, limit: int
    ) -> Mapping[str, Any]:
        where: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        elif since is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
        begin = self._client.get_shard_iterator(StreamName=self._name, ShardId=shard_id, **where)
        iterator: str | None = begin["ShardIterator"]
        answer: Mapping[str, Any] = {}
        for _ in range(1 + EMPTY_ANSWERS):
            answer = self._client.get_records(ShardIterator=str(iterator), Limit=limit)
            iterator = answer.get("NextShardIterator")
            if answer["Records"] or not answer.get("MillisBehindLatest") or iterator is None:
                break
        return answer

    def _knows(self, shard_id: str) -> bool:
        pages = self._client.get_paginator("list_shards").paginate(StreamName=self._name)
        return any(shard["ShardId"] == shard_id for page in pages for shard in page["Shards"])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            msg = f"the stream {self._name} cannot be read: {reason(error)}"
            raise StreamUnavailableError(msg) from error


class ShardCursor:
    """A shard read in order, each read after the last one's last record."""

    def __init__(
        self,
        stream: Stream,
        shard_id: str,
        *,
        after: str | None = None,
        since: datetime | None = None,
    ) -> None:
        """Start behind the record `after`; without one at `since`, without that at the oldest."""
        self.after = after
        """Sequence number of the last record it gave."""
        self._stream = stream
        self._shard_id = shard_id
        self._since = since

    def read(self, limit: int = READ_LIMIT) -> ShardRead:
        """Give the next records; raises StreamUnavailableError and goes on from there later."""
        got = self._stream.read(self._shard_id, self.after, since=self._since, limit=limit)
        if got.records:
            self.after = got.records[-1].sequence_number
        return got
