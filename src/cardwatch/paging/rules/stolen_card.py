"""A payment on a card that was reported stolen."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import Line, Words

_COST_NOTHING: Final = {"DECLINED": "declined", "REFUNDED": "refund"}
"""Statuses of payments that took no money, and the word for them."""


def _word(alert: PagedAlert) -> str | None:
    return _COST_NOTHING.get(alert.status or "")


def _cost(alerts: Sequence[PagedAlert]) -> list[PagedAlert]:
    """Give the alerts of payments that took money, or may have."""
    return [alert for alert in alerts if _word(alert) is None]


def _headline(alerts: Sequence[PagedAlert]) -> str:
    if len(alerts) == 1:
        kind = {"declined": "A declined payment", "refund": "A refund"}
        return f"{kind.get(_word(alerts[0]) or '', 'A payment')} on a stolen card"
    cards = len({alert.entity_id for alert in alerts})
    words = Counter(word for alert in alerts if (word := _word(alert)))
    forms = {"declined": ("declined", "declined"), "refund": ("refund", "refunds")}
    said = ", ".join(phrases.counted(n, *forms[word]) for word, n in sorted(words.items()))
    of_them = f" ({said})" if said else ""
    return f"{len(alerts)} payments on {phrases.counted(cards, 'stolen card')}{of_them}"


def _subject(alert: PagedAlert) -> str:
    amount = phrases.amount(alert) or "amount unknown"
    word = _word(alert)
    paid = f"{amount} {word}" if word else amount
    what = ", ".join(part for part in (paid, phrases.place(alert)) if part)
    return f"Stolen card {alert.entity}: {what}"


def _totals(alerts: Sequence[PagedAlert], at_most: int | None) -> str:
    """Add up what was paid: what was declined or refunded cost nothing."""
    return phrases.totals(_cost(alerts), at_most) or "nothing was charged"


def _details(alert: PagedAlert) -> Sequence[Line]:
    payment = phrases.payments(alert)
    return [
        ("Card", alert.entity),
        ("Amount", phrases.amount(alert) or "unknown"),
        *([("Status", alert.status.lower())] if alert.status else []),
        ("Merchant", alert.merchant or "unknown"),
        ("Place", phrases.place(alert) or "unknown"),
        ("Happened", phrases.instant(alert.happened_at)),
        ("Detected", phrases.detected(alert)),
        ("Why", alert.reason or "no reason given"),
        ("Payment", payment + (f", account {alert.account_id}" if alert.account_id else "")),
    ]


def _what_to_do(alerts: Sequence[PagedAlert]) -> Sequence[str]:
    words = {_word(alert) for alert in alerts}
    steps = ["Block the card, if it is not blocked yet."]
    if words == {None}:
        steps.append("Stop or reverse the payment.")
    elif None in words:
        steps.append("Stop or reverse the payments that were neither declined nor refunded.")
    if "declined" in words:
        steps.append("Nothing is to be reversed where it says declined: somebody tried the card.")
    if "refund" in words:
        steps.append("Hold the refund until it is clear which payment it gives back, and to whom.")
    steps.append("Call the account holder on the number on file.")
    return steps


WORDS: Final = Words(
    headline=_headline,
    subject=_subject,
    totals=_totals,
    details=_details,
    what_to_do=_what_to_do,
    adds_up=lambda alert: _word(alert) is None,
    urgent=True,
)
