"""Pages for Slack: the words, and that each is posted once however Slack behaves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeClock

from cardwatch.paging.message import WHAT_TO_DO
from cardwatch.paging.slack import (
    MAX_TEXT,
    NotAPageError,
    QueuedPage,
    WebhookBusyError,
    WebhookFailedError,
    WebhookRefusedError,
    deliver,
    escape,
    fit,
    message,
    pause,
)

PATIENCE = 11.0


def body(text: str = "A payment on a stolen card", subject: str = "Stolen card") -> str:
    return json.dumps({"Type": "Notification", "Subject": subject, "Message": text})


def queued(number: int, text: str | None = None, received: int = 1) -> QueuedPage:
    return QueuedPage(f"m{number}", f"r{number}", body() if text is None else text, received)


def text_of(posted: bytes) -> str:
    text: str = json.loads(posted)["text"]
    return text


@dataclass
class FakeWebhook:
    """A channel in memory; each of `answers` meets one post: None takes it, an error is raised."""

    clock: FakeClock
    answers: list[Exception | None] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    seconds: float = 0.2

    def post(self, body: bytes) -> None:
        self.clock.advance(self.seconds)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.posted.append(body)


def test_a_page_is_its_subject_and_its_text() -> None:
    posted = json.loads(message(body("Card: 424242******4242\nPlace: Żejtun", "Stolen card")))
    assert posted["text"] == "Stolen card\n\nCard: 424242******4242\nPlace: Żejtun"


def test_what_is_masked_with_asterisks_is_not_read_as_bold() -> None:
    assert json.loads(message(body()))["mrkdwn"] is False


def test_a_merchant_cannot_mention_the_channel_or_hide_a_link() -> None:
    text = text_of(message(body("<!channel> <https://evil.example|bank> &amp; co")))
    assert text.endswith(
        "&lt;!channel&gt; &lt;https://evil.example|bank&gt; &amp;amp; co",
    )


def test_only_the_three_characters_that_slack_names_are_escaped() -> None:
    assert escape("""&<>"'`*_~""") == """&amp;&lt;&gt;"'`*_~"""


@pytest.mark.parametrize(
    "broken",
    ["", "no json", "[]", "null", "{}", '{"Subject": "s"}', '{"Subject": null, "Message": "m"}'],
)
def test_what_is_no_page_is_refused(broken: str) -> None:
    with pytest.raises(NotAPageError, match="Subject and Message"):
        message(broken)


def long_page(alerts: int) -> str:
    details = [f"{n}. Card 424242******4242\nMerchant: {'&' * 30}" for n in range(alerts)]
    return "\n\n".join(["40 payments", *details, WHAT_TO_DO, "Page: page_7\nAlerts: 40"])


def test_a_long_page_keeps_what_to_do_and_its_id_and_says_that_it_is_cut() -> None:
    text = text_of(message(body(long_page(40))))
    assert len(text) <= MAX_TEXT
    assert WHAT_TO_DO in text
    assert text.endswith("Page: page_7\nAlerts: 40")
    assert "too long for Slack" in text
    assert "0. Card 424242" in text
    assert "39. Card 424242" not in text
    assert len(text) > MAX_TEXT - 400, "as many alerts as there is room for"


def test_a_page_that_fits_is_not_cut() -> None:
    assert "too long" not in text_of(message(body(long_page(3))))


@given(st.lists(st.text(alphabet="&<>a\n", max_size=60), max_size=30), st.integers(150, 500))
def test_no_text_is_longer_than_the_limit_or_ends_within_an_entity(
    parts: list[str], limit: int
) -> None:
    fitted = fit(escape("\n\n".join(parts)), limit)
    assert len(fitted) <= limit
    rest = fitted.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert "&" not in rest


def test_each_page_is_posted_once() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock)
    done = deliver([queued(n) for n in range(5)], webhook, clock, seconds=25, patience=PATIENCE)
    assert (done.posted, done.again, len(webhook.posted)) == (5, {}, 5)


def test_one_page_that_fails_does_not_take_the_others_with_it() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, [None, WebhookFailedError("Slack answered 500"), None])
    pages = [queued(n) for n in range(3)]
    done = deliver(pages, webhook, clock, seconds=25, patience=PATIENCE)
    assert done.again == {pages[1]: 5}
    assert done.posted == len(webhook.posted) == 2
    assert "Slack answered 500" in done.problems[0]


