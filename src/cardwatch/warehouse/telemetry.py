"""What a round of the warehouse's upkeep logs and counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.observability import count
from cardwatch.warehouse.upkeep import Upkeep

ENDS_EARLY_SECONDS: Final = 300.0
"""Before its time is up it begins no further transaction; one may take STATEMENTS_SECONDS."""
STATEMENTS_SECONDS: Final = 240.0
"""How long one transaction may take."""


@dataclass(frozen=True, slots=True)
class MeasuredUpkeep:
    """One scheduled round: refresh, retention and checks, as far as time allows."""

    upkeep: Upkeep
    logger: Logger
    metrics: Metrics
    monotonic: Callable[[], float]

    def run(self, seconds: float) -> dict[str, Any]:
        """Work for so many seconds at most, and give what came of it in numbers.

        Raises WarehouseUnavailableError; the next round goes on from what was done.
        """
        end = self.monotonic() + seconds - ENDS_EARLY_SECONDS
        report = self.upkeep.run(in_time=lambda: self.monotonic() < end)
        count(self.metrics, "RowsRefreshed", report.rows)
        count(
            self.metrics, "QualityTroubles", len(report.troubles) + int(report.problem is not None)
        )
        count(self.metrics, "MartsBehindSeconds", report.lag_seconds)
        if report.problem is not None:
            self.logger.error("the warehouse refused", problem=report.problem)
        for finding in report.troubles:
            self.logger.error(
                "a check of the data failed",
                check=finding.check,
                found=finding.found,
                allowed=finding.allowed,
            )
        answer = {
            "refreshed": report.rows,
            "lag_seconds": report.lag_seconds,
            "troubles": [finding.check for finding in report.troubles],
        }
        self.logger.info("warehouse refreshed", extra=answer)
        return answer
