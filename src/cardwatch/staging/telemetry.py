"""What the stager logs, counts and tells: how many records, why, and never their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.observability import count, count_by_reason
from cardwatch.ports import Clock, EventStream
from cardwatch.staging.quarantined import quarantined_events
from cardwatch.staging.stolen import Judgement, StolenCards
from cardwatch.staging.transform import TransformedBatch, transform

MAX_TOLD_PER_BATCH: Final = 500
"""QUARANTINED_EVENTs of one batch, one call of PutRecords; what is beyond is counted."""


@dataclass(frozen=True, slots=True)
class MeasuredStager:
    """The stager: a Firehose transformation event in, Firehose's answer out.

    The answer depends on the event alone.
    """

    stolen_cards: StolenCards
    stream: EventStream
    clock: Clock
    warn_quarantined_share: float
    """Share of a batch in quarantine from which a warning is logged."""
    logger: Logger
    metrics: Metrics

    def stage(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one batch."""
        batch = transform(event, now=self.clock.now())
        self._report(batch)
        # After the answer is made: whatever registry and stream do, they cannot change it.
        self._judge(batch)
        return batch.response

    def _report(self, batch: TransformedBatch) -> None:
        quarantined = batch.quarantined.total()
        count(self.metrics, "EventsStaged", batch.staged)
        count(self.metrics, "EventsQuarantined", quarantined)
        count_by_reason("stager", "EventsQuarantined", batch.quarantined)
        share = quarantined / max(1, batch.staged + quarantined)
        alarming = quarantined > 0 and share >= self.warn_quarantined_share
        log = self.logger.warning if alarming else self.logger.info
        log("batch staged", staged=batch.staged, quarantined=dict(batch.quarantined))

    def _judge(self, batch: TransformedBatch) -> None:
        learned = self.stolen_cards.learn(batch.statuses)
        judged = self.stolen_cards.judge([record.raw for record in batch.quarantined_records])
        count(self.metrics, "StatusesNotLearned", learned.missed)
        count(self.metrics, "StolenPaymentsQuarantined", judged.stolen)
        count(self.metrics, "QuarantineUnjudged", judged.unjudged)
        if judged.stolen:
            self.logger.warning("payments on stolen cards in quarantine", records=judged.stolen)
        for problem in filter(None, (learned.problem, judged.problem)):
            self.logger.warning(
                "quarantine is not judged in full",
                problem=problem,
                unjudged=judged.unjudged,
                statuses_not_learned=learned.missed,
            )
        self._tell(batch, judged)

    def _tell(self, batch: TransformedBatch, judged: Judgement) -> None:
        """Put what is to be said of the batch's quarantine on the stream, like any other event.

        It comes back to be staged, and ends there: nothing is said of a QUARANTINED_EVENT.
        """
        entries = quarantined_events(batch.quarantined_records, judged.cards)
        outcome = self.stream.put(entries[:MAX_TOLD_PER_BATCH])
        not_told = len(entries) - outcome.delivered
        count(self.metrics, "QuarantineNotTold", not_told)
        if not_told:
            refused = sorted({lost.error_code for lost in outcome.undelivered})
            self.logger.warning("quarantine is not told in full", events=not_told, refused=refused)
