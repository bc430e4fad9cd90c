"""Build and deploy the stack to the emulator with SAM, and read what it gave.

What SAM deployed to an empty emulator is kept, and put on the next one as it is (kept_stack.py).
"""

import fcntl
import hashlib
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.aws.deployed import stack_outputs
from cardwatch.aws.failures import FAILURES, reason
from cardwatch.aws.ledger import EXPIRES_AT
from cardwatch.local.errors import LocalStackError
from cardwatch.local.services import ministack
from cardwatch.local.services.kept_stack import KeptStack
from cardwatch.settings import LocalSettings, program_environment

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_s3 import S3Client

SAM: Final = Path(".venvs/sam/bin/sam")
BUILT: Final = Path(".aws-sam/local")
"""Where samconfig.toml's environment `local` builds to."""
ARTIFACT_BUCKET: Final = "cardwatch-artifacts"
SOURCE_TAG: Final = "cardwatch:sources"
SAM_SECONDS: Final = 600
SOURCES: Final = (
    "template.yaml",
    "samconfig.toml",
    "infra",
    "src",
    "functions",
    "tools/function_modules.py",
    "warehouse",
    "requirements/layer.txt",
    "requirements/banking.txt",
    "requirements/ministack.txt",
    ".venvs/ministack/pyvenv.cfg",
)
"""All that decides what the build gives, the emulator's interpreter included."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """The outputs of template.yaml, as the one-machine programs need them."""

    stream_name: str
    stream_arn: str
    scores_stream_name: str
    scores_stream_arn: str
    simulator_function: str
    notifier_function: str
    stager_function: str
    control_table: str
    card_registry_table: str
    ledger_table: str
    topic_arn: str
    pages_queue_url: str
    delivery_bucket: str
    delivery_buffer_seconds: int
    delivery_buffer_megabytes: int
    dead_letter_bucket: str
    token_key_secret: str

    @classmethod
    def from_stack(cls, outputs: Mapping[str, str]) -> "StackOutputs":
        """Take the outputs by their names in the template; raises KeyError for a missing one."""
        values: dict[str, str | int] = {}
        for item in fields(cls):
            value = outputs["".join(word.capitalize() for word in item.name.split("_"))]
            values[item.name] = int(value) if item.type is int else value
        return cls(**values)  # type: ignore[arg-type]  # each field got its own type above


def build(settings: LocalSettings, root: Path, *, progress: Progress) -> bool:
    """Build the layer and the functions; False when what is there is up to date.

    Raises LocalStackError with the reason and the log's place.
    """
    with _alone(root, progress):
        return _build(settings, root, progress=progress)


def _build(settings: LocalSettings, root: Path, *, progress: Progress) -> bool:
    stamp = root / BUILT / "sources.sha256"
    digest = source_digest(root, settings.cards)
    whole = (root / BUILT / "template.yaml").exists()
    if whole and stamp.exists() and stamp.read_text() == digest:
        progress("functions are up to date")
        return False
    progress("building the functions")
    # SAM empties the folder of what it knows, and what fails half-way must not look up to date.
    stamp.unlink(missing_ok=True)
    _sam(settings, root, ["build", "--config-env", "local"], log="build")
    stamp.write_text(digest)
    return True


@contextmanager
def _alone(root: Path, progress: Progress) -> Iterator[None]:
    """Keep what is built as it is for a while: runs side by side share one folder of it."""
    lock = (root / BUILT).with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another run that builds or deploys from this folder")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def deploy(
    settings: LocalSettings,
    root: Path,
    *,
    progress: Progress,
    parameters: Mapping[str, str] | None = None,
) -> StackOutputs:
    """Build and deploy; `parameters` go over those of samconfig.toml's environment `local`.

    The emulator must be ready. Nothing is done when the same is deployed already. Raises
    LocalStackError with the reason and the log's place.
    """
    with _alone(root, progress):
        outputs = _deploy(settings, root, progress=progress, given=dict(parameters or {}))
    _have_it_forget(settings, outputs)
    return outputs


def _have_it_forget(settings: LocalSettings, outputs: StackOutputs) -> None:
    """Switch on the ledger's time to live: the emulator does not read it in the template."""
    try:
        ministack.clients(settings).dynamodb().update_time_to_live(
            TableName=outputs.ledger_table,
            TimeToLiveSpecification={"AttributeName": EXPIRES_AT, "Enabled": True},
        )
    except FAILURES as error:
        msg = f"the ledger's time to live cannot be switched on: {reason(error)}"
        raise LocalStackError(msg) from None


def _deploy(
    settings: LocalSettings, root: Path, *, progress: Progress, given: Mapping[str, str]
) -> StackOutputs:
    _build(settings, root, progress=progress)
    given = dict(sorted(given.items()))
    wanted = hashlib.sha256(f"{source_digest(root, settings.cards)} {given}".encode()).hexdigest()
    there = _describe_or_explain(settings)
    if there is not None and _deployed_from(there) == wanted:
        progress("the stack is up to date")
        return read_outputs(settings)
    clients = _Clients(settings)
    clients.s3().create_bucket(Bucket=ARTIFACT_BUCKET)
    folder = root / BUILT / "deployed" / settings.stack_name
    kept = KeptStack(folder, clients, settings.stack_name, ARTIFACT_BUCKET)
    key = f"{wanted} {settings.stack_name} {settings.region}"
    if there is None and kept.create(key, progress):
        return read_outputs(settings)
    progress("deploying the stack")
    arguments = [
        "deploy",
        "--config-env=local",
        f"--stack-name={settings.stack_name}",
        f"--region={settings.region}",
        # SAM's own bucket would come with a stack of its own, which takes longer than ours.
        "--no-resolve-s3",
        f"--s3-bucket={ARTIFACT_BUCKET}",
        f"--tags={SOURCE_TAG}={wanted}",
    ]
    if given:
        overrides = {**local_parameters(root), **given}
        arguments += ["--parameter-overrides", *(f"{k}={v}" for k, v in overrides.items())]
    _sam(settings, root, arguments, log="deploy")
    if there is None:
        # What is not kept is deployed by SAM again: slower, and nothing else.
        with suppress(*FAILURES, OSError):
            kept.keep(key)
    return read_outputs(settings)


