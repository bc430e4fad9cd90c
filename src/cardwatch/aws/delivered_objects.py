"""The delivery bucket: what was delivered, and what the stager refused."""

import contextlib
import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.ports import (
    Clock,
    DeadLetter,
    NotKeptError,
    StoredObject,
    UnreadableObjectError,
)
from cardwatch.staging.quarantine import QUARANTINE, FailedRecord, read_failed_records

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SOURCE: Final = "quarantine"


class BucketUnavailableError(Exception):
    """The bucket refuses or does not answer; the text says which and what was asked."""


class S3DeliveredObjects:
    """The objects of one bucket; every method raises BucketUnavailableError."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        """Use a bucket."""
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """Give the bucket's name."""
        return self._bucket

    def list(self, prefix: str) -> Sequence[StoredObject]:
        """Give all objects under a prefix, by key."""
        with self._asking(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            return [
                StoredObject(item["Key"], item["ETag"].strip('"'))
                for page in pages
                for item in page.get("Contents", [])
            ]

    def get(self, key: str) -> bytes | None:
        """Give an object's body, or None where there is none."""
        with self._asking(f"read {key}"):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def put(self, key: str, body: bytes) -> str:
        """Store an object and give its etag without quotes."""
        with self._asking(f"write {key}"):
            answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
        return answer["ETag"].strip('"')

    def remove(self, key: str) -> None:
        """Remove an object; the bucket keeps its former version for a while."""
        with self._asking(f"remove {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            msg = f"the bucket {self._bucket} was asked to {what}: {error}"
            raise BucketUnavailableError(msg) from None


class Quarantine:
    """The error output as dead letters, so that redrive sends what a fix made valid.

    What is left of an object stays in Firehose's wrapper, under the same prefix.
    """

    def __init__(
        self,
        objects: S3DeliveredObjects,
        clock: Clock,
        *,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Use the delivery bucket; `progress` hears of each object as it is opened."""
        self._objects = objects
        self._clock = clock
        self._progress = progress
        self._opened: dict[bytes, FailedRecord] = {}

    def sources(self) -> Sequence[str]:
        """Name the one source."""
        return [SOURCE]

    def objects(self, source: str) -> Iterator[str]:
        """Give the keys of the error output, by name, as they are now."""
        assert source == SOURCE  # noqa: S101  there is no other
        yield from [item.key for item in self._objects.list(QUARANTINE)]

    def open(self, name: str) -> Sequence[DeadLetter]:
        """Read one object's records; raises UnreadableObjectError when it is no error output."""
        body = self._objects.get(name)
        try:
            records = [] if body is None else list(read_failed_records(body))
        except ValueError as error:
            msg = f"s3://{self._objects.bucket}/{name}: {error}"
            raise UnreadableObjectError(msg) from None
        self._progress(f"{name}: {len(records)} records")
        self._opened = {record.raw: record for record in records}
        return [DeadLetter(raw=record.raw, reason=record.reason()) for record in records]

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        """Keep records of the object that was opened last; raises NotKeptError."""
        lines = b"".join(self._opened[raw].to_line() for raw in records)
        name = hashlib.sha256(lines).hexdigest()[:32]
        key = f"{QUARANTINE}{source}/{self._clock.now():%Y/%m/%d}/{reason}-{name}.gz"
        try:
            self._objects.put(key, gzip.compress(lines, mtime=0))
        except BucketUnavailableError as error:
            msg = f"keeping {len(records)} records failed: {error}"
            raise NotKeptError(msg) from error
        return key

    def remove(self, name: str) -> None:
        """Remove an object whose records are dealt with."""
        self._objects.remove(name)
