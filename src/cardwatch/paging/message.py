"""A page as plain text that reads well in an e-mail and on a phone; a rule's own words are its."""

from collections.abc import Iterable, Sequence
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ports import PageMessage
from cardwatch.paging.records import Page
from cardwatch.paging.rules import words_of
from cardwatch.paging.transliteration import in_ascii
from cardwatch.paging.words import Line

MAX_LISTED: Final = 20
MAX_SUBJECT: Final = 100
"""SNS takes no longer subject, and only ASCII without line breaks."""
_TOTALS_IN_SUBJECT: Final = 2

WHAT_TO_DO: Final = "What to do"

_REPEAT: Final = """\
THIS MAY BE A REPEAT. The page below may have reached you before, under the same page id. If it \
has, there is nothing new in it."""
_SHORT: Final = """\
The channel refused this page in full, so this is the short one. Look the alerts up by this page's \
id: the PAGE_EVENT of that id lists them."""


def compose(page: Page, alerts: Sequence[PagedAlert], policy: Policy) -> PageMessage:
    """Write a page about alerts of one rule, the newest first, at most 20 of them in full."""
    ordered = sorted(alerts, key=lambda alert: (alert.happened_at, alert.alert_id), reverse=True)
    words = words_of(ordered[0].rule)
    listed, unlisted = ordered[:MAX_LISTED], ordered[MAX_LISTED:]
    paragraphs = [words.headline(ordered)]
    if page.repeat:
        paragraphs.append(_REPEAT)
    paragraphs += [
        _details(words.details(alert), alert, number if len(ordered) > 1 else None)
        for number, alert in enumerate(listed, start=1)
    ]
    if unlisted:
        rest = words.totals(unlisted, None)
        paragraphs.append(f"And {len(unlisted)} more, not listed here: {rest}.")
    steps = [f"{n}. {step}" for n, step in enumerate(words.what_to_do(ordered), start=1)]
    paragraphs.append("\n".join([WHAT_TO_DO, *steps]))
    paragraphs += _notes(page, policy)
    return _message(page, _subject(page, ordered), [*paragraphs, _footer(page, ordered)])


def compose_short(page: Page, alerts: Sequence[PagedAlert]) -> PageMessage:
    """Write what a channel takes that refused the page in full: nothing in it comes from outside.

    It accounts for the same alerts.
    """
    subject = f"{phrases.counted(len(alerts), 'alert')}: page {page.page_id} in short"
    if page.repeat:
        subject = f"May be a repeat: {subject}"
    paragraphs = [subject, *([_REPEAT] if page.repeat else []), _SHORT, _footer(page, alerts)]
    return _message(page, subject, paragraphs)


def _message(page: Page, subject: str, paragraphs: Sequence[str]) -> PageMessage:
    return PageMessage(
        page_id=page.page_id,
        subject=subject,
        text="\n\n".join(paragraphs) + "\n",
        alert_ids=page.alert_ids,
        repeat=page.repeat,
    )


def _footer(page: Page, alerts: Sequence[PagedAlert]) -> str:
    return f"Page: {page.page_id}\nAlerts in this page: {len(alerts)}"


def _subject(page: Page, alerts: Sequence[PagedAlert]) -> str:
    words = words_of(alerts[0].rule)
    if len(alerts) == 1:
        text = words.subject(alerts[0])
    else:
        text = f"{words.headline(alerts)}: {words.totals(alerts, _TOTALS_IN_SUBJECT)}"
    text = f"May be a repeat: {text}" if page.repeat else text
    plain = in_ascii(text)
    return plain if len(plain) <= MAX_SUBJECT else plain[: MAX_SUBJECT - 3].rstrip() + "..."


def _details(lines: Sequence[Line], alert: PagedAlert, number: int | None) -> str:
    (entity, name), *others = lines
    first = f"{number}. {entity} {name}" if number else f"{entity}: {name}"
    said = [f"{label}: {value}" for label, value in [*others, ("Alert", alert.alert_id)]]
    return "\n".join([first, *said])


def _notes(page: Page, policy: Policy) -> Iterable[str]:
    if page.waited:
        verb = "alert of this page waited" if page.waited == 1 else "alerts of this page waited"
        yield f"{page.waited} {verb}: at most {policy.pages_per_minute} pages a minute go out."
    expired = len(page.expired_ids) + page.earlier_expired
    if expired:
        verb = "alert was" if expired == 1 else "alerts were"
        age = phrases.span(policy.max_age)
        why = f"older than {age}, or refused by the channel until then"
        yield f"{expired} {verb} not paged, only recorded as EXPIRED: {why}."
