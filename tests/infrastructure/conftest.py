"""The template as data, its artifacts, and the deployed stack on an emulator of its own."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs

from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services import deploy, ministack
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.settings import LocalSettings, program_environment

ROOT = Path(__file__).parents[2]
PARAMETERS = {"Slack": "on", "PageLinks": "on"}
"""What is deployed to the emulator over samconfig.toml's: all that it can hold."""


@dataclass(frozen=True)
class Template:
    """template.yaml with its intrinsic functions in long form."""

    content: dict[str, Any]

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        return dict(self.content["Resources"])

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        return dict(self.content["Parameters"])

    def of_type(self, name: str) -> dict[str, dict[str, Any]]:
        return {k: r["Properties"] for k, r in self.resources.items() if r["Type"] == name}

    @property
    def functions(self) -> dict[str, dict[str, Any]]:
        return self.of_type("AWS::Serverless::Function")


@pytest.fixture(scope="session")
def template() -> Template:
    return Template(cfn_yaml.load(str(ROOT / "template.yaml")))


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build --config-env local` gives, in a folder of its own."""
    folder = tmp_path_factory.mktemp("artifacts")
    built = subprocess.run(
        [str(ROOT / deploy.SAM), "build", "--config-env=local", f"--build-dir={folder / 'build'}"],
        env=program_environment({"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "build"


@dataclass(frozen=True)
class Stack:
    """A deployed stack, and what deploying it said."""

    settings: LocalSettings
    root: Path
    outputs: deploy.StackOutputs
    said: list[str]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack on an emulator of its own, deployed from a copy of what the build reads."""
    folder = tmp_path_factory.mktemp("stack")
    root = folder / "project"
    cards = str(LocalSettings.model_fields["cards"].default)
    for name in (*deploy.SOURCES, cards):
        source, copy = ROOT / name, root / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
    shutil.rmtree(root / ".venvs")
    (root / ".venvs").symlink_to(ROOT / ".venvs")
    (root / ".venv").symlink_to(ROOT / ".venv")
    settings = LocalSettings(var=folder / "var", aws_port=free_port())
    run = RunFolder(settings.var)
    run.acquire()
    try:
        with Supervisor(run) as supervisor:
            supervisor.start(ministack.program(settings, root))
            supervisor.wait_ready("ministack", timeout_seconds=60)
            said: list[str] = []
            outputs = deploy.deploy(settings, root, progress=said.append, parameters=PARAMETERS)
            yield Stack(settings, root, outputs, said)
    finally:
        run.release()


@pytest.fixture
def warehouse(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """The stack's warehouse, in a folder that the server's own user may not enter."""
    with tempfile.TemporaryDirectory(prefix="cardwatch-") as folder:
        monkeypatch.setenv("CARDWATCH_VAR", folder)
        monkeypatch.setenv("CARDWATCH_AWS_PORT", str(stack.settings.aws_port))
        server = WarehouseServer(Path(folder) / "postgres")
        server.start()
        warehouse = Warehouse(server)
        warehouse.define()
        yield warehouse
        warehouse.close()
        server.stop()
