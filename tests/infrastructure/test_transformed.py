"""What is deployed, after SAM's transform: the findings that public scanners do not make.

Each rule is a function that gives what is wrong. It is run on the deployment, where it must find
nothing, and on a seeded violation, which it must find.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from tests.infrastructure.deployment import (
    STACK,
    UUID,
    Deployment,
    as_list,
    everything,
    one_machine,
)

Rule = Callable[[Deployment], Iterator[str]]
DATA_KEY = "DataStack/DataKey"
ACCOUNT = "arn:aws:iam::123456789012:root"
HOLDS_DATA = {
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::Redshift::Cluster",
    "AWS::RedshiftServerless::Namespace",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
}
RUN_OPTIONS = {"python", "jarfile", "pyFiles", "pyArchives"}
"""What Managed Flink takes in its own property group."""
PROPERTY_GROUPS = {"kinesis.analytics.flink.run.options", "cardwatch.edge", "cardwatch.detection"}
"""Not cardwatch.flink: Flink options outside the service's allow-list end the job."""
SECRET_NAME = re.compile(
    r"PASSWORD|PASSPHRASE|PRIVATE|CREDENTIAL|API_?KEY|ACCESS_KEY|_TOKEN$|SECRET"
)
LOGGING_SWITCHES = {
    "POWERTOOLS_LOGGER_LOG_EVENT",
    "POWERTOOLS_TRACER_CAPTURE_RESPONSE",
    "POWERTOOLS_TRACER_CAPTURE_ERROR",
    "POWERTOOLS_DEV",
}

GOES_WITH_THE_STACK = {
    "ActsStack/LinkKeySecret": "a key; without the stack nothing answers its links",
    "ControlTable": "a lease and a switch, both made again within a minute",
    "DeliveryStack/CardRegistryTable": "published again by the simulator every registry period",
    "DetectionStack/CodeBucket": "archives that `sam build` makes again",
    "RiskDeskStack/CodeBucket": "archives that `sam build` makes again",
    "ScoresStream": "the same of what is said of each payment",
    "EventStream": "a day of events, which the delivery bucket and the warehouse have as well",
    "PagingStack/SlackQueueStack/Queue": "pages of at most a day; the ledger has what was paged",
    "PagingStack/SlackQueueStack/DeadLetterQueue": "pages that e-mail brought as well",
    "PagingStack/SlackWebhookSecret": "an address that Slack shows again",
    "WarehouseStack/AdminSecret": "a password of the warehouse, which goes with it",
    "WarehouseStack/LoaderSecret": "the same",
    "WarehouseStack/AuditorSecret": "the same",
}
"""What holds data and may be deleted with its stack, each with the reason."""


