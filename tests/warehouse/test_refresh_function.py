"""The scheduled refresh of the deployed warehouse, its Data API answered by PostgreSQL."""

import json
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics
from tests.fake_redshift_data import FakeRedshiftData
from tests.fakes import FakeClock
from tests.warehouse.redshift import PostgresEngine

from cardwatch.aws.clients import AwsClients
from cardwatch.bootstrap.warehouse_refresh import build_warehouse_refresh
from cardwatch.local.redshift_dialect import SQL_FOLDER
from cardwatch.observability import get_logger
from cardwatch.settings import WarehouseRefreshSettings
from cardwatch.warehouse.telemetry import ENDS_EARLY_SECONDS, STATEMENTS_SECONDS, MeasuredUpkeep

SECONDS = 900.0


@pytest.fixture
def refresh(connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> MeasuredUpkeep:
    api = FakeRedshiftData(PostgresEngine(connection), looks=0)
    monkeypatch.setattr(AwsClients, "redshift_data", lambda _: api)
    monkeypatch.setattr(AwsClients, "__init__", lambda _: None)
    settings = WarehouseRefreshSettings(
        warehouse_kind="cluster",
        warehouse_name="cardwatch-1",
        database_name="cardwatch",
        owner_secret="arn:aws:secretsmanager:us-east-1:1:secret:owner",  # noqa: S106 - its name
        retention_days=90,
    )
    return build_warehouse_refresh(
        settings,
        Path(SQL_FOLDER),
        logger=get_logger("warehouse_refresh"),
        # Its own: Powertools' others share what they hold.
        metrics=cast(
            "Metrics", EphemeralMetrics(namespace="cardwatch", service="warehouse_refresh")
        ),
        clock=FakeClock(),
    )


def stage_payment(connection: psycopg.Connection[Any], name: str) -> None:
    data = {
        "payment_id": name,
        "card_token": "a" * 32,
        "amount": "12.50",
        "currency": "EUR",
        "status": "AUTHORIZED",
    }
    connection.execute(
        "INSERT INTO staging.events VALUES (%s, 'PAYMENT_EVENT', now() AT TIME ZONE 'UTC', "
        "now() AT TIME ZONE 'UTC', %s)",
        (f"event-of-{name}", json.dumps(data)),
    )


def payments(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute("SELECT payment_id FROM typed.payment_event ORDER BY 1").fetchall()
    return [str(payment) for (payment,) in rows]


def test_what_was_loaded_is_in_the_typed_tables_after_a_round_and_counted(
    refresh: MeasuredUpkeep,
    connection: psycopg.Connection[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage_payment(connection, "one")
    stage_payment(connection, "two")
    assert refresh.run(SECONDS)["refreshed"] == 2
    assert payments(connection) == ["one", "two"]
    refresh.metrics.flush_metrics()
    metrics = json.loads(
        next(line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    )
    assert metrics["RowsRefreshed"] == [2.0]
    assert metrics["QualityTroubles"] == [0.0]
    assert metrics["MartsBehindSeconds"][0] < 60


def test_a_second_round_does_nothing_again(
    refresh: MeasuredUpkeep, connection: psycopg.Connection[Any]
) -> None:
    stage_payment(connection, "one")
    refresh.run(SECONDS)
    assert refresh.run(SECONDS)["refreshed"] == 0
    assert payments(connection) == ["one"]


def test_a_round_without_time_leaves_its_work_to_the_next(
    refresh: MeasuredUpkeep, connection: psycopg.Connection[Any]
) -> None:
    stage_payment(connection, "one")
    refresh.run(ENDS_EARLY_SECONDS)
    assert payments(connection) == []
    refresh.run(SECONDS)
    assert payments(connection) == ["one"]


def test_a_table_that_cannot_be_brought_up_to_date_is_a_trouble(
    refresh: MeasuredUpkeep,
    connection: psycopg.Connection[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage_payment(connection, "one")
    connection.execute(
        "ALTER TABLE typed.payment_event ADD CONSTRAINT none CHECK (FALSE) NOT VALID"
    )
    try:
        refresh.run(SECONDS)
    finally:
        connection.execute("ALTER TABLE typed.payment_event DROP CONSTRAINT none")
    refresh.metrics.flush_metrics()
    metrics = json.loads(
        next(line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    )
    assert metrics["QualityTroubles"][0] >= 1
    assert payments(connection) == []


def test_a_transaction_that_is_begun_has_the_time_it_may_take() -> None:
    assert STATEMENTS_SECONDS < ENDS_EARLY_SECONDS < SECONDS
