"""What `sam build` puts into each artifact."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.infrastructure.conftest import ROOT, Template

from cardwatch.local.services import ministack

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import cardwatch
assert cardwatch.__file__.startswith(sys.argv[1]), cardwatch.__file__
for module in pkgutil.walk_packages(cardwatch.__path__, "cardwatch."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        # Lambda's runtime brings these, and the function of the bank's database its driver.
        if error.name.partition(".")[0] not in {"boto3", "botocore", "psycopg"}:
            raise
    print(module.name)
"""


WHICH_DRIVER = """
import sys
sys.path[:0] = sys.argv[1:]
from cardwatch.postgres import psycopg
print(psycopg.__file__, psycopg.pq.__impl__)
"""


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_simulator_s_artifact_holds_the_card_file(artifacts: Path) -> None:
    cards = (ROOT / "data/cards.txt").read_bytes()
    numbers = set(re.findall(rb"^\d{12,19}", cards, re.MULTILINE))
    assert numbers
    holding = set()
    for path in artifacts.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if any(number in numbers for number in re.findall(rb"(?<!\d)\d{12,19}(?!\d)", content)):
                holding.add(str(path.relative_to(artifacts)))
    assert holding == {"SimulatorFunction/cards.txt"}


def test_a_function_s_artifact_is_its_handler_alone(artifacts: Path, template: Template) -> None:
    for function in template.functions:
        expected = {"handler.py"} | ({"cards.txt"} if function == "SimulatorFunction" else set())
        assert files(artifacts / function) == expected


def test_the_layer_imports_with_nothing_beside_it(artifacts: Path) -> None:
    layer = artifacts / "CardwatchLayer" / "python"
    ended = subprocess.run(
        # -I and -S: no site-packages, no PYTHONPATH, so an undeclared dependency cannot be found.
        [str(ROOT / ministack.PYTHON), "-I", "-S", "-B", "-c", IMPORT_ALL, str(layer)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert {"cardwatch.bootstrap.notifier", "cardwatch.contract.streams"} <= set(
        ended.stdout.split()
    )


def test_the_bank_s_function_brings_its_driver_along(artifacts: Path) -> None:
    ended = subprocess.run(
        [
            *(str(ROOT / ministack.PYTHON), "-I", "-S", "-B", "-c"),
            WHICH_DRIVER,
            str(artifacts / "BankingStack" / "BankingFunction"),
            str(artifacts / "CardwatchLayer" / "python"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[1] == "binary"
    assert str(artifacts) in ended.stdout


def test_the_layer_leaves_out_the_command_line_and_the_one_machine_stack(artifacts: Path) -> None:
    package = artifacts / "CardwatchLayer" / "python" / "cardwatch"
    assert (package / "bootstrap" / "notifier.py").exists()
    assert not (package / "local").exists()
    assert not (package / "cli").exists()
    assert not (package / "imports").exists()
    cached = {folder.parent for folder in artifacts.rglob("__pycache__")}
    assert not [folder for folder in cached if artifacts / "CardwatchLayer" not in folder.parents]


def test_a_worker_of_the_emulator_finds_byte_code_whenever_the_layer_was_unpacked(
    artifacts: Path, tmp_path: Path
) -> None:
    layer = tmp_path / "layer"
    # Unpacking gives every file a time of its own.
    shutil.copytree(artifacts / "CardwatchLayer" / "python", layer, copy_function=shutil.copyfile)
    loaded = subprocess.run(
        [
            *(str(ROOT / ministack.PYTHON), "-I", "-B", "-v", "-c"),
            f"import sys; sys.path.insert(0, {str(layer)!r}); import cardwatch.bootstrap.notifier",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    ours = [line for line in loaded.splitlines() if f"{layer}/" in line]
    compiled_anew = [line for line in ours if "# code object from" in line and ".pyc" not in line]
    assert compiled_anew == []
    assert sum(f"matches {layer}/" in line for line in ours) > 100


MAKEFILES = sorted([ROOT / "src/Makefile", *ROOT.glob("functions/*/Makefile")])


@pytest.mark.parametrize("makefile", MAKEFILES, ids=lambda path: path.parent.name)
def test_where_make_sees_one_folder_alone_it_builds_or_says_in_one_line_why_not(
    makefile: Path, tmp_path: Path
) -> None:
    """As `sam build --use-container` runs it."""
    shutil.copytree(makefile.parent, tmp_path / "folder")
    [target] = re.findall(r"^(build-\w+):", makefile.read_text(), re.MULTILINE)
    out = tmp_path / "out"
    out.mkdir()
    ended = subprocess.run(
        ["make", "-f", str(tmp_path / "folder/Makefile"), target, f"ARTIFACTS_DIR={out}"],
        cwd=tmp_path / "folder",
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 0:
        assert files(out) == {"handler.py"}
    else:
        [line] = ended.stderr.splitlines()
        assert "--use-container" in line
        assert "Run `sam build` without it" in line
