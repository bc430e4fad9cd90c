"""The event source's ends on the local AWS stack, and its positions on disk."""

import contextlib
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.local import files
from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource.poller import (
    Answer,
    DestinationUnavailableError,
    FunctionUnavailableError,
    MappingParameters,
    Page,
    StreamRecord,
    StreamUnavailableError,
    UnsupportedMappingError,
    read_patterns,
)
from cardwatch.local.services.deploy import StackOutputs

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client


def read_parameters(client: "LambdaClient", outputs: StackOutputs) -> MappingParameters:
    """Read the deployed mapping of the notifier; raises LocalStackError when there is not one."""
    found = client.list_event_source_mappings(
        FunctionName=outputs.notifier_function, EventSourceArn=outputs.stream_arn
    )["EventSourceMappings"]
    if len(found) != 1:
        msg = f"expected one event source mapping of {outputs.notifier_function}, not {len(found)}"
        raise LocalStackError(msg)
    role = client.get_function_configuration(FunctionName=outputs.notifier_function)["Role"]
    return parameters_from(found[0], role_arn=role, region=client.meta.region_name)


def parameters_from(mapping: Mapping[str, Any], *, role_arn: str, region: str) -> MappingParameters:
    """Take the parameters from Lambda's description of a mapping.

    Raises UnsupportedMappingError for what `poller` does not do.
    """
    for name, harmless in (
        ("ParallelizationFactor", 1),
        ("TumblingWindowInSeconds", 0),
        ("StartingPositionTimestamp", None),
    ):
        if mapping.get(name, harmless) != harmless:
            msg = f"{name} of the event source mapping is not supported on one machine"
            raise UnsupportedMappingError(msg)
    retries = int(mapping.get("MaximumRetryAttempts", -1))
    age = int(mapping.get("MaximumRecordAgeInSeconds", -1))
    filters = mapping.get("FilterCriteria", {}).get("Filters", [])
    return MappingParameters(
        uuid=mapping["UUID"],
        stream_arn=mapping["EventSourceArn"],
        function_arn=mapping["FunctionArn"],
        role_arn=role_arn,
        region=region,
        batch_size=int(mapping.get("BatchSize", 100)),
        batching_window_seconds=float(mapping.get("MaximumBatchingWindowInSeconds", 0)),
        patterns=read_patterns([item["Pattern"] for item in filters]),
        report_batch_item_failures="ReportBatchItemFailures"
        in mapping.get("FunctionResponseTypes", []),
        bisect_batch_on_function_error=bool(mapping.get("BisectBatchOnFunctionError", False)),
        maximum_retry_attempts=None if retries < 0 else retries,
        maximum_record_age_seconds=None if age < 0 else age,
        from_latest=mapping["StartingPosition"] == "LATEST",
        failure_bucket=_bucket(mapping),
    )


def _bucket(mapping: Mapping[str, Any]) -> str | None:
    destination = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if destination is None:
        return None
    prefix = "arn:aws:s3:::"
    if not destination.startswith(prefix):
        msg = f"only a bucket is supported as failure destination: {destination}"
        raise UnsupportedMappingError(msg)
    return str(destination.removeprefix(prefix))


