"""Wires the desk at which people act on pages, and the links that lead there."""

from datetime import timedelta

from aws_lambda_powertools import Logger, Metrics

from cardwatch.acts.book import ActBook
from cardwatch.acts.desk import ActDesk
from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import LinkMaker
from cardwatch.acts.telemetry import MeasuredDesk
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.ledger import DynamoDBPageLedger
from cardwatch.aws.link_keys import SecretsManagerLinkKeys
from cardwatch.backoff import Backoff
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import PageActsSettings


def build_page_acts(
    settings: PageActsSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredDesk:
    """Give the desk on DynamoDB, Kinesis and Secrets Manager."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    keep_for = timedelta(days=settings.ledger_ttl_days)
    desk = ActDesk(
        _keyring(clients, settings.link_key_secret, clock),
        build_act_book(settings.ledger_table, settings.stream_name, clients, clock, keep_for),
    )
    return MeasuredDesk(desk, logger, metrics)


def build_act_book(
    ledger_table: str,
    stream_name: str,
    clients: AwsClients,
    clock: Clock,
    keep_for: timedelta = timedelta(days=14),
) -> ActBook:
    """Give the book of acts on DynamoDB and Kinesis; acts are remembered for so long."""
    return ActBook(
        DynamoDBPageLedger(clients.dynamodb(), ledger_table, clock, keep_for=keep_for),
        # A person waits for it, and may try again.
        KinesisEventStream(
            clients.kinesis(),
            stream_name,
            clock,
            backoff=Backoff(tries=3, patience_seconds=3.0),
        ),
        clock,
    )


def build_links(address: str, secret: str, clients: AwsClients, clock: Clock) -> LinkMaker | None:
    """Give what makes the links that pages carry; None where there is no address."""
    if not address:
        return None
    return LinkMaker(_keyring(clients, secret, clock), address.rstrip("/"))


def _keyring(clients: AwsClients, secret: str, clock: Clock) -> Keyring:
    return Keyring(SecretsManagerLinkKeys(clients.impatient_secrets(), secret), clock)
