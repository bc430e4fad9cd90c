"""Custom resource: the warehouse's schemas, tables, views and users as `warehouse/` says."""

from pathlib import Path
from typing import Any

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.warehouse_schema import RedshiftSchema
from cardwatch.deployment.custom_resource import LambdaContextLike, respond

schema = RedshiftSchema(Path(__file__).parent / "warehouse", AwsClients())


def handler(event: dict[str, Any], context: LambdaContextLike) -> None:
    """Answer one request."""
    respond(event, context, schema.handle)
