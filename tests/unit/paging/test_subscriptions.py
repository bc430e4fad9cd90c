"""Who is subscribed, whether a page would reach anybody, and whether somebody is missing."""

from datetime import timedelta
from typing import Any

import pytest
from tests.fakes import FakeClock, FakeSubscriptions

from cardwatch.paging.subscriptions import (
    Audience,
    FilterPolicy,
    Subscription,
    SubscriptionsUnavailableError,
    reaches_anybody,
    unhealthy,
)

CONFIRMED = Subscription("email", "arn:email")
PENDING = Subscription("email", None)
QUEUE = Subscription("sqs", "arn:sqs")


@pytest.mark.parametrize(
    ("subscriptions", "expected", "found"),
    [
        ([CONFIRMED, QUEUE], 1, 0),
        ([PENDING, QUEUE], 1, 1),  # never confirmed, or deactivated
        ([QUEUE], 1, 1),  # unsubscribed, or removed after 48 hours of waiting
        ([], 1, 1),
        ([QUEUE], 0, 0),  # e-mail is not wanted
        ([CONFIRMED, PENDING], 1, 1),  # somebody subscribed another one by hand
        ([CONFIRMED, CONFIRMED], 1, 0),
        ([Subscription("email-json", None)], 1, 1),
        ([PENDING], 2, 2),
    ],
)
def test_what_is_pending_or_gone_is_counted(
    subscriptions: list[Subscription], expected: int, found: int
) -> None:
    assert unhealthy(subscriptions, expected=expected) == found


ARCHIVE = Subscription("firehose", "arn:firehose")


@pytest.mark.parametrize(
    ("listed", "reached"),
    [
        ([], False),
        ([PENDING], False),
        ([PENDING, ARCHIVE], False),
        ([PENDING, CONFIRMED], True),
        ([QUEUE], True),
    ],
)
def test_a_page_reaches_whoever_is_confirmed_and_no_archive(
    listed: list[Subscription], *, reached: bool
) -> None:
    assert reaches_anybody(FakeSubscriptions(), listed) is reached


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ({"team": ["fraud"]}, False),  # no page says of which team it is
        ({"team": [{"exists": False}]}, True),
        ({"team": ["fraud", {"exists": False}]}, True),
        ({"team": [{"anything-but": ["it"]}]}, False),
        ({"page_id": [{"exists": False}]}, False),
        ({"repeat": ["false"]}, True),
        ({"alert_count": [{"numeric": [">=", 10]}]}, True),  # the next page may have as many
        ({"repeat": ["false"], "team": ["fraud"]}, False),
        ({"$or": [{"team": ["fraud"]}, {"repeat": ["false"]}]}, True),
        ({"$or": [{"team": ["fraud"]}, {"desk": ["risk"]}]}, False),
    ],
)
def test_a_filter_that_no_page_can_pass_reaches_nobody(
    rules: dict[str, Any], *, passes: bool
) -> None:
    subscriptions = FakeSubscriptions(filters={"arn:email": FilterPolicy(rules)})
    assert reaches_anybody(subscriptions, [CONFIRMED]) is passes
    assert reaches_anybody(subscriptions, [CONFIRMED, QUEUE])


def test_a_filter_on_the_body_takes_no_page_because_pages_are_no_json() -> None:
    of_body = FilterPolicy({"repeat": ["false"]}, of_body=True)
    subscriptions = FakeSubscriptions(filters={"arn:email": of_body})
    assert not reaches_anybody(subscriptions, [CONFIRMED])


def test_a_filter_that_cannot_be_read_is_taken_for_none() -> None:
    subscriptions = FakeSubscriptions(
        filters={"arn:email": FilterPolicy({"team": ["fraud"]})}, filters_broken=True
    )
    assert reaches_anybody(subscriptions, [CONFIRMED])


def test_an_answer_is_used_again_for_a_while_and_then_asked_for_anew() -> None:
    subscriptions, clock = FakeSubscriptions(listed=[]), FakeClock()
    audience = Audience(subscriptions, clock, keep_for=timedelta(seconds=30))
    assert not audience.is_there()
    subscriptions.listed = [CONFIRMED]
    clock.advance(29)
    assert not audience.is_there()
    clock.advance(1)
    assert audience.is_there()
    assert subscriptions.times_listed == 2


def test_who_cannot_be_asked_is_taken_to_be_there_and_is_not_asked_for_each_page() -> None:
    subscriptions, clock = FakeSubscriptions(listed=[]), FakeClock()
    audience = Audience(subscriptions, clock, keep_for=timedelta(seconds=30))
    assert not audience.is_there()
    clock.advance(30)
    subscriptions.broken = True
    with pytest.raises(SubscriptionsUnavailableError):
        audience.is_there()
    assert audience.is_there()
    assert subscriptions.times_listed == 2
    subscriptions.broken = False
    clock.advance(30)
    assert not audience.is_there()
