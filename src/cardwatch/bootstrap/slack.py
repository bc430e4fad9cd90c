"""Wires the way of pages to Slack."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.page_queue import SecretsManagerWebhookAddress, SqsPageQueue
from cardwatch.clock import SystemClock
from cardwatch.paging.slack import QueuedPage, deliver
from cardwatch.paging.telemetry import report_delivered
from cardwatch.ports import Clock
from cardwatch.settings import SlackSettings
from cardwatch.webhook import PATIENCE_SECONDS, SlackWebhook

ENDS_EARLY_SECONDS: Final = 5.0
"""Time for telling the queue when to deliver again."""


def build_slack(
    settings: SlackSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> Callable[[Mapping[str, Any], float], set[str]]:
    """Give the way to Slack: an SQS event and its seconds in, what to deliver again out.

    What is given are message ids. A page that was posted is never among them.
    """
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    webhook = SlackWebhook(
        SecretsManagerWebhookAddress(clients.impatient_secrets(), settings.webhook_secret)
    )
    queue = SqsPageQueue(clients.impatient_sqs(), settings.queue_url)

    def post(event: Mapping[str, Any], remaining_seconds: float) -> set[str]:
        delivered = deliver(
            [QueuedPage.of(record) for record in event["Records"]],
            webhook,
            clock,
            seconds=remaining_seconds - ENDS_EARLY_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        problem = queue.put_off(delivered.again)
        report_delivered(delivered, problem=problem, logger=logger, metrics=metrics)
        return {page.message_id for page in delivered.again}

    return post
