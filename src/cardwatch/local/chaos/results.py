"""What faults did to a run: a row for each kind, made from the record and the run's receipts.

What is lost, doubled or repeated is put down to the fault before it, of those that may be its
cause; which of two at the same time it was, nobody can tell.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cardwatch.contract.alert import alert_id
from cardwatch.local.chaos.api_faults import FAULTS
from cardwatch.local.chaos.fault_proxy import Hit
from cardwatch.local.chaos.schedule import ACTS
from cardwatch.local.chaos.trial import Injected
from cardwatch.local.run.stack import NOTIFIER_WORKERS
from cardwatch.local.witness.judgement import judge_payments
from cardwatch.local.witness.verdict import Evidence, Paging, distinct

PAGING: Final = frozenset({"sns.Publish", "dynamodb.TransactWriteItems"})
"""What stands between publishing a page and having noted that it is out."""
CALM: Final = "(none: a calm before them)"
AFTERWARDS: Final = timedelta(seconds=10)
"""A fault may show a little later: a TaskManager works on until a heartbeat is missing."""
Span = tuple[datetime, datetime]
NOBODY: Final = "(before any fault)"


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took, in seconds."""

    p50: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Took | None":
        """Give it of several; None of none."""
        ranked = sorted(values)
        if not ranked:
            return None
        return cls(round(ranked[(len(ranked) - 1) // 2], 1), round(ranked[-1], 1))


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of fault."""

    kind: str
    tried: int
    hits: int
    """Calls of the API that were hit."""
    lost: int
    """Stolen payments without an alert, and alerts without a page."""
    doubled: int
    """Alerts in two pages of which neither is marked as a repeat."""
    repeats: int
    """Pages marked as a repeat."""
    alerted: Took | None
    """The longest that a payment of its time, and of 10 s after it, waited for its alert."""
    paged: Took | None
    """The longest that one of them waited for its page, follow-ups left out."""


@dataclass(frozen=True, slots=True)
class Results:
    """All kinds."""

    rows: tuple[Row, ...]
    in_doubt: int
    """How often a notifier was kept from noting what it may have published: the most repeats."""
    not_done: Mapping[str, int]
    """Why something was not done, and how often."""

    @property
    def injections(self) -> int:
        return sum(row.tried for row in self.rows if row.kind not in {CALM, NOBODY})

    @property
    def kinds(self) -> int:
        return sum(row.tried > 0 for row in self.rows if row.kind not in {CALM, NOBODY})

    @property
    def lost(self) -> int:
        return sum(row.lost for row in self.rows)

    @property
    def doubled(self) -> int:
        return sum(row.doubled for row in self.rows)

    @property
    def repeats(self) -> int:
        return sum(row.repeats for row in self.rows)


def tabulate(
    record: Sequence[Injected], hits: Sequence[Hit], evidence: Evidence, calm: Sequence[datetime]
) -> Results:
    """Make the table; `calm` are moments at which no fault was on, to compare with."""
    tried = [one for one in record if one.tried]
    judged = judge_payments(evidence.payments, evidence.statuses)
    paging = Paging.of(evidence.pages, evidence.page_events)
    alerts = {alert.alert_id: alert for alert in reversed(evidence.alerts)}
    in_doubt = [one for one in tried if leaves_doubt(one.kind)]
    lost = [
        payment.arrived
        for payment, stolen in judged.values()
        if stolen and alert_id(payment.payment_id, payment.card_token) not in alerts
    ]
    accounted_for = paging.accounted_for
    lost += [alert.arrived for name, alert in alerts.items() if name not in accounted_for]
    doubled = [
        pages[0].received
        for pages in paging.by_alert.values()
        if sum(not page.repeat for page in pages) > 1
    ]
    first: dict[str, datetime] = {}
    for page in distinct(evidence.pages):
        first.setdefault(page.page_id, page.received)
    repeats = [first[page.page_id] for page in distinct(evidence.pages) if page.repeat]
    cost = (_put_down(lost, tried), _put_down(doubled, tried), _put_down(repeats, in_doubt))
    alerted = _Waits((alert.origin, alert.arrived) for alert in alerts.values())
    # What waits for a follow-up waits by design.
    paged = _Waits(
        (alerts[name].origin, pages[0].received)
        for name, pages in paging.by_alert.items()
        if name in alerts and pages[0].kind != "FOLLOW_UP"
    )
    spans: dict[str, list[Span]] = defaultdict(list)
    spans[CALM] = [(moment, moment + AFTERWARDS) for moment in calm]
    for one in tried:
        spans[one.kind].append((one.at, one.until + AFTERWARDS))
    called = Counter(hit.kind for hit in hits)
    rows = [
        Row(
            kind,
            len(spans[kind]),
            called[kind],
            cost[0][kind],
            cost[1][kind],
            cost[2][kind],
            Took.of(alerted.longest(spans[kind])),
            Took.of(paged.longest(spans[kind])),
        )
        for kind in (CALM, *FAULTS, *ACTS, NOBODY)
    ]
    shown = [row for row in rows if row.tried or row.lost or row.doubled or row.repeats]
    return Results(
        tuple(shown),
        in_doubt=sum(hit.operation in PAGING and leaves_doubt(hit.kind) for hit in hits)
        + sum(_workers(one) for one in in_doubt if one.kind in ACTS),
        not_done=Counter(f"{one.kind}: {one.problem}" for one in record if one.problem),
    )


def leaves_doubt(kind: str) -> bool:
    """Say whether a kind can keep a notifier from noting that it published."""
    return FAULTS[kind].in_doubt if kind in FAULTS else ACTS[kind].in_doubt


def _workers(one: Injected) -> int:
    """Give how many of the notifier's workers an act may have hit: those it names, at least."""
    return max(NOTIFIER_WORKERS, len(one.target.split(",")))


def _put_down(moments: Iterable[datetime], to: Sequence[Injected]) -> Counter[str]:
    ordered = sorted(to, key=lambda one: one.at)
    begun = [one.at for one in ordered]
    # What a fault did is seen a little later, and never before it.
    places = (bisect_left(begun, moment) for moment in moments)
    return Counter(ordered[place - 1].kind if place else NOBODY for place in places)


class _Waits:
    """How long payments waited."""

    def __init__(self, pairs: Iterable[tuple[datetime, datetime]]) -> None:
        """Take when each payment was made, and when what is waited for came of it."""
        self._pairs = sorted(pairs)
        self._made = [made for made, _ in self._pairs]

    def longest(self, spans: Iterable[Span]) -> list[float]:
        """Give, for each span, the longest wait in seconds of a payment made in it, if any was."""
        found = []
        for since, until in spans:
            some = self._pairs[bisect_left(self._made, since) : bisect_left(self._made, until)]
            if some:
                found.append(max(came - made for made, came in some) / timedelta(seconds=1))
        return found


def failures(results: Results) -> list[str]:
    """Say in words what a trial must not show."""
    found = []
    if results.lost:
        found.append(f"{results.lost} lost")
    if results.doubled:
        found.append(f"{results.doubled} doubled and not marked")
    if results.repeats > results.in_doubt:
        found.append(
            f"{results.repeats} repeats, and a notifier was kept from noting what it published "
            f"{results.in_doubt} times"
        )
    return found


def markdown(results: Results) -> str:
    """Write the table for a document."""
    lines = [
        (
            "| Fault | Tried | Calls hit | Lost | Doubled, unmarked | Repeats, marked "
            "| Longest wait for an alert, s: p50, max | For a page, s: p50, max |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results.rows:
        hit = row.hits if row.kind in FAULTS else "-"
        lines.append(
            f"| {row.kind} | {row.tried} | {hit} | {row.lost} | {row.doubled} | {row.repeats} "
            f"| {_times(row.alerted)} | {_times(row.paged)} |"
        )
    return "\n".join(lines)


def _times(took: Took | None) -> str:
    return "-" if took is None else f"{took.p50:.1f}, {took.most:.1f}"


def renewed(document: str, section: str, begin: str, end: str) -> str:
    """Put a section between a document's marks; raises ValueError where they are missing."""
    before, mark, rest = document.partition(begin)
    _, last, after = rest.partition(end)
    if not mark or not last:
        msg = f"the document has no {begin} … {end}"
        raise ValueError(msg)
    return f"{before}{begin}\n{section.strip()}\n{last}{after}"
