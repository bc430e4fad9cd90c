"""Logger and metrics. Metric names are a closed list, so a typo does not type-check."""

from collections.abc import Mapping
from typing import Final, Literal

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE: Final = "cardwatch"

SimulatorMetric = Literal[
    "EventsSent",
    "EventsRetried",
    "EventsUndelivered",
    "PaymentsSent",
    "HeartbeatsSent",
    "TicksSkipped",
]
NotifierMetric = Literal[
    "AlertsReceived",
    "AlertsPaged",
    "AlertsHeld",
    "AlertsGathered",
    "AlertsSuppressed",
    "AlertsExpired",
    "PagesSent",
    "PagesRepeated",
    "PagesRefused",
    "PagesReminded",
    "PagesEscalated",
    "PagesResolved",
    "PageProblems",
    "PoisonRecords",
    "DetectionLag",
    "PageLatency",
    "FollowUpLatency",
    "SubscriptionsUnhealthy",
    "NobodySubscribed",
    "NobodyToEscalateTo",
    "CanariesArrived",
    "CanaryLatency",
    "CanaryDetectionLag",
    "CanaryDeliveryLag",
    "CanaryHeartbeatsFailed",
]
CanaryMetric = Literal["CanariesSent"]
SlackMetric = Literal["PagesPosted", "PagesNotPosted"]
ActsMetric = Literal["ActsDone", "ActsRefused", "ActProblems"]
StagerMetric = Literal[
    "EventsStaged",
    "EventsQuarantined",
    "StolenPaymentsQuarantined",
    "QuarantineUnjudged",
    "StatusesNotLearned",
    "QuarantineNotTold",
]
BankingMetric = Literal["RowsPublished", "RowsRefused", "RowsUndelivered", "BankBehindSeconds"]
WarehouseLoadMetric = Literal["ObjectsLoaded", "RowsLoaded", "ObjectsBad", "ObjectsWaiting"]
WarehouseRefreshMetric = Literal["RowsRefreshed", "MartsBehindSeconds", "QualityTroubles"]
AuditMetric = Literal[
    "AuditFindings",
    "AuditDefects",
    "AlertsRepaired",
    "AlertsNotRepaired",
    "AuditBehindSeconds",
]
MetricName = Literal[
    SimulatorMetric,
    NotifierMetric,
    CanaryMetric,
    SlackMetric,
    ActsMetric,
    StagerMetric,
    BankingMetric,
    WarehouseLoadMetric,
    WarehouseRefreshMetric,
    AuditMetric,
]
"""Every metric has the dimension `service`, which is the function's name."""

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


def count_by_reason(service: str, name: MetricName, counts: Mapping[str, int]) -> None:
    """Add to a counter per reason: beside `service` it has the dimension `reason`.

    Reasons come from a closed list: each one that occurs is a metric of its own, and is billed.
    """
    for reason, value in counts.items():
        with single_metric(
            name=name,
            unit=COUNT,
            value=value,
            namespace=NAMESPACE,
            default_dimensions={"service": service},
        ) as metric:
            metric.add_dimension("reason", reason)


def observe_ms(metrics: Metrics, name: MetricName, value: float) -> None:
    """Record a duration in milliseconds."""
    metrics.add_metric(name=name, unit=MILLISECONDS, value=value)
