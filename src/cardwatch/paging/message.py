"""The words of a page: plain text that reads well in an e-mail and on a phone."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ports import PageMessage
from cardwatch.paging.records import Page

MAX_LISTED: Final = 20
MAX_SUBJECT: Final = 100
"""SNS takes no longer subject, and only ASCII without line breaks."""
_TOTALS_IN_SUBJECT: Final = 2

WHAT_TO_DO: Final = """\
What to do
1. Block the card, if it is not blocked yet.
2. Stop or reverse the payment.
3. Call the account holder on the number on file."""

_REPEAT: Final = """\
THIS MAY BE A REPEAT. The page below may have reached you before, under the same page id. If it \
has, there is nothing new in it."""


def compose(page: Page, alerts: Sequence[PagedAlert], policy: Policy) -> PageMessage:
    """Write a page about these alerts, the newest payment first, at most 20 of them in full."""
    ordered = sorted(alerts, key=lambda alert: (alert.happened_at, alert.alert_id), reverse=True)
    listed, unlisted = ordered[:MAX_LISTED], ordered[MAX_LISTED:]
    paragraphs = [_headline(ordered)]
    if page.repeat:
        paragraphs.append(_REPEAT)
    paragraphs += [
        _details(alert, number if len(ordered) > 1 else None)
        for number, alert in enumerate(listed, start=1)
    ]
    if unlisted:
        paragraphs.append(f"And {len(unlisted)} more, not listed here: {_totals(unlisted)}.")
    paragraphs.append(WHAT_TO_DO)
    paragraphs += _notes(page, policy)
    paragraphs.append(f"Page: {page.page_id}\nAlerts in this page: {len(ordered)}")
    return PageMessage(
        page_id=page.page_id,
        subject=_subject(page, ordered),
        text="\n\n".join(paragraphs) + "\n",
        alert_ids=page.alert_ids,
        repeat=page.repeat,
    )


def _subject(page: Page, alerts: Sequence[PagedAlert]) -> str:
    if len(alerts) == 1:
        alert = alerts[0]
        place = ", ".join(part for part in (alert.city, alert.country) if part)
        amount = _amount(alert) or "amount unknown"
        what = ", ".join(part for part in (amount, place) if part)
        text = f"Stolen card {alert.card}: {what}"
    else:
        text = f"{_headline(alerts)}: {_totals(alerts, at_most=_TOTALS_IN_SUBJECT)}"
    text = f"May be a repeat: {text}" if page.repeat else text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = " ".join(plain.split())
    return plain if len(plain) <= MAX_SUBJECT else plain[: MAX_SUBJECT - 3].rstrip() + "..."


def _headline(alerts: Sequence[PagedAlert]) -> str:
    cards = len({alert.card_token for alert in alerts})
    if len(alerts) == 1:
        return "A payment on a stolen card"
    return f"{len(alerts)} payments on {cards} stolen card{'s' if cards > 1 else ''}"


def _details(alert: PagedAlert, number: int | None) -> str:
    place = ", ".join(part for part in (alert.city, alert.country) if part)
    delay = alert.detected_at - alert.happened_at
    payment = alert.payment_id or "unknown"
    lines = [
        f"{number}. Card {alert.card}" if number else f"Card: {alert.card}",
        f"Amount: {_amount(alert) or 'unknown'}",
        f"Merchant: {alert.merchant or 'unknown'}",
        f"Place: {place or 'unknown'}",
        f"Happened: {_time(alert.happened_at)}",
        f"Detected: {_time(alert.detected_at)}, {_span(delay)} later",
        f"Why: {alert.reason or 'no reason given'}",
        f"Payment: {payment}" + (f", account {alert.account_id}" if alert.account_id else ""),
        f"Alert: {alert.alert_id}",
    ]
    return "\n".join(lines)


def _notes(page: Page, policy: Policy) -> Iterable[str]:
    if page.waited:
        verb = "alert of this page waited" if page.waited == 1 else "alerts of this page waited"
        yield f"{page.waited} {verb}: at most {policy.pages_per_minute} pages a minute go out."
    expired = len(page.expired_ids) + page.earlier_expired
    if expired:
        verb = "alert was" if expired == 1 else "alerts were"
        age = _span(policy.max_age)
        yield f"{expired} {verb} older than {age} and not paged, only recorded as EXPIRED."


def _amount(alert: PagedAlert) -> str | None:
    if alert.amount is None:
        return None
    return f"{alert.amount:f} {alert.currency or '(currency unknown)'}"


def _totals(alerts: Iterable[PagedAlert], at_most: int | None = None) -> str:
    """Add up per currency; currencies are never added together."""
    sums: dict[str, Decimal] = {}
    unknown = 0
    for alert in alerts:
        if alert.amount is None:
            unknown += 1
        else:
            currency = alert.currency or "(currency unknown)"
            sums[currency] = sums.get(currency, Decimal(0)) + alert.amount
    parts = [f"{amount:f} {currency}" for currency, amount in sorted(sums.items())]
    if unknown:
        parts.append(f"{unknown} with amount unknown")
    if at_most is not None and len(parts) > at_most:
        parts = [*parts[:at_most], "more"]
    return " + ".join(parts) if at_most is not None else ", ".join(parts)


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    """Say a length of time in the largest unit that leaves no fraction worth reading."""
    seconds = max(0, round(span.total_seconds()))
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"
