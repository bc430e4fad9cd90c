"""The subscriptions of an Amazon SNS topic."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, code
from cardwatch.paging.subscriptions import Subscription, SubscriptionsUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_ARN: Final = "arn:"


class SnsSubscriptions:
    """Lists them; one that nobody has confirmed has a word in place of its ARN."""

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def all(self) -> Iterable[Subscription]:
        try:
            pages = list(
                self._client.get_paginator("list_subscriptions_by_topic").paginate(
                    TopicArn=self._topic_arn
                )
            )
        except FAILURES as error:
            raise self._problem(code(error)) from None
        return [
            # "PendingConfirmation", or "Deleted" for a while.
            Subscription(item["Protocol"], confirmed=item["SubscriptionArn"].startswith(_ARN))
            for page in pages
            for item in page["Subscriptions"]
        ]

    def _problem(self, code: str) -> SubscriptionsUnavailableError:
        return SubscriptionsUnavailableError(
            f"the subscriptions of {self._topic_arn} cannot be listed: {code}"
        )
