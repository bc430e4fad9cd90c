"""The Flink application's code on its way from a function's artifact to the code bucket.

`sam deploy` uploads functions and no Flink application, so the application's archive travels in the
artifact of a custom resource's function, which puts it under a key that is its content's hash: with
changed code the key is another one, and CloudFormation updates the application.
"""

import hashlib
import logging
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cardwatch.deployment.custom_resource import Answer, Request, ResourceFailedError

PREFIX: Final = "flink_app/"
CONNECTOR: Final = "lib/flink-sql-connector-aws-kinesis-streams-"
"""How the connector's jar begins in the archive; one must be there."""
MAIN: Final = "main.py"
KEPT: Final = 10
"""Archives that stay in the bucket; CloudFormation's rollback puts an older one there again."""

NEW_RIGHTS_SECONDS: Final = 60.0
"""For so long a refusal may mean that the function's role is too new to be known everywhere."""
RETRY_SECONDS: Final = 5.0

_LOG = logging.getLogger(__name__)


class CodeStoreError(Exception):
    """The code bucket cannot be read or written; the text says why."""


class CodeStore(Protocol):
    """A bucket of archives; each call raises CodeStoreError."""

    def put(self, bucket: str, key: str, archive: Path) -> None:
        """Put the archive there, over one of the same key."""
        ...

    def keys(self, bucket: str) -> Sequence[str]:
        """Give the archives' keys, the newest first."""
        ...

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove archives; what is not there is no error."""
        ...

    def empty(self, bucket: str, *, go_on: Callable[[], bool]) -> None:
        """Remove every version of everything while `go_on`; no bucket is no error."""
        ...


@dataclass(frozen=True, slots=True)
class FlinkCode:
    """Does what the custom resource of the application's code asks for."""

    archive: Path
    """In the function's artifact."""
    store: CodeStore
    sleep: Callable[[float], None] = time.sleep

    def handle(self, request: Request) -> Answer:
        """Serve one request; raises ResourceFailedError with the reason.

        Property: Bucket; others are there so that their change is an Update. Gives `Key` of the
        archive in the bucket and `Jar`, the connector's path in the archive.
        """
        bucket = request.text("Bucket")
        try:
            if request.kind == "Delete":
                self.store.empty(bucket, go_on=lambda: request.remaining_seconds() > 0)
                return Answer(_identity(bucket))
            jar = self._connector()
            digest = hashlib.sha256(self.archive.read_bytes()).hexdigest()
            key = f"{PREFIX}{digest}.zip"
            self._put(bucket, key)
            _LOG.info("s3://%s/%s holds the application with %s", bucket, key, jar)
            others = [other for other in self.store.keys(bucket) if other != key]
            self.store.remove(bucket, others[KEPT - 1 :])
        except CodeStoreError as error:
            msg = f"the code bucket {bucket} cannot be used: {error}"
            raise ResourceFailedError(msg, physical_id=_identity(bucket)) from None
        return Answer(_identity(bucket), {"Key": key, "Jar": jar})

    def _put(self, bucket: str, key: str) -> None:
        """Put the archive there, again while the right to do so may be on its way."""
        for _ in range(int(NEW_RIGHTS_SECONDS / RETRY_SECONDS)):
            try:
                return self.store.put(bucket, key, self.archive)
            except CodeStoreError as error:
                _LOG.warning("not put yet: %s", error)
                self.sleep(RETRY_SECONDS)
        return self.store.put(bucket, key, self.archive)

    def _connector(self) -> str:
        """Give the connector's path in the archive; an application without it is never deployed."""
        remedy = "run `make connector` and `sam build`, then deploy again"
        try:
            with zipfile.ZipFile(self.archive) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile):
            msg = f"the function's artifact holds no Flink application: {remedy}"
            raise ResourceFailedError(msg) from None
        jars = [name for name in names if name.startswith(CONNECTOR) and name.endswith(".jar")]
        if MAIN not in names or len(jars) != 1:
            msg = (
                f"{self.archive.name} must hold {MAIN} and one {CONNECTOR}*.jar, it holds "
                f"{len(jars)} such jars: {remedy}"
            )
            raise ResourceFailedError(msg)
        return jars[0]


def _identity(bucket: str) -> str:
    return f"{bucket}/{PREFIX}"