@cache
def service_actions() -> dict[str, Any]:
    """The actions and resource types of every service, from the specification cfn-lint carries."""
    data: dict[str, Any] = json.loads(
        (files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text()
    )
    return data


def resources_of(action: str) -> list[str]:
    """Give the types of resources that an action can be confined to."""
    service, name = action.split(":")
    found: list[str] = (
        service_actions()[service]["Actions"].get(name.lower(), {}).get("Resources", [])
    )
    return found


def wildcard_actions(deployed: Deployment) -> Iterator[str]:
    for role, statement in deployed.statements():
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{role} allows everything but something"
        for action in as_list(statement.get("Action", [])):
            if not re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+", action):
                yield f"{role} may {action}"


OF_LAMBDA_IN_A_NETWORK = {"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"}
"""Lambda takes no narrower resource than all (its guide, "Giving Lambda functions access to
resources in an Amazon VPC")."""
CONFINING = "kms:EncryptionContext:SecretARN"
"""A condition that leaves of a service's keys what encrypts one secret."""


def needless_wildcard_resources(deployed: Deployment) -> Iterator[str]:
    for role, statement in deployed.statements():
        if CONFINING in statement.get("Condition", {}).get("StringEquals", {}):
            continue
        broad = [r for r in as_list(statement.get("Resource", [])) if too_broad(r)]
        for action in as_list(statement.get("Action", [])):
            if broad and resources_of(action) and action not in OF_LAMBDA_IN_A_NETWORK:
                yield f"{role} may {action} on {broad}"


def too_broad(resource: object) -> bool:
    """Say whether a resource names no resource of ours before its first asterisk.

    The name of what is within a named one may be open: objects, log streams, indexes.
    """
    text = resource if isinstance(resource, str) else json.dumps(resource)
    before = text.split("*", 1)[0]
    return "*" in text and not (
        "${" in before or re.search(r":(?!log-group:$)[^:]*cardwatch", before)
    )


def managed_policies(deployed: Deployment) -> Iterator[str]:
    # AWSLambdaBasicExecutionRole, which SAM adds where no role is given, is for all log groups.
    for role, properties in deployed.of_type("AWS::IAM::Role").items():
        for policy in as_list(properties.get("ManagedPolicyArns", [])):
            yield f"{role} has {policy}"


def open_trust(deployed: Deployment) -> Iterator[str]:
    for role, properties in deployed.of_type("AWS::IAM::Role").items():
        for statement in as_list(properties["AssumeRolePolicyDocument"]["Statement"]):
            principal = statement["Principal"]
            if not isinstance(principal, dict) or set(principal) != {"Service"}:
                yield f"{role} is for {principal}"


def shared_roles(deployed: Deployment) -> Iterator[str]:
    users: dict[str, list[str]] = {}
    for function, properties in deployed.of_type("AWS::Lambda::Function").items():
        users.setdefault(json.dumps(properties["Role"]), []).append(function)
    yield from (f"{role} is for {names}" for role, names in users.items() if len(names) > 1)


def unbounded_mappings(deployed: Deployment) -> Iterator[str]:
    for mapping, properties in deployed.of_type("AWS::Lambda::EventSourceMapping").items():
        source = str(properties["EventSourceArn"])
        queues = [
            q
            for q in deployed.referred(source)
            if deployed.resources[q]["Type"] == "AWS::SQS::Queue"
        ]
        if queues:
            for queue in queues:
                redrive = deployed.resources[queue]["Properties"].get("RedrivePolicy", {})
                if not redrive.get("maxReceiveCount") or not redrive.get("deadLetterTargetArn"):
                    yield f"{mapping} reads {queue}, which gives nothing up"
            continue
        retries = int(properties.get("MaximumRetryAttempts", -1))
        age = int(properties.get("MaximumRecordAgeInSeconds", -1))
        if retries < 0 and age < 0:
            yield f"{mapping} tries for ever"
        if not properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
            yield f"{mapping} drops what it gives up"
        if properties.get("StartingPosition") != "TRIM_HORIZON":
            yield f"{mapping} misses what came before it"


def without_tls_only_policy(deployed: Deployment) -> Iterator[str]:
    policies = {
        "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket", "s3:*"),
        "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
        "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
    }
    for kind, (policy_kind, names, action) in policies.items():
        for resource in deployed.of_type(kind):
            if not any(
                resource in deployed.referred(policy[names])
                and denies_without_tls(statement, action)
                and resource in deployed.referred(statement["Resource"])
                for policy in deployed.of_type(policy_kind).values()
                for statement in as_list(policy["PolicyDocument"]["Statement"])
            ):
                yield f"{resource} is open without TLS"


def denies_without_tls(statement: dict[str, Any], action: str) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return (
        statement["Effect"] == "Deny"
        and statement["Principal"] in ("*", {"AWS": "*"})
        and action in as_list(statement["Action"])
        and str(secure).lower() == "false"
    )


KEY_OF = {
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::Kinesis::Stream": "StreamEncryption.KeyId",
    "AWS::Lambda::Function": "KmsKeyArn",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::Redshift::Cluster": "KmsKeyId",
    "AWS::RedshiftServerless::Namespace": "KmsKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::Scheduler::Schedule": "KmsKeyArn",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}
UNDER_ANOTHER_KEY: dict[str, str] = {}
"""What is not under the customer-managed key, each with the reason."""


