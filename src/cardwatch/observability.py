"""Logger and metrics. Metric names are a closed list, so a typo does not type-check."""

from typing import Final, Literal

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE: Final = "cardwatch"

MetricName = Literal[
    # simulator
    "EventsSent",
    "EventsRetried",
    "EventsUndelivered",
    "TicksSkipped",
    # notifier
    "AlertsReceived",
    "AlertsPaged",
    "AlertsHeld",
    "AlertsExpired",
    "PagesSent",
    "PagesRepeated",
    "PoisonRecords",
    "PageLatency",
    # stager
    "EventsStaged",
    "EventsQuarantined",
]

COUNT: Final = MetricUnit.Count
MILLISECONDS: Final = MetricUnit.Milliseconds


def get_logger(service: str) -> Logger:
    """Give one function's JSON logger; nobody logs a whole event, which may hold a card number."""
    return Logger(service=service)


def get_metrics(service: str) -> Metrics:
    """Give the metrics of one function, in cardwatch's namespace."""
    return Metrics(namespace=NAMESPACE, service=service)


def count(metrics: Metrics, name: MetricName, value: float = 1) -> None:
    """Add to a counter."""
    metrics.add_metric(name=name, unit=COUNT, value=value)


def observe_ms(metrics: Metrics, name: MetricName, value: float) -> None:
    """Record a duration in milliseconds."""
    metrics.add_metric(name=name, unit=MILLISECONDS, value=value)
