"""infra/detection.yaml deployed to the emulator, whose Managed Flink is a control plane alone.

What runs for real: the build, the functions, their custom resources, the copy of the code, the
order in which CloudFormation calls them. A stand-in takes the connector's place in the archive.
"""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.infrastructure.conftest import ROOT
from tools.flink_package import Artifact

from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services import deploy, ministack
from cardwatch.settings import LocalSettings, program_environment

pytestmark = pytest.mark.stack

NAME = "detection"
BUCKET = "artifacts"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/events"


@dataclass
class Stack:
    """The stack on its emulator, deployed from a copy of what it is built from."""

    root: Path
    settings: LocalSettings
    key: str = ""

    def client(self, service: str) -> Any:  # noqa: ANN401  of whichever service
        session: boto3.Session = ministack.session(self.settings)
        make: Any = session.client
        return make(service, endpoint_url=ministack.endpoint(self.settings))

    def deploy(self) -> str:
        """Build and deploy; gives what SAM said last."""
        self.key = self.key or self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self._sam("build", "--template-file", "infra/detection.yaml")
        return self._sam(
            "deploy",
            f"--stack-name={NAME}",
            f"--s3-bucket={BUCKET}",
            "--capabilities",
            "CAPABILITY_IAM",
            "CAPABILITY_AUTO_EXPAND",
            "--no-fail-on-empty-changeset",
            "--parameter-overrides",
            f"StreamArn={STREAM}",
            f"DataKeyArn={self.key}",
        )

    def _sam(self, *arguments: str) -> str:
        environment = ministack.credentials(self.settings) | {
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
        }
        ended = subprocess.run(
            [str(ROOT / deploy.SAM), *arguments],
            env=program_environment(environment),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def delete(self) -> None:
        """Delete it and wait until it is gone."""
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=NAME)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                cloudformation.describe_stacks(StackName=NAME)
            except ClientError as error:
                assert "does not exist" in str(error)  # noqa: PT017  what ends the wait
                return
            time.sleep(0.2)
        pytest.fail("the stack was not deleted within 60 s")

    def events(self) -> list[str]:
        """What happened to the stack's custom resources and the application, in order."""
        listed = self.client("cloudformation").describe_stack_events(StackName=NAME)["StackEvents"]
        wanted = {"FlinkCode", "ApplicationPause", "Application", "ApplicationRun"}
        return [
            f"{event['ResourceStatus']} {event['LogicalResourceId']}"
            for event in reversed(listed)
            if event["LogicalResourceId"] in wanted
        ]

    def application(self) -> dict[str, Any]:
        flink = self.client("kinesisanalyticsv2")
        detail: dict[str, Any] = flink.describe_application(ApplicationName=NAME)[
            "ApplicationDetail"
        ]
        return detail

    def code_key(self) -> str:
        code = self.application()["ApplicationConfigurationDescription"]
        content = code["ApplicationCodeConfigurationDescription"]["CodeContentDescription"]
        return str(content["S3ApplicationCodeLocationDescription"]["FileKey"])


def wait_less(life: Path) -> None:
    """Shorten in a copy what AWS needs time for: here a role is known at once and nothing dies."""
    waits = r"^((?:WATCHED|NEW_ROLE)_SECONDS: Final = )[0-9.]+$"
    shorter, found = re.subn(waits, r"\g<1>0.5", life.read_text(), flags=re.MULTILINE)
    assert found == len(("WATCHED", "NEW_ROLE"))
    life.write_text(shorter)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("detection")
    root = folder / "project"
    for name in ("flink_app", "functions", "infra", "src", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    wait_less(root / "src/cardwatch/deployment/flink_application.py")
    jar = root / "flink_app/lib" / Artifact.from_pom(root / "flink_app/pom.xml").file
    jar.parent.mkdir(exist_ok=True)
    jar.write_bytes(b"what stands for the connector")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = LocalSettings(var=folder / "var", aws_port=probe.getsockname()[1])
    run = RunFolder(settings.var)
    run.acquire()
    try:
        with Supervisor(run) as supervisor:
            supervisor.start(ministack.program(settings, ROOT))
            supervisor.wait_ready("ministack", timeout_seconds=60)
            made = Stack(root, settings)
            made.client("s3").create_bucket(Bucket=BUCKET)
            made.deploy()
            yield made
    finally:
        run.release()


def started(kind: str) -> list[str]:
    """One whole pass over the stack: each resource begun and completed in its turn."""
    order = ("FlinkCode", "ApplicationPause", "Application", "ApplicationRun")
    return [f"{kind}_{state} {name}" for name in order for state in ("IN_PROGRESS", "COMPLETE")]


def test_one_deploy_changes_nothing_changes_the_code_and_deletes_without_a_rest(
    stack: Stack,
) -> None:
    """One test, because each step needs the one before."""
    assert stack.events() == started("CREATE")
    assert stack.application()["ApplicationStatus"] == "RUNNING"
    first = stack.code_key()
    buckets = {item["Name"] for item in stack.client("s3").list_buckets()["Buckets"]}
    [bucket] = buckets - {BUCKET}
    stored = stack.client("s3").get_object(Bucket=bucket, Key=first)["Body"].read()
    assert b"main.py" in stored

    assert "No changes to deploy" in stack.deploy()
    assert stack.events() == started("CREATE")

    sql = stack.root / "flink_app/sql/detections/payment_alert.sql"
    sql.write_text(sql.read_text() + "-- changed\n")
    stack.deploy()
    assert stack.events() == started("CREATE") + started("UPDATE")
    assert stack.code_key() != first
    assert stack.application()["ApplicationStatus"] == "RUNNING"
    flink = stack.client("kinesisanalyticsv2")
    snapshots = flink.list_application_snapshots(ApplicationName=NAME)["SnapshotSummaries"]
    assert [snapshot["SnapshotStatus"] for snapshot in snapshots] == ["READY"]

    stack.delete()
    with pytest.raises(ClientError, match="ResourceNotFound"):
        stack.application()
    assert [b["Name"] for b in stack.client("s3").list_buckets()["Buckets"]] == [BUCKET]
