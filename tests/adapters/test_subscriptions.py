"""Who is subscribed to a topic: moto, the emulator, and what SNS answers for those who are not."""

import random
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.subscriptions import SnsSubscriptions
from cardwatch.paging.subscriptions import Subscription, SubscriptionsUnavailableError


def test_a_subscription_that_needs_no_confirmation_is_confirmed(aws: AwsClients) -> None:
    name = f"pages-{random.getrandbits(32):08x}"
    topic = aws.sns().create_topic(Name=name)["TopicArn"]
    queue = aws.sqs().create_queue(QueueName=name)["QueueUrl"]
    arn = aws.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    assert list(SnsSubscriptions(aws.sns(), topic).all()) == []
    aws.sns().subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    assert list(SnsSubscriptions(aws.sns(), topic).all()) == [Subscription("sqs", confirmed=True)]


class Sns:
    """Lists what it is told, one subscription a page, as botocore's paginator gives it."""

    def __init__(self, *arns: str, error: Exception | None = None) -> None:
        self.arns = arns
        self.error = error

    def get_paginator(self, operation: str) -> "Sns":
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, **_request: object) -> Iterator[dict[str, Any]]:
        if self.error is not None:
            raise self.error
        for arn in self.arns:
            yield {"Subscriptions": [{"Protocol": "email", "SubscriptionArn": arn}]}


def test_what_is_pending_or_deleted_has_no_arn_and_is_not_confirmed() -> None:
    arn = "arn:aws:sns:us-east-1:000000000000:pages:6d0a"
    client = cast("Any", Sns(arn, "PendingConfirmation", "Deleted"))
    found = [item.confirmed for item in SnsSubscriptions(client, "arn:topic").all()]
    assert found == [True, False, False]


def test_a_topic_that_does_not_answer_is_told_by_its_code() -> None:
    error = ClientError({"Error": {"Code": "AuthorizationError"}}, "ListSubscriptionsByTopic")
    client = cast("Any", Sns(error=error))
    with pytest.raises(SubscriptionsUnavailableError, match=r"arn:topic .*AuthorizationError"):
        SnsSubscriptions(client, "arn:topic").all()
