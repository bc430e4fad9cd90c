"""What is called over HTTPS: Slack's incoming webhook, and the heartbeat of canaries.

Why without Slack's SDK: docs/decisions/0035.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Final
from urllib.parse import urlsplit

from cardwatch.paging.ports import HeartbeatFailedError
from cardwatch.paging.slack import WebhookBusyError, WebhookFailedError, WebhookRefusedError

ANSWER_SECONDS: Final = 4.0
"""How long to wait for a connection, and again for an answer."""
PATIENCE_SECONDS: Final = 2 * ANSWER_SECONDS + 3.0
"""How long one post may take, with 3 s for reading the address."""
HEARTBEAT_SECONDS: Final = 2.0
"""The same for the heartbeat, behind which alerts may wait."""
DEFAULT_RETRY_AFTER_SECONDS: Final = 30.0
"""Where Slack does not say how long to wait."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_REASON: Final = 60
_REFUSES_THE_MESSAGE: Final = frozenset(
    {http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
)
_REMEDIES: Final = {
    400: "Slack does not take the message; its answer says why",
    403: "the workspace does not allow it; make a new webhook and store its address",
    404: "the webhook is gone; make a new one and store its address",
    410: "the channel is archived; make a webhook for another and store its address",
}
"""By Slack's documented answers of incoming webhooks."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address is a secret: it goes to nobody that a redirect names."""

    def redirect_request(  # noqa: PLR0917  urllib's own signature
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


class SlackWebhook:
    """Posts to one address, which it reads anew for each, so that a new one holds at once."""

    def __init__(self, address: Callable[[], str]) -> None:
        """Use an address; `address` raises WebhookFailedError where there is none."""
        self._address = address
        self._opener = urllib.request.build_opener(_NoRedirect)

    def post(self, body: bytes) -> None:
        """Post one message; raises WebhookBusyError or WebhookFailedError, without the address."""
        request = urllib.request.Request(  # noqa: S310  checked_address leaves https alone
            checked_address(self._address()),
            body,
            {"Content-Type": "application/json; charset=utf-8"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                answer.read(_MAX_REASON)
        except urllib.error.HTTPError as refused:
            with refused:
                raise _refusal(refused) from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            msg = f"Slack did not answer ({type(reason).__name__}); the page may have been posted"
            raise WebhookFailedError(msg) from None


class HttpsHeartbeat:
    """Asks for one address each time; who serves it rings when nobody asks for a while."""

    def __init__(self, address: str) -> None:
        """Use an address, which is a secret: with it anybody could keep the watch silent."""
        self._address = address.strip()
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self) -> None:
        """Ask once; raises HeartbeatFailedError, without the address."""
        if not _is_secure(self._address):
            msg = "CANARY_HEARTBEAT_URL is no https address"
            raise HeartbeatFailedError(msg)
        try:
            with self._opener.open(self._address, timeout=HEARTBEAT_SECONDS) as answer:
                answer.read(_MAX_REASON)
        except urllib.error.HTTPError as refused:
            with refused:
                msg = f"the heartbeat's service answered {refused.code}"
                raise HeartbeatFailedError(msg) from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            msg = f"the heartbeat's service did not answer ({type(reason).__name__})"
            raise HeartbeatFailedError(msg) from None


def checked_address(text: str) -> str:
    """Give the address if it is one to post to over TLS, or on this machine's loopback interface.

    Raises WebhookFailedError, which does not quote it.
    """
    address = text.strip()
    if not _is_secure(address):
        msg = (
            "the webhook secret does not hold an https address; store the one that Slack shows "
            "for the webhook (output SlackNextStep of the stack)"
        )
        raise WebhookFailedError(msg)
    return address


def _is_secure(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    secure = host is not None and (
        parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    )
    return secure and address.isascii() and " " not in address


def _refusal(refused: urllib.error.HTTPError) -> Exception:
    if refused.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        try:
            seconds = float(refused.headers.get("Retry-After", ""))
        except ValueError:
            seconds = DEFAULT_RETRY_AFTER_SECONDS
        # Also false for what is not a number.
        return WebhookBusyError(seconds if seconds >= 0 else DEFAULT_RETRY_AFTER_SECONDS)
    # A word such as invalid_payload; anything else is not Slack's and stays untold.
    try:
        word = refused.read(_MAX_REASON + 1).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException):
        word = ""
    said = f" {word}" if word.replace("_", "").isalnum() and len(word) <= _MAX_REASON else ""
    remedy = _REMEDIES.get(refused.code, "it is tried again")
    kind = WebhookRefusedError if refused.code in _REFUSES_THE_MESSAGE else WebhookFailedError
    return kind(f"Slack answered {refused.code}{said}: {remedy}")
