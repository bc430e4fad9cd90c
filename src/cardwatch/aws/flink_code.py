"""The bucket that holds the Flink application's archives, by the S3 API."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cardwatch.aws.failures import FAILURES, code
from cardwatch.deployment.flink_code import PREFIX, CodeStoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


class S3CodeStore:
    """A CodeStore in Amazon S3; encryption is the bucket's own."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def put(self, bucket: str, key: str, archive: Path) -> None:
        """Put the archive there, with a checksum that S3 verifies; raises CodeStoreError."""
        try:
            with archive.open("rb") as body:
                self._client.put_object(
                    Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256"
                )
        except FAILURES as error:
            raise CodeStoreError(str(error)) from None

    def keys(self, bucket: str) -> Sequence[str]:
        """Give the archives' keys, the newest first; raises CodeStoreError."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=PREFIX
            )
            found = [item for page in pages for item in page.get("Contents", [])]
        except FAILURES as error:
            raise CodeStoreError(str(error)) from None
        found.sort(key=lambda item: item["LastModified"], reverse=True)
        return [item["Key"] for item in found]

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove archives; their versions live on as long as the bucket keeps any."""
        if keys:
            self._delete(bucket, [{"Key": key} for key in keys])

    def empty(self, bucket: str, *, go_on: Callable[[], bool]) -> None:
        """Remove every version of everything; raises CodeStoreError, also when time is up."""
        try:
            for versions in self._versions(bucket):
                if not go_on():
                    msg = "time is up before it is empty; delete the stack again"
                    raise CodeStoreError(msg)
                self._delete(bucket, versions)
        except FAILURES as error:
            if code(error) != "NoSuchBucket":
                raise CodeStoreError(str(error)) from None

    def _versions(self, bucket: str) -> "Iterator[list[ObjectIdentifierTypeDef]]":
        """Give each page of versions and delete markers."""
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if items:
                yield [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in items]

    def _delete(self, bucket: str, objects: "Sequence[ObjectIdentifierTypeDef]") -> None:
        try:
            answer = self._client.delete_objects(
                Bucket=bucket, Delete={"Objects": list(objects), "Quiet": True}
            )
        except FAILURES as error:
            raise CodeStoreError(str(error)) from None
        for left in answer.get("Errors", [])[:1]:
            msg = f"{left.get('Key')} is not removed: {left.get('Code')} {left.get('Message')}"
            raise CodeStoreError(msg)
