"""The event source's ends on the local AWS stack, and its positions on disk."""

import contextlib
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict

from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource.poller import (
    DestinationUnavailableError,
    FunctionAnswer,
    FunctionUnavailableError,
    MappingParameters,
    UnsupportedMappingError,
    read_patterns,
)
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.stream.positions import PositionFile

if TYPE_CHECKING:
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


class SourcePositions(BaseModel):
    """How far each shard is done; what is in the position file."""

    model_config = ConfigDict(frozen=True)

    stream: str = ""
    started: datetime | None = None
    """The very first start on this stream."""
    shards: dict[str, str] = {}


class ShardPositions:
    """How far each shard is done, for the pollers' threads.

    A position belongs to one stream: after the stream was made anew, or with a damaged file, all
    start again.
    """

    def __init__(self, file: PositionFile[SourcePositions], *, stream: str, now: datetime) -> None:
        """Go on with what the file has of the very stream `stream`, else begin at `now`."""
        self._file = file
        self._lock = threading.Lock()
        self._dirty = False
        kept = SourcePositions()
        with contextlib.suppress(ValueError):
            kept = file.read()
        of_this = kept.stream == stream and kept.started is not None
        self._kept = kept if of_this else SourcePositions(stream=stream, started=now)
        self.started = self._kept.started or now
        """The time of the very first start on this stream."""
        file.write(self._kept)

    def get(self, shard_id: str) -> str | None:
        with self._lock:
            return self._kept.shards.get(shard_id)

    def save(self, shard_id: str, sequence_number: str, *, at_once: bool) -> None:
        """Remember a position; without `at_once` it reaches the disk with the next flush."""
        with self._lock:
            shards = {**self._kept.shards, shard_id: sequence_number}
            self._kept = self._kept.model_copy(update={"shards": shards})
            self._dirty = True
            if at_once:
                self._write()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        with self._lock:
            if self._dirty:
                self._write()

    def _write(self) -> None:
        self._file.write(self._kept)
        self._dirty = False


class LambdaFunction:
    """The deployed function through the Lambda API."""

    def __init__(self, client: "LambdaClient", function_arn: str) -> None:
        """Call `function_arn`; the client must not retry by itself, or calls would double."""
        self._client = client
        self._function_arn = function_arn

    def invoke(self, event: bytes) -> FunctionAnswer:
        """Call it and wait; raises FunctionUnavailableError."""
        try:
            response = self._client.invoke(FunctionName=self._function_arn, Payload=event)
            payload = response["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise FunctionUnavailableError(str(error)) from error
        return FunctionAnswer(
            payload=payload,
            error=response.get("FunctionError"),
            request_id=response["ResponseMetadata"].get("RequestId", ""),
        )


class FailureBucket:
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
