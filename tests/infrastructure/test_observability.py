"""The alarms and the dashboard speak of metrics that exist, and of runbook sections that exist."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs
from tests.infrastructure.conftest import ROOT

from cardwatch.contract.streams import RejectionReason
from cardwatch.observability import (
    NAMESPACE,
    ActsMetric,
    AuditMetric,
    BankingMetric,
    CanaryMetric,
    NotifierMetric,
    SimulatorMetric,
    SlackMetric,
    StagerMetric,
    WarehouseLoadMetric,
    WarehouseRefreshMetric,
)
from cardwatch.recovery.error_output import EVENTS, QUARANTINE

FLINK = {"Application"}
LAMBDA = {"FunctionName"}
STREAM = {"StreamName"}
FIREHOSE = {"DeliveryStreamName"}
CLUSTER = {"ClusterIdentifier"}

AWS_METRICS: Final[dict[str, dict[str, set[str]]]] = {
    # Managed Service for Apache Flink developer guide, "Metrics and dimensions": those whose level
    # includes Application, for Flink 2.2 (which has no fullRestarts any more).
    "AWS/KinesisAnalytics": dict.fromkeys(
        (
            "numRestarts",
            "numberOfFailedCheckpoints",
            "numLateRecordsDropped",
            "numRecordsOutPerSecond",
            "currentOutputWatermark",
            "lastCheckpointDuration",
            "lastCheckpointSize",
            "cpuUtilization",
            "heapMemoryUtilization",
            "containerMemoryUtilization",
        ),
        FLINK,
    ),
    # Kinesis Data Streams developer guide, "Basic stream-level metrics".
    "AWS/Kinesis": dict.fromkeys(
        (
            "IncomingRecords",
            "GetRecords.IteratorAgeMilliseconds",
            "ReadProvisionedThroughputExceeded",
            "WriteProvisionedThroughputExceeded",
        ),
        STREAM,
    ),
    # Lambda developer guide, "Types of metrics for Lambda functions".
    "AWS/Lambda": dict.fromkeys(
        ("Invocations", "Errors", "Throttles", "Duration", "IteratorAge"), LAMBDA
    ),
    # Amazon Data Firehose developer guide, "Monitor with CloudWatch metrics".
    "AWS/Firehose": dict.fromkeys(
        ("DeliveryToS3.DataFreshness", "KinesisMillisBehindLatest"),
        FIREHOSE,
    ),
    # EventBridge user guide, "Monitoring": the default bus has the rule's name only.
    "AWS/Events": {"TriggeredRules": {"RuleName"}},
    # SQS developer guide, "Available CloudWatch metrics".
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible": {"QueueName"}},
    # SNS developer guide, "Monitoring topics".
    "AWS/SNS": {"NumberOfNotificationsFailed": {"TopicName"}},
    # Redshift management guide, "Performance data": of the whole cluster, and of a workgroup.
    "AWS/Redshift": dict.fromkeys(
        ("PercentageDiskSpaceUsed", "CPUUtilization", "HealthStatus"), CLUSTER
    ),
    "AWS/Redshift-Serverless": {"ComputeSeconds": {"Workgroup"}},
}
OWN_METRICS: Final = {
    "simulator": set(get_args(SimulatorMetric)),
    "notifier": set(get_args(NotifierMetric)),
    "canary": set(get_args(CanaryMetric)),
    "slack": set(get_args(SlackMetric)),
    "page_acts": set(get_args(ActsMetric)),
    "stager": set(get_args(StagerMetric)),
    "banking": set(get_args(BankingMetric)),
    "warehouse_load": set(get_args(WarehouseLoadMetric)),
    "warehouse_refresh": set(get_args(WarehouseRefreshMetric)),
    "audit": set(get_args(AuditMetric)),
}
ASKED_FOR: Final = {
    "NoHeartbeat",
    "NoPayments",
    "NoCanary",
    "StreamIteratorAge",
    "NotifierIteratorAge",
    "FlinkRestarts",
    "FailedCheckpoints",
    "LateRecords",
    "WatermarkLag",
    "PageLatency",
    "NotifierErrors",
    "SubscriptionsUnhealthy",
    "NobodySubscribed",
    "NobodyToEscalateTo",
    "SlackDeadLetters",
    "DeadLetters",
    "Quarantine",
    "StolenPaymentsQuarantined",
    "QuarantineNotTold",
    "BankingErrors",
    "BankBehind",
    "ErrorObjects",
    "CopyFailures",
    "LoadBehind",
    "WarehouseQuality",
    "MartsBehind",
    "AuditDefects",
    "AuditBehind",
    "DeliveryFreshness",
}
SILENCE_IS_ALARMING: Final = {
    "NoCanary",
    "NoHeartbeat",
    "NoPayments",
    "StreamIteratorAge",
    "WatermarkLag",
    "RiskDeskLag",
    "BankBehind",
    "SubscriptionsUnhealthy",
    "NobodyToEscalateTo",
    "DeliveryFreshness",
    "LoadBehind",
    "MartsBehind",
    "AuditBehind",
}


@dataclass(frozen=True)
class Metric:
    """One metric as an alarm or a widget names it."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, Any], ...]


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = cfn_yaml.load(str(ROOT / name))
    return content


