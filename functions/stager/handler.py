"""Firehose data transformation: stages valid events, quarantines the rest."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.stager import build_stager
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import StagerSettings

logger = get_logger("stager")
metrics = get_metrics("stager")
stager = build_stager(StagerSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    """Answer one batch of Firehose records."""
    return stager.stage(event)
