"""Whether the people whom the topic should reach by e-mail are subscribed.

SNS takes a subscription away by itself: one that gets more than 10 messages a second goes back to
pending confirmation, whoever has the e-mail can unsubscribe, and what is pending for 48 hours is
deleted. Nothing fails then: pages are published, and nobody gets them.

Source: AWS knowledge center, "Why was my SNS email subscription deactivated?", and "Amazon SNS
automatic deletion of unconfirmed subscriptions" (May 2023).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

EMAIL_PROTOCOLS: Final = frozenset({"email", "email-json"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of the topic."""

    protocol: str
    confirmed: bool


class SubscriptionsUnavailableError(Exception):
    """The topic does not say who is subscribed; the text names it and the error's code."""


class Subscriptions(Protocol):
    """The topic's subscriptions."""

    def all(self) -> Iterable[Subscription]:
        """Give all of them; raises SubscriptionsUnavailableError."""
        ...


def unhealthy(subscriptions: Iterable[Subscription], *, expected: int) -> int:
    """Count the e-mail subscriptions that reach nobody: pending ones, and those that are gone."""
    emails = [item.confirmed for item in subscriptions if item.protocol in EMAIL_PROTOCOLS]
    return emails.count(False) + max(0, expected - len(emails))