TEMPLATE: Final = load("infra/observability.yaml")
ALARMS: Final[dict[str, dict[str, Any]]] = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
RUNBOOK: Final = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def metrics_of(alarm: dict[str, Any]) -> Iterator[Metric]:
    stats = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m]
    for metric in stats or [alarm]:
        yield Metric(
            metric["Namespace"],
            metric["MetricName"],
            tuple((d["Name"], d["Value"]) for d in metric["Dimensions"]),
        )


def assert_exists(metric: Metric) -> None:
    names = {name for name, _ in metric.dimensions}
    if metric.namespace == NAMESPACE:
        assert names == {"service"}, metric
        assert metric.name in OWN_METRICS[dict(metric.dimensions)["service"]], metric
    else:
        assert AWS_METRICS[metric.namespace].get(metric.name) == names, metric


def resolve(value: Any, true: frozenset[str]) -> str:  # noqa: ANN401 - CloudFormation is untyped
    """Give a text of the template; references become names, conditions are those in `true`."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::If":
        return resolve(argument[1] if argument[0] in true else argument[2], true)
    assert function == "Fn::Sub"
    text, variables = argument if isinstance(argument, list) else (argument, {})
    found = {name: resolve(each, true) for name, each in variables.items()}

    def reference(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in found:
            return found[name]
        known = {*TEMPLATE["Resources"], *TEMPLATE["Parameters"], "AWS::Region"}
        assert name.removesuffix(".Arn") in known
        return "1000" if name == "PageLatencySloMilliseconds" else name

    return re.sub(r"\$\{([^}]+)\}", reference, text)


def dashboard(*true: str) -> dict[str, Any]:
    body = TEMPLATE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    content: dict[str, Any] = json.loads(resolve(body, frozenset(true)))
    return content


BY_REASON: Final = {"EventsQuarantined", "AuditFindings"}
EVERYTHING: Final = (
    "WithAudit",
    "WithBanking",
    "WithCanary",
    "WithPageLinks",
    "WithPayments",
    "WithRiskDesk",
    "WithScores",
    "WithEscalation",
    "WithSlack",
    "WithWarehouse",
    "WithCluster",
)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_metrics_that_exist(name: str) -> None:
    for metric in metrics_of(ALARMS[name]):
        assert_exists(metric)


@pytest.mark.parametrize("name", [n for n, a in ALARMS.items() if "Metrics" in a])
def test_metric_math_uses_each_of_its_metrics_and_returns_one_series(name: str) -> None:
    queries = ALARMS[name]["Metrics"]
    (expression,) = [q for q in queries if "Expression" in q]
    assert [q["Id"] for q in queries if q["ReturnData"]] == [expression["Id"]]
    used = set(re.findall(r"[a-z][a-zA-Z0-9_]*", expression["Expression"]))
    assert used == {q["Id"] for q in queries} - {expression["Id"]}


@pytest.mark.parametrize(
    "true", [EVERYTHING, (*EVERYTHING[:-1], "WithServerless"), ()], ids=["all", "serverless", "few"]
)
def test_a_widget_shows_metrics_that_exist(true: tuple[str, ...]) -> None:
    seen = 0
    for widget in dashboard(*true)["widgets"]:
        row: list[str] = []
        for listed in widget["properties"].get("metrics", []):
            if isinstance(listed[0], dict):
                expression = listed[0]["expression"]
                for name in re.findall(r'MetricName="(\w+)"', expression):
                    assert "{cardwatch,service,reason}" in expression
                    assert name in BY_REASON & set.union(*OWN_METRICS.values())
                continue
            parts = [part for part in listed if isinstance(part, str)]
            row = [row[i] if part == "." else part for i, part in enumerate(parts)]
            assert_exists(Metric(row[0], row[1], tuple(zip(row[2::2], row[3::2], strict=True))))
            seen += 1
    assert seen > 30


def test_every_alarm_that_was_asked_for_is_there_and_shown_on_the_dashboard() -> None:
    assert set(ALARMS) >= ASKED_FOR
    shown = dashboard(*EVERYTHING)["widgets"][0]["properties"]["alarms"]
    assert sorted(shown) == sorted(f"{name}.Arn" for name in ALARMS)
    without = dashboard()["widgets"][0]["properties"]["alarms"]
    conditional = {n for n in ALARMS if "Condition" in TEMPLATE["Resources"][n]}
    assert sorted(without) == sorted(f"{name}.Arn" for name in set(ALARMS) - conditional)


def test_widgets_do_not_overlap() -> None:
    for true in (EVERYTHING, ()):
        cells = [
            (x, y)
            for w in dashboard(*true)["widgets"]
            for x in range(w["x"], w["x"] + w["width"])
            for y in range(w["y"], w["y"] + w["height"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_it_means_where_its_runbook_is_and_tells_the_operators(
    name: str,
) -> None:
    alarm = ALARMS[name]
    description = resolve(alarm["AlarmDescription"], frozenset())
    anchor = re.fullmatch(r".{15,}\. Runbook: docs/operations\.md#([a-z-]+)", description)
    assert anchor, description
    (section,) = re.findall(
        rf"^### {anchor.group(1).replace('-', '[ -]')}\n(.*?)(?=^##|\Z)",
        RUNBOOK,
        re.MULTILINE | re.DOTALL | re.IGNORECASE,
    )
    for part in ("**Means.**", "**Look.**", "**Do.**"):
        assert part in section, (name, part)
    assert alarm["AlarmActions"] == [{"Ref": "OperatorsTopic"}]


def test_the_runbook_has_no_section_of_an_alarm_that_is_gone() -> None:
    (part,) = re.findall(r"^## Alarms\n(.*?)^## ", RUNBOOK, re.MULTILINE | re.DOTALL)
    told = {
        re.sub(r"[ -]", "", title).lower()
        for title in re.findall(r"^### (.+)$", part, re.MULTILINE)
    }
    assert told == {name.lower() for name in ALARMS}


@pytest.mark.parametrize("name", ALARMS)
def test_missing_data_alarms_where_silence_is_a_failure_and_only_there(name: str) -> None:
    expected = "breaching" if name in SILENCE_IS_ALARMING else "notBreaching"
    assert ALARMS[name]["TreatMissingData"] == expected


def test_no_pause_between_payments_is_as_long_as_the_one_that_alarms() -> None:
    rate = float(load("template.yaml")["Parameters"]["PaymentsPerSecond"]["MinValue"])
    alarm = ALARMS["NoPayments"]
    assert alarm["Period"] * alarm["EvaluationPeriods"] > 1 / rate


@pytest.mark.parametrize("name", ["DeliveryFreshness", "ScoresBehind"])
def test_a_full_buffer_is_no_delay(name: str) -> None:
    choices = load("template.yaml")["Parameters"]["DeliveryBufferSeconds"]["AllowedValues"]
    assert ALARMS[name]["Threshold"] >= 2 * max(map(int, choices))


def test_a_quarter_of_an_hour_always_has_an_audit_in_it() -> None:
    choices = load("template.yaml")["Parameters"]["AuditMinutes"]["AllowedValues"]
    assert ALARMS["AuditBehind"]["Period"] >= 60 * max(map(int, choices))


def test_a_quarter_of_an_hour_always_has_a_load_in_it() -> None:
    choices = load("template.yaml")["Parameters"]["DeliveryBufferSeconds"]["AllowedValues"]
    assert ALARMS["LoadBehind"]["Period"] >= max(map(int, choices))


def test_the_rules_match_what_lands_where_it_should_not_and_nothing_else() -> None:
    resources = TEMPLATE["Resources"]
    pattern = resources["ErrorObjectRule"]["Properties"]["EventPattern"]["detail"]
    assert pattern["bucket"]["name"] == [{"Ref": "DeliveryBucket"}]
    prefixes = tuple(each["prefix"] for each in pattern["object"]["key"])

    def matches(key: str) -> bool:
        return key.startswith(prefixes)

    assert matches(f"{QUARANTINE}2026/11/21/07/cardwatch-1-2026-11-21-07-00-00-uuid.gz")
    assert not matches(f"{EVENTS}2026/11/21/07/cardwatch-1-2026-11-21-07-00-00-uuid.gz")
    dead = resources["DeadLetterRule"]["Properties"]["EventPattern"]["detail"]
    assert dead == {"bucket": {"name": [{"Ref": "DeadLetterBucket"}]}}
    for bucket in ("DeliveryBucket", "DeadLetterBucket"):
        told = load("infra/data.yaml")["Resources"][bucket]["Properties"]
        assert told["NotificationConfiguration"] == {
            "EventBridgeConfiguration": {"EventBridgeEnabled": True}
        }


def test_the_operators_topic_is_encrypted_by_a_key_that_alarms_may_use() -> None:
    topic = TEMPLATE["Resources"]["OperatorsTopic"]["Properties"]
    assert topic["KmsMasterKeyId"] == {"Ref": "DataKeyArn"}
    key = load("infra/data.yaml")["Resources"]["DataKey"]["Properties"]["KeyPolicy"]
    for service in ("cloudwatch.amazonaws.com", "sns.amazonaws.com"):
        (statement,) = [
            s
            for s in key["Statement"]
            if s["Effect"] == "Allow" and service in str(s["Principal"].get("Service"))
        ]
        assert {"kms:Decrypt", "kms:GenerateDataKey"} <= set(statement["Action"])


def test_the_operators_topic_takes_alarms_of_this_account_over_tls_only() -> None:
    statements = TEMPLATE["Resources"]["OperatorsTopicPolicy"]["Properties"]["PolicyDocument"]
    allow, deny = statements["Statement"]
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_root_stack_passes_each_parameter_that_has_no_default() -> None:
    nested = load("template.yaml")["Resources"]["ObservabilityStack"]["Properties"]["Parameters"]
    assert set(nested) == set(TEMPLATE["Parameters"])


def test_reasons_that_become_metrics_are_few_because_each_is_billed() -> None:
    assert len(RejectionReason) < 20
