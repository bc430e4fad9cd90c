"""The functions' roles against the API calls that their code makes, both ways."""

import copy
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.infrastructure.api_calls import Reach
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import Deployment, as_list, everything

PREFIX = {"kinesisanalyticsv2": "kinesisanalytics"}
"""The services whose name in IAM is another than botocore's."""
ACTIONS: dict[tuple[str, str], set[str]] = {
    # Amazon S3 names permissions by what is done to an object, not by the operation.
    ("s3", "DeleteObjects"): {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    ("s3", "ListObjectsV2"): {"s3:ListBucket"},
    ("s3", "ListObjectVersions"): {"s3:ListBucketVersions"},
    ("s3", "HeadBucket"): {"s3:ListBucket"},
    ("s3", "HeadObject"): {"s3:GetObject"},
    # Of a transaction each item's own action is asked for; the ledger's are all Put.
    ("dynamodb", "TransactWriteItems"): {"dynamodb:PutItem"},
    ("sqs", "ChangeMessageVisibilityBatch"): {"sqs:ChangeMessageVisibility"},
    ("sqs", "DeleteMessageBatch"): {"sqs:DeleteMessage"},
    ("sqs", "SendMessageBatch"): {"sqs:SendMessage"},
    # With SecretArn the Data API reads the secret in the caller's name.
    ("redshift-data", "ExecuteStatement"): {
        "redshift-data:ExecuteStatement",
        "secretsmanager:GetSecretValue",
    },
    ("redshift-data", "BatchExecuteStatement"): {
        "redshift-data:BatchExecuteStatement",
        "secretsmanager:GetSecretValue",
    },
}
"""The actions of operations that IAM does not call by their own name (service authorization
reference)."""
OF_THE_RUNTIME = {
    "logs:CreateLogStream": "Lambda writes the function's log in its name",
    "logs:PutLogEvents": "the same",
}
OF_A_NETWORK = {
    # AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC".
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DeleteNetworkInterface",
}
OF_A_MAPPING = {
    # AWS Lambda Developer Guide, "Using AWS Lambda with Amazon Kinesis" and "… Amazon SQS": the
    # mapping reads in the function's name.
    "AWS::Kinesis::Stream": {
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
    },
    "AWS::Kinesis::StreamConsumer": {
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamConsumer",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kinesis:SubscribeToShard",
    },
    "AWS::SQS::Queue": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    # As the destination of what it gives up.
    "AWS::S3::Bucket": {"s3:PutObject", "s3:ListBucket"},
}
KEY_USE = {
    # What the services ask of a customer-managed key in the caller's name (each service's guide,
    # "encryption at rest"). DynamoDB wants them all for any use of a table.
    "dynamodb": {
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:GenerateDataKey",
        "kms:DescribeKey",
    },
    "kinesis:PutRecords": {"kms:GenerateDataKey"},
    "kinesis:GetRecords": {"kms:Decrypt"},
    "kinesis:SubscribeToShard": {"kms:Decrypt"},
    "s3:GetObject": {"kms:Decrypt"},
    "s3:PutObject": {"kms:GenerateDataKey", "kms:Decrypt"},
    "secretsmanager:GetSecretValue": {"kms:Decrypt"},
    "sns:Publish": {"kms:GenerateDataKey", "kms:Decrypt"},
    "sqs:ReceiveMessage": {"kms:Decrypt"},
    "sqs:SendMessage": {"kms:GenerateDataKey", "kms:Decrypt"},
}
ONLY_WHERE_IT_IS_READ_BACK = {("s3:PutObject", "kms:Decrypt")}
"""Needed by multipart uploads alone, which no function makes: allowed and not asked for."""


def handler_of(function: str) -> Path:
    """Give the handler of a function by its logical id."""
    name = function.rsplit("/", 1)[-1].removesuffix("Function")
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return ROOT / "functions" / snake / "handler.py"


@cache
def called(function: str) -> frozenset[str]:
    """Give the IAM actions of the calls that a function's code makes."""
    return frozenset(
        action
        for service, operations in Reach(handler_of(function)).calls().items()
        for operation in operations
        for action in ACTIONS.get(
            (service, operation), {f"{PREFIX.get(service, service)}:{operation}"}
        )
    )


def mapped(deployed: Deployment, function: str) -> set[str]:
    """Give the actions of the function's event source mappings."""
    found: set[str] = set()
    for mapping in deployed.of_type("AWS::Lambda::EventSourceMapping").values():
        if function in deployed.referred(mapping["FunctionName"]):
            places = (mapping["EventSourceArn"], mapping.get("DestinationConfig", {}))
            for path in deployed.referred(places):
                found |= OF_A_MAPPING[deployed.resources[path]["Type"]]
    return found


def of_the_runtime(deployed: Deployment, function: str) -> set[str]:
    """Give the actions that Lambda itself takes in the function's name."""
    networked = "VpcConfig" in deployed.resources[function]["Properties"]
    return set(OF_THE_RUNTIME) | (OF_A_NETWORK if networked else set())


def key_use(actions: AbstractSet[str], *, asked: bool) -> set[str]:
    """Give what is asked of the key, or with asked=False what may be."""
    return {
        use
        for action in actions
        for use in KEY_USE.get(action, set()) | KEY_USE.get(action.split(":")[0], set())
        if not (asked and (action, use) in ONLY_WHERE_IT_IS_READ_BACK)
    }


def allowed(deployed: Deployment, function: str) -> set[str]:
    """Give the actions of the function's role."""
    role = deployed.referred(deployed.resources[function]["Properties"]["Role"])
    return {
        action
        for path, statement in deployed.statements()
        if path in role and statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


def functions(deployed: Deployment) -> list[str]:
    return sorted(deployed.of_type("AWS::Lambda::Function"))


def without_permission(deployed: Deployment) -> Iterator[str]:
    for function in functions(deployed):
        needed = called(function) | mapped(deployed, function)
        needed |= of_the_runtime(deployed, function)
        needed |= key_use(needed, asked=True)
        yield from (f"{function}: {a}" for a in sorted(needed - allowed(deployed, function)))


def without_call(deployed: Deployment) -> Iterator[str]:
    for function in functions(deployed):
        used = called(function) | mapped(deployed, function)
        used |= of_the_runtime(deployed, function)
        # Lambda decrypts the function's environment in its name.
        used |= key_use(used, asked=False) | {"kms:Decrypt"}
        yield from (f"{function}: {a}" for a in sorted(allowed(deployed, function) - used))


@pytest.mark.parametrize("warehouse", ["cluster", "serverless"])
def test_no_function_makes_a_call_that_its_role_does_not_allow(warehouse: str) -> None:
    assert list(without_permission(everything(warehouse))) == []


@pytest.mark.parametrize("warehouse", ["cluster", "serverless"])
def test_no_role_allows_what_its_function_never_calls(warehouse: str) -> None:
    assert list(without_call(everything(warehouse))) == []


def test_every_function_s_code_is_looked_at_and_every_handler_is_deployed() -> None:
    handlers = {handler_of(function) for function in functions(everything())}
    assert handlers == set(ROOT.glob("functions/*/handler.py"))
    silent = {f for f in functions(everything()) if not called(f)}
    assert silent == set(), "a function that calls nothing: is its code followed?"


def test_a_permission_that_is_taken_away_is_missed() -> None:
    for function in functions(everything()):
        for action in sorted(called(function)):
            resources: dict[str, Any] = copy.deepcopy(dict(everything().resources))
            broken = Deployment(resources)
            for path, statement in broken.statements():
                if path in broken.referred(resources[function]["Properties"]["Role"]):
                    statement["Action"] = [a for a in as_list(statement["Action"]) if a != action]
            assert f"{function}: {action}" in list(without_permission(broken))


def test_a_permission_too_many_is_found() -> None:
    resources: dict[str, Any] = copy.deepcopy(dict(everything().resources))
    broken = Deployment(resources)
    for _, statement in broken.statements():
        statement["Action"] = [*as_list(statement["Action"]), "kinesis:DeleteStream"]
    found = list(without_call(broken))
    assert {f"{f}: kinesis:DeleteStream" for f in functions(broken)} <= set(found)


SERVICE_CALLS = {
    # What AWS services do in a role of ours, by the service, with where it is said.
    # EventBridge Scheduler User Guide, "Setting up the execution role" and "encryption at rest".
    "scheduler.amazonaws.com": {"lambda:InvokeFunction", "kms:Decrypt", "kms:GenerateDataKey"},
    # Managed Service for Apache Flink Developer Guide, "Identity-based policy examples", and the
    # calls of the Kinesis connector's source and sink.
    "kinesisanalytics.amazonaws.com": {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kinesis:PutRecords",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    },
    # Amazon Data Firehose Developer Guide, "Grant Firehose access to an Amazon S3 destination".
    "firehose.amazonaws.com": {
        "s3:AbortMultipartUpload",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:PutObject",
        "kinesis:DescribeStream",
        "kinesis:GetShardIterator",
        "kinesis:GetRecords",
        "kinesis:ListShards",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:InvokeFunction",
        "lambda:GetFunctionConfiguration",
        "logs:PutLogEvents",
    },
    # Amazon Redshift Database Developer Guide, "Permissions to access other AWS resources" (COPY).
    "redshift.amazonaws.com": {
        "s3:GetObject",
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "kms:Decrypt",
    },
    "redshift-serverless.amazonaws.com": {
        "s3:GetObject",
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "kms:Decrypt",
    },
}


@pytest.mark.parametrize("warehouse", ["cluster", "serverless"])
def test_a_service_s_role_allows_what_its_guide_says_it_calls_and_no_more(warehouse: str) -> None:
    deployed = everything(warehouse)
    for role, properties in deployed.of_type("AWS::IAM::Role").items():
        [trust] = as_list(properties["AssumeRolePolicyDocument"]["Statement"])
        principals = as_list(trust["Principal"]["Service"])
        if principals == ["lambda.amazonaws.com"]:
            continue
        documented = set().union(*(SERVICE_CALLS[principal] for principal in principals))
        given = {
            action
            for path, statement in deployed.statements()
            if path == role
            for action in as_list(statement["Action"])
        }
        assert given - documented == set(), role
