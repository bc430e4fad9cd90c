"""infra/detection.yaml: the application is stopped, changed and started as the functions expect."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs
from tests.infrastructure.conftest import ROOT, Template

from cardwatch.deployment import custom_resource
from cardwatch.deployment.flink_application import MOST_LOOK_BACK_SECONDS
from cardwatch.deployment.flink_code import PREFIX
from properties import Properties
from queries import chosen_detections, find_queries, of_stream, settings_of
from sql_files import SQL, placeholders

PATH = ROOT / "infra" / "detection.yaml"


@pytest.fixture(scope="module")
def detection() -> Template:
    return Template(cfn_yaml.load(str(PATH)))


def references(node: object) -> Iterator[str]:
    """Give what a part of the template refers to."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "Ref":
                yield str(value)
            elif key == "Fn::GetAtt":
                yield ".".join(value)
            elif key == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                yield from re.findall(r"\$\{([\w:.]+)\}", text)
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def application(template: Template) -> dict[str, Any]:
    [properties] = template.of_type("AWS::KinesisAnalyticsV2::Application").values()
    return properties


def groups(template: Template) -> dict[str, dict[str, Any]]:
    configuration = application(template)["ApplicationConfiguration"]
    listed = configuration["EnvironmentProperties"]["PropertyGroups"]
    return {group["PropertyGroupId"]: group["PropertyMap"] for group in listed}


