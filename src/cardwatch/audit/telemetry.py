"""What a round of the audit logs and counts."""

from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.audit.completeness import CAUSES
from cardwatch.audit.rounds import AuditRounds
from cardwatch.observability import count, count_by_reason

SERVICE: Final = "audit"
DEFECTS_LOGGED: Final = 20
"""In one round; all are counted."""


@dataclass(frozen=True, slots=True)
class MeasuredAudit:
    """One scheduled round."""

    rounds: AuditRounds
    logger: Logger
    metrics: Metrics

    def run(self) -> dict[str, Any]:
        """Run one round, and give what came of it in numbers.

        Raises WarehouseUnavailableError, StatementFailedError or CursorUnavailableError; the next
        round does the same again.
        """
        done = self.rounds.run()
        report, repaired = done.report, done.repaired
        undelivered = sum(repaired.undelivered.values())
        count_by_reason(
            SERVICE,
            "AuditFindings",
            {f"{kind}.{cause}": found for (kind, cause), found in report.counts.items()},
        )
        count(self.metrics, "AuditDefects", report.defects)
        count(self.metrics, "AlertsRepaired", repaired.put)
        count(self.metrics, "AlertsNotRepaired", undelivered)
        answer: dict[str, Any] = {
            "owed": report.owed,
            "alerted": report.alerted,
            "waiting": report.waiting,
            "defects": report.defects,
            "repaired": repaired.put,
            "undelivered": undelivered,
        }
        if done.reached is not None:
            # A round that is told to go on sees what it has not reached; one that never reached
            # anything says nothing, which is alarming as well.
            behind = (self.rounds.clock.now() - done.reached).total_seconds()
            count(self.metrics, "AuditBehindSeconds", max(0.0, behind))
            answer["behind_seconds"] = round(max(0.0, behind), 3)
        defects = [finding for finding in report.findings if finding.is_defect]
        for finding in defects[:DEFECTS_LOGGED]:
            self.logger.error(
                "a defect",
                kind=finding.kind,
                cause=finding.cause,
                meaning=CAUSES[finding.kind, finding.cause],
                payment_id=finding.payment_id,
                alert_id=finding.alert_id,
            )
        if undelivered:
            codes = ", ".join(sorted(repaired.undelivered))
            self.logger.warning("alerts not delivered, put again by the next round", codes=codes)
        if done.overtaken:
            self.logger.warning("another round was faster; both put the same alerts")
        self.logger.info("audited", extra=answer)
        return answer