def without_our_key(deployed: Deployment) -> Iterator[str]:
    for path, resource in deployed.resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::S3::Bucket":
            rules = properties.get("BucketEncryption", {}).get(
                "ServerSideEncryptionConfiguration", [{}]
            )
            named = rules[0].get("ServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
        elif resource["Type"] in KEY_OF:
            named = properties
            for part in KEY_OF[resource["Type"]].split("."):
                named = (named or {}).get(part)
        else:
            continue
        if resource["Type"] == "AWS::Lambda::Function" and "Environment" not in properties:
            continue  # there is nothing of it to encrypt
        if DATA_KEY not in deployed.referred(named) and path not in UNDER_ANOTHER_KEY:
            yield f"{path} ({resource['Type']}) is not under the customer-managed key"


def keys_without_rotation(deployed: Deployment) -> Iterator[str]:
    for key, properties in deployed.of_type("AWS::KMS::Key").items():
        if properties.get("EnableKeyRotation") is not True:
            yield f"{key} is never rotated"


def open_key_policies(deployed: Deployment) -> Iterator[str]:
    """Give statements for anyone, or for a service without the resource it must act for."""
    for key, properties in deployed.of_type("AWS::KMS::Key").items():
        for statement in as_list(properties["KeyPolicy"]["Statement"]):
            if statement["Effect"] != "Allow" or statement["Principal"] == {"AWS": ACCOUNT}:
                continue
            if "Service" not in statement["Principal"] or not statement.get("Condition"):
                yield f"{key}: {statement.get('Sid')}"
            yield from (
                f"{key}: {statement.get('Sid')} {action}"
                for action in as_list(statement["Action"])
                if "*" in action
            )


def unencrypted_deliveries(deployed: Deployment) -> Iterator[str]:
    for stream, properties in deployed.of_type("AWS::KinesisFirehose::DeliveryStream").items():
        if "KinesisStreamSourceConfiguration" not in properties:
            # With a Kinesis stream as its source, what Firehose buffers is encrypted as the stream.
            named = properties.get("DeliveryStreamEncryptionConfigurationInput", {}).get("KeyARN")
            if DATA_KEY not in deployed.referred(named):
                yield f"{stream} buffers in the clear"
        destination = properties["ExtendedS3DestinationConfiguration"]
        for place in (destination, destination["S3BackupConfiguration"]):
            named = place.get("EncryptionConfiguration", {}).get("KMSEncryptionConfig", {})
            if DATA_KEY not in deployed.referred(named):
                yield f"{stream} writes objects that are not under the key"
            if place.get("CloudWatchLoggingOptions", {}).get("Enabled") is not True:
                yield f"{stream} fails silently"


def logs_kept_for_ever(deployed: Deployment) -> Iterator[str]:
    groups = deployed.of_type("AWS::Logs::LogGroup")
    for group, properties in groups.items():
        if not properties.get("RetentionInDays"):
            yield f"{group} keeps logs for ever"
    for function, properties in deployed.of_type("AWS::Lambda::Function").items():
        if not deployed.referred(properties.get("LoggingConfig", {}).get("LogGroup")) & set(groups):
            yield f"{function} logs to a group that Lambda makes, without retention"


def refused_flink_options(deployed: Deployment) -> Iterator[str]:
    for name, properties in deployed.of_type("AWS::KinesisAnalyticsV2::Application").items():
        configuration = properties["ApplicationConfiguration"]
        for group in configuration["EnvironmentProperties"]["PropertyGroups"]:
            if group["PropertyGroupId"] not in PROPERTY_GROUPS:
                yield f"{name}: property group {group['PropertyGroupId']}"
            if group["PropertyGroupId"].startswith("kinesis.analytics"):
                yield from (f"{name}: {key}" for key in set(group["PropertyMap"]) - RUN_OPTIONS)
        flink = configuration["FlinkApplicationConfiguration"]
        for part in ("Checkpoint", "Monitoring", "Parallelism"):
            if flink[f"{part}Configuration"]["ConfigurationType"] != "CUSTOM":
                yield f"{name} ignores its {part} values"


def secrets_in_the_environment(deployed: Deployment) -> Iterator[str]:
    secrets = set(deployed.of_type("AWS::SecretsManager::Secret"))
    for function, properties in deployed.of_type("AWS::Lambda::Function").items():
        for name, value in properties.get("Environment", {}).get("Variables", {}).items():
            if "{{resolve:" in str(value):
                yield f"{function}: {name} is resolved into the environment"
            elif (
                value
                and SECRET_NAME.search(name)
                and not (deployed.referred(value) & secrets or str(value).startswith("arn:"))
            ):
                yield f"{function}: {name} names no secret's ARN"


def switches_that_log_events(deployed: Deployment) -> Iterator[str]:
    """Give what would make a function's log hold what it is given or answers."""
    for function, properties in deployed.of_type("AWS::Lambda::Function").items():
        variables = properties.get("Environment", {}).get("Variables", {})
        for name in sorted(LOGGING_SWITCHES & set(variables)):
            yield f"{function}: {name}"
        levels = [variables.get("POWERTOOLS_LOG_LEVEL", "INFO")]
        levels.append(properties.get("LoggingConfig", {}).get("ApplicationLogLevel", "INFO"))
        # botocore's debug log has the bodies of requests and answers in it.
        if {"DEBUG", "TRACE"} & set(levels):
            yield f"{function} logs at {levels}"


REFERENCE = "{{resolve:secretsmanager:"
"""How a template names a secret's value, which CloudFormation reads when it uses it."""


def secrets_in_the_template(deployed: Deployment) -> Iterator[str]:
    for path, resource in deployed.resources.items():
        properties = resource.get("Properties", {})
        for name in ("SecretString", "MasterUserPassword", "AdminUserPassword", "Password"):
            if not str(properties.get(name, REFERENCE)).startswith(REFERENCE):
                yield f"{path} has its {name} in the template"


def buckets_that_may_become_public(deployed: Deployment) -> Iterator[str]:
    for bucket, properties in deployed.of_type("AWS::S3::Bucket").items():
        blocked = properties.get("PublicAccessBlockConfiguration", {})
        if len(blocked) != 4 or set(blocked.values()) != {True}:
            yield bucket


def policies_for_anyone(deployed: Deployment) -> Iterator[str]:
    """Give what a resource's policy allows anyone, or a service on anyone's behalf."""
    kinds = ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
    for policy, properties in deployed.of_type(*kinds).items():
        for statement in as_list(properties["PolicyDocument"]["Statement"]):
            if statement["Effect"] == "Allow" and not statement.get("Condition"):
                yield f"{policy} lets {statement['Principal']} {statement['Action']}"


def open_networks(deployed: Deployment) -> Iterator[str]:
    rules = deployed.of_type("AWS::EC2::SecurityGroupIngress")
    for group, properties in deployed.of_type("AWS::EC2::SecurityGroup").items():
        within = enumerate(properties.get("SecurityGroupIngress", []))
        rules |= {f"{group} {number}": rule for number, rule in within}
    for name, rule in rules.items():
        if str(rule.get("CidrIp", "/0")).endswith("/0"):
            yield f"{name} lets the world in"


def callable_by_anyone(deployed: Deployment) -> Iterator[str]:
    yield from deployed.of_type("AWS::Lambda::Url")
    for permission, properties in deployed.of_type("AWS::Lambda::Permission").items():
        named = properties.get("SourceArn") or properties.get("SourceAccount")
        if properties["Principal"] == "*" or not named:
            yield f"{permission} lets {properties['Principal']} call for anyone"


def lost_with_the_stack(deployed: Deployment) -> Iterator[str]:
    kept = {"Retain", "RetainExceptOnCreate", "Snapshot"}
    for path, resource in deployed.resources.items():
        if resource["Type"] not in HOLDS_DATA or path in GOES_WITH_THE_STACK:
            continue
        # Redshift itself takes the last snapshot of a namespace, CloudFormation cannot.
        snapshot = resource["Properties"].get("FinalSnapshotName")
        if resource.get("DeletionPolicy") not in kept and not snapshot:
            yield f"{path} ({resource['Type']}) is deleted with its stack"
        if resource.get("UpdateReplacePolicy") not in kept:
            yield f"{path} ({resource['Type']}) is deleted when it is replaced"


def unversioned_buckets(deployed: Deployment) -> Iterator[str]:
    for bucket, properties in deployed.of_type("AWS::S3::Bucket").items():
        if properties.get("VersioningConfiguration", {}).get("Status") != "Enabled":
            yield f"{bucket} is not versioned"
        if not properties.get("LifecycleConfiguration", {}).get("Rules"):
            yield f"{bucket} grows for ever"


def custom_resources_without_end(deployed: Deployment) -> Iterator[str]:
    for path, resource in deployed.resources.items():
        if resource["Type"].startswith("Custom::"):
            seconds = int(resource["Properties"].get("ServiceTimeout", 3600))
            if seconds > 1000:
                yield f"{path} may hold the stack for {seconds} s"


def unreserved_concurrency(deployed: Deployment) -> Iterator[str]:
    for function, properties in deployed.of_type("AWS::Lambda::Function").items():
        if function.split("/")[0] in {"DetectionStack", "RiskDeskStack", "WarehouseStack"}:
            continue  # CloudFormation or a schedule calls them, one at a time or nearly so
        if not properties.get("ReservedConcurrentExecutions"):
            yield f"{function} may take all of the account's concurrency"


DESTINATIONS = {
    # What Lambda asks of a function's role when it makes a mapping with this destination of what it
    # gives up: the actions, and on what ({} is the destination). AWS Lambda Developer Guide,
    # "Retain discarded batch records"; that S3's is asked of all objects is what deployments met.
    "AWS::S3::Bucket": {"s3:PutObject": "{}/*", "s3:ListBucket": "{}"},
    "AWS::SNS::Topic": {"sns:Publish": "{}"},
    "AWS::SQS::Queue": {"sqs:SendMessage": "{}"},
}


def destinations_without_permission(deployed: Deployment) -> Iterator[str]:
    for mapping, properties in deployed.of_type("AWS::Lambda::EventSourceMapping").items():
        destination = (
            properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        )
        if destination is None:
            continue
        [function] = deployed.referred(properties["FunctionName"])
        roles = deployed.referred(deployed.resources[function]["Properties"]["Role"])
        [kind] = {deployed.resources[p]["Type"] for p in deployed.referred(destination)}
        for action, place in DESTINATIONS[kind].items():
            if not any(
                role in roles
                and statement["Effect"] == "Allow"
                and action in as_list(statement["Action"])
                and place.format(destination) in as_list(statement["Resource"])
                and not statement.get("Condition")
                for role, statement in deployed.statements()
            ):
                yield f"{mapping} is not made: {roles} may not {action} on {place}"


ASSUMED = {
    # Which services assume a role while CloudFormation makes the resource, and fail when it is so
    # young that they do not know it yet: where the role is.
    "AWS::Scheduler::Schedule": ("Target", "RoleArn"),
    "AWS::KinesisAnalyticsV2::Application": ("ServiceExecutionRole",),
    "AWS::KinesisFirehose::DeliveryStream": (
        "KinesisStreamSourceConfiguration",
        "RoleARN",
    ),
}
WAITS = {"Custom::FlinkApplicationPause"}
"""What takes its time on purpose between a role and what assumes it."""


def young_roles(deployed: Deployment) -> Iterator[str]:
    """A role is old enough when it needs nothing and what assumes it needs more than that.

    Or when something that waits stands between them.
    """
    for kind, place in ASSUMED.items():
        for path, properties in deployed.of_type(kind).items():
            named: Any = properties
            for part in place:
                named = named[part]
            for role in deployed.referred(named):
                waits = {
                    need
                    for need in deployed.needs(path)
                    if deployed.resources[need]["Type"] in WAITS and role in deployed.needs(need)
                }
                others = deployed.needs(path) - {role}
                if not waits and (deployed.needs(role) or not any(map(deployed.needs, others))):
                    yield f"{path} is made right after {role}"


SHARED_NAMES = {
    "AWS::Lambda::LayerVersion": "a version of its own, which each stack knows by its ARN",
}


def names_of_every_stack(deployed: Deployment) -> Iterator[str]:
    """Give resources that a second stack in the account and region would have by the same name.

    A name is another stack's too unless the stack's own name or id is in it, or that of something
    of the stack's: what is named within that is nobody else's.
    """
    own = ("${", STACK, UUID.split("-")[0])
    for path, resource in deployed.resources.items():
        identity = deployed.identity(path)
        if identity is None or resource["Type"] in SHARED_NAMES:
            continue
        if not any(mark in part for part in identity[1:] for mark in own):
            yield f"{path} is {identity} in every stack"


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        wildcard_actions,
        needless_wildcard_resources,
        managed_policies,
        open_trust,
        shared_roles,
        unbounded_mappings,
        without_tls_only_policy,
        without_our_key,
        keys_without_rotation,
        open_key_policies,
        unencrypted_deliveries,
        logs_kept_for_ever,
        refused_flink_options,
        secrets_in_the_environment,
        secrets_in_the_template,
        switches_that_log_events,
        buckets_that_may_become_public,
        policies_for_anyone,
        open_networks,
        callable_by_anyone,
        lost_with_the_stack,
        unversioned_buckets,
        custom_resources_without_end,
        unreserved_concurrency,
        destinations_without_permission,
        young_roles,
        names_of_every_stack,
    )
}


