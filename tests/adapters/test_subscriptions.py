"""Who is subscribed to a topic: moto, the emulator, and what SNS answers for those who are not."""

import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.subscriptions import SnsSubscriptions
from cardwatch.local.errors import LocalStackError
from cardwatch.local.run.gauges import Gauges
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.paging.subscriptions import FilterPolicy, SubscriptionsUnavailableError
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from cardwatch.local.services.deploy import StackOutputs


def test_a_subscription_that_needs_no_confirmation_is_confirmed(aws: AwsClients) -> None:
    name = f"pages-{random.getrandbits(32):08x}"
    topic = aws.sns().create_topic(Name=name)["TopicArn"]
    queue = aws.sqs().create_queue(QueueName=name)["QueueUrl"]
    arn = aws.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    assert list(SnsSubscriptions(aws.sns(), topic).all()) == []
    aws.sns().subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    [found] = SnsSubscriptions(aws.sns(), topic).all()
    assert (found.protocol, found.confirmed) == ("sqs", True)


@pytest.mark.parametrize("scope", [None, "MessageAttributes", "MessageBody"])
def test_a_filter_is_read_with_what_it_looks_at(aws: AwsClients, scope: str | None) -> None:
    name = f"pages-{random.getrandbits(32):08x}"
    topic = aws.sns().create_topic(Name=name)["TopicArn"]
    attributes = {"FilterPolicy": '{"team": ["fraud"]}'}
    attributes |= {"FilterPolicyScope": scope} if scope else {}
    subscriptions = SnsSubscriptions(aws.sns(), topic)
    for queue, its in ((f"{name}-a", {}), (f"{name}-b", attributes)):
        aws.sqs().create_queue(QueueName=queue)
        endpoint = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
        aws.sns().subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=its)
    found = [subscriptions.filter_policy(item.arn or "") for item in subscriptions.all()]
    assert found == [None, FilterPolicy({"team": ["fraud"]}, of_body=scope == "MessageBody")]
    with pytest.raises(SubscriptionsUnavailableError, match=name):
        subscriptions.filter_policy(f"{topic}:00000000-0000-4000-8000-000000000000")


@pytest.mark.stack
def test_a_run_says_that_nobody_is_subscribed_for_as_long_as_nobody_is(
    emulator: AwsClients, tmp_path: Path
) -> None:
    sns, name = emulator.sns(), f"pages-{random.getrandbits(32):08x}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    port = urlsplit(sns.meta.endpoint_url).port
    outputs = cast("StackOutputs", SimpleNamespace(topic_arn=topic))
    gauges = Gauges(
        LocalSettings(var=tmp_path, aws_port=port or 0),
        WarehouseServer(tmp_path / "postgres"),
        started=lambda: True,
        outputs=lambda: outputs,
        job_health=lambda: None,
        why_job_failed=lambda _: None,
    )
    with pytest.raises(LocalStackError, match="nobody is subscribed"):
        gauges.read_subscriptions()
    emulator.sqs().create_queue(QueueName=name)
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:000000000000:{name}"
    )
    gauges.read_subscriptions()


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
