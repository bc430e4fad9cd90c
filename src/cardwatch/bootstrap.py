"""Composition root: builds what each function does from its settings."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from aws_lambda_powertools import Logger, Metrics

from cardwatch.clock import SystemClock
from cardwatch.observability import count, observe_ms
from cardwatch.ports import Clock
from cardwatch.settings import (
    NotifierSettings,
    SettingsError,
    SimulatorSettings,
    StagerSettings,
)
from cardwatch.staging.transform import transform

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parser.models import KinesisDataStreamModel

    from cardwatch.aws.clients import AwsClients
    from cardwatch.paging.notifier import Notifier, Outcome
    from cardwatch.paging.redrive import RedriveReport

_SIMULATOR_ENDS_EARLY_SECONDS: Final = 30.0
"""Time for a last put, which tries for 5 s, and for keeping what it could not deliver."""


def build_stager(
    settings: StagerSettings, *, logger: Logger, metrics: Metrics, clock: Clock | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Give the stager: a Firehose transformation event in, Firehose's answer out.

    It logs and counts how many records it staged and quarantined, by reason; never their data.
    """
    clock = clock or SystemClock()

    def stage(event: Mapping[str, Any]) -> dict[str, Any]:
        batch = transform(event, now=clock.now())
        quarantined = batch.quarantined.total()
        count(metrics, "EventsStaged", batch.staged)
        count(metrics, "EventsQuarantined", quarantined)
        share = quarantined / max(1, batch.staged + quarantined)
        alarming = quarantined > 0 and share >= settings.warn_quarantined_share
        log = logger.warning if alarming else logger.info
        log("batch staged", staged=batch.staged, quarantined=dict(batch.quarantined))
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
    control = DynamoDBSimulatorControl(clients.control(), settings.control_table)
    dead_letters = S3DeadLetters(clients.s3(), settings.dead_letter_bucket, clock)

    def report(counts: Counts) -> None:
        if counts == Counts():
            return
        count(metrics, "EventsSent", counts.sent)
        count(metrics, "EventsRetried", counts.retried)
        count(metrics, "EventsUndelivered", counts.undelivered)
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

    def _report(self, trigger: str, outcome: "Outcome") -> None:
        count(self.metrics, "AlertsReceived", outcome.received)
        count(self.metrics, "AlertsPaged", outcome.paged)
        count(self.metrics, "AlertsHeld", outcome.held)
        count(self.metrics, "AlertsExpired", outcome.expired)
        count(self.metrics, "PagesSent", outcome.pages_sent)
        count(self.metrics, "PagesRepeated", outcome.pages_repeated)
        count(self.metrics, "PoisonRecords", outcome.poison.total())
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
    return NotifierFunction(notifier, logger, metrics)


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
