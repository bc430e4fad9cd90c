"""The whole deployment as data: every template transformed, evaluated, and its stacks joined.

A resource is named by its path, `NotifierFunction` or `DetectionStack/FlinkCodeFunction`; what only
a deployed stack knows is a text that says what it refers to, `${DetectionStack/CodeBucket.Arn}`.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cfnlint.schema.manager import (  # type: ignore[import-untyped]  # has no stubs
    PROVIDER_SCHEMA_MANAGER,
)
from tests.infrastructure.conftest import ROOT

from cardwatch.deployment.template import Evaluation, unresolved
from cardwatch.settings import program_environment

TEMPLATES = [ROOT / "template.yaml", *sorted((ROOT / "infra").glob("*.yaml"))]
TRANSFORM = ROOT / "tools/transform.py"
SAM_PYTHON = ROOT / ".venvs/sam/bin/python"
ON_AWS: Mapping[str, str] = {
    "Platform": "aws",
    "RiskTeamEmail": "risk@example.com",
    "EscalationEmail": "head-of-risk@example.com",
    "OperatorsEmail": "operators@example.com",
    "RiskDesk": "on",
    "AccountsDatabase": "arn:aws:secretsmanager:us-east-1:123456789012:secret:bank-AbCdEf",
    "BankTransactions": "on",
    "BankSubnets": "subnet-1a,subnet-1b",
    "BankSecurityGroups": "sg-1",
    "Slack": "on",
    "PageLinks": "on",
    "ReservedConcurrency": "on",
}
"""Everything that a parameter can switch on."""
STACK = "cardwatch-of-a-test"
UUID = "11111111-2222-3333-4444-555555555555"
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9/]+)(?:\.([A-Za-z0-9.]+))?\}")


@dataclass(frozen=True)
class Deployment:
    """All resources under one choice of parameters."""

    resources: Mapping[str, Mapping[str, Any]]

    def of_type(self, *names: str) -> dict[str, dict[str, Any]]:
        """Give the properties of the resources of some types."""
        return {
            path: dict(resource.get("Properties", {}))
            for path, resource in self.resources.items()
            if resource["Type"] in names
        }

    def referred(self, node: object) -> set[str]:
        """Give the paths of the resources that a value refers to."""
        return {
            match[1]
            for match in _REFERENCE.finditer(json.dumps(node))
            if match[1] in self.resources
        }

    def needs(self, path: str) -> set[str]:
        """Give the paths of what CloudFormation makes before a resource, directly."""
        resource = self.resources[path]
        stack = path.rpartition("/")[0]
        named = as_list(resource.get("DependsOn", []))
        apart = {f"{stack}/{name}" if stack else name for name in named}
        return (self.referred(resource) | apart & set(self.resources)) - {path}

    def identity(self, path: str) -> tuple[str, ...] | None:
        """Give what names a resource in its account and region; None where CloudFormation does."""
        resource = self.resources[path]
        properties = resource.get("Properties", {})
        given = {n: str(properties[n]) for n in identifying(resource["Type"]) if n in properties}
        return (resource["Type"], *given.values()) if given else None

    def statements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give every statement that allows a role something, with the role's path."""
        for path, role in self.of_type("AWS::IAM::Role").items():
            for policy in role.get("Policies", []):
                yield from ((path, s) for s in as_list(policy["PolicyDocument"]["Statement"]))
        apart = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
        for policy in self.of_type(*apart).values():
            for role_path in self.referred([policy.get("Roles"), policy.get("RoleName")]):
                statements = as_list(policy["PolicyDocument"]["Statement"])
                yield from ((role_path, statement) for statement in statements)


def as_list(value: object) -> list[Any]:
    """Give what may be one or many as many."""
    return value if isinstance(value, list) else [value]


