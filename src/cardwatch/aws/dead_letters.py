"""Dead letters in an Amazon S3 bucket, in two formats.

- `dead-letters/<source>/YYYY/MM/DD/<hash>.jsonl.gz`: what cardwatch keeps itself. A line per
  record: `reason`, `kept_at`, and `raw`, the record's bytes in base64. The name comes from the
  content, so a record that is kept again on the same day is one object.
- `aws/lambda/<mapping>/<shard>/YYYY/MM/DD/…`: what the event source mapping gave up. AWS fixes the
  names and the format: a JSON object whose `payload` is the invocation event as text.
"""

import base64
import binascii
import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from cardwatch.aws import failures
from cardwatch.contract.fields import format_time
from cardwatch.ports import Clock, NotKeptError
from cardwatch.recovery.ports import BucketUnavailableError, DeadLetter, UnreadableObjectError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAPPING_SOURCE: Final = "event-source-mapping"
"""The source of what the event source mapping gave up."""
MAPPING_PREFIX: Final = "aws/lambda/"
PREFIX: Final = "dead-letters/"


class S3DeadLetters:
    """Keeps, finds and removes dead letters.

    What finds, reads and removes raises BucketUnavailableError.
    """

    def __init__(self, client: "S3Client", bucket: str, clock: Clock) -> None:
        self._client = client
        self._bucket = bucket
        self._clock = clock

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        """Keep records of one source whole and give the object's key; raises NotKeptError."""
        now = self._clock.now()
        encoded = [base64.b64encode(raw).decode() for raw in records]
        content = "\n".join([source, reason, *encoded]).encode()
        name = hashlib.sha256(content).hexdigest()[:32]
        key = f"{PREFIX}{source}/{now:%Y/%m/%d}/{name}.jsonl.gz"
        lines = "".join(
            json.dumps({"reason": reason, "kept_at": format_time(now), "raw": raw}) + "\n"
            for raw in encoded
        )
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=gzip.compress(lines.encode(), mtime=0)
            )
        except failures.FAILURES as error:
            why = failures.reason(error)
            msg = f"keeping {len(records)} records in s3://{self._bucket} failed: {why}"
            raise NotKeptError(msg) from error
        return key

    def sources(self) -> Sequence[str]:
        """Name the sources that there are letters of."""
        with self._asking("list them"):
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=PREFIX, Delimiter="/")
        names = [
            prefix["Prefix"].removeprefix(PREFIX).rstrip("/")
            for prefix in answer.get("CommonPrefixes", [])
        ]
        return [*names, MAPPING_SOURCE] if any(self.objects(MAPPING_SOURCE)) else names

    def objects(self, source: str) -> Iterator[str]:
        """Give the keys of a source's objects, in the order of their days."""
        prefix = MAPPING_PREFIX if source == MAPPING_SOURCE else f"{PREFIX}{source}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        with self._asking("list them"):
            for page in pages:
                yield from [item["Key"] for item in page.get("Contents", [])]

    def letters_in(self, name: str) -> Sequence[DeadLetter]:
        """Read one object's letters; raises UnreadableObjectError when it is in neither format."""
        with self._asking(f"read {name}"):
            content = self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        try:
            if name.startswith(MAPPING_PREFIX):
                return _of_mapping(json.loads(content))
            return [_of_line(line) for line in gzip.decompress(content).splitlines()]
        except (
            OSError,
            EOFError,
            zlib.error,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            # The content may hold anything, so the error must not quote it.
            msg = f"s3://{self._bucket}/{name} holds no dead letters ({type(error).__name__})"
            raise UnreadableObjectError(msg) from None

    def remove(self, name: str) -> None:
        """Remove an object whose letters are dealt with."""
        with self._asking(f"remove {name}"):
            self._client.delete_object(Bucket=self._bucket, Key=name)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except failures.FAILURES as error:
            msg = (
                f"the dead letters in s3://{self._bucket} were asked for, to {what}: "
                f"{failures.reason(error)}; see to the credentials, the region and the bucket"
            )
            raise BucketUnavailableError(msg) from None


def _of_line(line: bytes) -> DeadLetter:
    fields = json.loads(line)
    return DeadLetter(raw=_decode(fields["raw"]), reason=str(fields["reason"]))


def _of_mapping(document: dict[str, Any]) -> list[DeadLetter]:
    """Read the invocation record; `condition` is why the mapping gave up."""
    payload = document["payload"]
    event = json.loads(payload) if isinstance(payload, str) else payload
    reason = str(document.get("requestContext", {}).get("condition", "unknown"))
    return [
        DeadLetter(
            raw=_decode(record["kinesis"]["data"]),
            reason=reason,
            partition_key=record["kinesis"]["partitionKey"],
        )
        for record in event["Records"]
    ]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        msg = "not base64"
        raise ValueError(msg) from error
