"""What a rule has to say about its alerts; each rule's file in `rules` has one `WORDS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert

Line = tuple[str, str]
"""A label and its value."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one rule's pages. A page is about alerts of one rule."""

    headline: Callable[[Sequence[PagedAlert]], str]
    """One line for all alerts of a page, of which there is at least one."""
    subject: Callable[[PagedAlert], str]
    """The subject of a page of one alert; of several the headline and `totals` are it."""
    totals: Callable[[Sequence[PagedAlert], int | None], str]
    """What several alerts add up to, in at most so many parts."""
    details: Callable[[PagedAlert], Sequence[Line]]
    """What is said of one alert, the entity first."""
    what_to_do: Callable[[Sequence[PagedAlert]], Sequence[str]]
    """Steps for people, in order."""
    adds_up: Callable[[PagedAlert], bool] = lambda _: False
    """Whether an alert's amount belongs into a total: money that was or may have been taken."""
    urgent: bool = False
    """Its pages go first and may take the bucket's last tokens: no other rule holds it back."""


def _headline(alerts: Sequence[PagedAlert]) -> str:
    rule = alerts[0].rule
    if len(alerts) == 1:
        return f"An alert of the rule {rule}"
    return f"{len(alerts)} alerts of the rule {rule}"


def _subject(alert: PagedAlert) -> str:
    observed = phrases.amount(alert) if alert.currency else None
    what = ", ".join(part for part in (observed, phrases.place(alert)) if part)
    return f"{alert.rule}: {alert.entity_kind} {alert.entity}" + (f": {what}" if what else "")


def entity_line(alert: PagedAlert) -> Line:
    """Say what the alert is about."""
    return alert.entity_kind.capitalize(), alert.entity


def _figures(alert: PagedAlert) -> Sequence[Line]:
    unit = f" {alert.currency}" if alert.currency else ""
    return [
        (label, f"{figure:f}{unit}")
        for label, figure in (("Observed", alert.amount), ("Limit", alert.threshold))
        if figure is not None
    ]


def _window(alert: PagedAlert) -> Sequence[Line]:
    if alert.window_start is None or alert.window_end is None:
        return []
    start, end = phrases.instant(alert.window_start), phrases.instant(alert.window_end)
    return [("Window", f"{start} to {end}")]


def _details(alert: PagedAlert) -> Sequence[Line]:
    return [
        entity_line(alert),
        *_figures(alert),
        *_window(alert),
        ("Severity", alert.severity),
        ("Happened", phrases.instant(alert.happened_at)),
        ("Detected", phrases.detected(alert)),
        ("Why", alert.reason or "no reason given"),
        ("Payments" if alert.payment_count > 1 else "Payment", phrases.payments(alert)),
    ]


def _what_to_do(alerts: Sequence[PagedAlert]) -> Sequence[str]:
    kinds = " and ".join(sorted({alert.entity_kind for alert in alerts}))
    return [
        f"Look at the {kinds} and the payments named above.",
        "Decide whether they have to be stopped.",
    ]


def _totals(alerts: Sequence[PagedAlert], _: int | None) -> str:
    return phrases.counted(len({alert.entity_id for alert in alerts}), "entity", "entities")


PLAIN: Final = Words(
    headline=_headline,
    subject=_subject,
    totals=_totals,
    details=_details,
    what_to_do=_what_to_do,
)
"""For a rule that nobody wrote words for."""