@pytest.mark.parametrize("warehouse", ["cluster", "serverless", "none"])
@pytest.mark.parametrize("rule", RULES)
def test_the_deployment_keeps_the_rule(rule: str, warehouse: str) -> None:
    assert list(RULES[rule](everything(warehouse))) == []


@pytest.mark.parametrize(
    "rule",
    [
        "wildcard_actions",
        "needless_wildcard_resources",
        "managed_policies",
        "shared_roles",
        "unbounded_mappings",
        "without_tls_only_policy",
        "without_our_key",
        "logs_kept_for_ever",
        "secrets_in_the_environment",
        "buckets_that_may_become_public",
        "policies_for_anyone",
        "destinations_without_permission",
        "names_of_every_stack",
    ],
)
def test_the_one_machine_stack_keeps_it_as_well(rule: str) -> None:
    assert list(RULES[rule](one_machine())) == []


GONE = object()


def allowing(action: str, resource: str) -> list[dict[str, Any]]:
    """Give a role's policies with one statement."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return [{"PolicyDocument": {"Statement": [statement]}}]


SEEDS: dict[str, tuple[str, str, Any]] = {
    "wildcard_actions": (
        "AWS::IAM::Role",
        "Properties.Policies",
        allowing("kinesis:*", "${EventStream.Arn}"),
    ),
    "needless_wildcard_resources": (
        "AWS::IAM::Role",
        "Properties.Policies",
        allowing("kinesis:PutRecords", "*"),
    ),
    "managed_policies": (
        "AWS::IAM::Role",
        "Properties.ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/AmazonKinesisFullAccess"],
    ),
    "open_trust": (
        "AWS::IAM::Role",
        "Properties.AssumeRolePolicyDocument.Statement.0.Principal",
        {"AWS": "*"},
    ),
    "shared_roles": ("AWS::Lambda::Function", "Properties.Role", "${SharedRole.Arn}"),
    "unbounded_mappings": (
        "AWS::Lambda::EventSourceMapping",
        "Properties.MaximumRecordAgeInSeconds",
        -1,
    ),
    "without_tls_only_policy": (
        "AWS::S3::BucketPolicy",
        "Properties.PolicyDocument.Statement.0.Effect",
        "Allow",
    ),
    "without_our_key": ("AWS::SNS::Topic", "Properties.KmsMasterKeyId", "alias/aws/sns"),
    "keys_without_rotation": ("AWS::KMS::Key", "Properties.EnableKeyRotation", GONE),
    "open_key_policies": (
        "AWS::KMS::Key",
        "Properties.KeyPolicy.Statement.0.Principal",
        {"AWS": "*"},
    ),
    "unencrypted_deliveries": (
        "AWS::KinesisFirehose::DeliveryStream",
        "Properties.ExtendedS3DestinationConfiguration.EncryptionConfiguration",
        {"NoEncryptionConfig": "NoEncryption"},
    ),
    "logs_kept_for_ever": ("AWS::Logs::LogGroup", "Properties.RetentionInDays", GONE),
    "refused_flink_options": (
        "AWS::KinesisAnalyticsV2::Application",
        "Properties.ApplicationConfiguration.EnvironmentProperties.PropertyGroups",
        [{"PropertyGroupId": "cardwatch.flink", "PropertyMap": {}}],
    ),
    "secrets_in_the_environment": (
        "AWS::Lambda::Function",
        "Properties.Environment",
        {"Variables": {"WEBHOOK_SECRET": "https://hooks.example.com/1"}},
    ),
    "secrets_in_the_template": ("AWS::SecretsManager::Secret", "Properties.SecretString", "x"),
    "switches_that_log_events": (
        "AWS::Lambda::Function",
        "Properties.Environment",
        {"Variables": {"POWERTOOLS_LOGGER_LOG_EVENT": "true"}},
    ),
    "buckets_that_may_become_public": (
        "AWS::S3::Bucket",
        "Properties.PublicAccessBlockConfiguration.BlockPublicAcls",
        False,
    ),
    "policies_for_anyone": (
        "AWS::SQS::QueuePolicy",
        "Properties.PolicyDocument.Statement.0.Condition",
        GONE,
    ),
    "open_networks": (
        "AWS::EC2::SecurityGroup",
        "Properties.SecurityGroupIngress",
        [{"CidrIp": "0.0.0.0/0"}],
    ),
    "callable_by_anyone": (
        "AWS::KMS::Key",  # there is no permission to break: one becomes one
        "",
        {"Type": "AWS::Lambda::Permission", "Properties": {"Principal": "s3.amazonaws.com"}},
    ),
    "lost_with_the_stack": ("AWS::DynamoDB::Table", "DeletionPolicy", "Delete"),
    "unversioned_buckets": ("AWS::S3::Bucket", "Properties.VersioningConfiguration", GONE),
    "custom_resources_without_end": ("Custom::FlinkCode", "Properties.ServiceTimeout", GONE),
    "unreserved_concurrency": (
        "AWS::Lambda::Function",
        "Properties.ReservedConcurrentExecutions",
        GONE,
    ),
    "destinations_without_permission": (
        "AWS::IAM::Role",
        "Properties.Policies",
        [
            *allowing("s3:PutObject", "${DataStack/DeadLetterBucket.Arn}/dead-letters/*"),
            *allowing("s3:ListBucket", "${DataStack/DeadLetterBucket.Arn}"),
        ],
    ),
    "young_roles": (
        "AWS::IAM::Role",
        "Properties.Policies",
        allowing("lambda:InvokeFunction", "${SimulatorFunction.Arn}"),
    ),
    "names_of_every_stack": ("AWS::Scheduler::Schedule", "Properties.Name", "EveryMinute"),
}
"""What breaks each rule: resources of a type, the place in them, and what is put there."""


def seeded(kind: str, place: str, value: object) -> Deployment:
    """Give the deployment with every resource of a type broken at a place."""
    resources: dict[str, Any] = copy.deepcopy(dict(everything().resources))
    broken = [path for path, resource in resources.items() if resource["Type"] == kind]
    assert broken, f"there is no {kind} to break"
    for path in broken:
        if not place:
            resources[path] = value
            continue
        *way, last = (int(part) if part.isdigit() else part for part in place.split("."))
        node = resources[path]
        for part in way:
            node = node[part]
        if value is GONE:
            node.pop(last, None)
        else:
            node[last] = value
    return Deployment(resources)


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_finds_a_seeded_violation(rule: str) -> None:
    assert list(RULES[rule](seeded(*SEEDS[rule]))) != []


def test_every_rule_has_a_seed() -> None:
    assert set(SEEDS) == set(RULES)


def test_what_may_go_with_the_stack_exists() -> None:
    held = {p for p, r in everything().resources.items() if r["Type"] in HOLDS_DATA}
    assert set(GOES_WITH_THE_STACK) - held == set()
