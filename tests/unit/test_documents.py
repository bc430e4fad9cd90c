"""What the documents say exists."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.main

from cardwatch.cli.application import app
from cardwatch.contract.streams import EVENT_TYPES

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_every_command_that_is_told_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group
    told = set(re.findall(r"(?:\.venv/bin/|`)cardwatch ([a-z]+)", text))
    assert told - commands == set()
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) - TARGETS == set()


def test_the_table_of_event_types_is_the_contracts() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## Event types and their times")
    cells = (
        row.strip("|").split("|") for row in re.findall(r"^\| ?[A-Z]{4}.*$", section, re.MULTILINE)
    )
    told = {}
    for types, _, keys, time, stream in cells:
        names = types.strip().split(", ")
        each = keys.strip().split(", ")
        for name, key in zip(names, each * (len(names) // len(each)), strict=True):
            told[name] = (key, time.strip().partition(":")[0], stream.strip())
    assert told == {
        name: (kind.partition_key, kind.event_time, kind.stream)
        for name, kind in EVENT_TYPES.items()
    }


def test_make_help_explains_every_target_that_people_call() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    explained = set(re.findall(r"^  make ([a-z-]+) +\S", shown.stdout, re.MULTILINE))
    parts_of_others = {target for target in TARGETS if target.startswith(("setup-", "check-"))}
    assert TARGETS - explained == parts_of_others
