"""Wires the function that loads the warehouse."""

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.aws.redshift_loads import RedshiftLoads
from cardwatch.bootstrap.warehouse import build_session
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.recovery.telemetry import LOAD_SECONDS, MeasuredLoad
from cardwatch.settings import WarehouseLoadSettings


def build_warehouse_load(
    settings: WarehouseLoadSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredLoad:
    """Give the load of the delivery bucket into Redshift."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    objects = S3DeliveredObjects(clients.s3(), settings.delivery_bucket)
    session = build_session(
        settings,
        settings.loader_secret,
        patience_seconds=LOAD_SECONDS,
        clock=clock,
        clients=clients,
    )
    loads = RedshiftLoads(session, objects, settings.copy_role)
    return MeasuredLoad(objects, loads, logger, metrics, clock.monotonic)
