"""The way to Slack as Lambda calls it: AWS by moto, Slack by a server on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from moto import mock_aws
from tests.deployed import cold_start
from tests.handlers.emf import metric_names
from tests.handlers.test_notifier import metrics
from tests.slack_server import SlackServer, slack_server

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.pager import SnsPager
from cardwatch.observability import SlackMetric
from cardwatch.paging.ports import PageMessage

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
SECRET = "very-secret"  # noqa: S105  opens nothing


@dataclass(frozen=True)
class Context:
    function_name: str = "slack"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:slack"
    aws_request_id: str = "3f0c6f0e-6a43-4d3c-9a0b-0d8f3f1e9f11"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass
class Stack:
    """The topic, the queue behind it and the function, as the template connects them."""

    clients: AwsClients
    topic: str
    queue_url: str
    slack: SlackServer
    handler: ModuleType

    def page(self, number: int) -> None:
        SnsPager(self.clients.sns(), self.topic).send(
            PageMessage(
                page_id=f"page_{number}",
                subject=f"Stolen card {number}",
                text=f"<page> {number}\n",
                alert_ids=("a",),
                kind="FIRST",
                repeat=False,
            )
        )

    def waiting(self) -> list[dict[str, Any]]:
        """Give the records that Lambda would find in the queue now."""
        found: list[dict[str, Any]] = []
        while (
            messages := self.clients.sqs()
            .receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
            )
            .get("Messages")
        ):
            found += [
                {
                    "messageId": item["MessageId"],
                    "receiptHandle": item["ReceiptHandle"],
                    "body": item["Body"],
                    "attributes": item["Attributes"],
                    "eventSource": "aws:sqs",
                }
                for item in messages
            ]
        return found

    def invoke(self, records: list[dict[str, Any]]) -> list[str]:
        """Call the function as Lambda does, and delete from the queue what it did not give back."""
        answer = self.handler.handler({"Records": records}, Context())
        again = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        for record in records:
            if record["messageId"] not in again:
                self.clients.sqs().delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
                )
        return again

    def posted(self) -> list[str]:
        return [json.loads(body)["text"] for body in self.slack.posted]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "slack",
    }.items():
        monkeypatch.setenv(name, value)
    # moto refuses what is not AWS's, Slack's server on this machine included.
    with (
        slack_server() as slack,
        mock_aws(config={"core": {"passthrough": {"urls": ["http://127.0.0.1.*"]}}}),
    ):
        clients = AwsClients()
        topic = clients.sns().create_topic(Name="pages")["TopicArn"]
        queue = clients.sqs().create_queue(
            QueueName="slack", Attributes={"VisibilityTimeout": "180"}
        )["QueueUrl"]
        arn = clients.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        clients.sns().subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
        clients.secrets().create_secret(Name="webhook", SecretString=slack.url)
        monkeypatch.setenv("WEBHOOK_SECRET", "webhook")
        monkeypatch.setenv("QUEUE_URL", queue)
        yield Stack(clients, topic, queue, slack, cold_start("slack"))


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Give all that was logged, the fields beside the messages included."""
    return "\n".join(str(vars(record)) for record in caplog.records)


def test_a_page_that_was_published_is_read_in_the_channel(stack: Stack) -> None:
    stack.page(1)
    assert stack.invoke(stack.waiting()) == []
    assert stack.posted() == ["Stolen card 1\n\n&lt;page&gt; 1"]
    assert stack.waiting() == []


def test_what_slack_refused_is_posted_with_the_next_delivery_and_the_rest_not_again(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        stack.page(number)
    records = stack.waiting()
    stack.slack.answers += [(200, {}, b"ok"), (500, {}, b"oops")]
    [again] = stack.invoke(records)
    assert again == records[1]["messageId"]
    assert len(stack.posted()) == 2
    printed = capsys.readouterr().out
    counted = metrics(printed)
    assert (counted["PagesPosted"], counted["PagesNotPosted"]) == ([2], [1])
    assert metric_names(printed) == set(get_args(SlackMetric))
    # Five seconds later the queue delivers it, and it alone.
    assert stack.waiting() == []
    _pass_time(stack, records[1])
    [record] = stack.waiting()
    assert record["attributes"]["ApproximateReceiveCount"] == "2"
    assert stack.invoke([record]) == []
    assert sorted(stack.posted()) == [f"Stolen card {n}\n\n&lt;page&gt; {n}" for n in range(3)]


def _pass_time(stack: Stack, record: dict[str, Any]) -> None:
    stack.clients.sqs().change_message_visibility(
        QueueUrl=stack.queue_url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
    )


def test_when_slack_asks_to_wait_it_is_waited_for(stack: Stack) -> None:
    stack.page(1)
    stack.page(2)
    stack.slack.answers += [(429, {"Retry-After": "1"}, b"rate_limited")]
    assert stack.invoke(stack.waiting()) == []
    assert len(stack.posted()) == 2
    assert len(stack.slack.requests) == 3


def test_when_slack_asks_to_wait_long_the_queue_waits(stack: Stack) -> None:
    for number in range(3):
        stack.page(number)
    stack.slack.answers += [(200, {}, b"ok"), (429, {"Retry-After": "60"}, b"rate_limited")]
    assert len(stack.invoke(stack.waiting())) == 2
    assert len(stack.slack.requests) == 2, "nothing more is sent to a Slack that said no"
    assert stack.waiting() == []


def test_without_an_address_the_page_waits_and_the_remedy_is_logged(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    stack.clients.secrets().delete_secret(SecretId="webhook", ForceDeleteWithoutRecovery=True)
    stack.page(1)
    records = stack.waiting()
    assert stack.invoke(records) == [records[0]["messageId"]]
    assert "store it as the stack's output SlackNextStep says" in logged(caplog)
    stack.clients.secrets().create_secret(Name="webhook", SecretString=stack.slack.url)
    assert stack.invoke(records) == []
    assert len(stack.posted()) == 1


def test_the_address_is_in_no_log(
    stack: Stack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    stack.page(1)
    records = stack.waiting()
    stack.slack.answers += [(404, {}, b"no_service")]
    stack.invoke(records)
    stack.slack.answers += [(429, {"Retry-After": "60"}, b"")]
    stack.invoke(records)
    stack.clients.secrets().put_secret_value(SecretId="webhook", SecretString=f"ftp://{SECRET}")
    stack.invoke(records)
    output = capsys.readouterr()
    assert "404 no_service" in logged(caplog)
    assert SECRET not in output.out + output.err + logged(caplog)


@pytest.mark.parametrize("body", ["no json", "{}"])
def test_what_is_no_page_is_given_back_until_the_queue_keeps_it_as_a_dead_letter(
    stack: Stack, body: str
) -> None:
    stack.clients.sqs().send_message(QueueUrl=stack.queue_url, MessageBody=body)
    stack.page(1)
    records = stack.waiting()
    [again] = stack.invoke(records)
    assert {r["messageId"]: r["body"] for r in records}[again] == body
    assert len(stack.posted()) == 1
