"""Wires the publisher of the bank's accounts and transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.bank_secret import SecretsManagerBankAddress
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.cursors import DynamoDBCursors
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.token_keys import SecretsManagerTokenKeys
from cardwatch.banking.ports import Bank
from cardwatch.banking.publishing import Publishing
from cardwatch.banking.telemetry import MeasuredPublishing
from cardwatch.banking.transactions import transactions
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.postgres import connected
from cardwatch.settings import BankingSettings


def build_banking(
    settings: BankingSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredPublishing:
    """Give the publisher; raises TokenKeyError where transactions are on and have no key."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    address = SecretsManagerBankAddress(clients.secrets(), settings.database_secret)
    feed = None
    if settings.transactions == "on":
        keys = SecretsManagerTokenKeys(clients.secrets(), settings.token_key_secret)
        feed = transactions(Tokenizer(keys.current()))

    @contextmanager
    def connect() -> Iterator[Bank]:
        # Read anew each time: a password that was rotated meanwhile is the secret's at once.
        settle = timedelta(seconds=settings.settle_seconds)
        with connected(address.current(), settle=settle) as bank:
            yield bank

    publishing = Publishing(
        connect=connect,
        stream=KinesisEventStream(clients.kinesis(), settings.stream_name, clock),
        cursors=DynamoDBCursors(clients.dynamodb(), settings.control_table),
        clock=clock,
        period=timedelta(minutes=settings.again_minutes),
        most_again=settings.again_per_run,
        transactions=feed,
    )
    return MeasuredPublishing(publishing, logger, metrics, clock.monotonic)
