"""docs/resources.md walks through every resource of every template."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import TEMPLATES, transformed

DOCUMENT = (ROOT / "docs/resources.md").read_text(encoding="utf-8")
GENERATED = re.compile(r"(Version|Layer)[0-9a-f]{10}$")
"""The hash in what SAM names by its content."""
UNSPECIFIED = {"AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption"}
"""Types whose schema names no calls."""


@cache
def handlers(kind: str) -> dict[str, Any]:
    """Give the calls of a type by the resource specification: create, update, delete."""
    schemas = files("cfnlint") / "data/schemas"
    name = json.loads((schemas / "providers/us-east-1.json").read_text())[kind]
    schema = json.loads((schemas / "resources" / f"{name}.json").read_text())
    found: dict[str, Any] = schema.get("handlers", {})
    return found


def section(title: str) -> str:
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/resources.md has no section {title}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_resource_of_a_template_is_in_its_section_and_no_other(path: Any) -> None:  # noqa: ANN401
    text = section(str(path.relative_to(ROOT)))
    content = transformed()[path.name]["Resources"]
    names = {GENERATED.sub(r"\1", name) for name in content}
    assert {name for name in names if f"`{name}`" not in text} == set()
    told = {cells[0].strip("`") for cells in rows(text)}
    assert told - names == set()


def test_every_type_has_its_calls() -> None:
    told = {cells[0].strip("`") for cells in rows(section("What CloudFormation calls, by type"))}
    used = {r["Type"] for content in transformed().values() for r in content["Resources"].values()}
    assert {kind if not kind.startswith("Custom::") else "Custom::…" for kind in used} == told


@pytest.mark.parametrize("cells", rows(section("What CloudFormation calls, by type")), ids=str)
def test_a_type_s_calls_are_those_of_the_resource_specification(cells: list[str]) -> None:
    kind, *columns = cells
    kind = kind.strip("`")
    if kind.startswith("Custom::") or kind in UNSPECIFIED:
        return
    for handler, cell in zip(("create", "update", "delete"), columns, strict=True):
        told = set(re.findall(r"`([a-z0-9-]+:[A-Za-z]+)`", cell))
        permissions = set(handlers(kind).get(handler, {}).get("permissions", []))
        # The specification names no encryption for secrets and for some changes none of the key.
        assert {a for a in told - permissions if not a.startswith("kms:")} == set(), handler
        assert told or not permissions or cell in {"the same", "made anew"}, f"{kind} {handler}"
