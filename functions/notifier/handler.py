"""Kinesis alerts and the one-minute schedule: pages each alert once."""

from typing import Any, cast

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import KinesisDataStreamModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.bootstrap.notifier import build_notifier
from cardwatch.observability import get_logger, get_metrics
from cardwatch.paging.notifier import AlertRecord
from cardwatch.settings import NotifierSettings

logger = get_logger("notifier")
metrics = get_metrics("notifier")
notifier = build_notifier(NotifierSettings.from_env(), logger=logger, metrics=metrics)
processor = BatchProcessor(EventType.KinesisDataStreams, raise_on_entire_batch_failure=False)


class NotSettledError(Exception):
    """The record's alert is neither paged, held nor expired yet: it has to be delivered again."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Page a batch as a whole and answer by record; without records, do the schedule's work."""
    if "Records" not in event:
        notifier.page_waiting(close_groups=event.get("groups") == "close")
        notifier.check_subscriptions()
        return {"batchItemFailures": []}
    batch = parse(event=event, model=KinesisDataStreamModel)
    failed = notifier.page_batch(
        [
            AlertRecord(r.kinesis.sequenceNumber, cast("bytes", r.kinesis.data))
            for r in batch.Records
        ]
    )

    def settled(record: KinesisStreamRecord) -> None:
        if record.kinesis.sequence_number in failed:
            raise NotSettledError

    return process_partial_response(event, settled, processor, context)
