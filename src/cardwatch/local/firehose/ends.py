"""Delivery's ends on the local AWS stack: the stream, the stager function and the bucket.

An end that does not answer, or a server's own failure, is an UnreachableError: it is tried again.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import ClientError

from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.aws.failures import FAILURES, code
from cardwatch.local.firehose.delivery import InvocationError, UnreachableError
from cardwatch.local.stream.shard import ShardRead, Stream
from cardwatch.ports import StreamUnavailableError
from cardwatch.recovery.error_output import QUARANTINE, read_failed_records
from cardwatch.recovery.ports import StoredObject
from cardwatch.staging.stolen import MAX_TOKENS_PER_BATCH, MAX_TOKENS_PER_RECORD, StolenCards

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

FUNCTION_SECONDS: Final = 70
"""How long to wait for the function: its own time-out and a little."""
RECORDS_PER_JUDGEMENT: Final = MAX_TOKENS_PER_BATCH // MAX_TOKENS_PER_RECORD
"""So that no question to the registry names more cards than it answers at once."""
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
    except FAILURES as error:
        msg = f"{what} does not answer ({code(error)})"
        raise UnreachableError(msg) from error


class StreamSource:
    """The stream; what fails is an UnreachableError here."""

    def __init__(self, stream: Stream) -> None:
        """Read a stream."""
        self._stream = stream

    def identity(self) -> str:
        """Name this very stream."""
        with self._reading():
            return self._stream.identity()

    def shards(self) -> Sequence[str]:
        with self._reading():
            return [shard.shard_id for shard in self._stream.shards()]

    def read(self, shard: str, after: str | None) -> ShardRead:
        """Read on after a sequence number, or from the oldest record."""
        with self._reading():
            return self._stream.read(shard, after)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except StreamUnavailableError as error:
            raise UnreachableError(str(error)) from error


class StagerFunction:
    """The deployed stager, invoked synchronously through the Lambda API."""

    def __init__(self, client: "LambdaClient", function: str) -> None:
        """Take the function's name, and a client that outwaits it."""
        self._function = function
        self._client = client
        self._arn: str | None = None

    @property
    def arn(self) -> str:
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

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:  # noqa: ARG002  the bucket's name is enough
        with _reaching(f"the bucket {self.bucket}"):
            yield


class DeliveredBodies(Protocol):
    """The delivery bucket, to be read. Both methods raise UnreachableError."""

    def list(self, prefix: str) -> Sequence[StoredObject]: ...

    def get(self, key: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What lies in quarantine, in numbers."""

    reasons: Counter[str] = field(default_factory=Counter)
    on_stolen_cards: int = 0
    """Records that name a card which the stager knows as stolen."""


class Quarantine:
    """Counts what lies in quarantine; an object is read once while it stays the same."""

    def __init__(self, objects: DeliveredBodies, stolen_cards: StolenCards) -> None:
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
        stolen = 0
        for begin in range(0, len(records), RECORDS_PER_JUDGEMENT):
            some = records[begin : begin + RECORDS_PER_JUDGEMENT]
            judged = self._stolen_cards.judge([record.raw for record in some])
            if judged.may_be_asked_again:
                raise UnreachableError(str(judged.problem))
            stolen += judged.stolen
        return Quarantined(Counter(record.reason() for record in records), stolen)
