"""How a page says an amount, a place, a time: what the words of every rule are made of."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from cardwatch.contract.act import Act, PageAct
from cardwatch.paging.alerts import PagedAlert

NO_CURRENCY: Final = "(currency unknown)"
_ACTED: Final[dict[Act, str]] = {
    "ACKNOWLEDGED": "acknowledged it",
    "CONFIRMED": "confirmed fraud",
    "FALSE_POSITIVE": "called it a false positive",
    "SNOOZED": "snoozed it",
    "ESCALATED": "escalated it",
    "RESOLVED": "resolved it",
}


def amount(alert: PagedAlert) -> str | None:
    """Say what was paid or observed; None where it could not be read."""
    if alert.amount is None:
        return None
    return f"{alert.amount:f} {alert.currency or NO_CURRENCY}"


def place(alert: PagedAlert) -> str | None:
    """Say where; None where nothing is known."""
    return ", ".join(part for part in (alert.city, alert.country) if part) or None


def totals(alerts: Iterable[PagedAlert], at_most: int | None = None) -> str:
    """Add up per currency; currencies are never added together."""
    counting = list(alerts)
    unknown = sum(alert.amount is None for alert in counting)
    parts = [f"{total:f} {currency}" for currency, total in sorted(sums(counting).items())]
    if unknown:
        parts.append(f"{unknown} with amount unknown")
    if at_most is not None and len(parts) > at_most:
        parts = [*parts[:at_most], "more"]
    return " + ".join(parts) if at_most is not None else ", ".join(parts)


def sums(alerts: Iterable[PagedAlert]) -> dict[str, Decimal]:
    """Add up amounts per currency; what has none is left out."""
    added: dict[str, Decimal] = {}
    for alert in alerts:
        if alert.amount is not None:
            currency = alert.currency or NO_CURRENCY
            added[currency] = added.get(currency, Decimal(0)) + alert.amount
    return added


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Say a number of things."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def instant(value: datetime) -> str:
    """Say when."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def span(value: timedelta) -> str:
    """Say a length of time in the largest unit that leaves no fraction worth reading."""
    seconds = max(0, round(value.total_seconds()))
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"


def detected(alert: PagedAlert) -> str:
    """Say when it was detected, and how long after it happened."""
    return f"{instant(alert.detected_at)}, {span(alert.detected_at - alert.happened_at)} later"


def payments(alert: PagedAlert) -> str:
    """Name the payments, and count those that are not named."""
    named = ", ".join(alert.payment_ids) or "unknown"
    more = alert.payment_count - len(alert.payment_ids)
    return f"{named} and {more} more" if alert.payment_ids and more > 0 else named


def acted(act: PageAct) -> str:
    """Say who did what."""
    who = f"{act.by} (as typed)" if act.claimed else act.by
    until = f" until {instant(act.until)}" if act.until else ""
    return f"{who} {_ACTED[act.act]}{until}"
