"""MiniStack, the AWS emulator of the one-machine stack: how to start it and how to talk to it.

Its state is in memory: a new process is an empty account, and the stack is deployed again.
"""

import contextlib
import http.client
from pathlib import Path
from typing import Final

import boto3
import botocore.session
import psutil
from botocore.config import Config

from cardwatch.aws.clients import AwsClients
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.services import emulator
from cardwatch.settings import LocalSettings

PYTHON: Final = Path(".venvs/ministack/bin/python")
"""The interpreter the emulator, and so every deployed function, runs on."""
HOST: Final = "127.0.0.1"


def endpoint(settings: LocalSettings) -> str:
    """Give the address that stands for all of AWS."""
    return f"http://{HOST}:{settings.aws_port}"


def credentials(settings: LocalSettings) -> dict[str, str]:
    """Give the variables by which AWS tools use the emulator and nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint(settings),
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def session(settings: LocalSettings) -> boto3.Session:
    """Give a session for the emulator; clients need `endpoint_url=endpoint(settings)` as well.

    A profile, certificate bundle or proxy that the environment names for real AWS is not looked at.
    """
    unset = (None, None, None, None)
    direct = botocore.session.Session({"profile": unset, "ca_bundle": unset})
    direct.set_default_client_config(Config(proxies={}))
    return boto3.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  the emulator takes any
        region_name=settings.region,
        botocore_session=direct,
    )


def clients(settings: LocalSettings) -> AwsClients:
    """Give clients of the emulator."""
    return AwsClients(session(settings), endpoint_url=endpoint(settings))


def program(settings: LocalSettings, root: Path, *, port: int | None = None) -> Program:
    """Give the emulator as a program of the stack; `root` is the project's folder.

    It listens on `port`, where something else stands at the stack's AWS port.

    Its environment is also that of every function it runs, whose code it unpacks under
    `var/ministack`. Raises LocalStackError when it is not installed.
    """
    python = root.resolve() / PYTHON
    if not python.exists():
        msg = f"the AWS emulator is not installed ({python} is missing); run `make setup`"
        raise LocalStackError(msg)
    scratch = (settings.var / "ministack").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    return Program(
        name="ministack",
        # -P: its own folder, where a module is called ministack too, is not searched for modules.
        command=[str(python), "-P", emulator.__file__],
        environment={
            **credentials(settings),
            emulator.DROPPED: str(dropped_path(settings).resolve()),
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port or settings.aws_port),
            "MINISTACK_REGION": settings.region,
            "PERSIST_STATE": "0",
            "S3_PERSIST": "0",
            "TMPDIR": str(scratch),
            "LOG_LEVEL": "WARNING",
            # Listeners of its own on fixed ports, for services that cardwatch does not use.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        },
        folder=scratch,
        ready=lambda: is_ready(port or settings.aws_port),
        fatal="the stream and the ledger were in its memory",
    )


def dropped_path(settings: LocalSettings) -> Path:
    """Give the file that counts the records which the stream dropped before their time."""
    return settings.var / "ministack" / "stream-dropped"


def function_of(process: psutil.Process) -> str:
    """Name the function whose worker a process is; empty: of none, or the process is gone."""
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
    return ""


def dropped_records(settings: LocalSettings) -> int:
    """Give how many records the stream dropped before their time, to stay small."""
    try:
        return int(dropped_path(settings).read_text())
    except (OSError, ValueError):
        return 0


def is_ready(port: int) -> bool:
    """Say whether the emulator answers on a port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        with contextlib.suppress(OSError):
            connection.close()
