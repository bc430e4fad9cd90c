"""Wires the sender of canaries."""

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.backoff import Backoff
from cardwatch.canary.sender import CanarySender
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import CanarySettings


def build_canary(
    settings: CanarySettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> CanarySender:
    """Give the sender on Kinesis."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    stream = KinesisEventStream(
        clients.kinesis(),
        settings.stream_name,
        clock,
        backoff=Backoff(tries=5, patience_seconds=5.0),
    )
    return CanarySender(stream, clock, logger, metrics)
