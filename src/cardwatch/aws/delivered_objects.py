"""The delivery bucket in Amazon S3."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cardwatch.aws.failures import FAILURES, reason
from cardwatch.recovery.ports import BucketUnavailableError, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3DeliveredObjects:
    """The objects of one bucket; every method raises BucketUnavailableError."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def list(self, prefix: str, after: str = "") -> Sequence[StoredObject]:
        with self._asking(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after
            )
            return [
                StoredObject(item["Key"], item["ETag"].strip('"'))
                for page in pages
                for item in page.get("Contents", [])
            ]

    def get(self, key: str) -> bytes | None:
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
        except FAILURES as error:
            msg = f"the bucket {self._bucket} was asked to {what}: {reason(error)}"
            raise BucketUnavailableError(msg) from None
