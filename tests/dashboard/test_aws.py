"""The dashboard on AWS: Redshift through a Data API with state, CloudWatch through moto."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import psycopg
import pytest
from botocore.exceptions import EndpointConnectionError
from dashboard import aws
from dashboard.options import Account, Machine, RedshiftTarget, read_options
from dashboard.redshift import STATEMENT_SECONDS, RedshiftDataApi, bound
from dashboard.warehouse import Warehouse, WarehouseAwayError
from moto import mock_aws
from tests.dashboard.conftest import Load, Show
from tests.dashboard.events import CARD, ago, alert, page, payment, rule_alert, score, stolen
from tests.fake_redshift_data import FakeRedshiftData, refusal
from tests.warehouse.redshift import PostgresEngine

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:reader"  # noqa: S105 - its name
AWS = [
    *("--redshift-workgroup=cardwatch-1", "--redshift-database=cardwatch"),
    f"--redshift-secret={SECRET}",
    *("--stream=events", "--application=stolen-cards", "--alarms=cardwatch-"),
]
TARGET = RedshiftTarget("cardwatch-1", serverless=True, database="cardwatch", secret_arn=SECRET)
ACCOUNT = Account(TARGET, "events", "stolen-cards", "cardwatch-")
OF_WAREHOUSE = [
    ("now.show", {}),
    ("scores.show", {}),
    ("countries.show", {}),
    ("entity.show_card", {"id": CARD}),
    ("entity.show_account", {"id": "acc_00042"}),
    ("entity.show_merchant", {"id": "mer_0007"}),
    ("paging.show", {}),
    ("rules.show", {}),
]


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def data(connection: psycopg.Connection[Any]) -> FakeRedshiftData:
    """Redshift's Data API in front of the warehouse of these tests."""
    return FakeRedshiftData(PostgresEngine(connection))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redshift(
    data: FakeRedshiftData, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> RedshiftDataApi:
    """What the pages ask when they are told of a workgroup."""
    asked = RedshiftDataApi(data, TARGET, sleep=clock.sleep, clock=clock)  # type: ignore[arg-type]
    monkeypatch.setattr(aws, "redshift", lambda account: asked if account == ACCOUNT else None)
    return asked


@pytest.mark.parametrize(("page_of", "query"), OF_WAREHOUSE)
def test_every_page_tells_through_the_data_api_what_it_tells_on_one_machine(
    page_of: str, query: dict[str, str], load: Load, show: Show, redshift: RedshiftDataApi
) -> None:
    paid = [payment(f"pay_{n}", ago(100 - n)) for n in range(7)]
    found = alert(paid[0])
    load(
        [
            *(stolen(CARD, ago(4000)), *paid, found, page("page-1", ago(90), found)),
            *(score(each, ("over_limit", 30)) for each in paid),
            rule_alert("large_amount", "merchant", "mer_0007", ago(50)),
        ]
    )
    here = show(page_of, **query)
    there = show(page_of, source=AWS, **query)
    assert there.tables == here.tables
    assert there.figures == here.figures
    assert here.tables
    assert isinstance(redshift, RedshiftDataApi)


def test_filters_are_bound_and_one_that_says_sql_finds_nothing(
    load: Load, show: Show, redshift: RedshiftDataApi, data: FakeRedshiftData
) -> None:
    paid = payment("pay_1", ago(60))
    load([paid, alert(paid)])
    told = show("now.show", source=AWS)
    assert isinstance(redshift, RedshiftDataApi)
    attack = "x' OR 'a' = 'a"
    told.app.text_input(key="about").set_value(attack).run()
    assert "No alert that fits the filters" in told.text
    asked = [call for name, call in data.calls if name == "execute_statement"]
    assert [call for call in asked if attack in call["Sql"]] == []
    assert {"name": "entity", "value": attack} in [
        parameter for call in asked for parameter in call.get("Parameters", ())
    ]


def test_each_statement_names_the_workgroup_and_the_readers_secret(
    redshift: RedshiftDataApi, data: FakeRedshiftData
) -> None:
    Warehouse(redshift).ask("owed", rows=10)
    for name, call in data.calls:
        if name == "execute_statement":
            assert (call["WorkgroupName"], call["SecretArn"]) == ("cardwatch-1", SECRET)


def test_nulls_numbers_and_empty_texts_are_written_and_all_else_is_bound() -> None:
    since = datetime(2026, 11, 27, 12)  # noqa: DTZ001 - as the warehouse has times
    text = "a >= :since AND (:none IS NULL OR b = :empty) AND c = :text AND c > :text LIMIT :rows"
    values = {"since": since, "none": None, "empty": "", "text": "it's", "rows": 200, "other": "x"}
    assert bound(text, values) == (
        "a >= :since AND (NULL IS NULL OR b = '') AND c = :text AND c > :text LIMIT 200",
        [
            {"name": "since", "value": "2026-11-27 12:00:00"},
            {"name": "text", "value": "it's"},
        ],
    )
    with pytest.raises(TypeError, match="rows cannot be bound: list"):
        bound("LIMIT :rows", {"rows": [1]})


def test_rows_of_many_pages_come_whole_and_typed(load: Load, redshift: RedshiftDataApi) -> None:
    load([payment(f"pay_{n}", ago(60 - n)) for n in range(9)])
    since = (datetime.now(UTC) - timedelta(hours=1)).replace(tzinfo=None)
    answer = Warehouse(redshift).ask(
        "payments_of", column="card_token", id=CARD, since=since, rows=200
    )
    assert [row["payment_id"] for row in answer.rows] == [f"pay_{n}" for n in range(8, -1, -1)]
    assert isinstance(answer.rows[0]["happened_at"], datetime)
    assert answer.rows[0]["amount"].as_tuple().exponent == -4
    assert answer.rows[0]["risk_score"] is None
    assert answer.as_of is not None


def test_a_statement_that_does_not_end_is_cancelled_and_the_page_says_so(
    show: Show, redshift: RedshiftDataApi, data: FakeRedshiftData, clock: Clock
) -> None:
    data.looks = 10_000
    assert "took longer than 20 s" in show("rules.show", source=AWS).text
    assert [statement.status for statement in data.statements.values()] == ["ABORTED"]
    assert clock.now <= STATEMENT_SECONDS
    assert isinstance(redshift, RedshiftDataApi)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refusal("AccessDeniedException", "secret words"), "AccessDeniedException"),
        (EndpointConnectionError(endpoint_url="https://secret"), "EndpointConnectionError"),
    ],
)
def test_a_refusal_and_a_lost_network_are_named_without_their_words(
    fault: Exception, said: str, show: Show, redshift: RedshiftDataApi, data: FakeRedshiftData
) -> None:
    data.faults.append(("execute_statement", fault))
    told = show("rules.show", source=AWS)
    assert f"The warehouse does not answer ({said})" in told.text
    assert "secret" not in told.text
    assert isinstance(redshift, RedshiftDataApi)


