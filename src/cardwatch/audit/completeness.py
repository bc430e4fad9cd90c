"""What became of each payment that should have alerted, told apart by cause."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from cardwatch.audit.judgement import came_before, report_in_force, stream_could_tell
from cardwatch.audit.ports import (
    QuarantinedPayment,
    Staged,
    StagedAlert,
    StagedPage,
    StagedPayment,
    StagedStatus,
)
from cardwatch.contract.streams import MAX_CLOCK_SKEW

SETTLE: Final = timedelta(minutes=3)
"""What was loaded less than this ago may still be followed by its alert, payment or page: window,
lease, a round of the notifier's schedule, delivery and load."""
LOOK_BACK: Final = timedelta(days=7)
"""How long before its report a theft is looked back to, where nobody says otherwise."""
_RETENTION_SLACK: Final = timedelta(days=2)
"""A page comes up to PAGE_MAX_AGE after the payment by whose time its alert is kept."""

Kind = Literal["missing", "doubled", "late", "unpaged", "unstaged"]
Cause = Literal[
    "reported_later",
    "before_look_back",
    "stood_before_report",
    "disorder",
    "clock",
    "quarantined",
    "lost",
    "two_ids",
    "two_unmarked_pages",
    "behind_watermark",
    "found_by_audit",
    "found_by_look_back",
    "too_old",
    "refused",
    "suppressed",
    "alert_lost",
    "payment_lost",
]

CAUSES: Final[Mapping[tuple[Kind, Cause], str]] = {
    ("missing", "lost"): "the stream knew of the theft and said nothing",
    ("missing", "quarantined"): "judged by nobody, it is in quarantine",
    ("missing", "clock"): "judged by nobody, its time is ahead of its load",
    ("missing", "disorder"): "judged by nobody, it stood behind newer statuses of its card",
    ("missing", "stood_before_report"): "it stood before its card's report on the stream",
    ("missing", "reported_later"): "the theft began before it was reported",
    ("missing", "before_look_back"): "reported too long after it: not looked back to",
    ("doubled", "two_ids"): "alerts under different ids",
    ("doubled", "two_unmarked_pages"): "in two pages that are not marked as repeats",
    ("unpaged", "lost"): "in no page, sent or expired",
    ("unpaged", "refused"): "the channel refused its page until it was too old",
    ("unpaged", "too_old"): "too old to page when it came",
    ("unpaged", "suppressed"): "somebody had acted on what it is about, so nobody was paged",
    ("unstaged", "alert_lost"): "a page names an alert that the warehouse has not got",
    ("unstaged", "payment_lost"): "an alert's payment is not in the warehouse",
    ("unstaged", "quarantined"): "an alert's payment is in quarantine",
    ("late", "behind_watermark"): "it came after its window had closed; in no summary",
    ("late", "found_by_audit"): "put on the stream by an audit; in no summary",
    ("late", "found_by_look_back"): "put on the stream by a look-back; in no summary",
}
"""Every cause in words, in the order of a report."""

DEFECTS: Final[frozenset[tuple[Kind, Cause]]] = frozenset(
    {
        ("missing", "lost"),
        ("doubled", "two_ids"),
        ("doubled", "two_unmarked_pages"),
        ("unpaged", "lost"),
        ("unpaged", "refused"),
        ("unstaged", "alert_lost"),
        ("unstaged", "payment_lost"),
    }
)
"""What must not happen. The rest follows from what came when, or is told elsewhere."""

Payment = tuple[str, str]
"""What makes a payment the same payment: its payment_id and card_token."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One payment or alert that is not as it should be."""

    kind: Kind
    cause: Cause
    happened_at: datetime
    """The payment's event time as far as it is known, or when its page was sent."""
    payment_id: str | None = None
    card_token: str | None = None
    alert_id: str | None = None
    owed: "OwedAlert | None" = None
    """Of a missing one that can be made from what is staged."""

    @property
    def is_defect(self) -> bool:
        """Say whether it must not happen."""
        return (self.kind, self.cause) in DEFECTS


