"""The links of pages as the HTTP API calls the function, on AWS by moto."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from urllib.parse import urlencode

import pytest
from moto import mock_aws
from tests.adapters.test_ledger import create_table
from tests.deployed import cold_start
from tests.handlers.emf import metric_names
from tests.handlers.test_notifier import metrics
from tests.stream_records import records_on
from tests.unit.acts.support import hidden_fields
from tests.unit.paging.support import alert_event, records

from cardwatch.acts.answers import FORM_TYPE
from cardwatch.aws.clients import AwsClients
from cardwatch.bootstrap.notifier import build_notifier
from cardwatch.observability import ActsMetric, get_logger, get_metrics
from cardwatch.settings import NotifierSettings

ROOT = Path(__file__).parents[2]
ADDRESS = "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"


@dataclass(frozen=True)
class Context:
    function_name: str = "page_acts"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:page_acts"
    aws_request_id: str = "3f0c6f0e-6a43-4d3c-9a0b-0d8f3f1e9f11"


@dataclass
class Stack:
    """The ledger, the stream, the keys and the function, as the template connects them."""

    clients: AwsClients
    queue_url: str
    handler: ModuleType

    def page(self) -> str:
        """Have somebody paged of an alert, and give the path of the link in the page."""
        (link,) = [line for line in self.page_text().splitlines() if line.startswith("https://")]
        assert link.startswith(f"{ADDRESS}/pages/page_")
        return link.removeprefix(ADDRESS)

    def page_text(self) -> str:
        logger, counted = get_logger("notifier"), get_metrics("notifier")
        settings = NotifierSettings.from_env()
        notifier = build_notifier(settings, logger=logger, metrics=counted, clients=self.clients)
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=7)
        assert notifier.page_batch(records(alert_event(at=at))) == set()
        counted.clear_metrics()  # on AWS the notifier has a process of its own
        (message,) = self.clients.sqs().receive_message(QueueUrl=self.queue_url)["Messages"]
        return str(json.loads(message["Body"])["Message"])

    def call(self, method: str, path: str, body: str | None = None, **changes: Any) -> Any:  # noqa: ANN401  an answer of the API
        event = http_event(method, path, body) | changes
        return self.handler.handler(event, Context())

    def fill(self, path: str, **typed: str) -> str:
        return urlencode(hidden_fields(self.call("GET", path)["body"]) | typed)

    def acts_on_stream(self) -> list[dict[str, Any]]:
        found = records_on(self.clients.kinesis(), "events")
        events = [json.loads(record["Data"]) for record in found]
        return [event for event in events if event["type"] == "PAGE_ACT"]


def http_event(method: str, path: str, body: str | None) -> dict[str, Any]:
    """Give a request as an HTTP API passes it on (payload format 2.0)."""
    event: dict[str, Any] = json.loads(
        (ROOT / "events/invocations/page-act.json").read_text(encoding="utf-8")
    )
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event |= {"routeKey": f"{method} /pages/{{link}}", "rawPath": path, "body": body}
    event["pathParameters"] = {"link": path.rpartition("/")[2]}
    event["headers"]["content-type"] = FORM_TYPE
    event["isBase64Encoded"] = False
    return event


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "page_acts",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        clients = AwsClients()
        clients.kinesis().create_stream(StreamName="events", ShardCount=1)
        topic = clients.sns().create_topic(Name="pages")["TopicArn"]
        queue = clients.sqs().create_queue(QueueName="pages")["QueueUrl"]
        arn = clients.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        clients.sns().subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
        clients.secrets().create_secret(Name="link-key", SecretString="k" * 64)
        for name, value in {
            "STREAM_NAME": "events",
            "LEDGER_TABLE": create_table(clients),
            "TOPIC_ARN": topic,
            "DEAD_LETTER_BUCKET": "dead-letters",
            "LINK_KEY_SECRET": "link-key",
            "PAGE_LINKS_ADDRESS": ADDRESS,
        }.items():
            monkeypatch.setenv(name, value)
        yield Stack(clients, queue, cold_start("page_acts"))


def test_the_link_in_a_page_shows_it_and_takes_an_act_once(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stack.page()
    shown = stack.call("GET", path)
    assert (shown["statusCode"], stack.acts_on_stream()) == (200, [])
    assert "A payment on a stolen card" in shown["body"]
    form = stack.fill(path, act="CONFIRMED", by="Ana Vella")
    capsys.readouterr()
    assert "Ana Vella (as typed) confirmed fraud" in stack.call("POST", path, form)["body"]
    counted = metrics(capsys.readouterr().out)
    assert (counted["ActsDone"], counted["ActProblems"]) == ([1], [0])
    assert "counts once" in stack.call("POST", path, form)["body"]
    (told,) = stack.acts_on_stream()
    assert told["event_id"] == told["event_json_data"]["act_id"]
    assert told["event_json_data"]["by"] == "Ana Vella"
    assert "Ana Vella (as typed) confirmed fraud" in stack.call("GET", path)["body"]


def test_a_form_that_the_api_has_encoded_is_read_too(stack: Stack) -> None:
    path = stack.page()
    form = stack.fill(path, act="FALSE_POSITIVE", by="Žofia", reason="CARD_NOT_STOLEN")
    encoded = base64.b64encode(form.encode()).decode()
    answer = stack.call("POST", path, encoded, isBase64Encoded=True)
    assert "Žofia (as typed) called it a false positive: The card is not stolen" in answer["body"]
    assert len(stack.acts_on_stream()) == 1


def test_bytes_that_are_no_text_are_no_form(stack: Stack) -> None:
    path = stack.page()
    encoded = base64.b64encode(b"act=CONFIRMED&by=\xff\xfe").decode()
    assert stack.call("POST", path, encoded, isBase64Encoded=True)["statusCode"] == 400


def test_a_link_outlives_the_rotation_of_its_key(stack: Stack) -> None:
    path = stack.page()
    stack.clients.secrets().put_secret_value(SecretId="link-key", SecretString="n" * 64)
    assert stack.call("GET", path)["statusCode"] == 200


def test_every_answer_forbids_scripts_caches_and_passing_the_link_on(stack: Stack) -> None:
    for path in (stack.page(), "/pages/made-up"):
        headers = {k.lower(): v for k, v in stack.call("GET", path)["headers"].items()}
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["content-type"] == "text/html; charset=utf-8"


def test_no_link_is_logged(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    path = stack.page()
    signature = path.rpartition(".")[2]
    stack.call("GET", path)
    stack.call("POST", path, stack.fill(path, act="CONFIRMED", by="Ana Vella"))
    stack.call("GET", path[:-1])
    output = capsys.readouterr()
    assert signature[:-1] not in output.out + output.err


def test_a_stack_without_keys_says_so_and_counts_it(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stack.page()
    stack.clients.secrets().delete_secret(SecretId="link-key", ForceDeleteWithoutRecovery=True)
    assert stack.call("GET", path)["statusCode"] == 503
    assert metrics(capsys.readouterr().out)["ActProblems"] == [1]


def test_a_page_goes_out_without_a_link_rather_than_not(stack: Stack) -> None:
    stack.clients.secrets().delete_secret(SecretId="link-key", ForceDeleteWithoutRecovery=True)
    text = stack.page_text()
    assert "Call the account holder" in text
    assert "http" not in text


def test_the_metrics_are_those_that_are_listed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.call("GET", "/pages/made-up")
    assert metric_names(capsys.readouterr().out) == set(get_args(ActsMetric))
