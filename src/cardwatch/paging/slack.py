"""Pages in a Slack channel: their words, and what becomes of a batch that the queue hands over.

Sources, all Slack's documentation: "Sending messages using incoming webhooks"; "Formatting message
text" (of a text only `&`, `<` and `>` are escaped); "Rate limits" (one message a second and a 429
with Retry-After above it); "chat.postMessage" (a text should have no more than 4,000 characters).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from cardwatch.backoff import Backoff
from cardwatch.paging.message import WHAT_TO_DO
from cardwatch.ports import Clock

MAX_TEXT: Final = 4_000
"""Characters, as escaped. Slack breaks a longer text into messages and cuts it off at 40,000."""
MAX_RETRY_AFTER_SECONDS: Final = 3_600
"""However long Slack asks for; its windows of rate limits are seconds to minutes."""
_PAUSES: Final = Backoff(first_seconds=5.0, longest_seconds=900.0)
NO_TIME_PAUSE_SECONDS: Final = 1

_CUT: Final = "[… this page is too long for Slack; the e-mail has all of it …]"
_REFUSED: Final = "[Slack refused this page in full; the e-mail has all of it]"


class NotAPageError(Exception):
    """A message of the queue is no page in SNS's envelope; the text says what is missing."""


class WebhookBusyError(Exception):
    """Slack takes no message at the moment; `retry_after` says for how many seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Slack asks to wait {retry_after:g} s")
        self.retry_after = retry_after


class WebhookFailedError(Exception):
    """A message was not posted, or nobody knows; the text says why, never the address."""


class WebhookRefusedError(WebhookFailedError):
    """Slack does not take this message for what it is, and will not; others it may."""


class Webhook(Protocol):
    """Where messages are posted."""

    def post(self, body: bytes) -> None:
        """Post one message; raises WebhookBusyError, WebhookFailedError, WebhookRefusedError."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedPage:
    """One message of the queue."""

    message_id: str
    receipt: str
    """What the queue knows this delivery of it by."""
    body: str
    received: int
    """How often it was delivered, this time included."""

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """Take it from a record of Lambda's SQS event."""
        received = int(record["attributes"]["ApproximateReceiveCount"])
        return cls(record["messageId"], record["receiptHandle"], record["body"], received)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a batch: whatever is not in `again` was posted."""

    posted: int = 0
    again: dict[QueuedPage, int] = field(default_factory=dict)
    """What is to be delivered again, and in how many seconds."""
    problems: tuple[str, ...] = ()


def message(body: str) -> bytes:
    """Give what is posted for one message of the queue; raises NotAPageError."""
    subject, text = _page(body)
    return _content(fit(f"{escape(subject)}\n\n{escape(text.strip())}"))


def short_message(body: str) -> bytes:
    """Give what is posted where Slack refuses the page: its subject and the page's id."""
    subject, text = _page(body)
    last = text.strip().rsplit("\n\n", 1)[-1]
    return _content(fit(f"{escape(subject)}\n\n{_REFUSED}\n\n{escape(last)}"))


def _page(body: str) -> tuple[str, str]:
    """Give subject and text of SNS's envelope; raises NotAPageError."""
    try:
        envelope = json.loads(body)
        subject, text = envelope["Subject"], envelope["Message"]
    except (ValueError, TypeError, KeyError):
        subject = text = None
    if not isinstance(subject, str) or not isinstance(text, str):
        msg = "a message of the queue is not from SNS, or without Subject and Message"
        raise NotAPageError(msg)
    return subject, text


def _content(text: str) -> bytes:
    content = {
        "text": text,
        # A masked card is full of asterisks; and no merchant's name may become a link or a preview.
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return json.dumps(content, ensure_ascii=False).encode()


def escape(text: str) -> str:
    """Escape what Slack would read as a link, a mention or an entity, and nothing else."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fit(text: str, limit: int = MAX_TEXT) -> str:
    """Cut an escaped text: what to do and which page it is stay, alerts go from the last on."""
    if len(text) <= limit:
        return text
    paragraphs = text.split("\n\n")
    first_line = WHAT_TO_DO.partition("\n")[0]
    end = next((n for n, p in enumerate(paragraphs) if p.startswith(first_line)), len(paragraphs))
    kept, tail = paragraphs[:end], [_CUT, *paragraphs[end:]]
    while kept and len("\n\n".join([*kept, *tail])) > limit:
        kept.pop()
    fitting = "\n\n".join([*kept, *tail])
    if kept and len(fitting) <= limit:
        return fitting
    cut = text[: limit - len(_CUT) - 1]
    # Not in the middle of an entity, the longest of which has five characters.
    start = cut.rfind("&", len(cut) - 5)
    if start >= 0 and ";" not in cut[start:]:
        cut = cut[:start]
    return f"{cut}\n{_CUT}"


def pause(received: int) -> int:
    """Give the seconds before the next try of what failed for the n-th time."""
    return int(_PAUSES.longest_wait(received))


def deliver(
    pages: Sequence[QueuedPage], webhook: Webhook, clock: Clock, *, seconds: float, patience: float
) -> Delivered:
    """Post one message per page, and say which have to be delivered again, and when.

    `seconds` is the time there is, `patience` the longest that one post takes. As long as there is
    time Slack's Retry-After is waited for here; else for that page and all behind it by the queue.
    """
    ends = clock.monotonic() + seconds
    posted = 0
    again: dict[QueuedPage, int] = {}
    problems: list[str] = []
    waiting = list(reversed(pages))
    while waiting:
        if clock.monotonic() + patience > ends:
            again |= dict.fromkeys(waiting, NO_TIME_PAUSE_SECONDS)
            problems.append(f"{len(waiting)} pages found no time; the queue delivers them again")
            break
        page = waiting.pop()
        try:
            webhook.post(message(page.body))
            posted += 1
        except WebhookRefusedError as refused:
            try:
                if clock.monotonic() + patience > ends:
                    raise  # no time for a short one
                webhook.post(short_message(page.body))
            except (WebhookBusyError, WebhookFailedError):
                again[page] = pause(page.received)
                problems.append(f"{refused}; try {page.received}, the next in {again[page]} s")
            else:
                posted += 1
                problems.append(f"{refused}; the short one was posted instead")
        except WebhookBusyError as busy:
            waiting.append(page)
            if clock.monotonic() + busy.retry_after + patience <= ends:
                clock.sleep(busy.retry_after)
                continue
            wait = max(1, round(min(busy.retry_after, MAX_RETRY_AFTER_SECONDS) + 0.5))
            again |= dict.fromkeys(waiting, wait)
            problems.append(f"{busy}; the queue delivers {len(waiting)} pages again then")
            break
        except (WebhookFailedError, NotAPageError) as error:
            again[page] = pause(page.received)
            problems.append(f"{error}; try {page.received}, the next in {again[page]} s")
    return Delivered(posted, again, tuple(problems))
