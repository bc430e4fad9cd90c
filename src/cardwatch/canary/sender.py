"""Sends the canary of a minute, behind the report that makes its card a stolen one.

Both are put each time: so a job that starts without state knows the report a minute later, as it
would a card's of the registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from cardwatch.contract.canary import CANARY_TOKEN, canary_payment, canary_report
from cardwatch.contract.fields import parse_time
from cardwatch.observability import count
from cardwatch.ports import Clock, EventStream, StreamEntry


@dataclass(frozen=True, slots=True)
class CanarySender:
    """Puts one canary a call; it logs and counts whether the stream took it."""

    stream: EventStream
    clock: Clock
    logger: Logger
    metrics: Metrics

    def send(self, event: Mapping[str, Any]) -> bool:
        """Send the canary of the minute that the event's `time` is in; say whether it is out.

        One that is not is not sent later, for the next minute has its own. Raises ValueError for
        another time than an instant.
        """
        now = self.clock.now()
        entries = [
            StreamEntry(each.to_bytes(), CANARY_TOKEN)
            for each in (canary_report(now), canary_payment(_minute(event), now))
        ]
        undelivered = self.stream.put(entries).undelivered
        count(self.metrics, "CanariesSent", 0 if undelivered else 1)
        if undelivered:
            codes = ", ".join(sorted({lost.error_code for lost in undelivered}))
            self.logger.error("the canary was not sent", codes=codes)
        return not undelivered


def _minute(event: Mapping[str, Any]) -> datetime:
    try:
        return parse_time(event.get("time"))
    except ValueError:
        msg = "the canary's event needs time, an instant like 2026-11-21T07:00:00Z"
        raise ValueError(msg) from None
