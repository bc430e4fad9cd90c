"""Wires the function that audits what is loaded."""

from datetime import timedelta

from aws_lambda_powertools import Logger, Metrics

from cardwatch.audit.loaded_events import LoadedEvents
from cardwatch.audit.rounds import AuditRounds, Terms
from cardwatch.audit.telemetry import MeasuredAudit
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.cursors import DynamoDBCursors
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.bootstrap.warehouse import build_session
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import AuditSettings

STATEMENT_SECONDS = 120.0
"""How long one query may take."""


def build_audit(
    settings: AuditSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredAudit:
    """Give the audit of the warehouse in Redshift, as one who reads it."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    session = build_session(
        settings,
        settings.reader_secret,
        patience_seconds=STATEMENT_SECONDS,
        clock=clock,
        clients=clients,
    )
    look_back = timedelta(days=settings.look_back_days)
    rounds = AuditRounds(
        events=LoadedEvents(session, look_back=look_back),
        stream=KinesisEventStream(clients.kinesis(), settings.stream_name, clock),
        cursors=DynamoDBCursors(clients.dynamodb(), settings.control_table),
        clock=clock,
        terms=Terms(
            kept=timedelta(days=settings.retention_days),
            look_back=look_back,
            grouped=timedelta(seconds=settings.group_seconds),
            digested=timedelta(seconds=settings.digest_seconds),
        ),
    )
    return MeasuredAudit(rounds, logger, metrics)
