"""The custom resource as CloudFormation meets it: create, update, delete, and what goes wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from functions.warehouse_schema import handler as function
from moto import mock_aws
from tests.fake_redshift_data import Answers, FakeRedshiftData, refusal
from tests.fakes import FakeClock

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.warehouse_schema import RedshiftSchema
from cardwatch.deployment import custom_resource
from cardwatch.warehouse.sql import read_warehouse_sql

ROOT = Path(__file__).parents[2]
PASSWORD = "Correct0horse"  # noqa: S105  of a fake


class Context:
    function_name = "schema"
    log_group_name = "/logs"
    log_stream_name = "stream"

    def __init__(self, seconds: float = 900) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class World:
    """The warehouse's API, the users' secrets, and what CloudFormation was answered."""

    def __init__(self, secret: str, auditors: str) -> None:
        self.engine = Answers()
        self.api = FakeRedshiftData(self.engine, looks=0)
        self.secret = secret
        self.auditors = auditors
        self.answers: list[dict[str, Any]] = []

    def redshift_data(self) -> FakeRedshiftData:
        return self.api

    def secrets(self) -> Any:  # noqa: ANN401  moto's client
        return boto3.client("secretsmanager")

    def ask(self, kind: str, *, seconds: float = 900, **properties: str) -> dict[str, Any]:
        event = {
            "RequestType": kind,
            "ResponseURL": "https://cloudformation.example/",
            "StackId": "arn:stack",
            "RequestId": "request",
            "LogicalResourceId": "WarehouseSchema",
            "ResourceProperties": {
                "ServiceToken": "arn:function",
                "Warehouse": "cluster",
                "WarehouseName": "cardwatch-1",
                "DatabaseName": "cardwatch",
                "AdminSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:admin",
                "LoaderSecretArn": self.secret,
                "AuditorSecretArn": self.auditors,
                **properties,
            },
            **({} if kind == "Create" else {"PhysicalResourceId": "cardwatch-1/cardwatch"}),
        }
        function.handler(event, Context(seconds))
        return self.answers[-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        secret = boto3.client("secretsmanager").create_secret(
            Name="loader",
            SecretString=json.dumps({"username": "cardwatch_loader", "password": PASSWORD}),
        )
        auditors = boto3.client("secretsmanager").create_secret(
            Name="auditor",
            SecretString=json.dumps({"username": "cardwatch_auditor", "password": PASSWORD}),
        )
        world = World(secret["ARN"], auditors["ARN"])
        schema = RedshiftSchema(ROOT / "warehouse", cast("AwsClients", world), FakeClock())
        monkeypatch.setattr(function, "schema", schema)
        monkeypatch.setattr(
            function,
            "respond",
            lambda event, context, handle: custom_resource.respond(
                event,
                context,
                handle,
                put=lambda _address, body: world.answers.append(json.loads(body)),
            ),
        )
        yield world


def test_create_makes_everything_and_says_what(world: World) -> None:
    answer = world.ask("Create")
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "cardwatch-1/cardwatch"
    assert answer["Data"]["Done"].startswith("migration 0001_schemas, ")
    targets = [a for name, a in world.api.calls if name == "batch_execute_statement"]
    assert {a["ClusterIdentifier"] for a in targets} == {"cardwatch-1"}
    assert {a["SecretArn"] for a in targets} == {"arn:aws:secretsmanager:us-east-1:1:secret:admin"}


def test_update_keeps_the_resource_and_asks_a_workgroup_as_one(world: World) -> None:
    answer = world.ask("Update", Warehouse="serverless")
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "cardwatch-1/cardwatch"
    assert all(
        a["WorkgroupName"] == "cardwatch-1" for name, a in world.api.calls if "execute" in name
    )


def test_delete_leaves_the_warehouse_alone(world: World) -> None:
    assert world.ask("Delete")["Status"] == "SUCCESS"
    assert world.api.calls == []


def test_a_statement_that_fails_is_the_reason_in_the_stack_event(world: World) -> None:
    world.engine.refuse = {"CREATE TABLE IF NOT EXISTS staging.events": "disk full"}
    answer = world.ask("Create")
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("migration 0002_events failed and was undone: statement 3")
    assert "disk full" in answer["Reason"]
    # Kept, so that the rollback's Delete is one of this resource.
    assert answer["PhysicalResourceId"] == "cardwatch-1/cardwatch"


def test_a_warehouse_that_may_not_be_asked_is_said(world: World) -> None:
    world.api.faults = [("execute_statement", refusal("AccessDeniedException", "no policy"))] * 100
    answer = world.ask("Create")
    assert answer["Status"] == "FAILED"
    assert "is not allowed: AccessDeniedException: no policy" in answer["Reason"]


def test_a_paused_warehouse_is_said_before_the_time_is_over(world: World) -> None:
    fault = refusal("ValidationException", "the cluster is paused")
    world.api.faults = [("execute_statement", fault)] * 100
    answer = world.ask("Create", seconds=custom_resource.HANDLER_MARGIN_SECONDS + 2)
    assert answer["Status"] == "FAILED"
    assert "takes no statements after" in answer["Reason"]
    assert "the cluster is paused" in answer["Reason"]


@pytest.mark.parametrize("secret", ["no json", "[]", '{"username": "x"}', '{"password": 1}'])
def test_a_secret_that_holds_no_password_is_named_and_not_quoted(world: World, secret: str) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId="loader", SecretString=secret)
    answer = world.ask("Create")
    assert answer["Status"] == "FAILED"
    assert f"secret {world.secret} is not a JSON object" in answer["Reason"]
    assert secret not in answer["Reason"]


@pytest.mark.parametrize(
    "name",
    [
        "Warehouse",
        "WarehouseName",
        "DatabaseName",
        "AdminSecretArn",
        "LoaderSecretArn",
        "AuditorSecretArn",
    ],
)
def test_a_missing_property_is_named(world: World, name: str) -> None:
    properties: dict[str, Any] = {name: ""}
    answer = world.ask("Create", **properties)
    assert answer["Status"] == "FAILED"
    assert f"property {name} of WarehouseSchema is missing" in answer["Reason"]


def test_no_answer_and_no_log_holds_the_password(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        world.ask("Create")
        world.engine.refuse = {"CREATE USER": "refused"}
        world.ask("Create")
    assert PASSWORD not in caplog.text + json.dumps(world.answers)
    assert not any(PASSWORD in statement for statement in world.engine.ran)


def test_the_artifact_runs_by_itself(tmp_path: Path) -> None:
    """It has no layer: what it imports beyond boto3 is in it, and so is the SQL."""
    makefile = ROOT / "functions" / "warehouse_schema" / "Makefile"
    subprocess.run(
        ["make", "-f", makefile, "build-WarehouseSchemaFunction", f"ARTIFACTS_DIR={tmp_path}"],
        check=True,
        capture_output=True,
    )
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import handler
foreign = {"pydantic", "aws_lambda_powertools", "tenacity"} & set(sys.modules)
assert not foreign, foreign
ours = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "cardwatch"]
assert ours and all(file.startswith(sys.argv[1]) for file in ours), ours
from cardwatch.warehouse.sql import read_warehouse_sql
sql = read_warehouse_sql(handler.schema.folder)
print([m.name for m in sql.migrations], len(sql.views), len(sql.grants))
"""
    shown = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True
    )
    sql = read_warehouse_sql(ROOT / "warehouse")
    names = [migration.name for migration in sql.migrations]
    assert shown.stdout.strip() == f"{names} {len(sql.views)} {len(sql.grants)}"
