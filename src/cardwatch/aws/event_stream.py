"""The event stream on Amazon Kinesis Data Streams."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, code, code_passes, passes
from cardwatch.backoff import Backoff
from cardwatch.ports import (
    Clock,
    PutOutcome,
    StreamEntry,
    StreamUnavailableError,
    UndeliveredEntry,
)

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import (
        ListShardsOutputTypeDef,
        PutRecordsRequestEntryTypeDef,
    )

MAX_RECORDS: Final = 500
"""Records in one PutRecords call."""
MAX_CALL_BYTES: Final = 5 * 1024 * 1024
"""Data and keys in one call. AWS takes 10 MiB; older regions and emulators take 5."""
MAX_RECORD_BYTES: Final = 1024 * 1024
"""Data and key of one record, the limit of a stream nobody configured otherwise."""

RECORD_TOO_LARGE: Final = "RecordTooLarge"
BAD_PARTITION_KEY: Final = "InvalidPartitionKey"
BAD_HASH_KEY: Final = "InvalidExplicitHashKey"
OUT_OF_TIME: Final = "OutOfTime"

_TRY_AGAIN: Final = frozenset({"KMSThrottlingException", "LimitExceededException"})
"""Its own refusals that pass; elsewhere a limit that is exceeded stays so."""
_MAX_KEY_CHARACTERS: Final = 256
_HASH_KEY: Final = re.compile(r"0|[1-9][0-9]{0,38}")
_HASH_KEYS: Final = 2**128


class KinesisEventStream:
    """Puts entries on the stream within the API's limits and resends only what failed.

    A call that timed out may have been taken, so a resent entry can be on the stream twice; every
    reader drops copies by event_id. A slice is finished before the next one is sent, so disorder
    by resending stays within 500 entries.
    """

    def __init__(
        self,
        client: "KinesisClient",
        stream_name: str,
        clock: Clock,
        *,
        backoff: Backoff | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        """Use one stream through a client that does not retry by itself (`AwsClients.kinesis`)."""
        self._client = client
        self._stream_name = stream_name
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._jitter = jitter or random.Random()  # noqa: S311  spreads retries, hides nothing

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        """Put entries; never raises for what the service or the network does."""
        undelivered: list[UndeliveredEntry] = []
        sound: list[StreamEntry] = []
        for entry in entries:
            fault = _fault(entry)
            if fault is None:
                sound.append(entry)
            else:
                undelivered.append(UndeliveredEntry(entry, fault))
        deadline = self._clock.monotonic() + self._backoff.patience_seconds
        retried = 0
        for chunk in _chunks(sound):
            if self._clock.monotonic() >= deadline:
                undelivered += [UndeliveredEntry(entry, OUT_OF_TIME) for entry in chunk]
                continue
            resent, lost = self._put_chunk(chunk, deadline)
            retried += resent
            undelivered += lost
        return PutOutcome(
            delivered=len(entries) - len(undelivered),
            retried=retried,
            undelivered=tuple(undelivered),
        )

    def shard_hash_keys(self) -> Sequence[str]:
        """Give the first hash key of every open shard, in the shards' order.

        Raises StreamUnavailableError when they cannot be listed after all tries.
        """
        keys: list[str] = []
        token: str | None = None
        while True:
            page = self._list_shards(token)
            keys += [
                shard["HashKeyRange"]["StartingHashKey"]
                for shard in page["Shards"]
                if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
            ]
            token = page.get("NextToken")
            if not token:
                return keys

    def _put_chunk(
        self, chunk: list[StreamEntry], deadline: float
    ) -> tuple[int, list[UndeliveredEntry]]:
        """Send one call's worth until it is delivered, hopeless or out of tries or time."""
        left = chunk
        lost: list[UndeliveredEntry] = []
        resent = 0
        failures = 0
        while True:
            failed = self._call(left)
            failures += 1
            stop = failures >= self._backoff.tries or self._clock.monotonic() >= deadline
            lost += [UndeliveredEntry(e, why) for e, why, again in failed if stop or not again]
            left = [] if stop else [entry for entry, _, again in failed if again]
            if not left:
                return resent, lost
            self._wait(failures)
            resent += len(left)

    def _call(self, entries: list[StreamEntry]) -> list[tuple[StreamEntry, str, bool]]:
        """Make one PutRecords call and give what failed: entry, code, worth another try."""
        try:
            answer = self._client.put_records(
                StreamName=self._stream_name, Records=[_record(entry) for entry in entries]
            )
        except FAILURES as error:
            return [(entry, code(error), passes(error, _TRY_AGAIN)) for entry in entries]
        if not answer.get("FailedRecordCount"):
            return []
        return [
            (entry, refused, code_passes(refused, _TRY_AGAIN))
            for entry, result in zip(entries, answer["Records"], strict=True)
            if (refused := result.get("ErrorCode"))
        ]

    def _list_shards(self, token: str | None) -> "ListShardsOutputTypeDef":
        failures = 0
        while True:
            try:
                if token:
                    return self._client.list_shards(NextToken=token)
                return self._client.list_shards(StreamName=self._stream_name)
            except FAILURES as error:
                failures += 1
                if not passes(error, _TRY_AGAIN) or failures >= self._backoff.tries:
                    msg = f"the shards of {self._stream_name} cannot be listed ({code(error)})"
                    raise StreamUnavailableError(msg) from None
                self._wait(failures)

    def _wait(self, failures: int) -> None:
        self._clock.sleep(self._backoff.wait(failures, self._jitter))


def _size(entry: StreamEntry) -> int:
    return len(entry.data) + len(entry.partition_key.encode())


def _fault(entry: StreamEntry) -> str | None:
    """Find what would make the API refuse the whole call for this one entry."""
    if _size(entry) > MAX_RECORD_BYTES:
        return RECORD_TOO_LARGE
    if not 1 <= len(entry.partition_key) <= _MAX_KEY_CHARACTERS:
        return BAD_PARTITION_KEY
    key = entry.explicit_hash_key
    if key is not None and not (_HASH_KEY.fullmatch(key) and int(key) < _HASH_KEYS):
        return BAD_HASH_KEY
    return None


def _chunks(entries: Iterable[StreamEntry]) -> Iterator[list[StreamEntry]]:
    chunk: list[StreamEntry] = []
    size = 0
    for entry in entries:
        entry_size = _size(entry)
        if chunk and (len(chunk) == MAX_RECORDS or size + entry_size > MAX_CALL_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += entry_size
    if chunk:
        yield chunk


def _record(entry: StreamEntry) -> "PutRecordsRequestEntryTypeDef":
    if entry.explicit_hash_key is None:
        return {"Data": entry.data, "PartitionKey": entry.partition_key}
    return {
        "Data": entry.data,
        "PartitionKey": entry.partition_key,
        "ExplicitHashKey": entry.explicit_hash_key,
    }