def test_a_statement_that_fails_says_what_is_missing_and_quotes_no_row(
    redshift: RedshiftDataApi, data: FakeRedshiftData
) -> None:
    with pytest.raises(WarehouseAwayError, match="lacks a table or view"):
        redshift.rows(["SELECT * FROM marts.not_there"], {})
    data.aborts = 1
    with pytest.raises(WarehouseAwayError, match="a statement failed"):
        redshift.rows(["SELECT 1"], {})
    with pytest.raises(WarehouseAwayError) as failed:
        redshift.rows(["SELECT CAST(:row AS INT)"], {"row": "a holder's name"})
    assert "holder" not in str(failed.value)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """CloudWatch of an account, and a page that reads it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("cloudwatch")
        monkeypatch.setattr(aws, "cloudwatch", lambda account: aws.CloudWatch(client, account))
        yield client


def measured(
    client: Any,  # noqa: ANN401 - boto3's
    namespace: str,
    name: str,
    value: float,
    at: datetime,
    **dimensions: str,
) -> None:
    """Put one value of a metric."""
    names = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    datum = {"MetricName": name, "Dimensions": names, "Timestamp": at, "Value": value}
    client.put_metric_data(Namespace=namespace, MetricData=[datum])


def test_the_pipeline_is_told_by_the_newest_metrics_and_the_alarms_that_ring(
    metrics: Any,  # noqa: ANN401 - boto3's
    show: Show,
    load: Load,
    redshift: RedshiftDataApi,
) -> None:
    load([])
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    older, long_ago = minute - timedelta(minutes=3), minute - timedelta(hours=5)
    incoming = ("AWS/Kinesis", "IncomingRecords")
    measured(metrics, *incoming, 1200, minute, StreamName="events")
    measured(metrics, *incoming, 60, older, StreamName="events")
    measured(metrics, *incoming, 6000, minute, StreamName="of another stack")
    behind = (minute.timestamp() + 60 - 7) * 1000
    flink = {"Application": "stolen-cards"}
    measured(metrics, "AWS/KinesisAnalytics", "currentOutputWatermark", behind, minute, **flink)
    measured(metrics, "AWS/KinesisAnalytics", "numRestarts", 3, minute, **flink)
    refused = {"service": "stager", "reason": "not_json"}
    measured(metrics, "cardwatch", "EventsQuarantined", 2, minute, **refused)
    measured(metrics, "cardwatch", "EventsQuarantined", 4, long_ago, **refused)
    for name, state in (("cardwatch-lag", "ALARM"), ("cardwatch-x", "OK"), ("other-y", "ALARM")):
        metrics.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"{name} rings",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=1,
            Namespace="cardwatch",
            MetricName="x",
            Period=60,
            Statistic="Sum",
        )
        metrics.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    told = show("pipeline.show", source=AWS)

    assert told.figures["State"] == "an alarm rings"
    assert told.figures["Records per second"] == "20"
    assert told.figures["Event time is behind by"] == "7.0 s"
    assert told.tables["In trouble"] == [{"In trouble": "cardwatch-lag rings"}]
    assert told.tables["Programs that were started again"] == [
        {"Started again": "Flink", "Times": "3"}
    ]
    (reason,) = told.tables["Refused records by reason"]
    assert (reason["Reason"], reason["In quarantine"]) == ("not_json", "6")
    assert "by CloudWatch" in told.text
    assert isinstance(redshift, RedshiftDataApi)


def test_an_account_without_metrics_says_nothing_of_lag_and_rings_no_alarm(
    metrics: Any,  # noqa: ANN401 - boto3's
    show: Show,
    load: Load,
    redshift: RedshiftDataApi,
) -> None:
    assert metrics is not None
    load([])
    told = show("pipeline.show", source=AWS)
    assert told.figures["State"] == "no alarm rings"
    assert told.figures["Event time is behind by"] == "-"
    assert "No record was refused." in told.text
    assert isinstance(redshift, RedshiftDataApi)


def test_a_cloudwatch_that_may_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, show: Show, load: Load, redshift: RedshiftDataApi
) -> None:
    code = "AccessDenied"

    class Refusing:
        def get_metric_data(self, **arguments: object) -> None:
            assert arguments
            raise refusal(code)

    refusing: Any = Refusing()
    monkeypatch.setattr(aws, "cloudwatch", lambda account: aws.CloudWatch(refusing, account))
    load([])
    told = show("pipeline.show", source=AWS)
    assert "CloudWatch does not answer (AccessDenied)" in told.text
    assert isinstance(redshift, RedshiftDataApi)


def test_the_command_line_names_one_machine_or_one_account_and_all_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    objective = "--page-objective-seconds=10"
    monkeypatch.setattr(sys, "argv", ["dashboard", objective, *AWS, "--refresh-seconds=60"])
    assert read_options().source == ACCOUNT
    assert read_options().refresh_seconds == 60
    monkeypatch.setattr(sys, "argv", ["dashboard", objective, "--postgres=a", "--status=b"])
    assert isinstance(read_options().source, Machine)
    monkeypatch.setattr(sys, "argv", ["dashboard", objective, *AWS[:3]])
    with pytest.raises(SystemExit):
        read_options()
    assert "--stream, --application, --alarms must be given as well" in capsys.readouterr().err
