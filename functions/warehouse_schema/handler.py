"""Custom resource: the warehouse's schemas, tables, views and users as `warehouse/` says."""

import json
from pathlib import Path
from typing import Any, Final

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.clock import SystemClock
from cardwatch.deployment.custom_resource import (
    Answer,
    LambdaContextLike,
    Request,
    ResourceFailedError,
    respond,
)
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.schema import (
    Password,
    WarehouseSchema,
    WarehouseSchemaError,
)
from cardwatch.warehouse.sql import WarehouseSqlError, read_warehouse_sql

SQL_FOLDER: Final = Path(__file__).parent / "warehouse"
READY_SECONDS: Final = 300
STATEMENT_SECONDS: Final = 240
clients = AwsClients()


def handler(event: dict[str, Any], context: LambdaContextLike) -> None:
    """Answer CloudFormation."""
    respond(event, context, bring_up_to_date)


def bring_up_to_date(request: Request) -> Answer:
    """Do what is missing; a Delete leaves everything to the warehouse's own deletion policy."""
    warehouse = RedshiftDatabase(
        name=request.text("WarehouseName"),
        serverless=request.text("Warehouse") == "serverless",
        database=request.text("DatabaseName"),
        secret_arn=request.text("AdminSecretArn"),
    )
    physical_id = f"{warehouse.name}/{warehouse.database}"
    if request.kind == "Delete":
        return Answer(request.physical_id or physical_id)
    clock = SystemClock()
    session = RedshiftDataSession(
        clients.redshift_data(),
        warehouse,
        clock,
        patience_seconds=min(STATEMENT_SECONDS, request.remaining_seconds()),
    )
    try:
        session.wait_until_ready(min(READY_SECONDS, request.remaining_seconds()))
        done = WarehouseSchema(
            session,
            read_warehouse_sql(SQL_FOLDER),
            read_password(request.text("LoaderSecretArn")),
            pause=lambda failures: clock.sleep(2.0**failures),
        ).bring_up_to_date()
    except (WarehouseSchemaError, WarehouseSqlError, WarehouseUnavailableError) as error:
        raise ResourceFailedError(str(error), physical_id=physical_id) from None
    return Answer(physical_id, {"Done": ", ".join(done) or "nothing was missing"})


def read_password(secret: str) -> Password:
    """Read the loader's password; raises ResourceFailedError, which never quotes the secret."""
    answer = clients.secrets().get_secret_value(SecretId=secret)
    try:
        value = json.loads(answer["SecretString"])["password"]
    except (KeyError, TypeError, ValueError):
        value = None
    if not isinstance(value, str) or not value:
        msg = f"secret {secret} is not a JSON object with a text in `password`: put one there"
        raise ResourceFailedError(msg)
    return Password(answer["VersionId"], value)
