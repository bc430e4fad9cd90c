"""What the notifier and the way to Slack log and count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.observability import count, observe_ms
from cardwatch.paging.canary import CanaryArrival
from cardwatch.paging.notifier import AlertRecord, Notifier, Outcome
from cardwatch.paging.ports import Heartbeat, HeartbeatFailedError
from cardwatch.paging.slack import Delivered
from cardwatch.paging.subscriptions import (
    Subscription,
    Subscriptions,
    SubscriptionsUnavailableError,
    reaches_anybody,
    unhealthy,
)

_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class MeasuredNotifier:
    """The notifier as its handler calls it: it logs and counts what each run did."""

    notifier: Notifier
    subscriptions: Subscriptions
    emails: int
    """How many e-mail subscriptions there should be."""
    logger: Logger
    metrics: Metrics
    next_subscriptions: Subscriptions | None = None
    """Of those to whom pages are escalated, if there are any."""
    heartbeat: Heartbeat | None = None
    """Who outside is told of each canary that came."""

    def page_batch(self, records: Sequence[AlertRecord]) -> set[str]:
        """Page a batch of alerts; give the sequence numbers to be delivered again."""
        outcome = self.notifier.page_batch(records)
        self._report("batch", outcome)
        self._report_canaries(outcome.canaries)
        return outcome.failed

    def page_waiting(self, *, close_groups: bool = False) -> None:
        """Send what waits, or may wait on but for `close_groups`; finish what a crash left."""
        self._report("schedule", self.notifier.page_waiting(close_groups=close_groups))

    def check_subscriptions(self) -> None:
        """Count the e-mail subscriptions that reach nobody, and say whether all do."""
        self._check_next()
        if (listed := self._listed(self.subscriptions)) is None:
            return
        anybody, subscriptions = listed
        found = unhealthy(subscriptions, expected=self.emails)
        count(self.metrics, "SubscriptionsUnhealthy", found)
        count(self.metrics, "NobodySubscribed", 0 if anybody else 1)
        if not anybody:
            self.logger.error(
                "a page would reach nobody: alerts are held until somebody is subscribed"
            )
        if found:
            self.logger.error(
                "nobody reads these pages by e-mail: confirm the subscription, or make it anew",
                subscriptions=found,
            )

    def _check_next(self) -> None:
        if self.next_subscriptions is None:
            return
        if (listed := self._listed(self.next_subscriptions)) is None:
            return
        anybody, _ = listed
        count(self.metrics, "NobodyToEscalateTo", 0 if anybody else 1)
        if not anybody:
            self.logger.error("an escalation would reach nobody: it waits until one is subscribed")

    def _listed(self, subscriptions: Subscriptions) -> tuple[bool, list[Subscription]] | None:
        """List subscriptions, with whether they reach anybody; None where that is not known.

        It is not counted as healthy then: a count that stays away is alarming too.
        """
        try:
            listed = list(subscriptions.all())
            return reaches_anybody(subscriptions, listed), listed
        except SubscriptionsUnavailableError as error:
            self.logger.error("subscriptions are not checked", problem=str(error))  # noqa: TRY400  the text says it all
            return None

    def _report_canaries(self, canaries: Sequence[CanaryArrival]) -> None:
        for canary in canaries:
            observe_ms(self.metrics, "CanaryLatency", canary.took / _MS)
            observe_ms(self.metrics, "CanaryDetectionLag", canary.detection / _MS)
            observe_ms(self.metrics, "CanaryDeliveryLag", canary.delivery / _MS)
        alive = sum(canary.is_sign_of_life for canary in canaries)
        if not alive:
            return
        count(self.metrics, "CanariesArrived", alive)
        # Last, because whoever does not answer takes time.
        if self.heartbeat is None:
            return
        try:
            self.heartbeat.send()
        except HeartbeatFailedError as error:
            count(self.metrics, "CanaryHeartbeatsFailed")
            self.logger.error("the heartbeat was not taken", problem=str(error))  # noqa: TRY400  the text says it all

    def _report(self, trigger: str, outcome: Outcome) -> None:
        count(self.metrics, "AlertsReceived", outcome.received)
        count(self.metrics, "AlertsPaged", outcome.paged)
        count(self.metrics, "AlertsHeld", outcome.held)
        count(self.metrics, "AlertsGathered", outcome.gathered)
        count(self.metrics, "AlertsSuppressed", outcome.suppressed)
        count(self.metrics, "AlertsExpired", outcome.expired)
        count(self.metrics, "PagesSent", outcome.pages_sent)
        count(self.metrics, "PagesRepeated", outcome.pages_repeated)
        count(self.metrics, "PagesRefused", outcome.pages_refused)
        count(self.metrics, "PagesReminded", outcome.told_again["REMINDER"])
        count(self.metrics, "PagesEscalated", outcome.told_again["ESCALATION"])
        count(self.metrics, "PagesResolved", outcome.told_again["RESOLVED"])
        count(self.metrics, "PageProblems", len(outcome.problems))
        count(self.metrics, "PoisonRecords", outcome.poison.total())
        for lag in outcome.detection_lags_ms:
            observe_ms(self.metrics, "DetectionLag", lag)
        for latency in outcome.latencies_ms:
            observe_ms(self.metrics, "PageLatency", latency)
        for latency in outcome.follow_up_latencies_ms:
            observe_ms(self.metrics, "FollowUpLatency", latency)
        self.logger.info(
            "alerts handled",
            trigger=trigger,
            received=outcome.received,
            paged=outcome.paged,
            held=outcome.held,
            gathered=outcome.gathered,
            suppressed=outcome.suppressed,
            expired=outcome.expired,
            unpaged=outcome.unpaged,
            canaries=len(outcome.canaries),
            pages=outcome.pages_sent,
            repeated=outcome.pages_repeated,
            told_again=dict(outcome.told_again),
            to_deliver_again=len(outcome.failed),
        )
        if outcome.poison:
            self.logger.warning("poison kept among the dead letters", reasons=dict(outcome.poison))
        for problem in outcome.problems:
            self.logger.error("not done, tried again later", problem=problem)


def report_delivered(
    delivered: Delivered, *, problem: str | None, logger: Logger, metrics: Metrics
) -> None:
    """Log and count what became of a batch of pages for Slack; `problem` is the queue's."""
    count(metrics, "PagesPosted", delivered.posted)
    count(metrics, "PagesNotPosted", len(delivered.again))
    logger.info("pages posted", posted=delivered.posted, to_deliver_again=len(delivered.again))
    for text in (*delivered.problems, *([problem] if problem else [])):
        logger.error("not posted, tried again later", problem=text)
