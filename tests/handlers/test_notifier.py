"""The notifier as Lambda calls it, on AWS by moto."""

import base64
import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from moto import mock_aws
from tests.adapters.test_ledger import create_table
from tests.deployed import cold_start
from tests.handlers.emf import metric_names
from tests.kpl import aggregated
from tests.stream_records import records_on
from tests.unit.canary.support import canary_alert
from tests.unit.paging.support import alert_event

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.clock import SystemClock
from cardwatch.contract.framing import BYTE_ORDER_MARK
from cardwatch.contract.streams import Envelope
from cardwatch.local.processes.ports import free_port
from cardwatch.observability import NotifierMetric
from cardwatch.paging.records import BUCKET_KEY

ROOT = Path(__file__).parents[2]
INVOCATIONS = ROOT / "events/invocations"


@dataclass(frozen=True)
class Context:
    function_name: str = "notifier"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:notifier"
    aws_request_id: str = "3f0c6f0e-6a43-4d3c-9a0b-0d8f3f1e9f11"


@dataclass
class Stack:
    """What the notifier is deployed with, and where its pages arrive."""

    clients: AwsClients
    queue_url: str
    handler: ModuleType
    received: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, event: dict[str, Any]) -> list[str]:
        answer = self.handler.handler(event, Context())
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    def pages(self) -> list[set[str]]:
        """Give the alert ids of every page that arrived so far."""
        sqs = self.clients.sqs()
        while messages := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            self.received += [json.loads(message["Body"]) for message in messages]
        attributes = [page["MessageAttributes"] for page in self.received]
        return [set(json.loads(found["alert_ids"]["Value"])) for found in attributes]

    def dead_letters(self) -> list[str]:
        answer = self.clients.s3().list_objects_v2(Bucket="dead-letters")
        return [item["Key"] for item in answer.get("Contents", [])]

    def on_stream(self) -> list[dict[str, Any]]:
        return [json.loads(r["Data"]) for r in records_on(self.clients.kinesis(), "events")]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stack]]:
    with mock_aws():

        def make(**settings: str) -> Stack:
            for name, value in {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "POWERTOOLS_SERVICE_NAME": "notifier",
            }.items():
                monkeypatch.setenv(name, value)
            clients = AwsClients()
            clients.kinesis().create_stream(StreamName="events", ShardCount=1)
            clients.s3().create_bucket(Bucket="dead-letters")
            topic = clients.sns().create_topic(Name="pages")["TopicArn"]
            queue = clients.sqs().create_queue(QueueName="pages")["QueueUrl"]
            arn = clients.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
            clients.sns().subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
            )
            environment = {
                "STREAM_NAME": "events",
                "LEDGER_TABLE": create_table(clients),
                "TOPIC_ARN": topic,
                "DEAD_LETTER_BUCKET": "dead-letters",
                **settings,
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            return Stack(clients, queue, cold_start("notifier"))

        yield make


def kinesis_event(*records: Envelope | bytes) -> dict[str, Any]:
    return {"Records": [_record(n, record) for n, record in enumerate(records)]}


def _record(number: int, record: Envelope | bytes) -> dict[str, Any]:
    data = record.to_bytes() if isinstance(record, Envelope) else record
    return {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/notifier",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "k",
            "sequenceNumber": str(number),
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": 1_795_000_000.0,
        },
    }


def alerts(count: int) -> list[Envelope]:
    now = datetime.now(UTC).replace(microsecond=0)
    return [alert_event(n, at=now - timedelta(seconds=7)) for n in range(count)]


