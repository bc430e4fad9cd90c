"""Delivery's ends on the local AWS stack: the stream, the stager function and the bucket.

An end that does not answer, or a server's own failure, is an UnreachableError: it is tried again.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.aws.failures import code
from cardwatch.local.firehose.delivery import InvocationError, Page, StreamRecord, UnreachableError
from cardwatch.recovery.error_output import QUARANTINE, read_failed_records
from cardwatch.recovery.ports import StoredObject
from cardwatch.staging.stolen import StolenCards

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

EMPTY_PAGES: Final = 5
"""A shard may answer with empty pages before its records; so many are skipped in one read."""
FUNCTION_SECONDS: Final = 70
"""How long to wait for the function: its own time-out and a little."""
REFUSED: Final = {
    "TooManyRequestsException": "Lambda.InvokeLimitExceeded",
    "RequestTooLargeException": "Lambda.RequestTooLarge",
    "InvalidRequestContentException": "Lambda.InvalidRequestContent",
}
"""Invocations that Lambda refuses for what they are; Firehose retries and then gives up."""


@contextlib.contextmanager
def _reaching(what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        msg = f"{what} does not answer ({code(error)})"
        raise UnreachableError(msg) from error


class KinesisSource:
    """A Kinesis stream, read shard by shard.

    Each read takes a new iterator after the last sequence number: the emulator's own iterators
    skip records once its retention has trimmed the shard.
    """

    def __init__(self, session: boto3.Session, endpoint: str, stream: str) -> None:
        """Take the stream's name."""
        self._stream = stream
        self._client: KinesisClient = session.client(
            "kinesis", endpoint_url=endpoint, config=_config(read_timeout=10)
        )

    def identity(self) -> str:
        """Give the stream's ARN and when it was made."""
        with _reaching(f"the stream {self._stream}"):
            summary = self._client.describe_stream_summary(StreamName=self._stream)
        stream = summary["StreamDescriptionSummary"]
        return f"{stream['StreamARN']}@{stream['StreamCreationTimestamp'].timestamp():.0f}"

    def shards(self) -> Sequence[str]:
        """Give the ids of all shards that still hold records."""
        with _reaching(f"the stream {self._stream}"):
            pages = self._client.get_paginator("list_shards").paginate(StreamName=self._stream)
            return [shard["ShardId"] for page in pages for shard in page["Shards"]]

    def read(self, shard: str, after: str | None) -> Page:
        """Read up to 10,000 records or 10 MB."""
        with _reaching(f"the stream {self._stream}"):
            if after is None:
                iterator = self._client.get_shard_iterator(
                    StreamName=self._stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
                )
            else:
                iterator = self._client.get_shard_iterator(
                    StreamName=self._stream,
                    ShardId=shard,
                    ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                    StartingSequenceNumber=after,
                )
            answer = self._client.get_records(ShardIterator=iterator["ShardIterator"])
            for _ in range(EMPTY_PAGES):
                if answer["Records"] or not answer.get("MillisBehindLatest"):
                    break
                answer = self._client.get_records(ShardIterator=answer["NextShardIterator"])
        records = [
            StreamRecord(
                sequence_number=record["SequenceNumber"],
                data=record["Data"],
                partition_key=record["PartitionKey"],
                arrived_at=record["ApproximateArrivalTimestamp"],
            )
            for record in answer["Records"]
        ]
        return Page(records, answer.get("MillisBehindLatest", 0))


class StagerFunction:
    """The deployed stager, invoked synchronously through the Lambda API."""

    def __init__(self, session: boto3.Session, endpoint: str, function: str) -> None:
        """Take the function's name."""
        self._function = function
        self._client: LambdaClient = session.client(
            "lambda", endpoint_url=endpoint, config=_config(read_timeout=FUNCTION_SECONDS)
        )
        self._arn: str | None = None

    @property
    def arn(self) -> str:
        """Give the function's ARN."""
        if self._arn is None:
            with _reaching(f"the function {self._function}"):
                answer = self._client.get_function_configuration(FunctionName=self._function)
            self._arn = answer["FunctionArn"]
        return self._arn

    def invoke(self, event: Mapping[str, Any]) -> object:
        """Invoke; an error of the function is an InvocationError without the function's words."""
        with _reaching(f"the function {self._function}"):
            try:
                answer = self._client.invoke(
                    FunctionName=self._function, Payload=json.dumps(event).encode()
                )
            except ClientError as error:
                code = REFUSED.get(error.response["Error"]["Code"])
                if code is None:
                    raise
                raise InvocationError(code, "Lambda refused the invocation") from None
            payload = answer["Payload"].read()
        if "FunctionError" in answer:
            code = "Lambda.FunctionError"
            text = "The Lambda function was successfully invoked but it returned an error result."
            raise InvocationError(code, text)
        try:
            return json.loads(payload)
        except ValueError:
            code, text = "Lambda.JsonProcessingException", "the answer is not JSON"
            raise InvocationError(code, text) from None


class BucketObjects(S3DeliveredObjects):
    """The delivery bucket as the emulator has it; what fails is an UnreachableError here."""

    def __init__(self, session: boto3.Session, endpoint: str, bucket: str) -> None:
        """Take the bucket's name."""
        client: S3Client = session.client(
            "s3",
            endpoint_url=endpoint,
            config=_config(read_timeout=15).merge(Config(s3={"addressing_style": "path"})),
        )
        super().__init__(client, bucket)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:  # noqa: ARG002  the bucket's name is enough
        with _reaching(f"the bucket {self.bucket}"):
            yield


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What lies in quarantine, in numbers."""

    reasons: Counter[str] = field(default_factory=Counter)
    on_stolen_cards: int = 0
    """Records that name a card which the stager knows as stolen."""


class Quarantine:
    """Counts what lies in quarantine; an object is read once while it stays the same."""

    def __init__(self, objects: BucketObjects, stolen_cards: StolenCards) -> None:
        """Take the delivery bucket, and who knows stolen cards."""
        self._objects = objects
        self._stolen_cards = stolen_cards
        self._counted: dict[StoredObject, Quarantined] = {}

    def count(self) -> Quarantined:
        """Count the records in quarantine; raises UnreachableError.

        The reason is derived again by the validation that rejected the record
        (`FailedRecord.reason`), and whether it is on a stolen card the stager's way. An object that
        cannot be read counts once, as unreadable.
        """
        listed = self._objects.list(QUARANTINE)
        for item in listed:
            if item not in self._counted:
                self._counted[item] = self._read(item.key)
        counted = [self._counted[item] for item in listed]
        return Quarantined(
            sum((each.reasons for each in counted), Counter()),
            sum(each.on_stolen_cards for each in counted),
        )

    def _read(self, key: str) -> Quarantined:
        body = self._objects.get(key)
        if body is None:
            return Quarantined()
        try:
            records = list(read_failed_records(body))
        except ValueError:
            return Quarantined(Counter({"unreadable_object": 1}))
        judged = self._stolen_cards.judge([record.raw for record in records])
        if judged.problem:
            raise UnreachableError(judged.problem)
        return Quarantined(Counter(record.reason() for record in records), judged.stolen)


def _config(*, read_timeout: float) -> Config:
    # Delivery has its own patience, so a client gives up soon and says so.
    return Config(connect_timeout=2, read_timeout=read_timeout, retries={"total_max_attempts": 2})
