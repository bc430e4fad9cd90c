"""What the simulator counts."""

from aws_lambda_powertools import Metrics

from cardwatch.observability import count
from cardwatch.simulation.loop import Counts


def report(metrics: Metrics, counts: Counts) -> None:
    """Count what came since the last report, and write it out: an invocation runs for a minute."""
    if counts == Counts():
        return
    count(metrics, "EventsSent", counts.sent)
    count(metrics, "EventsRetried", counts.retried)
    count(metrics, "EventsUndelivered", counts.undelivered)
    count(metrics, "PaymentsSent", counts.payments)
    count(metrics, "HeartbeatsSent", counts.heartbeats)
    count(metrics, "TicksSkipped", counts.skipped_ticks)
    metrics.flush_metrics()