def metrics(output: str) -> dict[str, Any]:
    """Give the metrics in what the function printed."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    blobs = [line for line in lines if "_aws" in line]
    return {key: value for blob in blobs for key, value in blob.items()}


def test_a_batch_becomes_one_page_its_event_and_its_metrics(
    deploy: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = deploy()
    events = alerts(3)
    assert stack.invoke(kinesis_event(*events)) == []
    assert stack.pages() == [{event.event_id for event in events}]
    [page_event] = stack.on_stream()
    assert page_event["type"] == "PAGE_EVENT"
    assert len(page_event["event_json_data"]["alert_ids"]) == 3
    counted = metrics(capsys.readouterr().out)
    assert counted["AlertsReceived"] == [3]
    assert counted["AlertsPaged"] == [3]
    assert counted["PagesSent"] == [1]
    assert counted["PageProblems"] == [0]
    assert len(counted["DetectionLag"]) == len(counted["PageLatency"]) == 3
    assert 7000 <= counted["PageLatency"][0] < 60_000


def test_a_batch_delivered_again_adds_nothing(deploy: Callable[..., Stack]) -> None:
    stack = deploy()
    event = kinesis_event(*alerts(2))
    stack.invoke(event)
    assert stack.invoke(event) == []
    assert len(stack.pages()) == 1
    assert len(stack.on_stream()) == 1


def test_poison_goes_to_the_dead_letters_and_is_not_logged(
    deploy: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = deploy()
    [alert] = alerts(1)
    number = "42" * 8
    assert stack.invoke(kinesis_event(b"\xff", f'"{number}"'.encode(), alert)) == []
    assert stack.pages() == [{alert.event_id}]
    assert len(stack.dead_letters()) == 2
    output = capsys.readouterr()
    assert number not in output.out + output.err
    assert metrics(output.out)["PoisonRecords"] == [2]


def test_what_cannot_be_settled_is_answered_by_its_sequence_number(
    deploy: Callable[..., Stack],
) -> None:
    stack = deploy(TOPIC_ARN="arn:aws:sns:us-east-1:000000000000:nobody-made-this")
    event = kinesis_event(b"poison", *alerts(2))
    assert stack.invoke(event) == ["1", "2"]
    assert len(stack.dead_letters()) == 1


def test_the_schedule_sends_what_was_held_as_soon_as_there_are_tokens(
    deploy: Callable[..., Stack],
) -> None:
    stack = deploy(PAGES_PER_MINUTE="1", GROUP_SECONDS="0")
    scheduled = json.loads((INVOCATIONS / "scheduled.json").read_text())
    for event in alerts(5):
        assert stack.invoke(kinesis_event(event)) == []
    stack.invoke(scheduled)
    assert [len(page) for page in stack.pages()] == [1]
    table = os.environ["LEDGER_TABLE"]
    stack.clients.dynamodb().delete_item(TableName=table, Key={"pk": {"S": BUCKET_KEY}})
    assert stack.invoke(scheduled) == []
    assert [len(page) for page in stack.pages()] == [1, 4]


def subscribed(deploy: Callable[..., Stack], *, emails: str) -> tuple[Stack, dict[str, Any]]:
    stack = deploy(EMAIL_SUBSCRIPTIONS=emails)
    return stack, json.loads((INVOCATIONS / "scheduled.json").read_text())


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_batch_and_the_schedule_put_every_metric_that_the_alarms_may_name(
    deploy: Callable[..., Stack],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = f"https://127.0.0.1:{free_port()}/"
    monkeypatch.setenv("CANARY_HEARTBEAT_URL", nobody)
    monkeypatch.setenv("ESCALATION_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:next")
    stack, scheduled = subscribed(deploy, emails="1")
    stack.clients.sns().create_topic(Name="next")
    first, another = alerts(2)
    stack.invoke(kinesis_event(first, canary_alert(first.event_date_origin)))
    stack.invoke(kinesis_event(another))
    stack.invoke({**scheduled, "groups": "close"})
    assert metric_names(capsys.readouterr().out) == set(get_args(NotifierMetric))


def test_each_minute_a_missing_e_mail_subscription_is_counted(
    deploy: Callable[..., Stack],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stack, scheduled = subscribed(deploy, emails="1")
    stack.invoke(scheduled)
    assert metrics(capsys.readouterr().out)["SubscriptionsUnhealthy"] == [1]
    assert "confirm the subscription" in caplog.text
    # moto confirms at once.
    stack.clients.sns().subscribe(
        TopicArn=os.environ["TOPIC_ARN"], Protocol="email", Endpoint="risk@example.com"
    )
    stack.invoke(scheduled)
    assert metrics(capsys.readouterr().out)["SubscriptionsUnhealthy"] == [0]


def test_where_nobody_wants_e_mail_none_is_missing(
    deploy: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    stack, scheduled = subscribed(deploy, emails="0")
    stack.invoke(scheduled)
    assert metrics(capsys.readouterr().out)["SubscriptionsUnhealthy"] == [0]


def test_subscriptions_that_cannot_be_listed_are_not_reported_as_healthy(
    deploy: Callable[..., Stack],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stack, scheduled = subscribed(deploy, emails="1")
    stack.clients.sns().delete_topic(TopicArn=os.environ["TOPIC_ARN"])
    assert stack.invoke(scheduled) == []
    assert "SubscriptionsUnhealthy" not in metrics(capsys.readouterr().out)
    assert "subscriptions are not checked" in caplog.text


def test_a_batch_of_alerts_does_not_ask_who_is_subscribed(
    deploy: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    stack, _ = subscribed(deploy, emails="1")
    stack.invoke(kinesis_event(*alerts(1)))
    assert "SubscriptionsUnhealthy" not in metrics(capsys.readouterr().out)


def test_alerts_wait_until_somebody_is_subscribed_and_the_schedule_says_that_nobody_is(
    deploy: Callable[..., Stack],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stack = deploy(SUBSCRIPTIONS_SECONDS="0")
    scheduled = json.loads((INVOCATIONS / "scheduled.json").read_text())
    [there] = stack.clients.sns().list_subscriptions()["Subscriptions"]
    stack.clients.sns().unsubscribe(SubscriptionArn=there["SubscriptionArn"])
    events = alerts(3)
    assert stack.invoke(kinesis_event(*events)) == []
    stack.invoke(scheduled)
    assert metrics(capsys.readouterr().out)["NobodySubscribed"] == [1]
    assert "a page would reach nobody" in caplog.text
    stack.clients.sns().subscribe(
        TopicArn=there["TopicArn"], Protocol="sqs", Endpoint=there["Endpoint"]
    )
    assert stack.pages() == []
    stack.invoke(scheduled)
    assert stack.pages() == [{event.event_id for event in events}]
    assert metrics(capsys.readouterr().out)["NobodySubscribed"] == [0]


def test_a_second_alert_on_a_card_waits_for_the_follow_up_which_may_be_asked_for(
    deploy: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = deploy()
    scheduled = json.loads((INVOCATIONS / "scheduled.json").read_text())
    first, another = alerts(2)
    stack.invoke(kinesis_event(first))
    capsys.readouterr()
    assert stack.invoke(kinesis_event(another)) == []
    assert metrics(capsys.readouterr().out)["AlertsGathered"] == [1]
    stack.invoke(scheduled)
    assert stack.pages() == [{first.event_id}]
    stack.invoke({**scheduled, "groups": "close"})
    assert stack.pages() == [{first.event_id}, {another.event_id}]
    kinds = [page["MessageAttributes"]["kind"]["Value"] for page in stack.received]
    assert kinds == ["FIRST", "FOLLOW_UP"]
    assert [e["event_json_data"]["kind"] for e in stack.on_stream()] == kinds


@pytest.mark.parametrize("name", ["kinesis-good", "kinesis-mixed", "kinesis-poison"])
def test_every_record_of_the_example_invocations_comes_to_its_end(
    deploy: Callable[..., Stack], name: str
) -> None:
    stack = deploy()
    event = json.loads((INVOCATIONS / f"{name}.json").read_text())
    assert stack.invoke(event) == []
    accounted = {i for page in stack.pages() for i in page} | {
        i for told in stack.on_stream() for i in told["event_json_data"]["alert_ids"]
    }
    assert bool(accounted) == (name != "kinesis-poison")
    assert bool(stack.dead_letters()) == (name != "kinesis-good")


def test_what_producers_wrap_around_an_event_is_kept_and_the_alerts_beside_it_are_paged(
    deploy: Callable[..., Stack],
) -> None:
    """Packed, aggregated, empty or null it is no alert; a byte order mark before one is skipped."""
    stack = deploy()
    good, marked, packed = alerts(3)
    broken = [gzip.compress(packed.to_bytes()), aggregated(packed.to_bytes()), b"", b"null"]
    assert stack.invoke(kinesis_event(good, *broken, BYTE_ORDER_MARK + marked.to_bytes())) == []
    assert set[str]().union(*stack.pages()) == {good.event_id, marked.event_id}
    letters = S3DeadLetters(stack.clients.s3(), "dead-letters", SystemClock())
    kept = [letter.raw for key in stack.dead_letters() for letter in letters.letters_in(key)]
    assert sorted(kept) == sorted(broken)
