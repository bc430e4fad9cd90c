"""EventBridge schedule: loads what was delivered since into the warehouse."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.warehouse_load import build_warehouse_load
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import WarehouseLoadSettings

logger = get_logger("warehouse_load")
metrics = get_metrics("warehouse_load")
load = build_warehouse_load(WarehouseLoadSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    """Run one load."""
    return load.run(context.get_remaining_time_in_millis() / 1000)
