"""Who is subscribed, and whether somebody is missing."""

import pytest

from cardwatch.paging.subscriptions import Subscription, unhealthy

CONFIRMED = Subscription("email", confirmed=True)
PENDING = Subscription("email", confirmed=False)
QUEUE = Subscription("sqs", confirmed=True)


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
        ([Subscription("email-json", confirmed=False)], 1, 1),
        ([PENDING], 2, 2),
    ],
)
def test_what_is_pending_or_gone_is_counted(
    subscriptions: list[Subscription], expected: int, found: int
) -> None:
    assert unhealthy(subscriptions, expected=expected) == found
