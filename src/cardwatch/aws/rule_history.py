"""The versions of the rules that were published, in the delivery bucket: an object each.

`rules/<number>.jsonl`, written on condition that there is none: so a number is taken once, whoever
publishes at the same time.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, Failure, code, reason
from cardwatch.ports import Clock
from cardwatch.rules.errors import PublicationError, RuleHistoryUnavailableError
from cardwatch.rules.publication import Publication

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "rules/"
_SUFFIX: Final = ".jsonl"
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class S3RuleHistory:
    """Every method raises RuleHistoryUnavailableError."""

    def __init__(self, client: "S3Client", bucket: str, clock: Clock) -> None:
        self._client = client
        self._bucket = bucket
        self._clock = clock

    def versions(self) -> Sequence[int]:
        """Give their numbers, the newest last; an object that is none is passed over."""
        with self._asking("list them"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=PREFIX
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        names = [key.removeprefix(PREFIX).removesuffix(_SUFFIX) for key in keys]
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def read(self, version: int) -> Publication:
        """Read one; raises PublicationError where the object is none."""
        key = _key(version)
        with self._asking(f"read {key}"):
            raw = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        try:
            return Publication.from_bytes(raw, now=self._clock.now())
        except PublicationError as error:
            msg = f"s3://{self._bucket}/{key} {error}"
            raise PublicationError(msg) from None

    def add(self, publication: Publication) -> bool:
        """Keep a version; False when its number is taken."""
        key = _key(publication.version)
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=publication.to_bytes(), IfNoneMatch="*"
            )
        except FAILURES as error:
            if code(error) in _TAKEN:
                return False
            told = self._told("write one", error)
            raise RuleHistoryUnavailableError(told) from None
        return True

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise RuleHistoryUnavailableError(self._told(what, error)) from None

    def _told(self, what: str, error: Failure) -> str:
        return (
            f"the rules in s3://{self._bucket}/{PREFIX} were asked for, to {what}: "
            f"{reason(error)}; see to the credentials, the region and the bucket"
        )


def _key(version: int) -> str:
    return f"{PREFIX}{version:09}{_SUFFIX}"
