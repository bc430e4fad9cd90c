"""Composition root: builds what each function does from its settings."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from aws_lambda_powertools import Logger, Metrics

from cardwatch.clock import SystemClock
from cardwatch.observability import count, count_by_reason, observe_ms
from cardwatch.ports import Clock, Loader
from cardwatch.settings import (
    NotifierSettings,
    SettingsError,
    SimulatorSettings,
    SlackSettings,
    StagerSettings,
)
from cardwatch.staging.transform import transform

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parser.models import KinesisDataStreamModel

    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.deployed import DeployedWarehouse
    from cardwatch.paging.notifier import Notifier, Outcome
    from cardwatch.paging.redrive import RedriveReport
    from cardwatch.paging.subscriptions import Subscriptions
    from cardwatch.staging.backfill import BackfillReport

_SIMULATOR_ENDS_EARLY_SECONDS: Final = 30.0
"""Time for a last put, which tries for 5 s, and for keeping what it could not deliver."""
_LOAD_SECONDS: Final = 600.0
"""How long one object's COPY may take."""
_SLACK_ENDS_EARLY_SECONDS: Final = 5.0
"""Time for telling the queue when to deliver again."""


def build_stager(
    settings: StagerSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Give the stager: a Firehose transformation event in, Firehose's answer out.

    It logs and counts how many records it staged and quarantined, by reason, and how many of those
    name a stolen card; never their data. The answer depends on the event alone.
    """
    from cardwatch.aws.card_registry import DynamoDBCardRegistry
    from cardwatch.aws.clients import AwsClients
    from cardwatch.staging.stolen import StolenCards

    clock = clock or SystemClock()
    clients = clients or AwsClients()
    stolen_cards = StolenCards(
        DynamoDBCardRegistry(clients.impatient_dynamodb(), settings.card_registry_table), clock
    )

    def stage(event: Mapping[str, Any]) -> dict[str, Any]:
        batch = transform(event, now=clock.now())
        quarantined = batch.quarantined.total()
        count(metrics, "EventsStaged", batch.staged)
        count(metrics, "EventsQuarantined", quarantined)
        count_by_reason("stager", "EventsQuarantined", batch.quarantined)
        share = quarantined / max(1, batch.staged + quarantined)
        alarming = quarantined > 0 and share >= settings.warn_quarantined_share
        log = logger.warning if alarming else logger.info
        log("batch staged", staged=batch.staged, quarantined=dict(batch.quarantined))
        # After the answer is made: whatever the registry does, it cannot change it.
        learned = stolen_cards.learn(batch.statuses)
        judged = stolen_cards.judge(batch.quarantined_records)
        count(metrics, "StatusesNotLearned", learned.missed)
        count(metrics, "StolenPaymentsQuarantined", judged.stolen)
        count(metrics, "QuarantineUnjudged", judged.unjudged)
        if judged.stolen:
            logger.warning("payments on stolen cards in quarantine", records=judged.stolen)
        for problem in filter(None, (learned.problem, judged.problem)):
            logger.warning(
                "quarantine is not judged in full",
                problem=problem,
                unjudged=judged.unjudged,
                statuses_not_learned=learned.missed,
            )
        return batch.response

    return stage


def build_simulator(
    settings: SimulatorSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> Callable[[Mapping[str, Any], float], dict[str, Any]]:
    """Give the simulator: an event and the seconds until it is stopped in, how it ended out.

    Reads the card file and the tokenizer's key once. Raises SettingsError, CardFileError or
    TokenKeyError, each with a text that says how to mend it.
    """
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.dead_letters import S3DeadLetters
    from cardwatch.aws.event_stream import Backoff, KinesisEventStream
    from cardwatch.aws.simulator_control import DynamoDBSimulatorControl
    from cardwatch.aws.token_keys import SecretsManagerTokenKeys
    from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
    from cardwatch.simulation.events import EventGenerator
    from cardwatch.simulation.faults import UnknownFaultError, fault_profile, parse_fault_profile
    from cardwatch.simulation.loop import Counts, Invocation, SimulatorLoop

    clock = clock or SystemClock()
    clients = clients or AwsClients()
    try:
        faults = parse_fault_profile(settings.fault_profile)
    except UnknownFaultError as error:
        msg = f"wrong settings for SimulatorSettings: FAULT_PROFILE: {error}"
        raise SettingsError(msg) from None
    tokenizer = Tokenizer(
        SecretsManagerTokenKeys(clients.secrets(), settings.token_key_secret).current()
    )
    generator = EventGenerator(
        read_tokenized_cards(settings.card_file, tokenizer, now=clock.now()),
        seed=settings.seed,
        registry_period_minutes=settings.registry_period_minutes,
        faults=fault_profile(faults),
    )
    stream = KinesisEventStream(
        clients.kinesis(),
        settings.stream_name,
        clock,
        # What a longer stall would hold up is skipped anyway.
        backoff=Backoff(tries=12, patience_seconds=5.0),
    )
    control = DynamoDBSimulatorControl(clients.impatient_dynamodb(), settings.control_table)
    dead_letters = S3DeadLetters(clients.s3(), settings.dead_letter_bucket, clock)

    def report(counts: Counts) -> None:
        if counts == Counts():
            return
        count(metrics, "EventsSent", counts.sent)
        count(metrics, "EventsRetried", counts.retried)
        count(metrics, "EventsUndelivered", counts.undelivered)
        count(metrics, "PaymentsSent", counts.payments)
        count(metrics, "HeartbeatsSent", counts.heartbeats)
        count(metrics, "TicksSkipped", counts.skipped_ticks)
        metrics.flush_metrics()

    def simulate(event: Mapping[str, Any], remaining_seconds: float) -> dict[str, Any]:
        loop = SimulatorLoop(
            Invocation.from_event(
                event, holder=uuid4().hex, seconds=remaining_seconds - _SIMULATOR_ENDS_EARLY_SECONDS
            ),
            generator=generator,
            stream=stream,
            control=control,
            dead_letters=dead_letters,
            clock=clock,
            log=logger,
            report=report,
            payments=settings.payments == "on",
            payments_per_second=settings.payments_per_second,
        )
        end = loop.run()
        return {"end": end, **asdict(loop.totals)}

    return simulate


@dataclass(frozen=True, slots=True)
class NotifierFunction:
    """The notifier as its handler calls it: it logs and counts what each run did."""

    notifier: "Notifier"
    subscriptions: "Subscriptions"
    emails: int
    """How many e-mail subscriptions there should be."""
    logger: Logger
    metrics: Metrics

    def page_batch(self, event: "KinesisDataStreamModel") -> set[str]:
        """Page a batch of alerts; give the sequence numbers to be delivered again."""
        from cardwatch.paging.notifier import AlertRecord

        records = [
            AlertRecord(record.kinesis.sequenceNumber, cast("bytes", record.kinesis.data))
            for record in event.Records
        ]
        outcome = self.notifier.page_batch(records)
        self._report("batch", outcome)
        return outcome.failed

    def page_waiting(self) -> None:
        """Send what waits and finish what a crash left behind."""
        self._report("schedule", self.notifier.page_waiting())

    def check_subscriptions(self) -> None:
        """Count the e-mail subscriptions that are missing or not confirmed."""
        from cardwatch.paging.subscriptions import SubscriptionsUnavailableError, unhealthy

        try:
            found = unhealthy(self.subscriptions.all(), expected=self.emails)
        except SubscriptionsUnavailableError as error:
            # Not counted as healthy: a count that stays away is alarming too.
            self.logger.error("subscriptions are not checked", problem=str(error))  # noqa: TRY400  the text says it all
            return
        count(self.metrics, "SubscriptionsUnhealthy", found)
        if found:
            self.logger.error(
                "nobody reads these pages by e-mail: confirm the subscription, or make it anew",
                subscriptions=found,
            )

    def _report(self, trigger: str, outcome: "Outcome") -> None:
        count(self.metrics, "AlertsReceived", outcome.received)
        count(self.metrics, "AlertsPaged", outcome.paged)
        count(self.metrics, "AlertsHeld", outcome.held)
        count(self.metrics, "AlertsExpired", outcome.expired)
        count(self.metrics, "PagesSent", outcome.pages_sent)
        count(self.metrics, "PagesRepeated", outcome.pages_repeated)
        count(self.metrics, "PageProblems", len(outcome.problems))
        count(self.metrics, "PoisonRecords", outcome.poison.total())
        for lag in outcome.detection_lags_ms:
            observe_ms(self.metrics, "DetectionLag", lag)
        for latency in outcome.latencies_ms:
            observe_ms(self.metrics, "PageLatency", latency)
        self.logger.info(
            "alerts handled",
            trigger=trigger,
            received=outcome.received,
            paged=outcome.paged,
            held=outcome.held,
            expired=outcome.expired,
            pages=outcome.pages_sent,
            repeated=outcome.pages_repeated,
            to_deliver_again=len(outcome.failed),
        )
        if outcome.poison:
            self.logger.warning("poison kept among the dead letters", reasons=dict(outcome.poison))
        for problem in outcome.problems:
            self.logger.error("not done, tried again later", problem=problem)


def build_notifier(
    settings: NotifierSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> NotifierFunction:
    """Give the notifier on DynamoDB, SNS, Kinesis and S3."""
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.dead_letters import S3DeadLetters
    from cardwatch.aws.event_stream import Backoff, KinesisEventStream
    from cardwatch.aws.ledger import DynamoDBPageLedger
    from cardwatch.aws.pager import SnsPager
    from cardwatch.aws.subscriptions import SnsSubscriptions
    from cardwatch.paging.grouping import Policy
    from cardwatch.paging.notifier import Notifier

    clock = clock or SystemClock()
    clients = clients or AwsClients()
    notifier = Notifier(
        ledger=DynamoDBPageLedger(
            clients.dynamodb(),
            settings.ledger_table,
            clock,
            keep_for=timedelta(days=settings.ledger_ttl_days),
        ),
        pager=SnsPager(clients.sns(), settings.topic_arn),
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
        ),
    )
    return NotifierFunction(
        notifier,
        SnsSubscriptions(clients.sns(), settings.topic_arn),
        settings.email_subscriptions,
        logger,
        metrics,
    )


def build_slack(
    settings: SlackSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> Callable[[Mapping[str, Any], float], set[str]]:
    """Give the way to Slack: an SQS event and its seconds in, what to deliver again out.

    What is given are message ids. A page that was posted is never among them.
    """
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.page_queue import SecretsManagerWebhookAddress, SqsPageQueue
    from cardwatch.paging.slack import QueuedPage, deliver
    from cardwatch.webhook import PATIENCE_SECONDS, SlackWebhook

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
            seconds=remaining_seconds - _SLACK_ENDS_EARLY_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        problem = queue.put_off(delivered.again)
        count(metrics, "PagesPosted", delivered.posted)
        count(metrics, "PagesNotPosted", len(delivered.again))
        logger.info("pages posted", posted=delivered.posted, to_deliver_again=len(delivered.again))
        for text in (*delivered.problems, *([problem] if problem else [])):
            logger.error("not posted, tried again later", problem=text)
        return {page.message_id for page in delivered.again}

    return post


def build_redrive(
    *,
    stream_name: str,
    dead_letter_bucket: str,
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> "Callable[[bool], RedriveReport]":
    """Give the redrive of all dead letters; its argument says whether it is a dry run."""
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.dead_letters import S3DeadLetters
    from cardwatch.aws.event_stream import KinesisEventStream
    from cardwatch.paging.redrive import redrive

    clock = clock or SystemClock()
    clients = clients or AwsClients()
    dead_letters = S3DeadLetters(clients.s3(), dead_letter_bucket, clock)
    stream = KinesisEventStream(clients.kinesis(), stream_name, clock)
    return lambda dry_run: redrive(dead_letters, stream, clock, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class Backfill:
    """The two halves of `cardwatch backfill`."""

    load_skipped: "Callable[[bool], BackfillReport]"
    """To the warehouse; the argument says whether it is a dry run."""
    replay_quarantine: "Callable[[bool], RedriveReport]"
    """To the stream; the same."""


def build_backfill(
    *,
    stream_name: str,
    delivery_bucket: str,
    warehouse: Loader,
    progress: Callable[[str], None],
    clock: Clock | None = None,
    clients: "AwsClients | None" = None,
) -> Backfill:
    """Give the backfill of one delivery bucket into one warehouse and onto one stream."""
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.delivered_objects import Quarantine, S3DeliveredObjects
    from cardwatch.aws.event_stream import KinesisEventStream
    from cardwatch.paging.redrive import redrive
    from cardwatch.staging.backfill import load_skipped

    clock = clock or SystemClock()
    clients = clients or AwsClients()
    objects = S3DeliveredObjects(clients.s3(), delivery_bucket)
    quarantine = Quarantine(objects, clock, progress=progress)
    stream = KinesisEventStream(clients.kinesis(), stream_name, clock)
    return Backfill(
        load_skipped=lambda dry_run: load_skipped(
            objects, warehouse, dry_run=dry_run, progress=progress
        ),
        replay_quarantine=lambda dry_run: redrive(quarantine, stream, clock, dry_run=dry_run),
    )


def build_redshift_loads(
    deployed: "DeployedWarehouse", clients: "AwsClients", clock: Clock | None = None
) -> Loader:
    """Give the deployed warehouse as its loader sees it."""
    from cardwatch.aws.redshift_data import RedshiftDataSession
    from cardwatch.aws.redshift_loads import RedshiftLoads

    session = RedshiftDataSession(
        clients.redshift_data(),
        deployed.loader,
        clock or SystemClock(),
        patience_seconds=_LOAD_SECONDS,
    )
    return RedshiftLoads(session, deployed.delivery_bucket, deployed.copy_role)
