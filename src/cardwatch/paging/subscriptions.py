"""Whether a page would reach anybody, and whether the people who should be are subscribed.

SNS takes a subscription away by itself: one that gets more than 10 messages a second goes back to
pending confirmation, whoever has the e-mail can unsubscribe, and what is pending for 48 hours is
deleted. Nothing fails then: pages are published, and nobody gets them.

Source: AWS knowledge center, "Why was my SNS email subscription deactivated?", and "Amazon SNS
automatic deletion of unconfirmed subscriptions" (May 2023).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from cardwatch.paging.ports import PAGE_ATTRIBUTES
from cardwatch.ports import Clock

EMAIL_PROTOCOLS: Final = frozenset({"email", "email-json"})
ARCHIVES: Final = frozenset({"firehose"})
"""Protocols that put pages away and show them to nobody."""
_OR: Final = "$or"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of the topic."""

    protocol: str
    arn: str | None
    """None while nobody has confirmed it."""

    @property
    def confirmed(self) -> bool:
        return self.arn is not None


@dataclass(frozen=True, slots=True)
class FilterPolicy:
    """Which messages a subscription takes (Amazon SNS Developer Guide, "Subscription filters")."""

    rules: Mapping[str, Any]
    """Per attribute a list of rules, of which one must hold."""
    of_body: bool = False
    """It looks into the message's text, which must be JSON then."""

    def may_take_pages(self) -> bool:
        """Say whether it lets pages through, as far as that can be known before they are written.

        A page's text is no JSON. What is asked of an attribute that pages have may hold of the
        next page; an attribute that no page has must be one that may be missing.
        """
        return not self.of_body and _may_hold(self.rules)


class SubscriptionsUnavailableError(Exception):
    """The topic does not say who is subscribed; the text names it and the error's code."""


class Subscriptions(Protocol):
    """The topic's subscriptions."""

    def all(self) -> Iterable[Subscription]:
        """Give all of them; raises SubscriptionsUnavailableError."""
        ...

    def filter_policy(self, arn: str) -> FilterPolicy | None:
        """Give a confirmed one's filter, if it has any; raises SubscriptionsUnavailableError."""
        ...


class Audience:
    """Whether a page would reach anybody; an answer is used again for a while."""

    def __init__(self, subscriptions: Subscriptions, clock: Clock, *, keep_for: timedelta) -> None:
        """Ask `subscriptions`, and again when the answer is older than `keep_for`."""
        self._subscriptions = subscriptions
        self._clock = clock
        self._keep_seconds = keep_for.total_seconds()
        self._is_there = True
        self._asked_at: float | None = None

    def is_there(self) -> bool:
        """Say whether a page would reach anybody.

        Raises SubscriptionsUnavailableError, once: for as long as an answer is used, the next ones
        are yes then. Who cannot be asked must not stop paging.
        """
        now = self._clock.monotonic()
        if self._asked_at is None or not 0 <= now - self._asked_at < self._keep_seconds:
            self._asked_at, self._is_there = now, True
            self._is_there = reaches_anybody(self._subscriptions, list(self._subscriptions.all()))
        return self._is_there


def reaches_anybody(subscriptions: Subscriptions, listed: Sequence[Subscription]) -> bool:
    """Say whether one of those listed is confirmed and takes pages; a filter nobody knows does.

    A queue counts, as it keeps pages for whoever reads it: so pages go to Slack.
    """
    return any(
        _takes_pages(subscriptions, item.arn)
        for item in listed
        if item.arn is not None and item.protocol not in ARCHIVES
    )


def unhealthy(subscriptions: Iterable[Subscription], *, expected: int) -> int:
    """Count the e-mail subscriptions that reach nobody: pending ones, and those that are gone."""
    emails = [item.confirmed for item in subscriptions if item.protocol in EMAIL_PROTOCOLS]
    return emails.count(False) + max(0, expected - len(emails))


def _takes_pages(subscriptions: Subscriptions, arn: str) -> bool:
    try:
        policy = subscriptions.filter_policy(arn)
    except SubscriptionsUnavailableError:
        return True
    return policy is None or policy.may_take_pages()


def _may_hold(rules: Mapping[str, Any]) -> bool:
    return all(
        any(_may_hold(either) for either in asked)
        if attribute == _OR
        else any((attribute in PAGE_ATTRIBUTES) == _wants_it(rule) for rule in asked)
        for attribute, asked in rules.items()
    )


def _wants_it(rule: object) -> bool:
    """Say whether a rule wants the attribute to be there; only one kind wants it not to be."""
    return not (isinstance(rule, Mapping) and rule.get("exists") is False)
