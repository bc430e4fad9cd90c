"""Pages by SNS: what arrives at a subscriber, and which failures may have been a success."""

import json
import random
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.pager import SnsPager
from cardwatch.paging.ports import (
    PAGE_ATTRIBUTES,
    PageMayBeSentError,
    PageMessage,
    PageNotSentError,
    Pager,
    PageRefusedError,
)

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MESSAGE = PageMessage(
    page_id="page_1",
    subject="Stolen card 424242******4242: 12.50 EUR",
    text="A payment on a stolen card\n\nPlace: \u017bejtun\n",
    alert_ids=tuple(f"{n:064x}" for n in range(900)),
    kind="FOLLOW_UP",
    repeat=True,
)


@pytest.mark.parametrize("raw", [True, False])
def test_a_subscriber_gets_the_text_and_every_alert_id(aws: AwsClients, raw: bool) -> None:  # noqa: FBT001  a pytest parameter
    name = f"pages-{random.getrandbits(32):08x}"
    sns = aws.sns()
    sqs = aws.sqs()
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        Attributes={"RawMessageDelivery": str(raw).lower()},
    )
    pager: Pager = SnsPager(sns, topic)
    pager.send(MESSAGE)
    [received] = sqs.receive_message(
        QueueUrl=queue, MessageAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    if raw:
        text = received["Body"]
        attributes = {k: v["StringValue"] for k, v in received["MessageAttributes"].items()}
    else:
        envelope = json.loads(received["Body"])
        assert envelope["Subject"] == MESSAGE.subject
        text = envelope["Message"]
        attributes = {k: v["Value"] for k, v in envelope["MessageAttributes"].items()}
    assert text == MESSAGE.text
    assert json.loads(attributes.pop("alert_ids")) == list(MESSAGE.alert_ids)
    assert attributes == {
        "page_id": "page_1",
        "kind": "FOLLOW_UP",
        "alert_count": "900",
        "repeat": "true",
    }
    assert {"alert_ids", *attributes} == PAGE_ATTRIBUTES


class FailingSns:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0

    def publish(self, **_request: object) -> None:
        self.calls += 1
        raise self.error


def refused(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Publish")


URL = {"endpoint_url": "http://sns"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused("Throttled", 429), PageNotSentError),
        (refused("NotFound", 404), PageNotSentError),
        (EndpointConnectionError(**URL), PageNotSentError),
        (ConnectTimeoutError(**URL), PageNotSentError),
        (NoCredentialsError(), PageNotSentError),
        (refused("AuthorizationError", 403), PageNotSentError),
        (refused("InvalidParameter", 400), PageRefusedError),
        (ParamValidationError(report="x"), PageRefusedError),
        (refused("InternalError", 500), PageMayBeSentError),
        (ReadTimeoutError(**URL), PageMayBeSentError),
        (ConnectionClosedError(**URL), PageMayBeSentError),
    ],
)
def test_a_failure_says_whether_the_page_may_have_gone_out(
    error: Exception, expected: type[Exception]
) -> None:
    sns = FailingSns(error)
    with pytest.raises(expected, match="publishing to arn:topic failed") as raised:
        SnsPager(cast("SNSClient", sns), "arn:topic").send(MESSAGE)
    assert raised.type is expected
    assert sns.calls == 1


def test_a_message_that_is_too_long_is_refused_for_what_it_is(aws: AwsClients) -> None:
    topic = aws.sns().create_topic(Name=f"pages-{random.getrandbits(32):08x}")["TopicArn"]
    with pytest.raises(PageRefusedError):
        SnsPager(aws.sns(), topic).send(replace(MESSAGE, text="x" * 300_000))


def test_a_server_error_is_not_tried_again_behind_the_pagers_back(
    aws_environment: None,  # noqa: ARG001  a fixture
) -> None:
    requests: list[str] = []

    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.path)
            self.send_error(503)

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        sns = AwsClients(endpoint_url=f"http://127.0.0.1:{server.server_port}").sns()
        with pytest.raises(PageMayBeSentError):
            SnsPager(sns, "arn:aws:sns:us-east-1:000000000000:pages").send(MESSAGE)
        server.shutdown()
    assert len(requests) == 1
