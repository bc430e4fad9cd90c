"""The same behaviour is asked of the fakes, of moto in this process, and of the emulator."""

import os
import random
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from tests.deployed import create_key_table

from cardwatch.aws.clients import AwsClients
from cardwatch.local.processes.ports import free_port
from cardwatch.local.services import emulator as emulator_program

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that open nothing, so that a test can never reach a real account."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["moto", pytest.param("emulator", marks=pytest.mark.stack)])
def aws(request: pytest.FixtureRequest) -> Iterator[AwsClients]:
    """AWS by moto, and by the local stack's emulator."""
    if request.param == "emulator":
        yield request.getfixturevalue("emulator")
    else:
        request.getfixturevalue("aws_environment")
        with mock_aws():
            yield AwsClients()


@pytest.fixture
def control_table(aws: AwsClients) -> str:
    """Make a table like the template's ControlTable."""
    name = f"control-{random.getrandbits(32):08x}"
    create_key_table(aws, name)
    return name


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsClients]:
    """The local AWS stack on a free port, without state, stopped at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CARDWATCH_"))}
    folder = tmp_path_factory.mktemp("emulator")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [ROOT / ".venvs/ministack/bin/python", "-P", emulator_program.__file__],
            env={**environment, "GATEWAY_PORT": str(port), "PERSIST_STATE": "0"},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_up(server, f"{url}/_ministack/health", folder / "log")
        session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  the emulator's, opens nothing
            region_name=REGION,
        )
        yield AwsClients(session, endpoint_url=url)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own http address
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the local AWS stack did not come up: {log.read_text()[-2000:]}")
