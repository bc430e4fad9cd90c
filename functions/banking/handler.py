"""EventBridge schedule: publishes what changed in the bank's database since the last run."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.banking import build_banking
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import BankingSettings

logger = get_logger("banking")
metrics = get_metrics("banking")
publish = build_banking(BankingSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    """Run once over the bank's database."""
    return publish.run(context.get_remaining_time_in_millis() / 1000)
