"""Reading and writing the stream through the Kinesis API with boto3, for the local edge.

No Flink in here: the functions of local_kinesis.py own the state and the timing, this module owns
the API's rules (iterators, throttling, partial failures, limits).
"""

import heapq
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

logger = logging.getLogger(__name__)

GET_LIMIT: Final = 2_000
"""Records of one GetRecords call: what the reader holds of a shard at most."""
POLL_LIMIT: Final = 10_000
"""Records of one poll, so that a backlog does not keep a checkpoint waiting."""
EMPTY_ANSWERS: Final = 5
"""A shard may answer without records before its records come; so many are passed over."""
PUT_LIMIT: Final = 500
PUT_BYTES: Final = 4 * 1024 * 1024
"""Limits of one PutRecords call; the API takes 5 MiB, keys included."""
LONGEST_KEY: Final = 256
"""Characters of a partition key; the official connector cuts longer ones as well."""
GIVE_UP_SECONDS: Final = 60.0
"""After this long without an answer the reader fails, so that the job shows what is wrong."""
LONGEST_WAIT_SECONDS: Final = 5.0

_TRANSIENT: Final = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ServiceUnavailable",
        "ThrottlingException",
    }
)


KeyedRecord = tuple[str, str]
"""A record's text and its partition key."""


class StreamError(Exception):
    """The stream cannot be used; the text names it, its endpoint and the remedy."""


@dataclass(frozen=True)
class StreamAddress:
    """Where a stream is: its name, and the emulator that has it."""

    name: str
    region: str
    endpoint: str

    def __str__(self) -> str:
        """Name the stream as people know it."""
        return f"stream {self.name!r} at {self.endpoint}"

    def client(self) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
        """Make a client of its own, with credentials that only an emulator takes."""
        # A profile or certificate bundle named for the real AWS is not looked at.
        unset = (None, None, None, None)
        session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  the emulator takes any
            region_name=self.region,
            botocore_session=botocore.session.Session({"profile": unset, "ca_bundle": unset}),
        )
        config = Config(
            connect_timeout=3,
            read_timeout=20,
            # The reader and the writer decide themselves when to try again.
            retries={"mode": "standard", "total_max_attempts": 1},
            proxies={},
        )
        session.events.register("before-parse", _refuse_half_answers)
        return session.client("kinesis", endpoint_url=self.endpoint, config=config)


def _refuse_half_answers(response_dict: Mapping[str, Any], **_: object) -> None:
    """Raise where the connection was lost in the middle: botocore gives an answer of no field."""
    body, length = response_dict["body"], response_dict["headers"].get("content-length")
    if length is not None and 0 < len(body) < int(length):
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(length))


def list_shards(address: StreamAddress) -> tuple[str, ...]:
    """Give the ids of the shards in order; raises StreamError when the stream cannot be reached."""
    try:
        return _list_shards(address.client(), address)
    except (ClientError, BotoCoreError) as error:
        msg = (
            f"cannot read {address}: {_what(error)}; start the local stack, or correct "
            "stream_name, aws_region and endpoint_url in the properties"
        )
        raise StreamError(msg) from None


