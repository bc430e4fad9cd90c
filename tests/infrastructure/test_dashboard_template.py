"""infra/dashboard.yaml: who comes in, what its task may and runs, and the image it runs."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit.config
from dashboard.options import Account, RedshiftTarget, read_options
from tests.infrastructure.api_calls import operations
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import as_list
from tests.infrastructure.test_iam import ACTIONS, KEY_USE

from cardwatch.deployment.template import Evaluation, read_template

TEMPLATE = read_template(ROOT / "infra" / "dashboard.yaml")
GIVEN = {
    "DomainName": "cardwatch.example.com",
    "Warehouse": "cluster",
    "WarehouseName": "cardwatch-1",
    "StreamName": "events",
    "ApplicationName": "stolen-cards",
    "AlarmPrefix": "cardwatch-",
    "PageObjectiveSeconds": "20",
    "RefreshSeconds": "60",
}
DOCKERFILE = (ROOT / "dashboard/Dockerfile").read_text(encoding="utf-8")
READERS = {"redshift.py": "redshift-data", "aws.py": "cloudwatch"}
"""What of the dashboard calls AWS, and which service."""


def resources(**given: str) -> dict[str, Any]:
    filled = dict.fromkeys(TEMPLATE["Parameters"], "given") | GIVEN | given
    return {
        name: resource["Properties"]
        for name, resource in Evaluation(TEMPLATE, filled).resources().items()
    }


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def test_nobody_reaches_the_task_but_the_load_balancer_and_that_only_by_https() -> None:
    made = resources(AllowedCidr="10.0.0.0/8")
    (people,) = made["BalancerGroup"]["SecurityGroupIngress"]
    assert (people["FromPort"], people["ToPort"]) == (443, 443)
    assert people["CidrIp"] == "10.0.0.0/8"
    (balancer,) = made["TaskGroup"]["SecurityGroupIngress"]
    assert "BalancerGroup" in str(balancer["SourceSecurityGroupId"])
    assert "CidrIp" not in balancer
    network = made["Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"


def test_it_cannot_be_opened_to_everybody() -> None:
    allowed = re.compile(TEMPLATE["Parameters"]["AllowedCidr"]["AllowedPattern"])
    assert allowed.fullmatch("192.0.2.0/24")
    assert not allowed.fullmatch("0.0.0.0/0")
    assert "Default" not in TEMPLATE["Parameters"]["AllowedCidr"]


def test_every_listener_signs_people_in_before_it_forwards() -> None:
    listeners = [
        resource["Properties"]
        for resource in TEMPLATE["Resources"].values()
        if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener"
    ]
    assert len(listeners) == 1
    for listener in listeners:
        assert listener["Protocol"] == "HTTPS"
        first, then = sorted(listener["DefaultActions"], key=lambda action: action["Order"])
        assert first["Type"] == "authenticate-oidc"
        assert first["AuthenticateOidcConfig"]["OnUnauthenticatedRequest"] == "authenticate"
        assert then["Type"] == "forward"


def test_the_clients_secret_is_no_parameter() -> None:
    config = str(TEMPLATE["Resources"]["Listener"])
    assert "resolve:secretsmanager:${OidcClientSecret}" in config
    pattern = TEMPLATE["Parameters"]["OidcClientSecret"]["AllowedPattern"]
    assert not re.fullmatch(pattern, "the secret itself")


def called() -> set[str]:
    """Give the actions of the calls in the dashboard's code."""
    found: set[str] = set()
    for name, service in READERS.items():
        text = (ROOT / "dashboard" / name).read_text(encoding="utf-8")
        for method in re.findall(r"_client\.(\w+)\(", text):
            operation = operations(service)[method]
            found |= ACTIONS.get((service, operation), {f"{service}:{operation}"})
    return found | {use for action in found for use in KEY_USE.get(action, set())}


def test_the_task_may_call_what_its_code_calls_and_no_more() -> None:
    role = resources()["TaskRole"]
    allowed = {a for statement in statements(role) for a in as_list(statement["Action"])}
    assert allowed == called()
    assert len(allowed) > 6


def test_a_statement_of_somebody_else_is_none_of_its_business() -> None:
    role = resources()["TaskRole"]
    for statement in statements(role):
        actions = set(as_list(statement["Action"]))
        if statement["Resource"] == "*" and actions & {"redshift-data:GetStatementResult"}:
            owner = statement["Condition"]["StringEquals"]
            assert owner == {"redshift-data:statement-owner-iam-userid": "${aws:userid}"}
            return
    pytest.fail("no statement lets it read what it asked for")


@pytest.mark.parametrize(("kind", "serverless"), [("cluster", False), ("serverless", True)])
def test_the_tasks_command_line_is_one_that_the_dashboard_takes(
    kind: str, monkeypatch: pytest.MonkeyPatch, *, serverless: bool
) -> None:
    (container,) = resources(Warehouse=kind)["Task"]["ContainerDefinitions"]
    command = container["Command"]
    mark = command.index("--")
    monkeypatch.setattr(sys, "argv", ["dashboard", *command[mark + 1 :]])
    options = read_options()
    target = RedshiftTarget("cardwatch-1", serverless, "given", "${ReaderSecret}")
    assert options.source == Account(target, "events", "stolen-cards", "cardwatch-")
    assert (options.page_objective_seconds, options.refresh_seconds) == (20, 60)
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert entry
    for flag in [*command[:mark], *re.findall(r'"(--[^"]+)"', entry[1])]:
        streamlit.config.get_option(flag.removeprefix("--").partition("=")[0])


def test_the_container_writes_nowhere_but_in_its_scratch_and_is_not_root() -> None:
    (container,) = resources()["Task"]["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["User"] == "10001"
    assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]  # noqa: S108
    assert "HOME=/tmp" in DOCKERFILE
    assert "USER 10001" in DOCKERFILE


def test_the_image_holds_locked_packages_and_the_dashboard_alone() -> None:
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    assert copied == ["requirements/dashboard-aws.txt", "dashboard"]
    assert all((ROOT / path).exists() for path in copied)
    assert "--require-hashes" in DOCKERFILE
    ignored = (ROOT / "dashboard/Dockerfile.dockerignore").read_text(encoding="utf-8")
    assert ignored.splitlines()[0] == "*"
    assert {f"!{path}" for path in copied} <= set(ignored.splitlines())
    lock = (ROOT / "requirements/dashboard-aws.txt").read_text(encoding="utf-8")
    assert "://" not in lock
    assert set(re.findall(r"^(\S+==\S+)", lock, re.MULTILINE)) >= set(
        re.findall(
            r"^(\S+==\S+)",
            (ROOT / "requirements/dashboard.txt").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
