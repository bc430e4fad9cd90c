"""What a run over the bank's database logs and counts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.banking.publishing import Publishing
from cardwatch.observability import count

ENDS_EARLY_SECONDS: Final = 60.0
"""Time for what a last page takes: a read of up to 20 s, a put that tries as long, the cursor."""
REFUSALS_LOGGED: Final = 20
"""In one run; all are counted."""
LATE_ROUND: Final = 1.2
"""From how many periods on a round through all accounts took too long."""


@dataclass(frozen=True, slots=True)
class MeasuredPublishing:
    """One scheduled run."""

    publishing: Publishing
    logger: Logger
    metrics: Metrics
    monotonic: Callable[[], float]

    def run(self, seconds: float) -> dict[str, Any]:
        """Work for so many seconds at most, and give what came of it in numbers.

        Raises BankUnavailableError or CursorUnavailableError; the next run goes on from the cursor.
        """
        end = self.monotonic() + seconds - ENDS_EARLY_SECONDS
        report = self.publishing.run(lambda: self.monotonic() < end)
        done = report.published
        count(self.metrics, "RowsPublished", done.published)
        count(self.metrics, "RowsRefused", len(done.refused))
        count(self.metrics, "RowsUndelivered", done.undelivered)
        count(self.metrics, "BankBehindSeconds", done.behind.total_seconds())
        for refusal in done.refused[:REFUSALS_LOGGED]:
            self.logger.error(
                "a row breaks the contract and is not published",
                table=refusal.table,
                key=refusal.key,
                reason=refusal.reason,
                detail=refusal.detail,
            )
        if report.blind:
            self.logger.warning(
                "the bank hides its open transactions: what commits later than SETTLE_SECONDS "
                "after its updated_at is missed; grant pg_read_all_stats (docs/accounts.md)"
            )
        if done.undelivered:
            codes = ", ".join(done.error_codes)
            self.logger.warning("rows not delivered, read again by the next run", codes=codes)
        if done.overtaken:
            self.logger.warning("another run was faster; this one left the rest to it")
        self._judge_round(done.round_took)
        answer = {
            "published": done.published,
            "refused": len(done.refused),
            "undelivered": done.undelivered,
            "behind_seconds": round(done.behind.total_seconds(), 3),
        }
        self.logger.info("bank published", extra=answer)
        return answer

    def _judge_round(self, took: timedelta | None) -> None:
        period = self.publishing.period
        if took is not None and took > LATE_ROUND * period:
            self.logger.warning(
                "accounts come round too slowly: a job without state learns them late; raise "
                "AGAIN_PER_RUN or AGAIN_MINUTES with the job's look-back",
                took_seconds=took.total_seconds(),
                period_seconds=period.total_seconds(),
            )
