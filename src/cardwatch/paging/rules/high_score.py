"""A payment whose risk score is above the threshold."""

from collections.abc import Sequence
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import Line, Words, entity_line


def _score(alert: PagedAlert) -> str:
    return "unknown" if alert.amount is None else f"{alert.amount:f}"


def _headline(alerts: Sequence[PagedAlert]) -> str:
    if len(alerts) == 1:
        return "A payment with a high risk score"
    cards = len({alert.entity_id for alert in alerts})
    return f"{len(alerts)} payments with a high risk score on {phrases.counted(cards, 'card')}"


def _subject(alert: PagedAlert) -> str:
    return f"Risk score {_score(alert)}: {alert.entity_kind} {alert.entity}"


def _totals(alerts: Sequence[PagedAlert], _: int | None) -> str:
    """Say the highest: scores are not added up."""
    scores = [alert.amount for alert in alerts if alert.amount is not None]
    return f"up to {max(scores):f}" if scores else "scores unknown"


def _details(alert: PagedAlert) -> Sequence[Line]:
    threshold = "" if alert.threshold is None else f", the threshold is {alert.threshold:f}"
    return [
        entity_line(alert),
        ("Score", f"{_score(alert)}{threshold}"),
        ("Why", alert.reason or "no reason given"),
        ("Severity", alert.severity),
        ("Happened", phrases.instant(alert.happened_at)),
        ("Detected", phrases.detected(alert)),
        ("Payment", phrases.payments(alert)),
    ]


def _what_to_do(_: Sequence[PagedAlert]) -> Sequence[str]:
    return [
        "Read what speaks against the payment, and look at what the account paid before it.",
        "If it cannot be explained, hold the payment and block the card.",
        "Call the account holder on the number on file.",
    ]


WORDS: Final = Words(
    headline=_headline,
    subject=_subject,
    totals=_totals,
    details=_details,
    what_to_do=_what_to_do,
)
