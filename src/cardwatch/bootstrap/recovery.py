"""Wires what the command line recovers with: redrive and backfill."""

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Final

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.aws.deployed import DeployedWarehouse
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.redshift_data import RedshiftDataSession
from cardwatch.aws.redshift_loads import RedshiftLoads
from cardwatch.clock import SystemClock
from cardwatch.contract.streams import StreamName
from cardwatch.ports import Clock, EventStream
from cardwatch.recovery.backfill import BackfillReport, load_again
from cardwatch.recovery.error_output import ErrorOutput
from cardwatch.recovery.ports import ForgettingLoader
from cardwatch.recovery.redrive import RedriveReport, redrive

LOAD_SECONDS: Final = 600.0
"""How long one COPY may take."""


def build_redrive(
    *,
    stream_name: str,
    scores_stream_name: str | None,
    dead_letter_bucket: str,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> Callable[[bool], RedriveReport]:
    """Give the redrive of all dead letters; its argument says whether it is a dry run.

    Without a stream of scores what was one of it goes on the other, and so into the warehouse.
    """
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    dead_letters = S3DeadLetters(clients.s3(), dead_letter_bucket, clock)
    streams = _streams(clients, stream_name, scores_stream_name, clock)
    return lambda dry_run: redrive(dead_letters, streams, clock, dry_run=dry_run)


def _streams(
    clients: AwsClients, events: str, scores: str | None, clock: Clock
) -> Mapping[StreamName, EventStream]:
    return {
        "events": KinesisEventStream(clients.kinesis(), events, clock),
        "scores": KinesisEventStream(clients.kinesis(), scores or events, clock),
    }


def build_load(
    *,
    delivery_bucket: str,
    warehouse: ForgettingLoader,
    progress: Callable[[str], None],
    again: Collection[date] = (),
    clients: AwsClients | None = None,
) -> Callable[[bool], BackfillReport]:
    """Give the load of what a warehouse has not got; its argument says whether it is a dry run.

    What was delivered on the days `again` (UTC) is loaded whether it was before or not.
    """
    objects = S3DeliveredObjects((clients or AwsClients()).s3(), delivery_bucket)
    return lambda dry_run: load_again(objects, warehouse, again, dry_run=dry_run, progress=progress)


def build_quarantine_redrive(
    *,
    stream_name: str,
    scores_stream_name: str | None,
    delivery_bucket: str,
    progress: Callable[[str], None],
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> Callable[[bool], RedriveReport]:
    """Give the redrive of what is quarantined; as `build_redrive` does."""
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    objects = S3DeliveredObjects(clients.s3(), delivery_bucket)
    error_output = ErrorOutput(objects, clock, progress=progress)
    streams = _streams(clients, stream_name, scores_stream_name, clock)
    return lambda dry_run: redrive(error_output, streams, clock, dry_run=dry_run)


def build_redshift_loads(
    deployed: DeployedWarehouse, clients: AwsClients, clock: Clock | None = None
) -> ForgettingLoader:
    """Give the deployed warehouse as its loader sees it."""
    session = RedshiftDataSession(
        clients.redshift_data(),
        deployed.loader,
        clock or SystemClock(),
        patience_seconds=LOAD_SECONDS,
    )
    objects = S3DeliveredObjects(clients.s3(), deployed.delivery_bucket)
    return RedshiftLoads(session, objects, deployed.copy_role)
