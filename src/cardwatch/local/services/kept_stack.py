"""What SAM last deployed, kept so that the next emulator gets the same again without SAM.

Every run starts with an empty emulator, and most of a deploy is SAM: it loads itself, packages the
same files again and asks for changes of a stack that is not there. What came of it, the template
with the parameters and tags, and the artifacts it names, is kept beside the build, which removes it
when it builds anew.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from cardwatch import files
from cardwatch.aws.failures import FAILURES, reason
from cardwatch.local.errors import LocalStackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

CREATE_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.1
_STACK: Final = "stack.json"


class Sessions(Protocol):
    """Makes clients of the emulator."""

    def cloudformation(self) -> "CloudFormationClient":
        """Give a client of the stacks."""
        ...

    def s3(self) -> "S3Client":
        """Give a client of the buckets."""
        ...


class KeptStack:
    """One stack as it was deployed, in a folder."""

    def __init__(self, folder: Path, clients: Sessions, stack_name: str, bucket: str) -> None:
        """Use `folder`; the artifacts are in `bucket`, with nothing else."""
        self._folder = folder
        self._clients = clients
        self._name = stack_name
        self._bucket = bucket

    def keep(self, digest: str) -> None:
        """Keep the stack that was just deployed under the digest of all it was made from.

        Raises botocore's errors, or OSError, with nothing kept.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        cloudformation, s3 = self._clients.cloudformation(), self._clients.s3()
        stack = cloudformation.describe_stacks(StackName=self._name)["Stacks"][0]
        template = cloudformation.get_template(StackName=self._name, TemplateStage="Original")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
            for item in page.get("Contents", []):
                body = s3.get_object(Bucket=self._bucket, Key=item["Key"])["Body"]
                files.replace(self._artifacts / item["Key"], body.read())
        request = {
            "TemplateBody": template["TemplateBody"],
            "Parameters": [
                {key: parameter[key] for key in ("ParameterKey", "ParameterValue")}
                for parameter in stack.get("Parameters", [])
            ],
            "Capabilities": stack.get("Capabilities", []),
            "Tags": stack.get("Tags", []),
        }
        # Last, because what is whole has it.
        files.replace(
            self._folder / _STACK, json.dumps({"digest": digest, "request": request}, indent=1)
        )

    def create(self, digest: str, progress: Callable[[str], None]) -> bool:
        """Create the stack where there is none; False when another digest or nothing is kept.

        Raises LocalStackError when the stack cannot be created.
        """
        request = self._request(digest)
        if request is None:
            return False
        progress("deploying the stack, as SAM did before")
        cloudformation, s3 = self._clients.cloudformation(), self._clients.s3()
        try:
            for path in sorted(p for p in self._artifacts.rglob("*") if p.is_file()):
                key = path.relative_to(self._artifacts).as_posix()
                s3.put_object(Bucket=self._bucket, Key=key, Body=path.read_bytes())
            cloudformation.create_stack(StackName=self._name, **request)
            deadline = time.monotonic() + CREATE_SECONDS
            while True:
                stack = cloudformation.describe_stacks(StackName=self._name)["Stacks"][0]
                if stack["StackStatus"] == "CREATE_COMPLETE":
                    return True
                if not stack["StackStatus"].endswith("IN_PROGRESS") or time.monotonic() > deadline:
                    why = stack.get("StackStatusReason", "it gives no reason")
                    break
                time.sleep(POLL_SECONDS)
        except FAILURES as error:
            why = reason(error)
        msg = (
            f"the stack {self._name} was not created: {why}; "
            f"remove {self._folder}, so that SAM deploys it anew"
        )
        raise LocalStackError(msg)

    @property
    def _artifacts(self) -> Path:
        return self._folder / "artifacts"

    def _request(self, digest: str) -> dict[str, Any] | None:
        try:
            kept = json.loads((self._folder / _STACK).read_text())
            request: dict[str, Any] = kept["request"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return request if kept.get("digest") == digest else None