def read_outputs(settings: LocalSettings) -> StackOutputs:
    """Read the deployed stack's outputs; raises LocalStackError when there is no such stack."""
    try:
        stack = _describe(settings)
    except (BotoCoreError, ClientError):
        stack = None
    if stack is None:
        msg = (
            f"no stack {settings.stack_name} on {ministack.endpoint(settings)}; "
            "start it with `cardwatch up`"
        )
        raise LocalStackError(msg)
    try:
        return StackOutputs.from_stack(stack_outputs(stack))
    except KeyError as error:
        msg = (
            f"stack {settings.stack_name} has no output {error.args[0]}: it was deployed from "
            "another template, or deploying it failed; run `cardwatch down`, then `cardwatch up`"
        )
        raise LocalStackError(msg) from None


def source_digest(root: Path, cards: Path) -> str:
    """Give the SHA-256 over all that the build is made from; `cards` is the card file."""
    digest = hashlib.sha256()
    files = [(str(path.relative_to(root)), path) for path in _source_files(root)]
    for name, path in [*files, ("cards", root / cards)]:
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _source_files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        place = root / name
        if place.is_file():
            yield place
        else:
            files = (f for f in place.rglob("*") if f.is_file() and f.suffix != ".pyc")
            yield from sorted(files)


def local_parameters(root: Path) -> dict[str, str]:
    """Read the parameters of samconfig.toml's environment `local`."""
    config = tomllib.loads((root / "samconfig.toml").read_text())
    overrides: list[str] = config["local"]["deploy"]["parameters"]["parameter_overrides"]
    return dict(item.split("=", 1) for item in overrides)


def _describe_or_explain(settings: LocalSettings) -> "StackTypeDef | None":
    """Give the stack, or None when there is none; raises LocalStackError without an emulator."""
    try:
        return _describe(settings)
    except ClientError:
        return None
    except BotoCoreError as error:
        msg = (
            f"the AWS emulator does not answer on {ministack.endpoint(settings)} ({error}); "
            "start it with `cardwatch up`"
        )
        raise LocalStackError(msg) from None


def _deployed_from(stack: "StackTypeDef") -> str | None:
    """Give the tag that says from which sources a stack is, or None when it is not whole."""
    if stack["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        return None
    return {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}.get(SOURCE_TAG)


def _describe(settings: LocalSettings) -> "StackTypeDef | None":
    stacks = _Clients(settings).cloudformation().describe_stacks(StackName=settings.stack_name)
    return stacks["Stacks"][0] if stacks["Stacks"] else None


class _Clients:
    """boto3 clients of the emulator."""

    def __init__(self, settings: LocalSettings) -> None:
        self._session = ministack.session(settings)
        self._endpoint = ministack.endpoint(settings)
        self._config = Config(retries={"total_max_attempts": 2}, connect_timeout=2)

    def cloudformation(self) -> "CloudFormationClient":
        """Give a client of the stacks."""
        return self._session.client(
            "cloudformation", endpoint_url=self._endpoint, config=self._config
        )

    def s3(self) -> "S3Client":
        """Give a client of the buckets."""
        return self._session.client("s3", endpoint_url=self._endpoint, config=self._config)


def _sam(settings: LocalSettings, root: Path, arguments: Sequence[str], *, log: str) -> None:
    sam = root.resolve() / SAM
    path = settings.var / "log" / f"{log}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = program_environment(
        {
            **ministack.credentials(settings),
            "CARDWATCH_CARDS": str((root / settings.cards).resolve()),
            "SAM_CLI_TELEMETRY": "0",
            # The emulator answers at once; half a second between looks is SAM's default.
            "SAM_CLI_POLL_DELAY": "0.2",
        }
    )
    with path.open("wb") as output:
        try:
            ended = subprocess.run(
                [str(sam), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=root,
                check=False,
                timeout=SAM_SECONDS,
            )
        except FileNotFoundError:
            msg = f"the SAM command line is not installed ({sam} is missing); run `make setup`"
            raise LocalStackError(msg) from None
        except subprocess.TimeoutExpired:
            msg = f"`sam {arguments[0]}` did not end within {SAM_SECONDS} s; see {path}"
            raise LocalStackError(msg) from None
    if ended.returncode != 0:
        msg = (
            f"`sam {arguments[0]}` failed: {_reason(path.read_text(errors='replace'))}; see {path}"
        )
        raise LocalStackError(msg)


def _reason(output: str) -> str:
    """Give the line that says why SAM failed: its last with "error" or "failed", or the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|failed|invalid", line, re.IGNORECASE)]
    return (telling or lines or ["it said nothing"])[-1][:300]
