"""CloudFormation's code of the Flink application: puts the archive into the code bucket."""

from pathlib import Path
from typing import Any

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.flink_code import S3CodeStore
from cardwatch.deployment.custom_resource import LambdaContextLike, respond
from cardwatch.deployment.flink_code import FlinkCode

code = FlinkCode(Path(__file__).with_name("flink_app.zip"), S3CodeStore(AwsClients().s3()))


def handler(event: dict[str, Any], context: LambdaContextLike) -> None:
    """Answer one request."""
    respond(event, context, code.handle)
