"""EventBridge schedule: sends the canary of a minute."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.canary import build_canary
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import CanarySettings

logger = get_logger("canary")
metrics = get_metrics("canary")
canary = build_canary(CanarySettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:  # noqa: ARG001 - Lambda passes it
    """Send one; the event needs `time`, the minute that it is of."""
    return {"sent": canary.send(event)}