class PositionFile:
    """How far each shard is done, in one file that is replaced whole.

    A position belongs to one stream: after the stream was made anew, all start again.
    """

    def __init__(self, path: Path, *, stream_created: datetime, now: datetime) -> None:
        """Read the file if it is of this stream, else start it."""
        self._path = path
        self._lock = threading.Lock()
        self._stream = stream_created.isoformat()
        self._shards: dict[str, str] = {}
        self._started = now
        self._dirty = False
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text())
            if kept["stream_created"] == self._stream:
                self._started = datetime.fromisoformat(kept["started"])
                self._shards = dict(kept["shards"])
        self._write()

    @property
    def started(self) -> datetime:
        """Give the time of the very first start on this stream."""
        return self._started

    def get(self, shard_id: str) -> str | None:
        """Give the last sequence number that is done, or None on a new shard."""
        with self._lock:
            return self._shards.get(shard_id)

    def save(self, shard_id: str, sequence_number: str, *, at_once: bool) -> None:
        """Remember a position; without `at_once` it reaches the disk with the next flush."""
        with self._lock:
            self._shards[shard_id] = sequence_number
            self._dirty = True
            if at_once:
                self._write()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        with self._lock:
            if self._dirty:
                self._write()

    def _write(self) -> None:
        facts = {
            "stream_created": self._stream,
            "started": self._started.isoformat(),
            "shards": self._shards,
        }
        files.replace(self._path, json.dumps(facts, indent=1) + "\n")
        self._dirty = False


class KinesisShardReader:
    """A shard through the Kinesis API; it goes on after the last record it gave."""

    def __init__(
        self,
        client: "KinesisClient",
        stream_arn: str,
        shard_id: str,
        *,
        after: str | None,
        since: datetime | None,
    ) -> None:
        """Start behind the record `after`; without one at `since`, without that at the oldest."""
        self.ending = False
        """The shard takes no more records; set by whoever looks at the stream's shards."""
        self._client = client
        self._stream_arn = stream_arn
        self._shard_id = shard_id
        self._after = after
        self._since = since
        self._iterator: str | None = None

    def read(self, limit: int) -> Page:
        """Give the next records; raises StreamUnavailableError."""
        try:
            if self._iterator is None:
                self._iterator = self._open()
            response = self._client.get_records(ShardIterator=self._iterator, Limit=limit)
        except (BotoCoreError, ClientError) as error:
            # An iterator lives for five minutes and a restarted emulator knows none of them.
            self._iterator = None
            raise StreamUnavailableError(str(error)) from error
        following: str | None = response.get("NextShardIterator")
        self._iterator = following
        records = [
            StreamRecord(
                sequence_number=record["SequenceNumber"],
                partition_key=record["PartitionKey"],
                data=record["Data"],
                arrived=record["ApproximateArrivalTimestamp"].astimezone(UTC),
            )
            for record in response["Records"]
        ]
        if records:
            self._after = records[-1].sequence_number
        behind = response.get("MillisBehindLatest", 0)
        # AWS ends a closed shard without a next iterator; the emulator goes on for ever.
        at_end = following is None or (self.ending and not records and behind == 0)
        return Page(records=records, behind_ms=behind, closed=at_end)

    def _open(self) -> str:
        where: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._after is not None:
            where = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": self._after,
            }
        elif self._since is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._since}
        return self._client.get_shard_iterator(
            StreamARN=self._stream_arn, ShardId=self._shard_id, **where
        )["ShardIterator"]


class LambdaFunction:
    """The deployed function through the Lambda API."""

    def __init__(self, client: "LambdaClient", function_arn: str) -> None:
        """Call `function_arn`; the client must not retry by itself, or calls would double."""
        self._client = client
        self._function_arn = function_arn

    def invoke(self, event: bytes) -> Answer:
        """Call it and wait; raises FunctionUnavailableError."""
        try:
            response = self._client.invoke(FunctionName=self._function_arn, Payload=event)
            payload = response["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise FunctionUnavailableError(str(error)) from error
        return Answer(
            payload=payload,
            error=response.get("FunctionError"),
            request_id=response["ResponseMetadata"].get("RequestId", ""),
        )


class Bucket:
    """The failure destination."""

    def __init__(self, client: "S3Client", name: str) -> None:
        """Put into bucket `name`."""
        self._client = client
        self._name = name

    def put(self, key: str, body: bytes) -> None:
        """Keep an object; raises DestinationUnavailableError."""
        try:
            self._client.put_object(Bucket=self._name, Key=key, Body=body)
        except (BotoCoreError, ClientError) as error:
            raise DestinationUnavailableError(str(error)) from error
