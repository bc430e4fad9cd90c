"""What a deployed stack says about itself, read from the emulator."""

import json
from typing import Any
from uuid import uuid4

import boto3
import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.deployed import (
    DeployedStackError,
    read_deployed_outputs,
    read_deployed_warehouse,
)

OWN = {
    "WarehouseName": "cardwatch-1",
    "DatabaseName": "cardwatch",
    "LoaderSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:l",
    "CopyRoleArn": "arn:aws:iam::1:role/copy",
}
TOPIC = {"Type": "AWS::SNS::Topic"}


def outputs(values: dict[str, str]) -> dict[str, Any]:
    return {name: {"Value": value} for name, value in values.items()}


def deploy(
    session: boto3.Session, kind: str, own: dict[str, str] = OWN, *, warehouse: bool = True
) -> str:
    name = f"cardwatch-{uuid4().hex[:8]}"
    s3 = session.client("s3")
    s3.create_bucket(Bucket="templates")
    nested = {
        "Parameters": {"Warehouse": {"Type": "String"}},
        "Resources": {"Topic": TOPIC},
        "Outputs": outputs(own),
    }
    s3.put_object(Bucket="templates", Key=f"{name}.json", Body=json.dumps(nested).encode())
    stack = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {
            "TemplateURL": f"https://s3.amazonaws.com/templates/{name}.json",
            "Parameters": {"Warehouse": kind},
        },
    }
    root = {
        "Resources": {"Topic": TOPIC, **({"WarehouseStack": stack} if warehouse else {})},
        "Outputs": outputs(
            {"StreamName": "events", "DeliveryBucket": "delivered", "DeadLetterBucket": "dead"}
        ),
    }
    client = session.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps(root))
    client.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return name


@pytest.fixture
def session(emulator: AwsClients, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """What the environment gives, as on a person's machine."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.s3().meta.endpoint_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return boto3.Session()


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["cluster", "serverless"])
def test_the_warehouse_is_read_with_its_loader_and_its_role(
    session: boto3.Session, kind: str
) -> None:
    found = read_deployed_warehouse(AwsClients(session), deploy(session, kind))
    assert (found.stream_name, found.delivery_bucket) == ("events", "delivered")
    assert found.loader.serverless == (kind == "serverless")
    assert (found.loader.name, found.loader.database) == ("cardwatch-1", "cardwatch")
    assert found.loader.secret_arn == OWN["LoaderSecretArn"]
    assert found.copy_role == OWN["CopyRoleArn"]


@pytest.mark.stack
def test_outputs_are_read_by_name(session: boto3.Session) -> None:
    outputs = read_deployed_outputs(AwsClients(session), deploy(session, "cluster"))
    assert outputs["DeadLetterBucket"] == "dead"


@pytest.mark.stack
def test_a_stack_that_is_not_there_is_named_with_the_region(session: boto3.Session) -> None:
    with pytest.raises(DeployedStackError, match="stack nosuch cannot be read in region us-east-1"):
        read_deployed_warehouse(AwsClients(session), "nosuch")


@pytest.mark.stack
def test_a_stack_without_a_warehouse_says_so(session: boto3.Session) -> None:
    name = deploy(session, "none", warehouse=False)
    with pytest.raises(DeployedStackError, match=r"has no warehouse: .* Warehouse=none"):
        read_deployed_warehouse(AwsClients(session), name)


@pytest.mark.stack
def test_a_stack_of_another_release_names_what_it_lacks(session: boto3.Session) -> None:
    own = {name: value for name, value in OWN.items() if name != "CopyRoleArn"}
    with pytest.raises(DeployedStackError, match=r"has no output CopyRoleArn: .* deploy this"):
        read_deployed_warehouse(AwsClients(session), deploy(session, "cluster", own))