def _list_shards(client: Any, address: StreamAddress) -> tuple[str, ...]:  # noqa: ANN401  as above
    shards: list[str] = []
    request = {"StreamName": address.name}
    while True:
        page = client.list_shards(**request)
        shards += [shard["ShardId"] for shard in page["Shards"]]
        if "NextToken" not in page:
            return tuple(sorted(shards))
        request = {"NextToken": page["NextToken"]}


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a shard without a position: a moment, or the oldest record."""

    at: datetime | None = None

    @classmethod
    def of(cls, position: str, timestamp: str) -> "Start":
        """Read the properties start_position and start_timestamp; raises ValueError."""
        if position == "TRIM_HORIZON":
            return cls()
        if position != "AT_TIMESTAMP":
            msg = f"start_position must be TRIM_HORIZON or AT_TIMESTAMP, not {position!r}"
            raise ValueError(msg)
        try:
            at = datetime.fromisoformat(timestamp)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            msg = f"start_timestamp must be a time like 2026-11-21T07:00:00.000Z, not {timestamp!r}"
            raise ValueError(msg)
        return cls(at)

    def iterator(self) -> Mapping[str, object]:
        """Give the arguments of GetShardIterator."""
        if self.at is None:
            return {"ShardIteratorType": "TRIM_HORIZON"}
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self.at}


@dataclass(slots=True)
class _Shard:
    id: str
    order: int
    position: str | None
    """Sequence number of the last record that was fetched."""
    fetched: list[Mapping[str, Any]] = field(default_factory=list)
    """In order of arrival; not handed out yet."""
    behind: bool = True
    """There was more to fetch when it was last asked."""
    reached: float = 0.0
    """Everything that arrived before this moment (epoch seconds) was fetched."""
    closed: bool = False
    failures: int = 0
    failing_since: float = 0.0
    wait_until: float = 0.0


class ShardReader:
    """Reads all shards of a stream as one sequence.

    Records come in order of arrival over all shards, also while catching up: a shard that is ahead
    waits for the others, because one watermark speaks for all of them. A shard that was split or
    merged is read to its end, and its children after it.

    Each call asks for a new iterator after the last record: the emulator's own are places in a list
    that retention shortens, and a chain of them skips records.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401  see StreamAddress.client
        address: StreamAddress,
        shards: Sequence[str],
        positions: Mapping[str, str],
        start: Start,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read on after `positions` (shard id → sequence number), from `start` where there is none.

        `clock` gives epoch seconds; how long something lasts is told by `monotonic`, because a
        machine that slept has waited for nothing.
        """
        self._client = client
        self._address = address
        self._start = start
        self._clock = clock
        self._monotonic = monotonic
        self._positions = dict(positions)
        self._shards: list[_Shard] = []
        # A position speaks of a shard that was found while the job ran.
        self._add({*shards, *positions})

    def _add(self, shards: Collection[str]) -> None:
        known = {shard.id for shard in self._shards}
        for shard in sorted(set(shards) - known):
            self._shards.append(_Shard(shard, len(self._shards), self._positions.get(shard)))

    def poll(self) -> Iterator[tuple[str, str, int, bytes]]:
        """Give what is there now: (shard id, sequence number, arrival, data) of each record.

        The arrival is in epoch milliseconds.

        At most about POLL_LIMIT records; a caller keeps the sequence number of the last one it took
        of each shard as the position. Raises StreamError after GIVE_UP_SECONDS without an answer,
        at once for an answer that will not change.
        """
        given = 0
        while given < POLL_LIMIT:
            for shard in self._shards:
                if not shard.fetched and not shard.closed:
                    self._fetch(shard)
            until = min(
                (shard.reached for shard in self._shards if shard.behind), default=float("inf")
            )
            batch = list(self._take(until))
            yield from batch
            given += len(batch)
            # Nothing given while one is behind: it waits for its turn to be asked again.
            if not batch or not any(shard.behind or shard.fetched for shard in self._shards):
                return

    def _take(self, until: float) -> Iterator[tuple[str, str, int, bytes]]:
        ready = []
        for shard in self._shards:
            split = len(shard.fetched)
            while split and _arrival(shard.fetched[split - 1]) > until:
                split -= 1
            ready.append(
                [
                    (_arrival(record), shard.order, shard.id, record)
                    for record in shard.fetched[:split]
                ]
            )
            del shard.fetched[:split]
        for arrival, _, shard_id, record in heapq.merge(*ready, key=lambda item: item[:2]):
            yield shard_id, record["SequenceNumber"], round(arrival * 1000), record["Data"]

    def _fetch(self, shard: _Shard) -> None:
        now = self._clock()
        if self._monotonic() < shard.wait_until:
            return
        try:
            answer = self._get(shard)
        except (ClientError, BotoCoreError) as error:
            self._failed(shard, error)
            return
        shard.failures = 0
        shard.fetched = answer["Records"]
        behind = timedelta(milliseconds=answer.get("MillisBehindLatest") or 0)
        shard.behind = bool(behind)
        shard.reached = now - behind.total_seconds()
        if shard.fetched:
            shard.position = shard.fetched[-1]["SequenceNumber"]
            shard.reached = _arrival(shard.fetched[-1])
        if "NextShardIterator" not in answer:
            self._close(shard)

    def _get(self, shard: _Shard) -> Mapping[str, Any]:
        iterator, answer = self._iterator(shard), {}
        for _ in range(1 + EMPTY_ANSWERS):
            answer = self._client.get_records(ShardIterator=iterator, Limit=GET_LIMIT)
            iterator = answer.get("NextShardIterator")
            if answer["Records"] or not answer.get("MillisBehindLatest") or iterator is None:
                break
        return answer

    def _close(self, shard: _Shard) -> None:
        """Read no more of a shard, and what took its place from now on."""
        try:
            self._add(_list_shards(self._client, self._address))
        except (ClientError, BotoCoreError) as error:
            self._failed(shard, error)
            return
        shard.closed, shard.behind = True, False
        logger.info("%s of %s was split or merged: its end", shard.id, self._address)

    def _iterator(self, shard: _Shard) -> str:
        where = (
            self._start.iterator()
            if shard.position is None
            else {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": shard.position,
            }
        )
        answer = self._client.get_shard_iterator(
            StreamName=self._address.name, ShardId=shard.id, **where
        )
        return str(answer["ShardIterator"])

    def _is_gone(self, shard: _Shard) -> bool:
        """Say whether the stream is there and knows the shard no more."""
        try:
            return shard.id not in _list_shards(self._client, self._address)
        except (ClientError, BotoCoreError):
            return False

    def _failed(self, shard: _Shard, error: ClientError | BotoCoreError) -> None:
        # The others wait with it: what they have would make its records late.
        shard.behind = True
        if _code(error) == "ExpiredIteratorException":
            return
        if _code(error) == "ResourceNotFoundException" and self._is_gone(shard):
            self._close(shard)
            return
        if not _may_pass(error):
            msg = f"cannot read {shard.id} of {self._address}: {_what(error)}"
            raise StreamError(msg) from None
        now = self._monotonic()
        if shard.failures == 0:
            shard.failing_since = now
        shard.failures += 1
        if now - shard.failing_since > GIVE_UP_SECONDS:
            msg = (
                f"cannot read {shard.id} of {self._address} for {GIVE_UP_SECONDS:.0f} s: "
                f"{_what(error)}"
            )
            raise StreamError(msg) from None
        shard.wait_until = now + wait_seconds(shard.failures)
        logger.warning("waiting for %s of %s: %s", shard.id, self._address, _what(error))


class StreamWriter:
    """Puts records on the stream, each with its partition key."""

    def __init__(self, client: Any, address: StreamAddress) -> None:  # noqa: ANN401  as above
        """Write to `address` through `client`."""
        self._client = client
        self._address = address

    def put(self, records: Sequence[KeyedRecord]) -> list[KeyedRecord]:
        """Try once to put all records, in as few calls as the API allows; give those not taken.

        Raises StreamError for an answer that will not change when asked again.
        """
        refused: list[KeyedRecord] = []
        for batch in _batches(records):
            refused += self._put(batch)
        return refused

    def _put(self, batch: Sequence[KeyedRecord]) -> list[KeyedRecord]:
        entries = [
            {"Data": data.encode(), "PartitionKey": key[:LONGEST_KEY]} for data, key in batch
        ]
        try:
            answer = self._client.put_records(StreamName=self._address.name, Records=entries)
        except (ClientError, BotoCoreError) as error:
            if not _may_pass(error):
                msg = f"cannot write to {self._address}: {_what(error)}"
                raise StreamError(msg) from None
            logger.warning("waiting to write to %s: %s", self._address, _what(error))
            return list(batch)
        return [
            record
            for record, result in zip(batch, answer["Records"], strict=True)
            if result.get("ErrorCode")
        ]


def wait_seconds(failures: int) -> float:
    """Say how long to wait after that many failures in a row."""
    # cardwatch.backoff would say it, but the application is a package of its own.
    return float(min(LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(failures, 10)))


def _batches(records: Sequence[KeyedRecord]) -> Iterator[Sequence[KeyedRecord]]:
    begin = size = 0
    for index, (data, key) in enumerate(records):
        # A character is at most four bytes; the partition key counts too.
        weight = 4 * (len(data) + len(key))
        if index - begin == PUT_LIMIT or (size + weight > PUT_BYTES and index > begin):
            yield records[begin:index]
            begin, size = index, 0
        size += weight
    if begin < len(records):
        yield records[begin:]


def _arrival(record: Mapping[str, Any]) -> float:
    return float(record["ApproximateArrivalTimestamp"].timestamp())


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _may_pass(error: ClientError | BotoCoreError) -> bool:
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in _TRANSIENT or int(status) >= HTTPStatus.INTERNAL_SERVER_ERROR


def _what(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        return f"{_code(error)}: {error.response['Error'].get('Message', '')}".strip(": ")
    return str(error)
