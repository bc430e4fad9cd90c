"""EventBridge schedule: sends events until the next minute's invocation takes over."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.simulator import build_simulator
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import SimulatorSettings

logger = get_logger("simulator")
metrics = get_metrics("simulator")
simulate = build_simulator(SimulatorSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run one invocation; the event needs `time`, and may ask for the whole registry."""
    return simulate(event, context.get_remaining_time_in_millis() / 1000)
