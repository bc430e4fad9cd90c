"""The queue of pages for Slack and the secret with its address: moto and the emulator."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.page_queue import SecretsManagerWebhookAddress, SqsPageQueue
from cardwatch.paging.slack import QueuedPage, WebhookFailedError


def unique(name: str) -> str:
    return f"{name}-{random.getrandbits(32):08x}"


def received(aws: AwsClients, url: str) -> list[QueuedPage]:
    messages = aws.sqs().receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
    )
    return [
        QueuedPage(
            item["MessageId"],
            item["ReceiptHandle"],
            item["Body"],
            int(item["Attributes"]["ApproximateReceiveCount"]),
        )
        for item in messages.get("Messages", [])
    ]


def test_a_page_comes_back_when_it_was_put_off_to_and_not_before(aws: AwsClients) -> None:
    url = aws.sqs().create_queue(
        QueueName=unique("slack"), Attributes={"VisibilityTimeout": "180"}
    )["QueueUrl"]
    for name in ("now", "later"):
        aws.sqs().send_message(QueueUrl=url, MessageBody=name)
    pages = received(aws, url)
    while len(pages) < 2:
        pages += received(aws, url)
    waits = {page: 0 if page.body == "now" else 600 for page in pages}
    assert SqsPageQueue(aws.sqs(), url).put_off(waits) is None
    assert [(page.body, page.received) for page in received(aws, url)] == [("now", 2)]


def test_nothing_to_put_off_calls_nobody() -> None:
    assert SqsPageQueue(cast("Any", None), "queue").put_off({}) is None


class BrokenSqs:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def change_message_visibility_batch(self, **_request: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "Change"), "AccessDenied"),
        (ReadTimeoutError(endpoint_url="http://sqs"), "ReadTimeoutError"),
        ({"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid"}]}, "ReceiptHandleIsInvalid"),
    ],
)
def test_a_queue_that_refuses_is_told_and_does_not_end_the_function(
    answer: object, told: str
) -> None:
    queue = SqsPageQueue(cast("Any", BrokenSqs(answer)), "queue")
    problem = queue.put_off({QueuedPage("m", "r", "b", 1): 5})
    assert problem is not None
    assert told in problem


def test_the_address_is_what_the_secret_holds_now(aws: AwsClients) -> None:
    name = unique("webhook")
    aws.secrets().create_secret(Name=name, SecretString="https://first.example")
    address = SecretsManagerWebhookAddress(aws.secrets(), name)
    assert address() == "https://first.example"
    aws.secrets().put_secret_value(SecretId=name, SecretString="https://second.example")
    assert address() == "https://second.example"


def test_a_secret_that_nobody_gave_a_value_yet_names_the_remedy(aws: AwsClients) -> None:
    with pytest.raises(WebhookFailedError, match=r"none-.* \(ResourceNotFoundException\).*Slack"):
        SecretsManagerWebhookAddress(aws.secrets(), unique("none"))()
