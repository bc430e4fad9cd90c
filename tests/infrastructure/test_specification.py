"""No template refers to a type, property or value that CloudFormation's specification lacks.

The specification is the one that cfn-lint carries: the resource providers' schemas. The transformed
templates are looked at as well, because they hold what SAM makes.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint  # type: ignore[import-untyped]  # has no stubs
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]
from tests.infrastructure.deployment import TEMPLATES, transformed

STRICT = ManualArgs(
    regions=["us-east-1"],
    configure_rules={"E3012": {"strict": True}},
    ignore_checks=["W", "I"],
)


def findings(text: str) -> list[str]:
    return [f"{m.rule.id} {m.message} (line {m.linenumber})" for m in lint(text, config=STRICT)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_refers_to_nothing_that_the_specification_lacks(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", [path.name for path in TEMPLATES])
def test_nor_does_what_sam_makes_of_it(name: str) -> None:
    assert findings(json.dumps(transformed()[name])) == []


def seeded(name: str, kind: str, properties: dict[str, Any]) -> str:
    """Give a transformed template with every resource of a type changed."""
    content = copy.deepcopy(transformed()[name])
    changed = [r for r in content["Resources"].values() if r["Type"] == kind]
    assert changed
    for resource in changed:
        resource["Properties"] |= properties
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "kind", "properties", "said"),
    [
        ("template.yaml", "AWS::Kinesis::Stream", {"ShardsCount": 1}, "ShardsCount"),
        (
            "paging.yaml",
            "AWS::Lambda::EventSourceMapping",
            {"StartingPosition": "BEGINNING"},
            "BEGINNING",
        ),
        (
            "detection.yaml",
            "AWS::KinesisAnalyticsV2::Application",
            {"RuntimeEnvironment": "FLINK-2_1"},
            "FLINK-2_1",
        ),
        (
            "data.yaml",
            "AWS::DynamoDB::Table",
            {"SSESpecification": {"SSEEnabled": True, "SSEType": "AES"}},
            "AES",
        ),
    ],
)
def test_a_wrong_property_or_value_is_found(
    name: str, kind: str, properties: dict[str, Any], said: str
) -> None:
    found = findings(seeded(name, kind, properties))
    assert [finding for finding in found if said in finding] != []


def test_a_type_that_does_not_exist_is_found() -> None:
    template = {"Resources": {"A": {"Type": "AWS::Kinesis::Streams", "Properties": {}}}}
    assert any("AWS::Kinesis::Streams" in finding for finding in findings(json.dumps(template)))
