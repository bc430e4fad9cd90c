"""The verdict on a run, computed from its receipts: what was promised, and whether it was kept.

Which payments had to alert is judgement.py's to say, apart from the Flink job.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cardwatch.contract.alert import alert_id
from cardwatch.contract.attributed import attributed_event_id
from cardwatch.contract.page import TELLS_AGAIN
from cardwatch.local.witness.judgement import Payment, is_token, judge_payments
from cardwatch.local.witness.receipts import (
    AlertSeen,
    EventSeen,
    PageEventSeen,
    PageReceived,
    PaymentSeen,
    RejectedSeen,
    RuleAlertSeen,
    ScoreSeen,
    StatusSeen,
    SummarySeen,
    read_receipts,
)

SHOWN: Final = 5
"""How many ids a failure names."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict is computed from."""

    payments: Sequence[PaymentSeen] = ()
    statuses: Sequence[StatusSeen] = ()
    alerts: Sequence[AlertSeen] = ()
    rule_alerts: Sequence[RuleAlertSeen] = ()
    risk_desk: bool = False
    """Whether payments were to be scored."""
    scores: Sequence[ScoreSeen] = ()
    summaries: Sequence[SummarySeen] = ()
    page_events: Sequence[PageEventSeen] = ()
    pages: Sequence[PageReceived] = ()
    events: Sequence[EventSeen] = ()
    """Valid events that must be in the warehouse."""
    rejected: Sequence[RejectedSeen] = ()
    staged_ids: Collection[str] | None = frozenset()
    """event_id of every row of staging.events; None where they could not be read."""
    staged_rows: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Records in quarantine by reason."""
    given_up: Mapping[str, int] = field(default_factory=dict)
    """What the stand-ins gave up, in words, and how often."""
    unread: Sequence[str] = ()
    """What could not be read to judge by, and why."""

    @classmethod
    def read(cls, folder: Path) -> "Evidence":
        """Read the receipts of a run; what the warehouse and quarantine hold is added to them."""
        return cls(
            payments=read_receipts(folder, PaymentSeen),
            statuses=read_receipts(folder, StatusSeen),
            alerts=read_receipts(folder, AlertSeen),
            rule_alerts=read_receipts(folder, RuleAlertSeen),
            scores=read_receipts(folder, ScoreSeen),
            summaries=read_receipts(folder, SummarySeen),
            page_events=read_receipts(folder, PageEventSeen),
            pages=read_receipts(folder, PageReceived),
            events=read_receipts(folder, EventSeen),
            rejected=read_receipts(folder, RejectedSeen),
        )


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles in milliseconds; None without a measurement."""

    p50: int | None
    p99: int | None

    @classmethod
    def of(cls, values: Iterable[timedelta]) -> "Percentiles":
        """Compute from durations."""
        ranked = sorted(value // timedelta(milliseconds=1) for value in values)
        if not ranked:
            return cls(None, None)
        return cls(*(ranked[max(0, -(-len(ranked) * q // 100) - 1)] for q in (50, 99)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run did, and which promises it broke."""

    payments: int
    """Distinct payments on the stream."""
    stolen_payments: int
    """Of these, on a card that had been reported stolen."""
    alerts: int
    """Distinct alerts of stolen cards."""
    late_alerts: int
    """Of these, for a payment that came after its window had closed; not in the latencies."""
    rule_alerts: Mapping[str, int]
    """Distinct alerts of every other rule, by rule. They have to be paged; whether they are right
    is their own cases' to say."""
    scores: int
    """Distinct scores of payments."""
    scores_late: int
    """Of these, of payments behind the watermark; not in the latencies."""
    scores_repeated: int
    """Scores seen once more under their id: a job that was restored says some again."""
    summaries: int
    """Distinct summaries."""
    alerts_paged: int
    """Alerts in at least one page that was received."""
    alerts_expired: int
    """Alerts recorded as too old to page."""
    alerts_suppressed: int
    """Alerts that nobody was paged of, because somebody had acted on what they are about."""
    pages: int
    """Distinct messages received."""
    pages_redelivered: int
    """Messages received once more: the topic and the queue deliver at least once."""
    pages_repeated: int
    """Of these, marked as a possible repeat."""
    pages_doubled: int
    """Alerts in more than one page that is not marked as a repeat."""
    staged_rows: int
    quarantined: Mapping[str, int]
    given_up: Mapping[str, int]
    """What the stand-ins gave up, in words, and how often."""
    alert_latency_ms: Percentiles
    """Window's end to the alert's arrival on the stream."""
    page_latency_ms: Percentiles
    """Payment's event_date_origin to its page being received, of alerts that were paged at once."""
    follow_up_latency_ms: Percentiles
    """The same of alerts that waited for a follow-up, as they have to."""
    score_latency_ms: Percentiles
    """Payment's event_date_origin to its score's arrival on the stream. Payments from before the
    first score are left out: the risk desk was starting."""
    failures: tuple[str, ...]
    """Broken promises, in words; empty when all were kept."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which alerts are in which received pages."""

    by_alert: Mapping[str, Sequence[PageReceived]]
    expired: frozenset[str]
    suppressed: frozenset[str]
    """Of what is recorded without a page: because somebody had acted on what it is about."""

    @property
    def accounted_for(self) -> frozenset[str]:
        """Give the alerts that are in a page, or recorded without one on purpose."""
        return self.expired | self.suppressed | self.by_alert.keys()

    @classmethod
    def of(cls, pages: Sequence[PageReceived], events: Sequence[PageEventSeen]) -> "Paging":
        """Find each alert's pages by what the pages themselves say they account for.

        A page that tells of alerts again accounts for none.
        """
        by_alert: dict[str, list[PageReceived]] = {}
        for page in distinct(pages):
            for alert in page.alert_ids if page.kind not in TELLS_AGAIN else ():
                by_alert.setdefault(alert, []).append(page)
        unpaged = [e for e in events if e.state == "EXPIRED" and e.kind not in TELLS_AGAIN]
        suppressed = {i for e in unpaged if e.reason == "suppressed" for i in e.alert_ids}
        expired = {i for e in unpaged if e.reason != "suppressed" for i in e.alert_ids}
        return cls(by_alert, frozenset(expired), frozenset(suppressed))


def distinct(pages: Iterable[PageReceived]) -> list[PageReceived]:
    """Give each message once, as it was received first, in order of receipt.

    Copies that SQS or SNS make share the message's id; a page that was sent again has another.
    """
    first: dict[str, PageReceived] = {}
    for page in sorted(pages, key=lambda p: p.received):
        first.setdefault(page.message_id, page)
    return list(first.values())


def unfinished(evidence: Evidence) -> list[str]:
    """Say which alerts and pages a run still owes, so that whoever waits knows when to stop."""
    judged = judge_payments(evidence.payments, evidence.statuses)
    first = {a.alert_id: a for a in reversed(evidence.alerts)}
    paging = Paging.of(evidence.pages, evidence.page_events)
    return [
        *_stolen_without_alert(judged, first),
        *_payments_without_score(judged, evidence),
        *_alerts_without_page(first, paging),
        *_alerts_without_page(_to_be_paged(evidence), paging),
    ]


def reach_verdict(evidence: Evidence) -> Verdict:
    """Judge a run."""
    judged = judge_payments(evidence.payments, evidence.statuses)
    first = {a.alert_id: a for a in sorted(evidence.alerts, key=_arrival, reverse=True)}
    pages = distinct(evidence.pages)
    paging = Paging.of(pages, evidence.page_events)
    doubled = [
        alert for alert, of in paging.by_alert.items() if sum(not page.repeat for page in of) > 1
    ]
    by_rule = _rules(evidence)
    scores = {s.event_id: s for s in sorted(evidence.scores, key=_arrival, reverse=True)}
    scored_on_time = [score for score in scores.values() if not score.late]
    first_score = min(map(_arrival, scored_on_time), default=None)
    on_time = [alert for alert in first.values() if not alert.late]
    paged = [alert for alert in first if alert in paging.by_alert]
    return Verdict(
        payments=len(judged),
        stolen_payments=sum(stolen for _, stolen in judged.values()),
        alerts=len(first),
        late_alerts=len(first) - len(on_time),
        rule_alerts=dict(sorted(Counter(by_rule.values()).items())),
        scores=len(scores),
        scores_late=len(scores) - len(scored_on_time),
        scores_repeated=len(evidence.scores) - len(scores),
        summaries=len({s.event_id for s in evidence.summaries}),
        alerts_paged=len(paged),
        alerts_expired=len(paging.expired & first.keys()),
        alerts_suppressed=len(paging.suppressed & first.keys()),
        pages=len(pages),
        pages_redelivered=len(evidence.pages) - len(pages),
        pages_repeated=sum(page.repeat for page in pages),
        pages_doubled=len(doubled),
        staged_rows=evidence.staged_rows,
        quarantined=dict(evidence.quarantined),
        given_up=dict(evidence.given_up),
        alert_latency_ms=Percentiles.of(a.arrived - a.window_end for a in on_time),
        page_latency_ms=Percentiles.of(_took(on_time, paging, followed_up=False)),
        follow_up_latency_ms=Percentiles.of(_took(on_time, paging, followed_up=True)),
        score_latency_ms=Percentiles.of(
            score.arrived - score.origin
            for score in scored_on_time
            if first_score is not None and score.origin >= first_score
        ),
        failures=(
            *_nothing_happened(evidence),
            *_stolen_without_alert(judged, first),
            *_alerts_without_reason(judged, first),
            *_payments_without_score(judged, evidence),
            *_scores_without_payment(judged, scores),
            *_alerts_without_page(first, paging),
            *_alerts_without_page(_to_be_paged(evidence), paging),
            *_follow_ups_without_first(first, paging),
            *_complaint(doubled, "{} in two pages that are not marked as repeats", "alert"),
            *_not_staged(evidence),
            *(f"{count} {what}" for what, count in evidence.given_up.items() if count),
            *(f"not judged: {why}" for why in evidence.unread),
        ),
    )


def _took(alerts: Iterable[AlertSeen], paging: Paging, *, followed_up: bool) -> Iterator[timedelta]:
    """Give each paged alert's time to its first page, of those that waited for a follow-up or not.

    What the page says it is counts: a page that only a crash made late is still an alert's first.
    """
    for alert in alerts:
        pages = paging.by_alert.get(alert.alert_id)
        if pages and (pages[0].kind == "FOLLOW_UP") is followed_up:
            yield pages[0].received - alert.origin


def _nothing_happened(evidence: Evidence) -> list[str]:
    if evidence.payments:
        return []
    return ["no payment reached the stream: the simulator did not run"]


def _stolen_without_alert(
    judged: Mapping[Payment, tuple[PaymentSeen, bool]], alerts: Mapping[str, AlertSeen]
) -> list[str]:
    missing = [
        payment.payment_id
        for payment, stolen in judged.values()
        if stolen and alert_id(payment.payment_id, payment.card_token) not in alerts
    ]
    return _complaint(missing, "{} without an alert", "stolen payment")


def _alerts_without_reason(
    judged: Mapping[Payment, tuple[PaymentSeen, bool]], alerts: Mapping[str, AlertSeen]
) -> list[str]:
    allowed = {
        alert_id(payment.payment_id, payment.card_token)
        for payment, stolen in judged.values()
        if stolen
    }
    return _complaint(
        [a for a in alerts if a not in allowed], "{} for a payment that is not stolen", "alert"
    )


def _payments_without_score(
    judged: Mapping[Payment, tuple[PaymentSeen, bool]], evidence: Evidence
) -> list[str]:
    if not evidence.risk_desk:
        return []
    scored = {score.event_id for score in evidence.scores}
    missing = [
        payment_id
        for payment_id, card_token in judged
        if is_token(card_token) and attributed_event_id(payment_id, card_token) not in scored
    ]
    return _complaint(missing, "{} without a score", "payment")


def _scores_without_payment(
    judged: Mapping[Payment, tuple[PaymentSeen, bool]], scores: Mapping[str, ScoreSeen]
) -> list[str]:
    # Under another id than its payment's a score would stand beside the right one.
    allowed = {attributed_event_id(*payment) for payment in judged}
    strange = [score.payment_id for name, score in scores.items() if name not in allowed]
    return _complaint(strange, "{} that no payment on the stream has", "score")


def _arrival(seen: AlertSeen | ScoreSeen) -> datetime:
    return seen.arrived


def _rules(evidence: Evidence) -> dict[str, str]:
    """Give the rule of each alert that is not a stolen card's, by its id."""
    return {alert.alert_id: alert.rule for alert in evidence.rule_alerts}


def _to_be_paged(evidence: Evidence) -> set[str]:
    """Give those of them that people are paged of: not with its paging off, nor in shadow."""
    return {alert.alert_id for alert in evidence.rule_alerts if alert.pages}


def _alerts_without_page(alerts: Collection[str], paging: Paging) -> list[str]:
    accounted_for = paging.accounted_for
    missing = [alert for alert in alerts if alert not in accounted_for]
    return _complaint(missing, "{} not accounted for in a page that was received", "alert")


def _follow_ups_without_first(alerts: Mapping[str, AlertSeen], paging: Paging) -> list[str]:
    """Name alerts that waited for a follow-up though nobody was paged of their card at once."""
    kinds = {name: of[0].kind for name, of in paging.by_alert.items()}
    told = {
        alert.card_token
        for name, alert in alerts.items()
        if kinds.get(name, "FOLLOW_UP") != "FOLLOW_UP"
    }
    missing = [
        name
        for name, alert in alerts.items()
        if kinds.get(name) == "FOLLOW_UP" and alert.card_token not in told
    ]
    return _complaint(missing, "{} in a follow-up on a card that has no first page", "alert")


def _not_staged(evidence: Evidence) -> list[str]:
    if evidence.staged_ids is None:
        return []
    missing = {event.event_id for event in evidence.events} - set(evidence.staged_ids)
    return _complaint(sorted(missing), "{} not staged in the warehouse", "valid event")


def _complaint(ids: Sequence[str], text: str, what: str) -> list[str]:
    if not ids:
        return []
    plural = "" if len(ids) == 1 else "s"
    named = ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
    return [f"{text.format(f'{len(ids)} {what}{plural}')}: {named}"]
