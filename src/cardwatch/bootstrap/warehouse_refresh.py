"""Wires the function that refreshes the warehouse."""

from pathlib import Path

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.bootstrap.warehouse import build_session
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
    session = build_session(
        settings,
        settings.owner_secret,
        patience_seconds=STATEMENTS_SECONDS,
        clock=clock,
        clients=clients,
    )
    upkeep = Upkeep(session, read_refresh_sql(sql_folder), retention_days=settings.retention_days)
    return MeasuredUpkeep(upkeep, logger, metrics, clock.monotonic)
