"""The subscriptions of an Amazon SNS topic."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, code
from cardwatch.paging.subscriptions import (
    FilterPolicy,
    Subscription,
    SubscriptionsUnavailableError,
)

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
            Subscription(item["Protocol"], arn if arn.startswith(_ARN) else None)
            for page in pages
            for item in page["Subscriptions"]
            for arn in [item["SubscriptionArn"]]
        ]

    def filter_policy(self, arn: str) -> FilterPolicy | None:
        try:
            found = self._client.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            rules = json.loads(found.get("FilterPolicy") or "{}")
        except FAILURES as error:
            raise self._problem(code(error)) from None
        of_body = found.get("FilterPolicyScope") == "MessageBody"
        return FilterPolicy(rules, of_body=of_body) if rules else None

    def _problem(self, code: str) -> SubscriptionsUnavailableError:
        return SubscriptionsUnavailableError(
            f"the subscriptions of {self._topic_arn} cannot be listed: {code}"
        )
