"""Wires a function's way to the warehouse in Redshift."""

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.ports import Clock
from cardwatch.settings import WarehouseSettings


def build_session(
    settings: WarehouseSettings,
    secret: str,
    *,
    patience_seconds: float,
    clock: Clock,
    clients: AwsClients,
) -> RedshiftDataSession:
    """Give a session as the user whose secret this is; a statement may take `patience_seconds`."""
    database = RedshiftDatabase(
        name=settings.warehouse_name,
        serverless=settings.warehouse_kind == "serverless",
        database=settings.database_name,
        secret_arn=secret,
    )
    return RedshiftDataSession(
        clients.redshift_data(), database, clock, patience_seconds=patience_seconds
    )
