"""A page's link on the deployed stack: the emulator's HTTP API, function, ledger and stream."""

import base64
import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from tests.infrastructure.conftest import Stack
from tests.stream_records import records_on
from tests.unit.acts.support import hidden_fields
from tests.unit.paging.support import alert_event

from cardwatch.cli import main
from cardwatch.contract.streams import Envelope
from cardwatch.local.services import ministack

pytestmark = pytest.mark.stack


def client(stack: Stack, service: Any) -> Any:  # noqa: ANN401  boto3's overloads want a literal
    return ministack.session(stack.settings).client(
        service, endpoint_url=ministack.endpoint(stack.settings)
    )


def paged(stack: Stack, number: int) -> str:
    """Have the notifier page an alert, and give the link in its page."""
    # A card of its own, or it would join the follow-up of the one before.
    event = alert_event(number, at=seconds_ago(7), card_token=f"{number:032x}")
    notify(stack, event)
    sqs, deadline = client(stack, "sqs"), time.monotonic() + 20
    while time.monotonic() < deadline:
        found = sqs.receive_message(
            QueueUrl=stack.outputs.pages_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in found.get("Messages", []):
            text = json.loads(message["Body"])["Message"]
            if event.event_id in text:
                return next(str(line) for line in text.splitlines() if line.startswith("http"))
    msg = "the page did not arrive"
    raise AssertionError(msg)


def seconds_ago(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)


def notify(stack: Stack, event: Envelope) -> None:
    """Hand an alert to the notifier, which has to be done with it."""
    record = {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": "shardId-000000000000:1",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/notifier",
        "awsRegion": "us-east-1",
        "eventSourceARN": stack.outputs.stream_arn,
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "k",
            "sequenceNumber": "1",
            "data": base64.b64encode(event.to_bytes()).decode(),
            "approximateArrivalTimestamp": time.time(),
        },
    }
    answer = client(stack, "lambda").invoke(
        FunctionName=stack.outputs.notifier_function, Payload=json.dumps({"Records": [record]})
    )
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}


def browse(link: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    """Ask the API for a link as a browser does, which finds *.localhost on its own machine."""
    parts = urlsplit(link)
    request = urllib.request.Request(  # noqa: S310  on this machine
        f"{parts.scheme}://127.0.0.1:{parts.port}{parts.path}",
        data=urlencode(form).encode() if form is not None else None,
        headers={"Host": parts.netloc},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  the same
        return answer.status, answer.read().decode()


def acts_on_stream(stack: Stack, link: str) -> list[dict[str, Any]]:
    """Give the acts about a link's page."""
    found = events_on_stream(stack, "PAGE_ACT")
    return [event for event in found if (event["event_json_data"]["page_id"] or "no page") in link]


def events_on_stream(stack: Stack, kind: str) -> list[dict[str, Any]]:
    records = records_on(client(stack, "kinesis"), stack.outputs.stream_name)
    return [json.loads(r["Data"]) for r in records if kind.encode() in r["Data"]]


def test_the_link_of_a_page_shows_it_and_takes_an_act_once(stack: Stack) -> None:
    link = paged(stack, number=4711)
    status, text = browse(link)
    assert status == 200
    assert "A payment on a stolen card" in text
    assert acts_on_stream(stack, link) == []
    form = {**hidden_fields(text), "by": "Ana Vella", "act": "CONFIRMED"}
    assert "Ana Vella (as typed) confirmed fraud" in browse(link, form)[1]
    assert "counts once" in browse(link, form)[1]
    (told,) = acts_on_stream(stack, link)
    assert told["event_id"] == told["event_json_data"]["act_id"]
    assert "Ana Vella (as typed) confirmed fraud" in browse(link)[1]


def test_a_page_is_acknowledged_from_a_terminal(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = paged(stack, number=4712)
    monkeypatch.setenv("CARDWATCH_VAR", str(stack.settings.var))
    monkeypatch.setenv("CARDWATCH_AWS_PORT", str(stack.settings.aws_port))
    page = urlsplit(link).path.removeprefix("/pages/").partition(".")[0]
    assert main(["ack", page, "--by", "Ben Borg"]) == 0
    assert "ACKNOWLEDGED by Ben Borg" in capsys.readouterr().out
    assert "Ben Borg (as typed) acknowledged it" in browse(link)[1]


def test_a_card_is_snoozed_from_a_terminal_and_the_notifier_pages_nobody_of_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = paged(stack, number=4713)
    monkeypatch.setenv("CARDWATCH_VAR", str(stack.settings.var))
    monkeypatch.setenv("CARDWATCH_AWS_PORT", str(stack.settings.aws_port))
    page = urlsplit(link).path.removeprefix("/pages/").partition(".")[0]
    said = ["--by", "Ben Borg", "--why", "a test of its own"]
    assert main(["snooze", page, "--for", "1h", *said]) == 0
    assert main(["snooze", "--list"]) == 0
    scope = f"card:{4713:032x}"
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith(f"{scope}: snoozed until ")
    again = alert_event(4714, at=seconds_ago(7), card_token=f"{4713:032x}")
    notify(stack, again)
    told = [
        data
        for event in events_on_stream(stack, "PAGE_EVENT")
        if again.event_id in (data := event["event_json_data"])["alert_ids"]
    ]
    assert [(data["state"], data["reason"]) for data in told] == [("EXPIRED", "suppressed")]
    assert main(["snooze", scope, "--end", "--by", "Ben Borg"]) == 0
    assert main(["snooze", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is snoozed"
