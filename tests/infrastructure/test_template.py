"""template.yaml against the code it deploys."""

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.infrastructure.conftest import ROOT, Template

from cardwatch.aws import ledger
from cardwatch.contract.streams import EVENT_TYPES
from cardwatch.local.deploy import SAM, StackOutputs
from cardwatch.local.event_source import parameters_from
from cardwatch.settings import (
    NotifierSettings,
    Settings,
    SimulatorSettings,
    StagerSettings,
    program_environment,
)

SETTINGS: dict[str, type[Settings]] = {
    "SimulatorFunction": SimulatorSettings,
    "NotifierFunction": NotifierSettings,
    "StagerFunction": StagerSettings,
}


def variables(template: Template, function: str) -> dict[str, Any]:
    return dict(template.functions[function]["Environment"]["Variables"])


def statements(template: Template) -> list[dict[str, Any]]:
    return [
        statement
        for function in template.functions.values()
        for policy in function.get("Policies", [])
        for statement in policy["Statement"]
    ]


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_sam_validate_finds_nothing_to_complain_of() -> None:
    ended = subprocess.run(
        [str(ROOT / SAM), "validate", "--lint"],
        env=program_environment({"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_function_has_the_variables_that_its_settings_read_and_no_others(
    template: Template,
) -> None:
    assert set(template.functions) == set(SETTINGS)
    for function, model in SETTINGS.items():
        ours = {n for n in variables(template, function) if not n.startswith("POWERTOOLS_")}
        assert ours == {name.upper() for name in model.model_fields}, function


def test_the_template_s_own_values_are_valid_settings(template: Template) -> None:
    for function, model in SETTINGS.items():
        values = {
            name.lower(): str(template.value(value))
            for name, value in variables(template, function).items()
        }
        model.model_validate(values)


@pytest.mark.parametrize(
    ("parameter", "model", "field"),
    [
        ("PaymentsPerSecond", SimulatorSettings, "payments_per_second"),
        ("PagesPerMinute", NotifierSettings, "pages_per_minute"),
        ("PageMaxAgeSeconds", NotifierSettings, "page_max_age_seconds"),
    ],
)
def test_a_parameter_takes_no_number_that_the_settings_refuse(
    template: Template, parameter: str, model: type[Settings], field: str
) -> None:
    schema = model.model_json_schema()["properties"][field]
    limits = template.parameters[parameter]
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    assert float(limits["MinValue"]) >= lowest
    assert float(limits["MinValue"]) > lowest or "minimum" in schema
    assert float(limits["MaxValue"]) <= schema["maximum"]


def test_every_function_says_its_name_in_logs_and_metrics(template: Template) -> None:
    names = {f: variables(template, f)["POWERTOOLS_SERVICE_NAME"] for f in template.functions}
    assert names == {f: f.removesuffix("Function").lower() for f in template.functions}


def test_the_outputs_are_what_the_programs_of_one_machine_read(template: Template) -> None:
    names = {"".join(p.capitalize() for p in f.name.split("_")) for f in fields(StackOutputs)}
    assert set(template.content["Outputs"]) == names


def test_the_mapping_is_bounded_by_age_alone_and_keeps_what_it_gives_up_whole(
    template: Template,
) -> None:
    mapping = template.resources["AlertMapping"]["Properties"]
    age = variables(template, "NotifierFunction")["PAGE_MAX_AGE_SECONDS"]
    assert mapping["MaximumRecordAgeInSeconds"] == age == {"Ref": "PageMaxAgeSeconds"}
    assert mapping["MaximumRetryAttempts"] == -1
    assert template.value(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == (
        "DeadLetterBucket.Arn"
    )
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["StartingPosition"] == "TRIM_HORIZON"


def test_the_mapping_gives_the_notifier_alerts_of_the_contract_only(template: Template) -> None:
    mapping = template.resources["AlertMapping"]["Properties"]
    patterns = [json.loads(f["Pattern"]) for f in mapping["FilterCriteria"]["Filters"]]
    assert patterns == [{"data": {"type": ["PAYMENT_ALERT"]}}]
    assert "PAYMENT_ALERT" in EVENT_TYPES


def test_the_mapping_is_off_on_one_machine_where_its_stand_in_takes_every_parameter(
    template: Template,
) -> None:
    properties = template.resources["AlertMapping"]["Properties"]
    assert template.value(properties["Enabled"], platform="local") is False
    assert template.value(properties["Enabled"], platform="aws") is True
    taken_by_the_stand_in = {
        "EventSourceArn",
        "StartingPosition",
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "FilterCriteria",
        "FunctionResponseTypes",
        "BisectBatchOnFunctionError",
        "MaximumRetryAttempts",
        "MaximumRecordAgeInSeconds",
        "DestinationConfig",
    }
    assert set(properties) - {"Enabled", "FunctionName"} <= taken_by_the_stand_in
    described = {
        **{name: template.value(value) for name, value in properties.items()},
        "UUID": "u",
        "FunctionArn": "f",
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
    }
    parameters_from(described, role_arn="r", region="us-east-1")


def test_no_scheduled_invocation_runs_late_or_twice(template: Template) -> None:
    bounded = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert template.content["Globals"]["Function"]["EventInvokeConfig"] == bounded
    for name, function in template.functions.items():
        assert "EventInvokeConfig" not in function, name
        for event in function.get("Events", {}).values():
            assert event["Type"] == "ScheduleV2"
            assert event["Properties"]["RetryPolicy"] == bounded
            assert event["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    scheduled = {n for n, f in template.functions.items() if f.get("Events")}
    assert scheduled == {"SimulatorFunction", "NotifierFunction"}


def test_the_simulator_outlasts_a_successor_that_comes_a_minute_late(template: Template) -> None:
    assert template.functions["SimulatorFunction"]["Timeout"] >= 60 + 60 + 30


def test_a_notifier_that_ran_out_of_time_has_ended_when_its_lease_does(template: Template) -> None:
    lease = int(variables(template, "NotifierFunction")["LEASE_SECONDS"])
    assert template.functions["NotifierFunction"]["Timeout"] < lease


def test_the_ledger_remembers_longer_than_the_stream_can_be_replayed(template: Template) -> None:
    stream_hours = template.resources["EventStream"]["Properties"]["RetentionPeriodHours"]
    days = int(variables(template, "NotifierFunction")["LEDGER_TTL_DAYS"])
    age = int(template.parameters["PageMaxAgeSeconds"]["MaxValue"])
    assert days * 24 > stream_hours
    assert days * 86_400 > age


def test_the_ledger_table_is_the_one_that_the_adapter_expects(template: Template) -> None:
    table = template.resources["LedgerTable"]["Properties"]
    assert table["KeySchema"] == [{"AttributeName": ledger.KEY, "KeyType": "HASH"}]
    [index] = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == ledger.UNFINISHED_INDEX
    assert table["TimeToLiveSpecification"]["AttributeName"] == ledger.EXPIRES_AT
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_no_policy_has_a_wildcard_action_or_an_unnamed_resource(template: Template) -> None:
    assert statements(template)
    for statement in statements(template):
        for action in as_list(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action), action
        for resource in as_list(statement["Resource"]):
            assert resource != "*"
            assert isinstance(resource, dict), "name resources by reference"


def test_only_the_simulator_reads_the_token_key(template: Template) -> None:
    def mentions(function: str) -> bool:
        return "TokenKeySecret" in json.dumps(template.functions[function])

    assert {f for f in template.functions if mentions(f)} == {"SimulatorFunction"}


def test_buckets_are_private_and_encrypted_and_so_are_stream_topic_and_queue(
    template: Template,
) -> None:
    buckets = template.of_type("AWS::S3::Bucket")
    assert set(buckets) == {"DeliveryBucket", "DeadLetterBucket"}
    for bucket in buckets.values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert template.resources["EventStream"]["Properties"]["StreamEncryption"]
    assert template.resources["PageTopic"]["Properties"]["KmsMasterKeyId"]
    assert template.resources["PagesQueue"]["Properties"]["SqsManagedSseEnabled"] is True


def test_every_function_logs_to_a_group_that_forgets(template: Template) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    used = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in template.functions.values()}
    assert used == set(groups)
    assert all(group["RetentionInDays"] for group in groups.values())


def test_the_queue_that_stands_for_e_mail_exists_on_one_machine_only(template: Template) -> None:
    local = {name for name, r in template.resources.items() if r.get("Condition") == "IsLocal"}
    assert local == {"PagesQueue", "PagesQueuePolicy", "PagesSubscription"}
    # Raw, a page would arrive without its subject.
    assert template.resources["PagesSubscription"]["Properties"]["RawMessageDelivery"] is False


def test_the_layer_is_built_for_the_runtime_that_is_the_default(template: Template) -> None:
    makefile = (ROOT / "src/Makefile").read_text()
    [version] = re.findall(r"^LAMBDA_PYTHON \?= (\S+)$", makefile, re.MULTILINE)
    assert template.parameters["PythonRuntime"]["Default"] == f"python{version}"


def test_each_function_folder_is_one_handler_and_its_makefile(template: Template) -> None:
    for function in template.functions.values():
        folder = Path(ROOT / function["CodeUri"])
        assert {p.name for p in folder.iterdir() if p.name != "__pycache__"} == {
            "handler.py",
            "Makefile",
        }


def test_every_parameter_is_described_and_bounded(template: Template) -> None:
    grouped = [
        name
        for group in template.content["Metadata"]["AWS::CloudFormation::Interface"][
            "ParameterGroups"
        ]
        for name in group["Parameters"]
    ]
    assert sorted(grouped) == sorted(template.parameters)
    for name, parameter in template.parameters.items():
        assert parameter["Description"], name
        bounds = {"AllowedValues", "AllowedPattern"} & set(parameter)
        assert bounds or {"MinValue", "MaxValue"} <= set(parameter), name
