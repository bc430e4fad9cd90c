"""Wires the notifier."""

from datetime import timedelta

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.ledger import DynamoDBPageLedger
from cardwatch.aws.pager import SnsPager
from cardwatch.aws.subscriptions import SnsSubscriptions
from cardwatch.backoff import Backoff
from cardwatch.bootstrap.page_acts import build_links
from cardwatch.clock import SystemClock
from cardwatch.paging.grouping import Policy
from cardwatch.paging.notifier import Notifier, Recipients
from cardwatch.paging.subscriptions import Audience
from cardwatch.paging.telemetry import MeasuredNotifier
from cardwatch.ports import Clock
from cardwatch.settings import NotifierSettings
from cardwatch.webhook import HttpsHeartbeat


def build_notifier(
    settings: NotifierSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> MeasuredNotifier:
    """Give the notifier on DynamoDB, SNS, Kinesis and S3."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    subscriptions = SnsSubscriptions(clients.impatient_sns(), settings.topic_arn)
    next_subscriptions = (
        SnsSubscriptions(clients.impatient_sns(), settings.escalation_topic_arn)
        if settings.escalation_topic_arn
        else None
    )
    kept_for = timedelta(seconds=settings.subscriptions_seconds)
    notifier = Notifier(
        ledger=DynamoDBPageLedger(
            clients.dynamodb(),
            settings.ledger_table,
            clock,
            keep_for=timedelta(days=settings.ledger_ttl_days),
        ),
        pager=SnsPager(clients.sns(), settings.topic_arn),
        audience=Audience(subscriptions, clock, keep_for=kept_for),
        # The schedule puts what this gives up, and alerts must not wait for it.
        stream=KinesisEventStream(
            clients.kinesis(),
            settings.stream_name,
            clock,
            backoff=Backoff(tries=3, patience_seconds=3.0),
        ),
        dead_letters=S3DeadLetters(clients.s3(), settings.dead_letter_bucket, clock),
        clock=clock,
        policy=Policy(
            max_age=timedelta(seconds=settings.page_max_age_seconds),
            lease=timedelta(seconds=settings.lease_seconds),
            pages_per_minute=settings.pages_per_minute,
            rule_interval=timedelta(seconds=settings.rule_page_seconds),
            group_interval=timedelta(seconds=settings.group_seconds),
            digest_interval=timedelta(seconds=settings.digest_seconds),
            act_holds=timedelta(seconds=settings.act_holds_seconds),
            escalate_after=timedelta(seconds=settings.escalate_after_seconds),
            snooze_floors=settings.floors,
        ),
        links=build_links(settings.page_links_address, settings.link_key_secret, clients, clock),
        next_recipients=Recipients(
            SnsPager(clients.sns(), settings.escalation_topic_arn),
            Audience(next_subscriptions, clock, keep_for=kept_for),
        )
        if next_subscriptions
        else None,
    )
    address = settings.canary_heartbeat_url
    return MeasuredNotifier(
        notifier,
        subscriptions,
        settings.email_subscriptions,
        logger,
        metrics,
        next_subscriptions=next_subscriptions,
        heartbeat=HttpsHeartbeat(address) if address else None,
    )