@dataclass(frozen=True, slots=True)
class OwedAlert:
    """What a missing alert is made of."""

    record: StagedPayment
    """The first record of the payment, by event time, that was made while the card was stolen."""
    report: StagedStatus
    """The status by which it was."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found."""

    as_of: datetime | None
    """Audited is what was loaded until then; None where nothing is loaded."""
    owed: int
    """Payments that should have alerted, those in quarantine included."""
    alerted: int
    """Of these, payments that did."""
    waiting: int
    """Payments, alerts and pages that may still be followed by what they lack."""
    findings: tuple[Finding, ...]
    """In the order of CAUSES, then by time."""
    settled_within: timedelta = SETTLE
    """After how long at the latest what may still follow is overdue."""

    @property
    def counts(self) -> Mapping[tuple[Kind, Cause], int]:
        """Count the findings, in the order of CAUSES."""
        found = Counter((finding.kind, finding.cause) for finding in self.findings)
        return {place: found[place] for place in CAUSES if found[place]}

    @property
    def defects(self) -> int:
        """Count the defects."""
        return sum(finding.is_defect for finding in self.findings)

    @property
    def missing(self) -> Sequence[Finding]:
        """Give the payments that people should still hear of."""
        return [
            finding
            for finding in self.findings
            if finding.kind == "missing" and finding.cause != "before_look_back"
        ]

    @property
    def next_since(self) -> datetime | None:
        """Say since when the next audit has to look, so that the two leave nothing out."""
        return None if self.as_of is None else self.as_of - self.settled_within


def audit(
    staged: Staged,
    *,
    kept: timedelta,
    look_back: timedelta = LOOK_BACK,
    paged_within: timedelta = SETTLE,
) -> AuditReport:
    """Say what should have alerted and what became of it.

    `kept` is how long events are; a theft is looked back to from its report by `look_back`;
    `paged_within` is how long an alert may wait for its page, the page's own way included.
    """
    return _Audit(staged, kept, look_back, paged_within).report()


