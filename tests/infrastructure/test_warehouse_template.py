"""infra/delivery.yaml and infra/warehouse.yaml: who may come in, what is encrypted, what fits."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import ON_AWS, deployment, everything

from cardwatch.aws.redshift_loads import COPY_OPTIONS, MANIFESTS
from cardwatch.aws.warehouse_schema import READY_SECONDS, STATEMENT_SECONDS
from cardwatch.deployment.custom_resource import HANDLER_MARGIN_SECONDS
from cardwatch.local.firehose.delivery import INVOCATION_BYTES, INVOCATION_RETRIES
from cardwatch.recovery.backfill import DELIVERED
from cardwatch.recovery.error_output import EVENTS, QUARANTINE
from cardwatch.recovery.telemetry import ENDS_EARLY_SECONDS, LOAD_SECONDS
from cardwatch.warehouse.schema import AUDITOR, LOADER

TEMPLATE: dict[str, Any] = cfn_yaml.load(str(ROOT / "infra" / "warehouse.yaml"))
ROOT_TEMPLATE: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))
DATA: dict[str, Any] = cfn_yaml.load(str(ROOT / "infra" / "data.yaml"))
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
KEY = {"Ref": "DataKeyArn"}
DELIVERY_RESOURCES: dict[str, dict[str, Any]] = cfn_yaml.load(
    str(ROOT / "infra" / "delivery.yaml")
)["Resources"]
DELIVERY = DELIVERY_RESOURCES["Delivery"]["Properties"]["ExtendedS3DestinationConfiguration"]


def of_type(name: str) -> dict[str, dict[str, Any]]:
    return {k: r["Properties"] for k, r in RESOURCES.items() if r["Type"] == name}


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for name, policy in of_type("AWS::IAM::RolePolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement


def test_both_templates_say_the_same_when_they_refuse() -> None:
    [own] = TEMPLATE["Rules"]["Zones"]["Assertions"]
    [root] = ROOT_TEMPLATE["Rules"]["ZonesForServerless"]["Assertions"]
    assert own == root


def test_nobody_comes_in_and_nothing_is_public() -> None:
    (group,) = of_type("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group
    assert not of_type("AWS::EC2::SecurityGroupIngress")
    assert not of_type("AWS::EC2::InternetGateway")
    assert not of_type("AWS::EC2::Route"), "the only way out is the endpoint of S3"
    for name in ("Cluster", "Workgroup"):
        properties = RESOURCES[name]["Properties"]
        groups = properties.get("VpcSecurityGroupIds") or properties["SecurityGroupIds"]
        assert groups == [{"Ref": "NobodyIn"}]
        assert properties["PubliclyAccessible"] is False
        assert properties["EnhancedVpcRouting"] is True


def test_the_schema_s_role_is_made_before_the_cluster_whose_name_it_has() -> None:
    """Rights take minutes to be known everywhere; a cluster takes ten to be made."""
    deployed = everything("cluster")
    role, cluster = "WarehouseStack/WarehouseSchemaRole", "WarehouseStack/Cluster"
    needed, new = set[str](), {role}
    while new:
        needed |= new
        new = {need for path in new for need in deployed.needs(path)} - needed
    assert cluster not in needed
    assert cluster in deployed.needs("WarehouseStack/WarehouseSchema")
    name = deployed.resources[cluster]["Properties"]["ClusterIdentifier"]
    policies = json.dumps(deployed.resources[role]["Properties"]["Policies"])
    assert f':cluster:{name}"' in policies


def test_a_cluster_is_the_default_and_has_one_node() -> None:
    assert TEMPLATE["Parameters"]["Warehouse"]["Default"] == "cluster"
    assert ROOT_TEMPLATE["Parameters"]["Warehouse"]["Default"] == "cluster"
    assert RESOURCES["Cluster"]["Properties"]["ClusterType"] == "single-node"
    assert "NumberOfNodes" not in RESOURCES["Cluster"]["Properties"]


def test_serverless_begins_with_the_least_capacity_and_has_a_cap() -> None:
    workgroup = RESOURCES["Workgroup"]["Properties"]
    assert TEMPLATE["Parameters"]["WarehouseRpus"]["Default"] == 4
    assert workgroup["BaseCapacity"] == {"Ref": "WarehouseRpus"}
    assert workgroup["MaxCapacity"] == {"Ref": "WarehouseMaxRpus"}


def test_both_kinds_want_tls_and_log_who_did_what() -> None:
    cluster = {
        p["ParameterName"]: p["ParameterValue"]
        for p in RESOURCES["ParameterGroup"]["Properties"]["Parameters"]
    }
    workgroup = {
        p["ParameterKey"]: p["ParameterValue"]
        for p in RESOURCES["Workgroup"]["Properties"]["ConfigParameters"]
    }
    assert cluster == workgroup == {"require_ssl": "true", "enable_user_activity_logging": "true"}
    logs = {"connectionlog", "userlog", "useractivitylog"}
    assert set(RESOURCES["Cluster"]["Properties"]["LoggingProperties"]["LogExports"]) == logs
    assert set(RESOURCES["Namespace"]["Properties"]["LogExports"]) == logs
    names = [str(group.get("LogGroupName")) for group in of_type("AWS::Logs::LogGroup").values()]
    assert all(sum(f"/{log}'" in name for name in names) == 1 for log in logs)


def test_everything_that_holds_data_is_encrypted_with_the_data_key() -> None:
    for kind, name in (
        ("AWS::Redshift::Cluster", "KmsKeyId"),
        ("AWS::RedshiftServerless::Namespace", "KmsKeyId"),
        ("AWS::SecretsManager::Secret", "KmsKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
    ):
        found = of_type(kind)
        assert found
        assert {k: p.get(name) for k, p in found.items()} == dict.fromkeys(found, KEY)
    for place in (DELIVERY, DELIVERY["S3BackupConfiguration"]):
        encryption = place["EncryptionConfiguration"]
        assert encryption == {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}}


def test_no_password_is_in_the_template() -> None:
    for name, place in (("Cluster", "MasterUserPassword"), ("Namespace", "AdminUserPassword")):
        reference = RESOURCES[name]["Properties"][place]["Fn::Sub"]
        assert reference == "{{resolve:secretsmanager:${AdminSecret}:SecretString:password}}"
    for secret in of_type("AWS::SecretsManager::Secret").values():
        assert "SecretString" not in secret
        assert secret["GenerateSecretString"]["PasswordLength"] == 64


def test_data_outlives_the_stack_as_a_snapshot() -> None:
    assert RESOURCES["Cluster"]["DeletionPolicy"] == "Snapshot"
    assert RESOURCES["Cluster"]["UpdateReplacePolicy"] == "Snapshot"
    assert "FinalSnapshotName" in RESOURCES["Namespace"]["Properties"]
    assert RESOURCES["Namespace"]["UpdateReplacePolicy"] == "Retain"


def test_an_object_is_what_copy_reads() -> None:
    assert DELIVERY["CompressionFormat"] == "GZIP"
    assert " GZIP" in COPY_OPTIONS


def test_the_stager_is_asked_for_answers_that_fit() -> None:
    (processor,) = DELIVERY["ProcessingConfiguration"]["Processors"]
    given = {p["ParameterName"]: p["ParameterValue"] for p in processor["Parameters"]}
    assert int(given["BufferSizeInMBs"]) * 1024 * 1024 == INVOCATION_BYTES
    assert int(given["NumberOfRetries"]) == INVOCATION_RETRIES


def test_the_prefixes_are_those_the_programs_read() -> None:
    assert DELIVERY["Prefix"] == EVENTS
    errors = DELIVERY["ErrorOutputPrefix"]
    assert errors.replace("!{firehose:error-output-type}", "processing-failed") == QUARANTINE
    assert DELIVERY["S3BackupMode"] == "Enabled"
    backup = DELIVERY["S3BackupConfiguration"]["Prefix"]
    assert not backup.startswith(EVENTS)
    # Firehose adds the time to a prefix without expressions; that is what is loaded.
    assert f"{EVENTS}2" == DELIVERED
    assert not any(place.startswith(DELIVERED) for place in (QUARANTINE, backup, MANIFESTS))


def test_what_waits_for_a_person_does_not_expire() -> None:
    bucket = DATA["Resources"]["DeliveryBucket"]["Properties"]
    for rule in bucket["LifecycleConfiguration"]["Rules"]:
        if "ExpirationInDays" in rule:
            assert not QUARANTINE.startswith(rule["Prefix"])
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"]


@pytest.mark.parametrize("kind", ["cluster", "serverless"])
def test_a_secret_names_its_user_and_the_warehouse_that_the_data_api_is_told(kind: str) -> None:
    deployed = everything(kind)
    for name, user in (
        ("AdminSecret", "cardwatch_admin"),
        ("LoaderSecret", LOADER),
        ("AuditorSecret", AUDITOR),
    ):
        secret = deployed.resources[f"WarehouseStack/{name}"]["Properties"]
        content = json.loads(secret["GenerateSecretString"]["SecretStringTemplate"])
        assert content["username"] == user
        assert content["engine"] == "redshift"
        if kind == "cluster":
            cluster = deployed.resources["WarehouseStack/Cluster"]["Properties"]
            assert content["dbClusterIdentifier"] == cluster["ClusterIdentifier"]


def test_loading_begins_when_there_is_something_to_load_into() -> None:
    assert "WarehouseSchema" in RESOURCES["WarehouseLoadSchedule"]["DependsOn"]


@pytest.mark.parametrize("seconds", [60, 120, 300, 600, 900])
def test_it_is_loaded_as_often_as_there_is_something_new(seconds: int) -> None:
    deployed = deployment(**ON_AWS, DeliveryBufferSeconds=str(seconds))
    schedule = deployed.resources["WarehouseStack/WarehouseLoadSchedule"]["Properties"]
    [number] = re.findall(r"^rate\((\d+) minutes?\)$", schedule["ScheduleExpression"])
    assert int(number) * 60 == seconds
    delivery = deployed.resources["DeliveryStack/Delivery"]["Properties"]
    hints = delivery["ExtendedS3DestinationConfiguration"]["BufferingHints"]
    assert str(hints["IntervalInSeconds"]) == str(seconds)


def test_the_load_s_function_has_time_for_the_copy_that_it_begins() -> None:
    timeout = RESOURCES["WarehouseLoadFunction"]["Properties"]["Timeout"]
    assert LOAD_SECONDS < ENDS_EARLY_SECONDS < timeout


def test_no_role_may_do_everything_or_do_it_anywhere() -> None:
    for name, statement in statements():
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action, (name, action)
        if statement["Resource"] == "*":
            # What the service lets nobody name is bound to whoever ran the statement.
            assert statement["Condition"] == {
                "StringEquals": {"redshift-data:statement-owner-iam-userid": "${aws:userid}"}
            }


def test_firehose_writes_only_under_its_prefixes() -> None:
    policy = DELIVERY_RESOURCES["DeliveryPolicy"]["Properties"]["PolicyDocument"]
    places = [
        place["Fn::Sub"].rpartition("${DeliveryBucket}")[2]
        for statement in policy["Statement"]
        if "s3:PutObject" in statement["Action"]
        for place in statement["Resource"]
    ]
    assert places == ["/events/*", "/backup/*"]


def test_the_schema_s_function_may_make_every_call_it_makes() -> None:
    source = (ROOT / "src/cardwatch/aws/redshift_data.py").read_text()
    calls = set(re.findall(r'"(\w+_statement(?:_result)?)"|_client\.(\w+)\(', source))
    made = {"".join(p.capitalize() for p in (a or b).split("_")) for a, b in calls}
    assert len(made) == 5
    allowed = {
        action.removeprefix("redshift-data:")
        for name, statement in statements()
        if name == "WarehouseSchemaRole"
        for action in statement["Action"]
        if action.startswith("redshift-data:")
    }
    assert made == allowed


def test_the_schema_is_brought_up_to_date_when_its_code_or_sql_changes() -> None:
    resource = RESOURCES["WarehouseSchema"]["Properties"]
    assert RESOURCES["WarehouseSchemaFunction"]["Properties"]["AutoPublishAlias"] == "live"
    assert resource["Version"] == {"Ref": "WarehouseSchemaFunction.Version"}
    needed = {
        "Warehouse",
        "WarehouseName",
        "DatabaseName",
        "AdminSecretArn",
        "LoaderSecretArn",
        "AuditorSecretArn",
    }
    assert set(resource) == needed | {"ServiceToken", "ServiceTimeout", "Version"}


def test_the_function_can_wait_as_long_as_it_means_to() -> None:
    timeout = RESOURCES["WarehouseSchemaFunction"]["Properties"]["Timeout"]
    wanted = READY_SECONDS + STATEMENT_SECONDS + HANDLER_MARGIN_SECONDS
    assert wanted < timeout < RESOURCES["WarehouseSchema"]["Properties"]["ServiceTimeout"]


def test_the_cost_of_a_short_buffer_is_said_beside_it() -> None:
    for template in (TEMPLATE, ROOT_TEMPLATE):
        description = template["Parameters"]["DeliveryBufferSeconds"]["Description"]
        assert all(cost in description for cost in ("1,095", "438", "292"))
