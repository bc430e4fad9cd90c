"""The audit every minute: what was loaded since the last round, and what is missing put at once.

A round remembers up to which load it came only when all that it put is on the stream, so one that
breaks off is done again by the next, which puts the same ids.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cardwatch.audit.completeness import SETTLE, AuditReport, audit
from cardwatch.audit.ports import StagedEvents
from cardwatch.audit.repair import RepairReport, repair
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.ports import Clock, CursorStore, EventStream
from cardwatch.warehouse.refresh import REACH

CURSOR: Final = "audit"
FIRST: Final = timedelta(hours=1)
"""How far back the very first round looks."""
SCHEDULE: Final = timedelta(minutes=1)
"""What waits in the notifier's ledger goes by its schedule, which comes so often."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the judgement depends on besides the events."""

    kept: timedelta
    """How long the warehouse keeps events."""
    look_back: timedelta
    """How long before its report a theft is looked back to."""
    grouped: timedelta = timedelta()
    """How long an alert may wait for the follow-up that its page is."""
    digested: timedelta = timedelta()
    """How long it may wait for a digest besides."""
    reach: timedelta = REACH
    """How long after its time a load may become visible."""

    @property
    def paged_within(self) -> timedelta:
        """Give after how long an alert that no page names is lost."""
        return SETTLE + self.grouped + self.digested + 2 * SCHEDULE

    @property
    def overlap(self) -> timedelta:
        """Give how much each round looks at again.

        Long enough for what may still follow, and for a COPY that commits behind a later one.
        """
        return max(self.reach, self.paged_within)


@dataclass(frozen=True, slots=True)
class AuditRound:
    """What one round did."""

    report: AuditReport
    repaired: RepairReport
    reached: datetime | None
    """Up to which load everything is audited, this round or one before; None before the first."""
    overtaken: bool = False
    """Another round moved the cursor meanwhile; both put the same ids."""


@dataclass(frozen=True, slots=True)
class AuditRounds:
    """Rounds over one warehouse."""

    events: StagedEvents
    stream: EventStream
    cursors: CursorStore
    clock: Clock
    terms: Terms

    def run(self) -> AuditRound:
        """Audit what was loaded since the last round, and put what is missing on the stream.

        Raises what the warehouse and the cursors raise.
        """
        saved = self.cursors.read(CURSOR)
        before = None if saved is None else parse_time(saved.text)
        since = self.clock.now() - FIRST if before is None else before - self.terms.overlap
        report = audit(
            self.events.read(since),
            kept=self.terms.kept,
            look_back=self.terms.look_back,
            paged_within=self.terms.paged_within,
        )
        repaired = repair(report.missing, self.stream, self.clock)
        reached = report.as_of
        if repaired.undelivered or reached is None or (before is not None and reached <= before):
            return AuditRound(report, repaired, before)
        kept = self.cursors.save(CURSOR, format_time(reached), after=saved)
        return AuditRound(report, repaired, reached, overtaken=kept is None)
