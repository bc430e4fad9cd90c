"""infra/warehouse.yaml: who may come in, what is encrypted, and that it fits the code it runs."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs
from functions.warehouse_schema import handler
from tests.infrastructure.conftest import ROOT

from cardwatch.aws.redshift_loads import COPY_COLUMNS, COPY_OPTIONS
from cardwatch.deployment.custom_resource import HANDLER_MARGIN_SECONDS
from cardwatch.local.firehose.delivery import INVOCATION_BYTES, INVOCATION_RETRIES
from cardwatch.recovery.backfill import SKIPPED
from cardwatch.recovery.error_output import EVENTS, QUARANTINE
from cardwatch.warehouse.schema import LOADER

TEMPLATE: dict[str, Any] = cfn_yaml.load(str(ROOT / "infra" / "warehouse.yaml"))
ROOT_TEMPLATE: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))
DATA: dict[str, Any] = cfn_yaml.load(str(ROOT / "infra" / "data.yaml"))
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
KEY = {"Ref": "DataKeyArn"}
DELIVERY = RESOURCES["Delivery"]["Properties"]["RedshiftDestinationConfiguration"]


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


def asserted_regions(template: dict[str, Any], rule: str) -> list[str]:
    regions, region = template["Rules"][rule]["Assertions"][0]["Assert"]["Fn::Contains"]
    assert region == {"Ref": "AWS::Region"}
    return list(regions)


def test_a_region_without_an_address_range_is_refused_before_anything_is_made() -> None:
    addresses = TEMPLATE["Mappings"]["Firehose"]
    assert asserted_regions(TEMPLATE, "Region") == sorted(addresses)
    assert asserted_regions(ROOT_TEMPLATE, "WarehouseInRegion") == sorted(addresses)
    blocks = [ipaddress.ip_network(entry["Cidr"]) for entry in addresses.values()]
    assert len(set(blocks)) == len(blocks)
    assert all(block.prefixlen == 27 and block.is_global for block in blocks)


def test_both_templates_say_the_same_when_they_refuse() -> None:
    own = [TEMPLATE["Rules"][name]["Assertions"][0] for name in ("Region", "Zones")]
    root = ROOT_TEMPLATE["Rules"]["WarehouseInRegion"]["Assertions"]
    assert [a["AssertDescription"] for a in own] == [a["AssertDescription"] for a in root]


def test_nobody_but_firehose_of_the_region_may_come_in() -> None:
    (group,) = of_type("AWS::EC2::SecurityGroup").values()
    (way_in,) = group["SecurityGroupIngress"]
    assert way_in["CidrIp"] == {"Fn::FindInMap": ["Firehose", {"Ref": "AWS::Region"}, "Cidr"]}
    assert (way_in["FromPort"], way_in["ToPort"]) == (5439, 5439)
    assert not of_type("AWS::EC2::SecurityGroupIngress")
    for name in ("Cluster", "Workgroup"):
        properties = RESOURCES[name]["Properties"]
        groups = properties.get("VpcSecurityGroupIds") or properties["SecurityGroupIds"]
        assert groups == [{"Ref": "FirehoseOnly"}]


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
    for place in ("S3Configuration", "S3BackupConfiguration"):
        encryption = DELIVERY[place]["EncryptionConfiguration"]
        assert encryption == {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}}


def test_no_password_is_in_the_template() -> None:
    for name, place in (("Cluster", "MasterUserPassword"), ("Namespace", "AdminUserPassword")):
        reference = RESOURCES[name]["Properties"][place]["Fn::Sub"]
        assert reference == "{{resolve:secretsmanager:${AdminSecret}:SecretString:password}}"
    for secret in of_type("AWS::SecretsManager::Secret").values():
        assert "SecretString" not in secret
        assert secret["GenerateSecretString"]["PasswordLength"] == 64
    assert "Username" not in DELIVERY
    assert "Password" not in DELIVERY


def test_data_outlives_the_stack_as_a_snapshot() -> None:
    assert RESOURCES["Cluster"]["DeletionPolicy"] == "Snapshot"
    assert RESOURCES["Cluster"]["UpdateReplacePolicy"] == "Snapshot"
    assert "FinalSnapshotName" in RESOURCES["Namespace"]["Properties"]
    assert RESOURCES["Namespace"]["UpdateReplacePolicy"] == "Retain"


def test_firehose_loads_what_the_stager_writes() -> None:
    copy = DELIVERY["CopyCommand"]
    assert copy["DataTableName"] == "staging.events"
    assert copy["DataTableColumns"].split(",") == COPY_COLUMNS.split(", ")
    assert copy["CopyOptions"] == COPY_OPTIONS
    assert DELIVERY["S3Configuration"]["CompressionFormat"] == "GZIP"


def test_the_stager_is_asked_for_answers_that_fit() -> None:
    (processor,) = DELIVERY["ProcessingConfiguration"]["Processors"]
    given = {p["ParameterName"]: p["ParameterValue"] for p in processor["Parameters"]}
    assert int(given["BufferSizeInMBs"]) * 1024 * 1024 == INVOCATION_BYTES
    assert int(given["NumberOfRetries"]) == INVOCATION_RETRIES


def test_the_prefixes_are_those_the_programs_read() -> None:
    assert DELIVERY["S3Configuration"]["Prefix"] == EVENTS
    # For Redshift Firehose takes no ErrorOutputPrefix: the error output is below the prefix.
    assert "ErrorOutputPrefix" not in str(TEMPLATE)
    assert f"{EVENTS}processing-failed/" == QUARANTINE
    assert f"{EVENTS}errors/" in SKIPPED
    assert DELIVERY["S3BackupMode"] == "Enabled"
    backup = DELIVERY["S3BackupConfiguration"]["Prefix"]
    assert not backup.startswith(EVENTS)


def test_what_waits_for_a_person_does_not_expire() -> None:
    bucket = DATA["Resources"]["DeliveryBucket"]["Properties"]
    for rule in bucket["LifecycleConfiguration"]["Rules"]:
        if "ExpirationInDays" in rule:
            assert not QUARANTINE.startswith(rule["Prefix"])
            assert not any(place.startswith(rule["Prefix"]) for place in SKIPPED)
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"]


def test_firehose_logs_in_as_the_loader_and_waits_longer_than_an_hour() -> None:
    assert DELIVERY["SecretsManagerConfiguration"]["SecretARN"] == {"Ref": "LoaderSecret"}
    template = RESOURCES["LoaderSecret"]["Properties"]["GenerateSecretString"]
    assert template["SecretStringTemplate"] == f'{{"username": "{LOADER}"}}'
    assert DELIVERY["RetryOptions"]["DurationInSeconds"] == 7200


def test_delivery_begins_when_there_is_something_to_load_into() -> None:
    assert "WarehouseSchema" in RESOURCES["Delivery"]["DependsOn"]


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
    places = [
        place["Fn::Sub"]
        for name, statement in statements()
        if name == "DeliveryPolicy" and "s3:PutObject" in statement["Action"]
        for place in statement["Resource"]
    ]
    assert places == ["${DeliveryBucketArn}/events/*", "${DeliveryBucketArn}/backup/*"]


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
    needed = {"Warehouse", "WarehouseName", "DatabaseName", "AdminSecretArn", "LoaderSecretArn"}
    assert set(resource) == needed | {"ServiceToken", "ServiceTimeout", "Version"}


def test_the_function_can_wait_as_long_as_it_means_to() -> None:
    timeout = RESOURCES["WarehouseSchemaFunction"]["Properties"]["Timeout"]
    wanted = handler.READY_SECONDS + handler.STATEMENT_SECONDS + HANDLER_MARGIN_SECONDS
    assert wanted < timeout < RESOURCES["WarehouseSchema"]["Properties"]["ServiceTimeout"]


def test_the_cost_of_a_short_buffer_is_said_beside_it() -> None:
    for template in (TEMPLATE, ROOT_TEMPLATE):
        description = template["Parameters"]["DeliveryBufferSeconds"]["Description"]
        assert all(cost in description for cost in ("1,095", "219", "73"))


@pytest.mark.parametrize("name", sorted(TEMPLATE["Parameters"]))
def test_the_root_passes_only_what_the_stack_takes(name: str) -> None:
    passed = ROOT_TEMPLATE["Resources"]["WarehouseStack"]["Properties"]["Parameters"]
    own = TEMPLATE["Parameters"][name]
    if name not in passed:
        assert "Default" in own
        return
    root = ROOT_TEMPLATE["Parameters"].get(passed[name].get("Ref", ""))
    if root is None:
        return
    # On AWS a rule of the root's refuses 5 seconds, and there is no such stack with none.
    values = [value for value in root.get("AllowedValues", []) if value not in {5, "none"}]
    if "AllowedValues" in own:
        assert values
        assert set(values) <= set(own["AllowedValues"])
    for value in values:
        assert own.get("MinValue", value) <= value <= own.get("MaxValue", value)
    for bound in ("MinValue", "MaxValue"):
        if bound in root:
            assert root[bound] == own[bound]
