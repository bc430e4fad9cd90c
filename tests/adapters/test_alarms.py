"""infra/observability.yaml on the local stack's emulator, as far as that can hold it.

It takes no alarm on metric math, so those are taken out here (the template's other tests look at
them), and drops a topic's key.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs

from cardwatch.aws.clients import AwsClients

pytestmark = pytest.mark.stack

TEMPLATE = Path(__file__).parents[2] / "infra" / "observability.yaml"
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ALARM = "AWS::CloudWatch::Alarm"


class Watch:
    """The deployed stack."""

    def __init__(self, emulator: AwsClients) -> None:
        self._endpoint = str(emulator.kinesis().meta.endpoint_url)
        self._session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the emulator's, opens nothing
            region_name="us-east-1",
        )
        self.name = f"watch-{random.getrandbits(32):08x}"
        self.template: dict[str, Any] = json.loads(json.dumps(cfn_yaml.load(str(TEMPLATE))))
        resources = self.template["Resources"]
        self.left_out = {
            name
            for name, resource in resources.items()
            if resource["Type"] == ALARM and "Metrics" in resource["Properties"]
        }
        for name in self.left_out:
            del resources[name]
        body = json.dumps(resources["Dashboard"])
        for name in self.left_out:
            body = body.replace(f"${{{name}.Arn}}", name)
        resources["Dashboard"] = json.loads(body)

    def client(self, service: str) -> Any:  # noqa: ANN401 - any service's client
        return self._session.client(service, endpoint_url=self._endpoint)  # type: ignore[call-overload]

    def deploy(self, **given: str) -> None:
        parameters = {
            "StreamName": "events",
            "SimulatorFunction": "simulator",
            "NotifierFunction": "notifier",
            "StagerFunction": "stager",
            "PageTopicName": "pages",
            "DeadLetterBucket": "dead-letters",
            "DeliveryBucket": "delivery",
            "ApplicationName": "detection",
            "ApplicationLogGroup": "/flink",
            "DeliveryStreamName": "delivery",
            "DataKeyArn": KEY,
            **given,
        }
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateBody=json.dumps(self.template),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Give the stack's alarms by the logical ids of their resources."""
        resources = self.client("cloudformation").describe_stack_resources(StackName=self.name)
        names = {
            r["PhysicalResourceId"]: r["LogicalResourceId"]
            for r in resources["StackResources"]
            if r["ResourceType"] == ALARM
        }
        found = self.client("cloudwatch").describe_alarms(AlarmNames=list(names), MaxRecords=100)
        return {names[a["AlarmName"]]: a for a in found["MetricAlarms"]}

    def output(self, name: str) -> str:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return str({o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}[name])

    def dashboard(self) -> dict[str, Any]:
        name = self.output("DashboardUrl").rsplit("/", 1)[1]
        body = self.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
        content: dict[str, Any] = json.loads(body)
        return content


@pytest.fixture
def watch(emulator: AwsClients) -> Iterator[Watch]:
    stack = Watch(emulator)
    yield stack
    stack.client("cloudformation").delete_stack(StackName=stack.name)


WITH_EVERYTHING = {
    "OperatorsEmail": "operators@example.com",
    "Warehouse": "serverless",
    "WarehouseLoadFunction": "warehouse-load",
    "WarehouseRefreshFunction": "warehouse-refresh",
    "WarehouseName": "cardwatch",
    "SlackDeadLetterQueueName": "slack-dead",
    "CanaryFunction": "canary",
    "Escalation": "on",
    "BankingFunction": "banking",
    "AuditFunction": "audit",
    "PageActsFunction": "page-acts",
}


def test_everything_deploys_and_each_alarm_tells_the_operators(watch: Watch) -> None:
    watch.deploy(**WITH_EVERYTHING)
    alarms = watch.alarms()
    resources = watch.template["Resources"]
    assert set(alarms) == {n for n, r in resources.items() if r["Type"] == ALARM}
    topic = watch.output("OperatorsTopicArn")
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [topic], name
        assert "docs/operations.md#" in alarm["AlarmDescription"], name
        assert alarm["TreatMissingData"] == resources[name]["Properties"]["TreatMissingData"]
    assert alarms["PageLatency"]["Threshold"] == 20_000
    canary = alarms["NoCanary"]
    assert (canary["MetricName"], canary["TreatMissingData"]) == ("CanariesArrived", "breaching")
    attributes = watch.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    assert "cloudwatch.amazonaws.com" in attributes["Policy"]
    (told,) = watch.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (told["Protocol"], told["Endpoint"]) == ("email", "operators@example.com")
    titles = [w["properties"]["title"] for w in watch.dashboard()["widgets"]]
    assert {
        "Alarms",
        "The canary, ms",
        "Payment to page, ms",
        "Delivery",
        "Load",
        "Warehouse: seconds of an RPU",
    } <= {*titles}


def test_without_warehouse_slack_and_payments_their_alarms_and_widgets_are_not_there(
    watch: Watch,
) -> None:
    watch.deploy(Payments="off")
    conditional = {n for n, r in watch.template["Resources"].items() if "Condition" in r}
    assert conditional.isdisjoint(watch.alarms())
    titles = {w["properties"]["title"] for w in watch.dashboard()["widgets"]}
    assert titles >= {"Delivery", "Quarantine by reason"}
    assert titles.isdisjoint({"Load", "Warehouse, %", "Warehouse: seconds of an RPU"})


def test_a_heartbeat_that_stays_away_becomes_an_alarm_and_the_operators_hear_of_it(
    watch: Watch,
) -> None:
    watch.deploy()
    sqs, sns, topic = watch.client("sqs"), watch.client("sns"), watch.output("OperatorsTopicArn")
    queue = sqs.create_queue(QueueName=watch.name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    name = watch.alarms()["NoHeartbeat"]["AlarmName"]
    watch.client("cloudwatch").set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="no data for 3 periods"
    )
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", [])
    (told,) = [json.loads(json.loads(m["Body"])["Message"]) for m in messages]
    assert told["AlarmDescription"].endswith("docs/operations.md#no-heartbeat")
