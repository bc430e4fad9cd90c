"""CloudFormation's pause and start of the Flink application."""

from typing import Any

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.flink_log import FlinkLog
from cardwatch.aws.managed_flink import ManagedFlink
from cardwatch.deployment.custom_resource import LambdaContextLike, respond
from cardwatch.deployment.flink_application import ApplicationLife

life = ApplicationLife(ManagedFlink(AwsClients().managed_flink()), FlinkLog())


def handler(event: dict[str, Any], context: LambdaContextLike) -> None:
    """Answer one request."""
    respond(event, context, life.handle)
