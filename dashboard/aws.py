"""The dashboard's sources on AWS: who asks Redshift, and the pipeline's health by CloudWatch.

Clients are made once: making one takes longer than most questions.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dashboard.options import Account
from dashboard.pipeline import Pipeline, PipelineAwayError, PipelineHealth
from dashboard.redshift import RedshiftDataApi

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

PATIENCE: Final = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
)
RECENT: Final = timedelta(minutes=10)
"""How old a figure may be and still count as now; metrics come a few minutes late."""
QUARANTINE_BACK: Final = timedelta(days=1)
MINUTE: Final = 60
MOST_REASONS: Final = 100


@lru_cache(maxsize=1)
def redshift(account: Account) -> RedshiftDataApi:
    """Give what asks the account's warehouse."""
    return RedshiftDataApi(boto3.client("redshift-data", config=PATIENCE), account.redshift)


@lru_cache(maxsize=1)
def cloudwatch(account: Account) -> PipelineHealth:
    """Give what knows how the account's pipeline is."""
    return CloudWatch(boto3.client("cloudwatch", config=PATIENCE), account)


class CloudWatch:
    """The pipeline of a stack, by its metrics and alarms."""

    def __init__(self, client: "CloudWatchClient", account: Account) -> None:
        """Take the stack's names."""
        self._client = client
        self._account = account

    def now(self) -> Pipeline:
        try:
            return self._now(datetime.now(UTC))
        except ClientError as error:
            raise PipelineAwayError(_away(error.response["Error"]["Code"])) from None
        except BotoCoreError as error:
            raise PipelineAwayError(_away(type(error).__name__)) from None

    def _now(self, now: datetime) -> Pipeline:
        # What came into the stream is whole when its minute is over.
        minute = now.replace(second=0, microsecond=0)
        application = {"Application": self._account.application}
        figures = self._newest(
            [
                _metric(
                    "records",
                    "AWS/Kinesis",
                    "IncomingRecords",
                    {"StreamName": self._account.stream},
                    "Sum",
                ),
                _metric(
                    "watermark",
                    "AWS/KinesisAnalytics",
                    "currentOutputWatermark",
                    application,
                    "Maximum",
                ),
                _metric("restarts", "AWS/KinesisAnalytics", "numRestarts", application, "Maximum"),
            ],
            minute - RECENT,
            minute,
        )
        _, records = figures.get("records", (minute, 0.0))
        ringing = self._ringing()
        watermark = figures.get("watermark")
        return Pipeline(
            as_of=now,
            told_by="CloudWatch",
            state="an alarm rings" if ringing else "no alarm rings",
            throughput=("Records per second", round(records / MINUTE, 1)),
            # To the end of the minute it was measured in, as the alarm on it counts.
            lag_seconds=watermark and watermark[0].timestamp() + MINUTE - watermark[1] / 1000,
            staged_rows=None,
            job="has a watermark" if watermark else "says nothing: see the alarms",
            quarantined=self._quarantined(now),
            restarts={"Flink": int(figures["restarts"][1])} if "restarts" in figures else {},
            troubles=ringing,
        )

    def _newest(
        self, metrics: "Sequence[MetricDataQueryTypeDef]", since: datetime, until: datetime
    ) -> dict[str, tuple[datetime, float]]:
        """Give the newest minute of each metric that has one, with when it began."""
        answer = self._client.get_metric_data(
            MetricDataQueries=metrics,
            StartTime=since,
            EndTime=until,
            ScanBy="TimestampDescending",
        )
        return {
            each["Id"]: (each["Timestamps"][0], each["Values"][0])
            for each in answer["MetricDataResults"]
            if each["Values"]
        }

    def _quarantined(self, now: datetime) -> dict[str, int]:
        """Count the refused records of the last day by reason."""
        reasons = sorted(set(self._reasons()))[:MOST_REASONS]
        if not reasons:
            return {}
        until = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        answer = self._client.get_metric_data(
            MetricDataQueries=[
                _metric(
                    f"reason{number}",
                    "cardwatch",
                    "EventsQuarantined",
                    {"service": "stager", "reason": reason},
                    "Sum",
                    period=3600,
                )
                for number, reason in enumerate(reasons)
            ],
            StartTime=until - QUARANTINE_BACK,
            EndTime=until,
        )
        counts = {each["Id"]: int(sum(each["Values"])) for each in answer["MetricDataResults"]}
        found = {reason: counts.get(f"reason{n}", 0) for n, reason in enumerate(reasons)}
        return {reason: count for reason, count in found.items() if count}

    def _reasons(self) -> Iterator[str]:
        page: dict[str, Any] = {}
        while True:
            answer = self._client.list_metrics(
                Namespace="cardwatch",
                MetricName="EventsQuarantined",
                Dimensions=[{"Name": "service", "Value": "stager"}, {"Name": "reason"}],
                **page,
            )
            for metric in answer["Metrics"]:
                yield from (d["Value"] for d in metric["Dimensions"] if d["Name"] == "reason")
            if not answer.get("NextToken"):
                return
            page = {"NextToken": answer["NextToken"]}

    def _ringing(self) -> Sequence[str]:
        """Give what the alarms that ring say of themselves."""
        answer = self._client.describe_alarms(AlarmNamePrefix=self._account.alarms, MaxRecords=100)
        return [
            alarm.get("AlarmDescription") or alarm["AlarmName"]
            for alarm in answer["MetricAlarms"]
            if alarm["StateValue"] == "ALARM"
        ]


def _metric(
    name: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    stat: str,
    *,
    period: int = MINUTE,
) -> "MetricDataQueryTypeDef":
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": period,
            "Stat": stat,
        },
    }


def _away(why: str) -> str:
    return (
        f"CloudWatch does not answer ({why}): see whether the dashboard's role may read it. "
        "This page asks again by itself."
    )
