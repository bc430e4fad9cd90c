"""What a load of the warehouse logs and counts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.observability import count
from cardwatch.recovery.backfill import load_delivered
from cardwatch.recovery.ports import DeliveredObjects, Loader

ENDS_EARLY_SECONDS: Final = 300.0
"""Before its time is up it begins no further COPY; one may take LOAD_SECONDS."""
LOAD_SECONDS: Final = 240.0
"""How long one COPY may take, and each statement beside it."""


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """One scheduled load: what was delivered since the last one, as far as time allows."""

    bucket: DeliveredObjects
    warehouse: Loader
    logger: Logger
    metrics: Metrics
    monotonic: Callable[[], float] = time.monotonic

    def run(self, seconds: float) -> dict[str, Any]:
        """Load for so many seconds at most, and give what came of it in numbers.

        Raises WarehouseUnavailableError and BucketUnavailableError; the next run goes on from what
        was loaded.
        """
        end = self.monotonic() + seconds - ENDS_EARLY_SECONDS
        report = load_delivered(
            self.bucket, self.warehouse, everything=False, enough=lambda: self.monotonic() >= end
        )
        count(self.metrics, "ObjectsLoaded", report.loaded)
        count(self.metrics, "RowsLoaded", report.rows)
        count(self.metrics, "ObjectsBad", len(report.bad))
        count(self.metrics, "ObjectsWaiting", report.waiting)
        for key, error in sorted(report.bad.items()):
            self.logger.error("an object cannot be loaded", object=key, problem=error)
        for problem in report.problems:
            self.logger.error("an object was not loaded", problem=problem)
        answer = {
            "loaded": report.loaded,
            "rows": report.rows,
            "bad": len(report.bad),
            "waiting": report.waiting,
        }
        self.logger.info("delivered objects loaded", extra=answer)
        return answer