@cache
def identifying(kind: str) -> tuple[str, ...]:
    """Give the properties that name a resource of a type, by the type's schema.

    Its identifier where a template may give it; else, where the service makes one such as an ARN,
    the names in it, with those of what it belongs to.
    """
    if "::" not in kind or kind.startswith(
        ("Custom::", "AWS::CloudFormation::", "AWS::Serverless")
    ):
        return ()
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema

    def names(of: str) -> list[str]:
        return [str(place).removeprefix("/properties/") for place in schema.get(of, [])]

    identifier = names("primaryIdentifier")
    if not set(identifier) & set(names("readOnlyProperties")):
        return tuple(identifier)
    fixed = names("createOnlyProperties")
    return tuple(
        name for name in fixed if name.endswith(("Name", "Identifier", "Id", "ARN", "Arn"))
    )


@cache
def transformed() -> dict[str, dict[str, Any]]:
    """Give every template after SAM's transform, by its file name."""
    with TemporaryDirectory() as folder:
        ended = subprocess.run(
            [str(SAM_PYTHON), str(TRANSFORM), f"--out={folder}", *map(str, TEMPLATES)],
            env=program_environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return {
            path.name: json.loads((Path(folder) / f"{path.stem}.json").read_text())
            for path in TEMPLATES
        }


@cache
def everything(warehouse: str = "cluster") -> Deployment:
    """Give the deployment on AWS with all that parameters switch on, and this warehouse."""
    return deployment(**ON_AWS, Warehouse=warehouse)


@cache
def one_machine() -> Deployment:
    """Give the deployment on the one-machine stack."""
    return deployment(Platform="local")


def deployment(**parameters: str) -> Deployment:
    """Give all resources of the root stack and the stacks in it."""
    pseudo = {
        "AWS::Region": "us-east-1",
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": STACK,
        "AWS::StackId": f"arn:aws:cloudformation:us-east-1:123456789012:stack/{STACK}/{UUID}",
    }
    resources: dict[str, Mapping[str, Any]] = {}
    _flatten("template.yaml", {**pseudo, **parameters}, "", resources)
    return Deployment(resources)


def _flatten(
    template: str, given: Mapping[str, Any], above: str, into: dict[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Add a stack's resources and give its outputs; a nested stack comes before who reads it."""
    content = transformed()[template]
    outputs: dict[str, dict[str, Any]] = {}
    under_way: set[str] = set()

    def nested(logical_id: str) -> dict[str, Any]:
        if logical_id not in outputs:
            assert logical_id not in under_way, f"{logical_id} needs its own outputs"
            under_way.add(logical_id)
            stack = content["Resources"][logical_id]["Properties"]
            passed = evaluation.value(stack.get("Parameters", {}))
            inner = {**{k: v for k, v in given.items() if k.startswith("AWS::")}, **passed}
            inner["AWS::StackName"] = f"{given['AWS::StackName']}-{logical_id}"
            name = Path(stack["TemplateURL"]).name
            outputs[logical_id] = _flatten(name, inner, f"{above}{logical_id}/", into)
        return outputs[logical_id]

    def reference(logical_id: str, attribute: str | None) -> Any:  # noqa: ANN401
        if attribute and attribute.startswith("Outputs."):
            return nested(logical_id)[attribute.removeprefix("Outputs.")]
        return unresolved(f"{above}{logical_id}", attribute)

    evaluation = Evaluation(content, given, reference)
    present = {
        name
        for name, resource in content["Resources"].items()
        if "Condition" not in resource or evaluation.condition(resource["Condition"])
    }
    for name, resource in content["Resources"].items():
        if name not in present:
            continue
        if resource["Type"] == "AWS::CloudFormation::Stack":
            nested(name)
        into[f"{above}{name}"] = {
            key: evaluation.value(part) for key, part in resource.items() if key != "Condition"
        }
    return {
        name: evaluation.value(output["Value"])
        for name, output in content.get("Outputs", {}).items()
        if "Condition" not in output or evaluation.condition(output["Condition"])
    }