def test_a_short_retry_after_is_waited_for() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, [None, WebhookBusyError(2), None])
    done = deliver([queued(0), queued(1)], webhook, clock, seconds=25, patience=PATIENCE)
    assert clock.slept == [2]
    assert (done.posted, done.again) == (2, {})


def test_a_long_retry_after_is_left_to_the_queue_for_all_that_is_left() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, [None, WebhookBusyError(30)])
    pages = [queued(n) for n in range(4)]
    done = deliver(pages, webhook, clock, seconds=25, patience=PATIENCE)
    assert clock.slept == []
    assert set(done.again) == set(pages[1:])
    assert all(30 <= wait <= 31 for wait in done.again.values())
    assert len(webhook.posted) == 1, "Slack is left alone after it asked for it"


@pytest.mark.parametrize("retry_after", [float("inf"), 1e9])
def test_an_absurd_retry_after_is_bounded_by_what_the_queue_takes(retry_after: float) -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, [WebhookBusyError(retry_after)])
    done = deliver([queued(0)], webhook, clock, seconds=25, patience=PATIENCE)
    assert max(done.again.values()) <= 43_200


def test_nothing_is_begun_that_could_not_be_ended_in_time() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, seconds=PATIENCE)
    pages = [queued(n) for n in range(5)]
    done = deliver(pages, webhook, clock, seconds=25, patience=PATIENCE)
    assert done.posted == 2
    assert set(done.again) == set(pages[2:])
    assert clock.slept == []


def test_what_is_no_page_goes_back_and_the_pages_around_it_are_posted() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock)
    pages = [queued(0), queued(1, text="no json"), queued(2)]
    done = deliver(pages, webhook, clock, seconds=25, patience=PATIENCE)
    assert set(done.again) == {pages[1]}
    assert done.posted == 2


def test_pauses_grow_to_a_quarter_of_an_hour_and_bridge_hours() -> None:
    pauses = [pause(received) for received in range(1, 31)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 5
    assert pauses[-1] == 900
    assert sum(pauses) > 5 * 3600


@given(
    st.lists(
        st.sampled_from([None, WebhookBusyError(1), WebhookBusyError(60), WebhookFailedError("x")]),
        max_size=12,
    ),
    st.integers(0, 5),
)
def test_every_page_is_either_posted_or_delivered_again(
    answers: Sequence[Exception | None], count: int
) -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, list(answers))
    began = clock.monotonic()
    pages = [queued(n, text=body(f"page {n}")) for n in range(count)]
    done = deliver(pages, webhook, clock, seconds=25, patience=PATIENCE)
    posted = {text_of(post).rpartition(" ")[2] for post in webhook.posted}
    assert len(webhook.posted) == len(posted) == done.posted, "none twice"
    again = {page.message_id.removeprefix("m") for page in done.again}
    assert posted.isdisjoint(again)
    assert posted | again == {str(n) for n in range(count)}
    assert clock.monotonic() - began <= 25


def test_what_slack_refuses_in_full_is_posted_short_and_those_behind_it_as_they_are() -> None:
    clock = FakeClock()
    webhook = FakeWebhook(clock, answers=[WebhookRefusedError("Slack answered 400")])
    refused = queued(1, body("1. Card\n\nPage: page_7\nAlerts in this page: 1"))
    delivered = deliver([refused, queued(2)], webhook, clock, seconds=60, patience=PATIENCE)
    assert (delivered.posted, delivered.again) == (2, {})
    short, other = (text_of(posted) for posted in webhook.posted)
    assert short.startswith("Stolen card\n")
    assert short.endswith("Page: page_7\nAlerts in this page: 1")
    assert "1. Card" not in short
    assert "A payment on a stolen card" in other


def test_what_slack_never_takes_is_given_back_to_the_queue_and_stops_nothing_behind_it() -> None:
    clock = FakeClock()
    no = WebhookRefusedError("Slack answered 400")
    webhook = FakeWebhook(clock, answers=[no, no])
    delivered = deliver([queued(1), queued(2)], webhook, clock, seconds=60, patience=PATIENCE)
    assert (delivered.posted, list(delivered.again)) == (1, [queued(1)])
