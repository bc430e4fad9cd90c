"""A single payment above the limit of its currency."""

from collections.abc import Sequence
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import Line, Words, entity_line


def _headline(alerts: Sequence[PagedAlert]) -> str:
    if len(alerts) == 1:
        return "A payment above the limit"
    return f"{len(alerts)} payments above the limit"


def _subject(alert: PagedAlert) -> str:
    return f"Large amount: {phrases.amount(alert) or 'unknown'}, {alert.entity_kind} {alert.entity}"


def _details(alert: PagedAlert) -> Sequence[Line]:
    limit = "" if alert.threshold is None else f", the limit is {alert.threshold:f}"
    return [
        entity_line(alert),
        ("Amount", f"{phrases.amount(alert) or 'unknown'}{limit}"),
        ("Severity", alert.severity),
        ("Happened", phrases.instant(alert.happened_at)),
        ("Detected", phrases.detected(alert)),
        ("Why", alert.reason or "no reason given"),
        ("Payment", phrases.payments(alert)),
    ]


def _what_to_do(_: Sequence[PagedAlert]) -> Sequence[str]:
    return [
        "See whether the account holder has paid amounts like this before.",
        "If not, hold the payment and call the account holder on the number on file.",
    ]


WORDS: Final = Words(
    headline=_headline,
    subject=_subject,
    totals=phrases.totals,
    details=_details,
    what_to_do=_what_to_do,
    adds_up=lambda _: True,
)
