"""Slack's webhook: what is sent, what each answer means, and that nobody is told the address."""

import time
from collections.abc import Iterator

import pytest
from tests.slack_server import PATH, SlackServer, slack_server

from cardwatch import webhook as module
from cardwatch.paging.ports import HeartbeatFailedError
from cardwatch.paging.slack import WebhookBusyError, WebhookFailedError
from cardwatch.webhook import (
    DEFAULT_RETRY_AFTER_SECONDS,
    HttpsHeartbeat,
    SlackWebhook,
    checked_address,
)

SECRET = "very-secret"  # noqa: S105  opens nothing


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


def webhook(slack: SlackServer) -> SlackWebhook:
    return SlackWebhook(lambda: slack.url)


def test_a_message_arrives_as_json_at_the_address(slack: SlackServer) -> None:
    webhook(slack).post('{"text": "Żejtun"}'.encode())
    assert slack.posted == ['{"text": "Żejtun"}'.encode()]
    assert slack.requests == [f"{PATH} application/json; charset=utf-8"]


def test_a_new_address_holds_at_once(slack: SlackServer) -> None:
    addresses = [slack.url.replace(SECRET, "first"), slack.url.replace(SECRET, "second")]
    hook = SlackWebhook(lambda: addresses.pop(0))
    hook.post(b"{}")
    hook.post(b"{}")
    assert [path.rpartition("/")[0].rpartition("/")[2] for path in slack.requests] == [
        "first application",
        "second application",
    ]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({}, DEFAULT_RETRY_AFTER_SECONDS),
        ({"Retry-After": "soon"}, DEFAULT_RETRY_AFTER_SECONDS),
        ({"Retry-After": "-1"}, DEFAULT_RETRY_AFTER_SECONDS),
        ({"Retry-After": "nan"}, DEFAULT_RETRY_AFTER_SECONDS),
    ],
)
def test_a_429_says_how_long_to_wait(
    slack: SlackServer, header: dict[str, str], seconds: float
) -> None:
    slack.answers.append((429, header, b"rate_limited"))
    with pytest.raises(WebhookBusyError) as busy:
        webhook(slack).post(b"{}")
    assert busy.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (400, b"invalid_payload", "400 invalid_payload: Slack does not take the message"),
        (403, b"invalid_token", "403 invalid_token: .*make a new webhook"),
        (404, b"no_service", "404 no_service: the webhook is gone"),
        (410, b"channel_is_archived", "410 channel_is_archived: the channel is archived"),
        (500, b"<html>what a proxy says</html>", "500: it is tried again"),
        (502, b"x" * 10_000, "502: it is tried again"),
        (302, b"", "302: it is tried again"),
    ],
)
def test_a_refusal_says_what_to_do_and_quotes_nothing_but_slack_s_own_words(
    slack: SlackServer, status: int, answer: bytes, told: str
) -> None:
    slack.answers.append((status, {}, answer))
    with pytest.raises(WebhookFailedError, match=told) as failed:
        webhook(slack).post(b"{}")
    assert SECRET not in str(failed.value)
    assert len(str(failed.value)) < 200


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_gets_neither_the_page_nor_the_address(slack: SlackServer, status: int) -> None:
    with slack_server() as elsewhere:
        slack.answers.append((status, {"Location": elsewhere.url}, b""))
        with pytest.raises(WebhookFailedError, match=str(status)):
            webhook(slack).post(b"{}")
        assert elsewhere.requests == []


def test_silence_ends_in_time_and_says_that_the_page_may_be_there(
    slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    slack.silent.set()
    began = time.monotonic()
    with pytest.raises(WebhookFailedError, match="may have been posted") as failed:
        webhook(slack).post(b"{}")
    assert time.monotonic() - began < 5
    assert SECRET not in str(failed.value)


def test_nobody_there_is_told_without_the_address() -> None:
    hook = SlackWebhook(lambda: f"http://127.0.0.1:1{PATH}")
    with pytest.raises(WebhookFailedError, match="ConnectionRefusedError") as failed:
        hook.post(b"{}")
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"http://hooks.slack.com{PATH}",
        f"ftp://hooks.slack.com{PATH}",
        f"hooks.slack.com{PATH}",
        f"https://{PATH}",
        "https://hooks.slack.com/very-secret with spaces",
        "https://hooks.slack.com/very-secret\u017b",
        "https://[very-secret",
        '{"url": "https://hooks.slack.com/very-secret"}',
    ],
)
def test_only_an_https_address_is_posted_to(text: str) -> None:
    with pytest.raises(WebhookFailedError, match="SlackNextStep") as failed:
        checked_address(text)
    assert SECRET not in str(failed.value)


def test_a_line_end_that_a_person_stored_along_is_no_harm() -> None:
    assert checked_address(f"https://hooks.slack.com{PATH}\n") == f"https://hooks.slack.com{PATH}"


def test_a_heartbeat_asks_for_its_address(slack: SlackServer) -> None:
    HttpsHeartbeat(f"{slack.url}\n").send()
    assert slack.requests == [f"{PATH} by GET"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_heartbeat_that_is_not_taken_is_told_without_its_address(
    slack: SlackServer, status: int
) -> None:
    with slack_server() as elsewhere:
        slack.answers.append((status, {"Location": elsewhere.url}, b""))
        with pytest.raises(HeartbeatFailedError, match=f"answered {status}") as failed:
            HttpsHeartbeat(slack.url).send()
        assert elsewhere.requests == []
    assert SECRET not in str(failed.value)


def test_a_heartbeat_waits_for_nobody_long(
    slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.HEARTBEAT_SECONDS <= 2, "alerts may wait behind it"
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.3)
    slack.silent.set()
    with pytest.raises(HeartbeatFailedError, match="did not answer") as failed:
        HttpsHeartbeat(slack.url).send()
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize("address", [f"http://watch.example{PATH}", "watch.example", "https://["])
def test_a_heartbeat_goes_over_tls_or_not_at_all(address: str) -> None:
    with pytest.raises(HeartbeatFailedError, match="no https address"):
        HttpsHeartbeat(address).send()


def test_one_post_takes_no_longer_than_what_the_function_plans_with() -> None:
    assert 2 * module.ANSWER_SECONDS < module.PATIENCE_SECONDS