def actions(template: Template, role: str) -> dict[str, list[Any]]:
    """Give each action that a role may take, and on what."""
    allowed: dict[str, list[Any]] = {}
    for policy in template.resources[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            names, resources = statement["Action"], statement["Resource"]
            for name in names if isinstance(names, list) else [names]:
                listed = resources if isinstance(resources, list) else [resources]
                allowed.setdefault(name, []).extend(listed)
    return allowed


def calls(module: str) -> set[str]:
    """Give the operations that an adapter asks its client for, as IAM writes them."""
    tree = ast.parse((ROOT / "src/cardwatch/aws" / module).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = node.func.value, node.func.attr
            if isinstance(owner, ast.Attribute) and owner.attr == "_client":
                if name == "get_paginator":
                    assert isinstance(node.args[0], ast.Constant)
                    name = str(node.args[0].value)
                found.add("".join(word.capitalize() for word in name.split("_")))
    return found


def test_cfn_lint_finds_nothing_to_complain_of() -> None:
    program = Path(sys.executable).parent / "cfn-lint"
    ended = subprocess.run(
        [str(program), str(PATH)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["DetectionStack", "RiskDeskStack"])
def test_the_root_stack_gives_exactly_the_parameters_that_detection_takes(
    detection: Template, template: Template, name: str
) -> None:
    given = template.resources[name]["Properties"]["Parameters"]
    assert set(given) == set(detection.parameters)


def test_the_risk_desk_reads_the_shards_less_often_than_the_stolen_cards(
    template: Template,
) -> None:
    stacks = [
        template.resources[name]["Properties"] for name in ("DetectionStack", "RiskDeskStack")
    ]
    first, second = [stack["Parameters"]["PollIntervalMilliseconds"] for stack in stacks]
    assert first == {"Ref": "PollIntervalMilliseconds"}
    assert second >= 2 * template.parameters["PollIntervalMilliseconds"]["Default"]


def test_a_parameter_takes_the_same_values_in_both_templates(
    detection: Template, template: Template
) -> None:
    shared = set(detection.parameters) & set(template.parameters)
    assert {"FlinkRuntime", "PollIntervalMilliseconds", "FlinkMetricsLevel"} <= shared
    for name in shared:
        kept = ("Type", "AllowedValues", "MinValue", "MaxValue", "AllowedPattern", "Default")
        ours, roots = detection.parameters[name], template.parameters[name]
        assert {k: ours.get(k) for k in kept} == {k: roots.get(k) for k in kept}, name


def test_every_parameter_is_described_and_bounded(detection: Template) -> None:
    for name, parameter in detection.parameters.items():
        assert parameter["Description"], name
        bounds = {"AllowedValues", "AllowedPattern"} & set(parameter)
        assert bounds or {"MinValue", "MaxValue"} <= set(parameter), name
        assert name in set(references(detection.content)), f"{name} is not used"


def test_looking_back_covers_the_hour_the_registry_and_slack(
    detection: Template, template: Template
) -> None:
    given = template.resources["DetectionStack"]["Properties"]["Parameters"]["LookBackSeconds"]
    simulator = template.functions["SimulatorFunction"]["Environment"]["Variables"]
    registry = int(simulator["REGISTRY_PERIOD_MINUTES"]) * 60
    assert int(given) >= 3600 + registry + 60
    limits = detection.parameters["LookBackSeconds"]
    assert limits["MinValue"] <= int(given) <= limits["MaxValue"] == MOST_LOOK_BACK_SECONDS
    retention = template.resources["EventStream"]["Properties"]["RetentionPeriodHours"]
    assert int(retention) * 3600 >= MOST_LOOK_BACK_SECONDS


def test_the_application_is_paused_by_whatever_changes_it(detection: Template) -> None:
    pause = detection.resources["ApplicationPause"]["Properties"]
    used = set(references(application(detection)))
    constant = {"AWS::StackName", "AWS::Region", "AWS::NoValue", "CodeBucket.Arn"}
    # The jar's name is part of the archive, whose key is a hash of it.
    assert used - constant - {"FlinkCode.Jar"} <= set(references(pause["Changes"]))


def test_the_application_is_changed_between_its_pause_and_its_start(detection: Template) -> None:
    resources = detection.resources
    pause, run = resources["ApplicationPause"], resources["ApplicationRun"]
    assert pause["Properties"]["State"] == "PAUSED"
    assert "Application" not in set(references(pause))
    assert resources["Application"]["DependsOn"] == "ApplicationPause"
    assert run["Properties"]["State"] == "RUNNING"
    # Its value changes with every pause, so each is followed by a start.
    assert run["Properties"]["Pause"] == {"Ref": "ApplicationPause"}
    assert run["DependsOn"] == "ApplicationLogging"
    name = {"Ref": "AWS::StackName"}
    assert pause["Properties"]["ApplicationName"] == name
    assert application(detection)["ApplicationName"] == name


def test_cloudformation_waits_a_little_longer_than_the_functions_take(detection: Template) -> None:
    seconds = detection.content["Globals"]["Function"]["Timeout"]
    resources = [r for r in detection.resources.values() if r["Type"].startswith("Custom::")]
    assert len(resources) == 3
    for resource in resources:
        assert seconds < resource["Properties"]["ServiceTimeout"] <= seconds + 60
    assert seconds > 2 * custom_resource.HANDLER_MARGIN_SECONDS
    retries = detection.content["Globals"]["Function"]["EventInvokeConfig"]
    assert retries == {"MaximumRetryAttempts": 0}


def test_changed_code_reaches_the_copy_through_a_new_version(detection: Template) -> None:
    copy = detection.resources["FlinkCode"]["Properties"]
    assert copy["Version"] == {"Ref": "FlinkCodeFunction.Version"}
    assert copy["ServiceToken"] == {"Ref": "FlinkCodeFunction.Alias"}
    assert detection.functions["FlinkCodeFunction"]["AutoPublishAlias"]
    content = application(detection)["ApplicationConfiguration"]["ApplicationCodeConfiguration"]
    location = content["CodeContent"]["S3ContentLocation"]
    assert location == {
        "BucketARN": {"Fn::GetAtt": ["CodeBucket", "Arn"]},
        "FileKey": {"Fn::GetAtt": ["FlinkCode", "Key"]},
    }


def test_the_properties_fill_every_placeholder_of_the_production_ddl(detection: Template) -> None:
    wanted = set[str]().union(
        *(placeholders(SQL / "connectors/kinesis" / f"{t}.sql") for t in ("events", "outputs"))
    )
    # What is asked of the events' stream is asked of the scores' as well.
    wanted |= {of_stream(key, "scores") for key in wanted if key.startswith("stream_")}
    assert set(groups(detection)["cardwatch.edge"]) == wanted


class ReadProperties(Properties):
    """Properties that know which of their keys were asked for."""

    def __init__(self, groups: Mapping[str, Mapping[str, str]], source: str) -> None:
        super().__init__(groups, source)
        self.keys: set[str]
        object.__setattr__(self, "keys", set())

    def text(self, group: str, key: str, default: str | None = None) -> str:
        self.keys.add(key)
        return super().text(group, key, default)


def test_the_job_accepts_the_properties_as_the_service_hands_them_over(
    detection: Template, tmp_path: Path
) -> None:
    def text(value: object) -> str:
        """What CloudFormation makes of a value: a text, the default where there is one."""
        if isinstance(value, dict) and "Fn::If" in value:
            _, value, _ = value["Fn::If"]
        name = next(references(value), "")
        return str(detection.parameters.get(name, {}).get("Default", name) or value)

    listed = [
        {
            "PropertyGroupId": group,
            "PropertyMap": {key: text(value) for key, value in values.items()},
        }
        for group, values in groups(detection).items()
    ]
    path = tmp_path / "application_properties.json"
    path.write_text(json.dumps(listed))
    given = Properties.read(path)
    read = ReadProperties(given.groups, given.source)
    assert chosen_detections(read, find_queries(settings=settings_of(read)))
    # pipeline.py asks for the idle time, and needs Flink: tests/flink/test_invariants.py.
    assert set(groups(detection)["cardwatch.detection"]) - read.keys == {"idle_timeout_ms"}
    assert read.text("cardwatch.edge", "start_position") == "TRIM_HORIZON"


@pytest.mark.parametrize(
    ("parameter", "key"),
    [("WatermarkDelayMilliseconds", "watermark_delay_ms"), ("MinuteRows", "minute_rows")],
)
def test_the_job_accepts_the_least_and_the_most_that_the_template_does(
    detection: Template, parameter: str, key: str
) -> None:
    assert groups(detection)["cardwatch.detection"][key] == {"Ref": parameter}
    limits = detection.parameters[parameter]
    for value in (limits["MinValue"], limits["Default"], limits["MaxValue"]):
        settings_of(Properties({"cardwatch.detection": {key: str(value)}}, "the template"))


def test_the_runtime_is_given_the_program_and_the_jar_of_the_archive(detection: Template) -> None:
    assert groups(detection)["kinesis.analytics.flink.run.options"] == {
        "python": "main.py",
        "jarfile": {"Fn::GetAtt": ["FlinkCode", "Jar"]},
    }


def test_the_service_uses_our_values_keeps_snapshots_and_never_goes_back_by_itself(
    detection: Template,
) -> None:
    configuration = application(detection)["ApplicationConfiguration"]
    flink = configuration["FlinkApplicationConfiguration"]
    # With DEFAULT the values beside it are ignored.
    assert {part["ConfigurationType"] for part in flink.values()} == {"CUSTOM"}
    assert len(flink) == 3
    assert flink["CheckpointConfiguration"]["CheckpointingEnabled"] is True
    assert configuration["ApplicationSnapshotConfiguration"] == {"SnapshotsEnabled": True}
    # ApplicationRun goes back, and CloudFormation with it; the service alone would leave old code.
    assert configuration["ApplicationSystemRollbackConfiguration"] == {"RollbackEnabled": False}
    # Why a Python program fails is logged below ERROR.
    assert flink["MonitoringConfiguration"]["LogLevel"] == "INFO"
    assert detection.parameters["FlinkAutoScaling"]["Default"] == "false"
    assert detection.parameters["FlinkRuntime"]["AllowedValues"] == ["FLINK-2_2", "FLINK-2_3"]


def test_the_functions_may_make_the_calls_that_they_make_and_no_others(
    detection: Template,
) -> None:
    life = actions(detection, "FlinkApplicationRole")
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert set(life) - logs == {
        "logs:FilterLogEvents",
        *(f"kinesisanalytics:{name}" for name in calls("managed_flink.py")),
    }
    assert calls("flink_code.py") == {
        "PutObject",
        "ListObjectsV2",
        "ListObjectVersions",
        "DeleteObjects",
    }
    assert set(actions(detection, "FlinkCodeRole")) - logs == {
        "s3:PutObject",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "kms:GenerateDataKey",
    }


@pytest.mark.parametrize("role", ["FlinkApplicationRole", "FlinkCodeRole", "ApplicationRole"])
def test_no_role_may_do_everything_or_anything_to_everything(
    detection: Template, role: str
) -> None:
    for action, resources in actions(detection, role).items():
        assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z0-9]+", action), action
        for resource in resources:
            assert isinstance(resource, dict), "name resources by reference"
            if "Fn::Sub" in resource and action != "logs:DescribeLogGroups":
                assert not re.search(r"(?<!\}):\*$", str(resource["Fn::Sub"])), action


def test_only_this_account_s_application_takes_the_job_s_role(detection: Template) -> None:
    policy = detection.resources["ApplicationRole"]["Properties"]["AssumeRolePolicyDocument"]
    [statement] = policy["Statement"]
    assert statement["Principal"] == {"Service": "kinesisanalytics.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    source = statement["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(":application/${AWS::StackName}")


def test_the_job_may_read_its_code_and_read_and_write_its_stream(detection: Template) -> None:
    job = actions(detection, "ApplicationRole")
    assert job["s3:GetObject"] == [{"Fn::Sub": f"${{CodeBucket.Arn}}/{PREFIX}*"}]
    for action in ("GetRecords", "GetShardIterator", "ListShards"):
        assert job[f"kinesis:{action}"] == [{"Ref": "StreamArn"}]
    scores = {"Fn::If": ["WithScores", {"Ref": "ScoresStreamArn"}, {"Ref": "AWS::NoValue"}]}
    assert job["kinesis:PutRecords"] == [{"Ref": "StreamArn"}, scores]
    assert job["kms:Decrypt"] == job["kms:GenerateDataKey"] == [{"Ref": "DataKeyArn"}]


def test_the_code_bucket_is_private_encrypted_versioned_and_speaks_tls_alone(
    detection: Template,
) -> None:
    [bucket] = detection.of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Ref": "DataKeyArn"},
    }
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    [life] = bucket["LifecycleConfiguration"]["Rules"]
    assert life["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0
    # An archive that is current may be needed by a restart at any time.
    assert "ExpirationInDays" not in life
    [policy] = detection.of_type("AWS::S3::BucketPolicy").values()
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_log_group_forgets_and_is_encrypted(detection: Template) -> None:
    log_groups = detection.of_type("AWS::Logs::LogGroup")
    assert len(log_groups) == 3
    for properties in log_groups.values():
        assert properties == {
            "RetentionInDays": {"Ref": "LogRetentionDays"},
            "KmsKeyId": {"Ref": "DataKeyArn"},
        }
    used = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in detection.functions.values()}
    assert used < set(log_groups)
    for function in detection.functions.values():
        assert function["LoggingConfig"]["LogFormat"] == "JSON"


def test_the_local_build_has_the_functions_and_no_archive(artifacts: Path) -> None:
    built = artifacts / "DetectionStack"
    assert (built / "FlinkApplicationFunction" / "handler.py").exists()
    assert (built / "FlinkCodeFunction" / "handler.py").exists()
    assert not (built / "FlinkCodeFunction" / "flink_app.zip").exists()
