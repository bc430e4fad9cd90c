"""A stack that is deployed on AWS, as `cardwatch redrive` and `cardwatch backfill` need it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.failures import FAILURES, Failure, reason
from cardwatch.aws.redshift_data import RedshiftDatabase

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

WAREHOUSE: Final = "WarehouseStack"
"""The logical id of infra/warehouse.yaml in template.yaml."""


class DeployedStackError(Exception):
    """There is no such stack, or it is not one of ours; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class DeployedWarehouse:
    """What loads and replays need."""

    stream_name: str
    delivery_bucket: str
    loader: RedshiftDatabase
    """With the loader's secret."""
    copy_role: str


def read_deployed_outputs(clients: AwsClients, stack_name: str) -> dict[str, str]:
    """Read the outputs of a stack by their names; raises DeployedStackError."""
    return stack_outputs(_describe(clients, stack_name))


def read_deployed_warehouse(clients: AwsClients, stack_name: str) -> DeployedWarehouse:
    """Read the outputs of a stack and of the warehouse's within it; raises DeployedStackError."""
    outputs = read_deployed_outputs(clients, stack_name)
    warehouse = _describe(clients, _nested(clients, stack_name))
    own = stack_outputs(warehouse)
    given = {
        item.get("ParameterKey"): item.get("ParameterValue")
        for item in warehouse.get("Parameters", [])
    }
    try:
        return DeployedWarehouse(
            stream_name=outputs["StreamName"],
            delivery_bucket=outputs["DeliveryBucket"],
            loader=RedshiftDatabase(
                name=own["WarehouseName"],
                serverless=given.get("Warehouse") == "serverless",
                database=own["DatabaseName"],
                secret_arn=own["LoaderSecretArn"],
            ),
            copy_role=own["CopyRoleArn"],
        )
    except KeyError as error:
        msg = (
            f"stack {stack_name} has no output {error.args[0]}: it is no cardwatch stack, or "
            "one of another release; deploy this one first"
        )
        raise DeployedStackError(msg) from None


def _describe(clients: AwsClients, stack_name: str) -> "StackTypeDef":
    try:
        return clients.cloudformation().describe_stacks(StackName=stack_name)["Stacks"][0]
    except FAILURES as error:
        raise _unreadable(clients, stack_name, error) from None


def _nested(clients: AwsClients, stack_name: str) -> str:
    """Give the id of the warehouse's stack within a stack."""
    try:
        pages = clients.cloudformation().get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=stack_name):
            for resource in page["StackResourceSummaries"]:
                if resource["LogicalResourceId"] == WAREHOUSE and "PhysicalResourceId" in resource:
                    return resource["PhysicalResourceId"]
    except FAILURES as error:
        raise _unreadable(clients, stack_name, error) from None
    msg = f"stack {stack_name} has no warehouse: it was deployed with Warehouse=none"
    raise DeployedStackError(msg)


def _unreadable(clients: AwsClients, stack_name: str, error: Failure) -> DeployedStackError:
    return DeployedStackError(
        f"stack {stack_name} cannot be read in region {clients.region}: {reason(error)}; see to "
        "its name, AWS_REGION and the credentials"
    )


def stack_outputs(stack: "StackTypeDef") -> dict[str, str]:
    return {
        item["OutputKey"]: item["OutputValue"]
        for item in stack.get("Outputs", [])
        if "OutputKey" in item and "OutputValue" in item
    }
