"""What a run is doing at this moment: counted by the observers, written to `var/run/status.json`.

The supervisor's process writes the file every second; `cardwatch status` reads it, from any other.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from cardwatch import files
from cardwatch.contract.fields import format_time
from cardwatch.contract.page import TELLS_AGAIN
from cardwatch.local.run.steps import Step
from cardwatch.local.witness.judgement import Payment, Registry
from cardwatch.local.witness.receipts import (
    AlertSeen,
    CanarySeen,
    EventSeen,
    Fact,
    PageReceived,
    PaymentSeen,
    RejectedSeen,
    RuleAlertSeen,
    ScoreSeen,
    StatusSeen,
    SummarySeen,
)

RATE_WINDOW: Final = timedelta(seconds=10)
LATEST_PAGES: Final = 5
MINUTES_KEPT: Final = 180
STALE_AFTER: Final = timedelta(seconds=10)
"""A status file older than this was left by a run that no longer writes it."""

OFF: Final = "off"
"""What is said of a risk desk that was not asked for."""
State = Literal["starting", "running", "finishing", "stopping", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class LatestPage:
    """One of the pages that were received last."""

    received: str
    subject: str
    alerts: int
    seconds: float | None
    """From the oldest of its payments to the page; None when none of its alerts was seen."""
    repeat: bool


CANARY_STATIONS: Final = ("stream", "alert", "notifier", "warehouse")
"""In the order in which a canary comes to them."""


@dataclass(frozen=True, slots=True)
class CanaryPassed:
    """The newest canary at one station."""

    arrived: str
    seconds: float
    """From its payment to here."""

    @classmethod
    def of(cls, origin: datetime, arrived: datetime) -> "CanaryPassed":
        """Say when a payment of `origin` arrived."""
        return cls(format_time(arrived), round((arrived - origin).total_seconds(), 1))


def in_order(canary: Mapping[str, CanaryPassed]) -> dict[str, CanaryPassed]:
    """Put the stations in the order of a canary's way."""
    return {name: canary[name] for name in CANARY_STATIONS if name in canary}


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What the observers counted."""

    payments: int = 0
    payments_per_second: float = 0.0
    stolen_payments: int = 0
    alerts: int = 0
    alerts_paged: int = 0
    """Of these: they stand in a page that was received."""
    rule_alerts: Mapping[str, int] = field(default_factory=dict)
    """Alerts of every other rule, by rule."""
    scores: int = 0
    """Scores of payments, those that a restored job says again included."""
    summaries: int = 0
    pages: int = 0
    pages_repeated: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Records on the stream that break the contract, by reason."""
    last_summary: Mapping[str, str | int] | None = None
    latest_pages: tuple[LatestPage, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The whole picture, as the view shows it and the status file keeps it."""

    state: State
    doing: str
    """In words, while it is not simply running."""
    updated_at: str
    uptime_seconds: float
    counts: RunCounts = field(default_factory=RunCounts)
    staged_rows: int | None = None
    quarantined: Mapping[str, int] = field(default_factory=dict)
    quarantined_on_stolen_cards: int = 0
    """Of those in quarantine: they name a card that the stager knows as stolen."""
    watermark_lag_seconds: float | None = None
    """How far event time is behind the clock in the Flink job."""
    job: str = "not submitted"
    """The job that watches stolen cards."""
    risk_desk: str = OFF
    """The job of every other rule."""
    programs: Mapping[str, int] = field(default_factory=dict)
    """Process id of each program that runs."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    memory_mb: int | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    """What was dropped: the oldest, so that an endless run stays small, and what is nothing."""
    given_up: Mapping[str, int] = field(default_factory=dict)
    """What the stand-ins gave up, in words, and how often."""
    troubles: tuple[str, ...] = ()
    """What cannot be seen or reached at the moment."""
    canary: Mapping[str, CanaryPassed] = field(default_factory=dict)
    """The newest one by station; a station that none has come to yet is not there."""
    start: tuple[Step, ...] = ()
    """The steps of the start that are done."""


class Tally:
    """Counts facts as they come; safe to use from several threads."""

    def __init__(
        self,
        *,
        alert_took: Callable[[float], object] = lambda _: None,
        page_took: Callable[[float], object] = lambda _: None,
    ) -> None:
        """Start at nothing; say of each alert and page how many seconds it took.

        An alert from its window's end to its arrival, unless it is late; a page from the oldest of
        its payments, unless it is a repeat or a follow-up, or comes before its alerts are seen.
        """
        self._alert_took = alert_took
        self._page_took = page_took
        self._lock = threading.Lock()
        self._registry = Registry()
        self._arrivals: deque[datetime] = deque()
        self._payments = 0
        self._stolen: set[Payment] = set()
        self._origins: dict[str, datetime] = {}
        self._rules: dict[str, str] = {}
        self._scores = 0
        self._summaries: set[str] = set()
        self._last_summary: SummarySeen | None = None
        self._latest: deque[PageReceived] = deque(maxlen=LATEST_PAGES)
        self._messages: set[str] = set()
        self._paged: set[str] = set()
        self._alerts_paged = 0
        self._repeated = 0
        self._rejected: Counter[str] = Counter()
        self._minutes: Counter[datetime] = Counter()
        self._canaries: dict[str, CanarySeen] = {}
        self.last_payment: datetime | None = None
        """The newest event time of a payment."""
        self.first_stolen: datetime | None = None
        """When the first payment on a stolen card arrived on the stream."""
        self.first_alert: datetime | None = None
        """When the first alert arrived there."""
        self.first_page: datetime | None = None
        """When the first page was received."""

    def take(self, facts: Iterable[Fact]) -> None:
        """Count facts."""
        with self._lock:
            for fact in facts:
                if isinstance(fact, EventSeen):
                    self._count_minute(fact.origin)
                if isinstance(fact, CanarySeen):
                    self._canaries[fact.station] = fact
                self._take(fact)

    def _count_minute(self, origin: datetime) -> None:
        self._minutes[origin.replace(second=0, microsecond=0)] += 1
        if len(self._minutes) > MINUTES_KEPT:
            del self._minutes[min(self._minutes)]

    def _take(self, fact: Fact) -> None:
        match fact:
            case PaymentSeen():
                self._take_payment(fact)
            case StatusSeen():
                self._registry.learn(fact)
            case AlertSeen():
                self._take_alert(fact)
            case RuleAlertSeen():
                self._rules[fact.alert_id] = fact.rule
            case ScoreSeen():
                self._scores += 1
            case SummarySeen():
                self._summaries.add(fact.event_id)
                if self._last_summary is None or fact.window_end >= self._last_summary.window_end:
                    self._last_summary = fact
            case PageReceived() if fact.message_id not in self._messages:
                self._take_page(fact)
            case RejectedSeen():
                self._rejected[fact.reason] += 1
            case _:
                pass

    def _take_payment(self, payment: PaymentSeen) -> None:
        self._payments += 1
        self._arrivals.append(payment.arrived)
        self.last_payment = max(self.last_payment or payment.origin, payment.origin)
        if self._registry.is_stolen(payment):
            self._stolen.add((payment.payment_id, payment.card_token))
            self.first_stolen = self.first_stolen or payment.arrived

    def _take_alert(self, alert: AlertSeen) -> None:
        self.first_alert = self.first_alert or alert.arrived
        if alert.alert_id in self._origins:
            return
        self._origins[alert.alert_id] = alert.origin
        self._alerts_paged += alert.alert_id in self._paged
        if not alert.late:
            self._alert_took((alert.arrived - alert.window_end).total_seconds())

    def _take_page(self, page: PageReceived) -> None:
        self._messages.add(page.message_id)
        again = page.kind in TELLS_AGAIN
        new = set() if again else set(page.alert_ids) - self._paged
        self._paged |= new
        self._alerts_paged += sum(alert in self._origins for alert in new)
        took = self._seconds_of(page)
        if took is not None and not page.repeat and not again and page.kind != "FOLLOW_UP":
            self._page_took(took)
        self._repeated += page.repeat
        self._latest.append(page)
        self.first_page = self.first_page or page.received

    def counts(self, now: datetime) -> RunCounts:
        """Give the counts at a moment."""
        with self._lock:
            while self._arrivals and self._arrivals[0] < now - RATE_WINDOW:
                self._arrivals.popleft()
            last = self._last_summary
            return RunCounts(
                payments=self._payments,
                payments_per_second=round(len(self._arrivals) / RATE_WINDOW.total_seconds(), 1),
                stolen_payments=len(self._stolen),
                alerts=len(self._origins),
                alerts_paged=self._alerts_paged,
                rule_alerts=dict(sorted(Counter(self._rules.values()).items())),
                scores=self._scores,
                summaries=len(self._summaries),
                pages=len(self._messages),
                pages_repeated=self._repeated,
                rejected=dict(self._rejected),
                last_summary=None
                if last is None
                else {
                    "window_end": format_time(last.window_end),
                    "payment_count": last.payment_count,
                    "card_count": last.card_count,
                },
                latest_pages=tuple(self._describe(page) for page in self._latest),
            )

    def canary(self) -> dict[str, CanaryPassed]:
        """Give the newest canary at each station that the stream tells of."""
        with self._lock:
            seen = self._canaries.items()
            return {name: CanaryPassed.of(fact.origin, fact.arrived) for name, fact in seen}

    def per_minute(self, since: datetime, until: datetime) -> dict[datetime, int]:
        """Give how many events of each minute of event time were on the stream.

        Times are UTC without a zone, as the warehouse has them.
        """
        with self._lock:
            counts = {minute.replace(tzinfo=None): n for minute, n in self._minutes.items()}
        return {minute: n for minute, n in counts.items() if since <= minute < until}

    def _describe(self, page: PageReceived) -> LatestPage:
        received = format_time(page.received)
        seconds = self._seconds_of(page)
        return LatestPage(received, page.subject, len(page.alert_ids), seconds, page.repeat)

    def _seconds_of(self, page: PageReceived) -> float | None:
        origins = [self._origins[alert] for alert in page.alert_ids if alert in self._origins]
        return (page.received - min(origins)).total_seconds() if origins else None


def status_path(var: Path) -> Path:
    """Give the status file's place."""
    return var / "run" / "status.json"


def write_status(path: Path, status: Status) -> None:
    """Replace the status file in one step, so that no reader sees half of it."""
    _replace(path, asdict(status))


def mark_stopped(path: Path) -> None:
    """Note that what a broken run left behind was removed; its own last word was another."""
    facts = read_status(path, running=False)
    if facts is not None and facts["state"] == "died":
        _replace(path, {**facts, "state": "stopped", "doing": "", "programs": {}})


def _replace(path: Path, facts: Mapping[str, Any]) -> None:
    files.replace(path, json.dumps(facts, indent=1) + "\n")


def read_status(path: Path, *, running: bool, now: datetime | None = None) -> dict[str, Any] | None:
    """Read the status file; None when no run ever wrote one.

    A run that was killed leaves its last status behind: without a live supervisor, or when nobody
    writes it any more, `state` says so instead of what it said last.
    """
    try:
        status: dict[str, Any] = json.loads(path.read_text())
        updated = datetime.fromisoformat(status["updated_at"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        return {"state": "unknown", "doing": f"{path} cannot be read"}
    if not running and status["state"] not in {"stopped", "failed"}:
        return {**status, "state": "died", "doing": "`cardwatch down` removes what is left"}
    if running and (now or datetime.now(UTC)) - updated > STALE_AFTER:
        return {**status, "state": "hangs", "doing": f"no news since {status['updated_at']}"}
    return status
