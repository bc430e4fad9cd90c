"""Wires the stager."""

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.card_registry import DynamoDBCardRegistry
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.backoff import Backoff
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import StagerSettings
from cardwatch.staging.stolen import StolenCards
from cardwatch.staging.telemetry import MeasuredStager


def build_stager(
    settings: StagerSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredStager:
    """Give the stager on DynamoDB and Kinesis."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    registry = DynamoDBCardRegistry(clients.impatient_dynamodb(), settings.card_registry_table)
    stream = KinesisEventStream(
        clients.kinesis(),
        settings.stream_name,
        clock,
        # Firehose waits for the answer, which is made by then.
        backoff=Backoff(tries=3, patience_seconds=5),
    )
    return MeasuredStager(
        StolenCards(registry, clock),
        stream,
        clock,
        settings.warn_quarantined_share,
        logger,
        metrics,
    )
