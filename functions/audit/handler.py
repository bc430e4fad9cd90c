"""EventBridge schedule: audits what was loaded since, and puts missing alerts on the stream."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.audit import build_audit
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import AuditSettings

logger = get_logger("audit")
metrics = get_metrics("audit")
audit = build_audit(AuditSettings.from_env(), logger=logger, metrics=metrics)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    """Run one round."""
    return audit.run()