class _Audit:
    def __init__(
        self, staged: Staged, kept: timedelta, look_back: timedelta, paged_within: timedelta
    ) -> None:
        self._staged = staged
        self._kept = kept
        self._look_back = look_back
        self._paged_within = paged_within
        self._statuses: dict[str, list[StagedStatus]] = defaultdict(list)
        for status in staged.statuses:
            self._statuses[status.card_token].append(status)
        self._payments: dict[Payment, list[StagedPayment]] = defaultdict(list)
        for record in sorted(staged.payments, key=lambda r: (r.happened_at, r.event_id)):
            self._payments[record.payment_id, record.card_token].append(record)
        self._alerts: dict[Payment, list[StagedAlert]] = defaultdict(list)
        for alert in staged.alerts:
            self._alerts[alert.payment_id, alert.card_token].append(alert)
        self._pages: dict[str, list[StagedPage]] = defaultdict(list)
        for page in staged.pages:
            self._pages[page.alert_id].append(page)
        self._owed = self._alerted = self._waiting = 0

    def report(self) -> AuditReport:
        found = [
            *self._missing(),
            *self._missing_in_quarantine(),
            *self._doubled(),
            *self._late(),
            *self._unpaged(),
            *self._unstaged_payments(),
            *self._unstaged_alerts(),
        ]
        order = {place: number for number, place in enumerate(CAUSES)}
        found.sort(key=lambda f: (order[f.kind, f.cause], f.happened_at, f.payment_id or ""))
        return AuditReport(
            self._staged.as_of,
            self._owed,
            self._alerted,
            self._waiting,
            tuple(found),
            max(SETTLE, self._paged_within),
        )

    def _missing(self) -> Iterator[Finding]:
        for payment, records in self._payments.items():
            statuses = self._statuses.get(payment[1], [])
            if not (any(r.new for r in records) or any(status.new for status in statuses)):
                continue
            owed = _owed_alert(records, statuses)
            if owed is None:
                continue
            self._owed += 1
            if payment in self._alerts:
                self._alerted += 1
                continue
            told = [record for record in records if stream_could_tell(statuses, record)]
            cause = _cause(owed, told, self._look_back)
            if cause == "lost" and self._may_follow(min(record.loaded_at for record in told)):
                self._waiting += 1
                continue
            made = None if cause == "before_look_back" else owed
            yield Finding("missing", cause, owed.record.happened_at, *payment, owed=made)

    def _missing_in_quarantine(self) -> Iterator[Finding]:
        seen: set[tuple[str, str]] = set()
        for record in sorted(self._staged.quarantined, key=lambda q: (q.arrived_at, q.event_id)):
            payment = (record.payment_id or record.event_id, record.card_token)
            if payment in seen or payment in self._payments or not self._is_new(record):
                continue
            if not self._may_be_stolen(record):
                continue
            seen.add(payment)
            self._owed += 1
            if payment in self._alerts:
                self._alerted += 1
                continue
            at = record.happened_at or record.arrived_at
            yield Finding("missing", "quarantined", at, record.payment_id, record.card_token)

    def _is_new(self, record: QuarantinedPayment) -> bool:
        statuses = self._statuses.get(record.card_token, [])
        return record.new or any(status.new for status in statuses)

    def _may_be_stolen(self, record: QuarantinedPayment) -> bool:
        """Say whether its card was stolen at its time; where no time is legible, nobody knows."""
        if record.happened_at is None:
            return True
        statuses = self._statuses.get(record.card_token, [])
        return report_in_force(statuses, record.happened_at) is not None

    def _doubled(self) -> Iterator[Finding]:
        for payment, alerts in self._alerts.items():
            by_id = {alert.alert_id: alert for alert in alerts}
            if len(by_id) > 1 and any(alert.new for alert in alerts):
                yield Finding("doubled", "two_ids", alerts[0].happened_at, *payment)
        for alert_id, pages in self._pages.items():
            unmarked = {p.page_id for p in pages if p.state == "SENT" and not p.repeat}
            if len(unmarked) > 1 and any(page.new for page in pages):
                at = max(page.happened_at for page in pages)
                yield Finding("doubled", "two_unmarked_pages", at, alert_id=alert_id)

    def _late(self) -> Iterator[Finding]:
        causes: Mapping[str, Cause] = {
            "stream": "behind_watermark",
            "audit": "found_by_audit",
            "look_back": "found_by_look_back",
        }
        for alert in self._staged.alerts:
            if alert.new and alert.late:
                yield _of_alert("late", causes[alert.found_by], alert)

    def _unpaged(self) -> Iterator[Finding]:
        for alert in self._staged.alerts:
            if not alert.new:
                continue
            pages = self._pages.get(alert.alert_id, [])
            if any(page.state == "SENT" for page in pages):
                continue
            if pages:
                yield _of_alert("unpaged", pages[0].reason or "too_old", alert)
            elif self._may_follow(alert.loaded_at, self._paged_within):
                self._waiting += 1
            else:
                yield _of_alert("unpaged", "lost", alert)

    def _unstaged_payments(self) -> Iterator[Finding]:
        quarantined = {(q.payment_id, q.card_token) for q in self._staged.quarantined}
        for payment, alerts in self._alerts.items():
            if payment in self._payments or not any(alert.new for alert in alerts):
                continue
            if payment in quarantined:
                yield _of_alert("unstaged", "quarantined", alerts[0])
            elif any(self._may_follow(alert.loaded_at) for alert in alerts):
                self._waiting += 1
            else:
                yield _of_alert("unstaged", "payment_lost", alerts[0])

    def _unstaged_alerts(self) -> Iterator[Finding]:
        staged = {alert.alert_id for alert in self._staged.alerts}
        for alert_id, pages in self._pages.items():
            if alert_id in staged or not any(page.new for page in pages):
                continue
            first = min(pages, key=lambda page: page.happened_at)
            if self._may_be_removed(first.happened_at):
                continue
            if any(self._may_follow(page.loaded_at) for page in pages):
                self._waiting += 1
            else:
                yield Finding("unstaged", "alert_lost", first.happened_at, alert_id=alert_id)

    def _may_follow(self, loaded_at: datetime, within: timedelta = SETTLE) -> bool:
        """Say whether what belongs to something loaded then may still be on its way.

        Time passes by what is loaded: while delivery stands still, nothing is overdue.
        """
        return self._staged.as_of is None or loaded_at > self._staged.as_of - within

    def _may_be_removed(self, happened_at: datetime) -> bool:
        """Say whether retention may have removed what belongs to something of that time."""
        as_of = self._staged.as_of
        return as_of is None or happened_at < as_of - self._kept + _RETENTION_SLACK


def _owed_alert(
    records: Sequence[StagedPayment], statuses: Sequence[StagedStatus]
) -> OwedAlert | None:
    """Give what an alert is made of, if by the definition there should be one."""
    for record in records:
        report = report_in_force(statuses, record.happened_at)
        if report is not None:
            return OwedAlert(record, report)
    return None


def _cause(owed: OwedAlert, told: Sequence[StagedPayment], look_back: timedelta) -> Cause:
    """Say why nothing alerted; `told` are the records whose theft the stream could tell."""
    record, report = owed.record, owed.report
    if told:
        ahead = all(each.happened_at > each.loaded_at + MAX_CLOCK_SKEW for each in told)
        return "clock" if ahead else "lost"
    if came_before(report, record):
        return "disorder"
    if report.published_at <= record.happened_at:
        return "stood_before_report"
    early = report.published_at - record.happened_at > look_back
    return "before_look_back" if early else "reported_later"


def _of_alert(kind: Kind, cause: Cause, alert: StagedAlert) -> Finding:
    return Finding(
        kind, cause, alert.happened_at, alert.payment_id, alert.card_token, alert.alert_id
    )
