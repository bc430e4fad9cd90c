"""Wires the function that refreshes the warehouse."""

from pathlib import Path

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import WarehouseRefreshSettings
from cardwatch.warehouse.sql import read_refresh_sql
from cardwatch.warehouse.telemetry import STATEMENTS_SECONDS, MeasuredUpkeep
from cardwatch.warehouse.upkeep import Upkeep


def build_warehouse_refresh(
    settings: WarehouseRefreshSettings,
    sql_folder: Path,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredUpkeep:
    """Give the upkeep of the warehouse in Redshift, as its owner.

    `sql_folder` is `warehouse/`, or as much of it as the artifact has.
    """
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    database = RedshiftDatabase(
        name=settings.warehouse_name,
        serverless=settings.warehouse_kind == "serverless",
        database=settings.database_name,
        secret_arn=settings.owner_secret,
    )
    session = RedshiftDataSession(
        clients.redshift_data(), database, clock, patience_seconds=STATEMENTS_SECONDS
    )
    upkeep = Upkeep(session, read_refresh_sql(sql_folder), retention_days=settings.retention_days)
    return MeasuredUpkeep(upkeep, logger, metrics, clock.monotonic)
