"""The queue of pages for Slack: posts each into the channel."""

from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.slack import build_slack
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import SlackSettings

logger = get_logger("slack")
metrics = get_metrics("slack")
post = build_slack(SlackSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Answer by message, so that what was posted is not delivered again."""
    again = post(event, context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": item} for item in sorted(again)]}
