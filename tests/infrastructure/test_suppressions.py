"""Every finding that is let pass carries its reason beside it."""

import re
import tomllib
from collections.abc import Iterator

import pytest
import yaml
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import TEMPLATES

from cardwatch.deployment.template import read_template

CHECKED_CODE = ("src", "functions", "flink_app", "tools")


def test_what_checkov_skips_everywhere_has_a_reason() -> None:
    text = (ROOT / ".checkov.yaml").read_text(encoding="utf-8")
    skipped = yaml.safe_load(text)["skip-check"]
    lines = [line.strip() for line in text.splitlines()]
    for identity in skipped:
        before = lines[lines.index(f"- {identity}") - 1]
        assert before.startswith("# "), f"{identity} is skipped without a reason"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_what_checkov_skips_for_one_resource_has_a_reason(path: object) -> None:
    for name, resource in read_template(ROOT / str(path))["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip.get("comment", "")) > 20, f"{name}: {skip['id']}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_switches_cfn_lint_off_without_saying_why(path: object) -> None:
    content = read_template(ROOT / str(path))
    parts = [content, *content["Resources"].values()]
    for part in parts:
        for rule in (
            part.get("Metadata", {}).get("cfn-lint", {}).get("config", {}).get("ignore_checks", [])
        ):
            text = (ROOT / str(path)).read_text(encoding="utf-8")
            assert re.search(rf"#.*\n.*{rule}|{rule}.*#", text), f"{rule} has no comment"


def without_reason() -> Iterator[str]:
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for identity in tomllib.loads(config)["tool"]["bandit"]["skips"]:
        if not re.search(rf'"{identity}", # \S', config):
            yield identity
    for folder in CHECKED_CODE:
        for path in (ROOT / folder).rglob("*.py"):
            above = ""
            for line in path.read_text(encoding="utf-8").splitlines():
                found = re.search(r"#(.*)# nosec B\d+$", line)
                beside = re.sub(r"(noqa|type): ?\S+", "", found[1] if found else "").split()
                if "# nosec" in line and len(beside) < 2 and not above.startswith("#"):
                    yield f"{path.name}: {line.strip()}"
                above = line.strip()


def test_what_bandit_skips_has_a_reason() -> None:
    assert list(without_reason()) == []
