"""EventBridge schedule: brings the warehouse's tables up to what is loaded, and checks them."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.warehouse_refresh import build_warehouse_refresh
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import WarehouseRefreshSettings

logger = get_logger("warehouse_refresh")
metrics = get_metrics("warehouse_refresh")
upkeep = build_warehouse_refresh(
    WarehouseRefreshSettings.from_env(),
    Path(__file__).parent / "warehouse",
    logger=logger,
    metrics=metrics,
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    """Run one round."""
    return upkeep.run(context.get_remaining_time_in_millis() / 1000)
