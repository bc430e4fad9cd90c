"""The run's own eyes: one thread that reads the stream, one that receives pages.

Both only look. The stream is read from its beginning, once; pages come through a real subscription
of the topic, a queue, and are removed from it only when their receipt is on disk.
"""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cardwatch.contract.fields import parse_time
from cardwatch.local.witness.receipts import Fact, PageReceived, facts_of

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_sqs import SQSClient

POLL_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 1.0
RECORDS_PER_READ: Final = 2_000
LONG_POLL_SECONDS: Final = 2
PAGES_PER_READ: Final = 10

Sink = Callable[[list[Fact]], None]
"""Keeps facts; what it was given is on disk when it returns."""


class _Observer(threading.Thread):
    """A thread that looks again and again until it is told to stop; an outage only delays it."""

    def __init__(self, name: str, sink: Sink) -> None:
        super().__init__(name=name, daemon=True)
        self._sink = sink
        self._stop_asked = threading.Event()
        self.error: str | None = None
        """Why it sees nothing at the moment, or None."""

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                wait = self._look()
                self.error = None
            except Exception as error:  # noqa: BLE001  an observer that ended would be a false witness
                self.error = f"{self.name}: {error}"
                wait = RETRY_SECONDS
            self._stop_asked.wait(wait)

    def stop(self) -> None:
        """Stop looking and wait for the thread."""
        self._stop_asked.set()
        self.join()

    def _look(self) -> float:
        """Look once; gives how many seconds to wait before looking again."""
        raise NotImplementedError


class StreamObserver(_Observer):
    """Reads every shard of the stream from its beginning."""

    def __init__(self, client: "KinesisClient", stream: str, sink: Sink) -> None:
        """Read `stream` with `client`."""
        super().__init__("stream observer", sink)
        self._client = client
        self._stream = stream
        self._iterators: dict[str, str | None] = {}
        self._last: dict[str, str] = {}
        self.behind = True
        """Whether more was on the stream than was read in the last round."""

    def _look(self) -> float:
        if not self._iterators or None in self._iterators.values():
            for shard in self._client.list_shards(StreamName=self._stream)["Shards"]:
                self._iterators.setdefault(shard["ShardId"], "")
        behind = False
        for shard_id, iterator in self._iterators.items():
            if iterator is not None:
                behind |= self._read(shard_id, iterator or self._begin(shard_id))
        self.behind = behind
        return 0.0 if behind else POLL_SECONDS

    def _begin(self, shard: str) -> str:
        last = self._last.get(shard)
        if last is None:
            begin = self._client.get_shard_iterator(
                StreamName=self._stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )
        else:
            begin = self._client.get_shard_iterator(
                StreamName=self._stream,
                ShardId=shard,
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                StartingSequenceNumber=last,
            )
        return begin["ShardIterator"]

    def _read(self, shard: str, iterator: str) -> bool:
        # Until the read succeeded the place is unknown, and found again by sequence number.
        self._iterators[shard] = ""
        answer = self._client.get_records(ShardIterator=iterator, Limit=RECORDS_PER_READ)
        facts: list[Fact] = []
        for record in answer["Records"]:
            facts += facts_of(
                record["Data"],
                arrived=parse_time(record["ApproximateArrivalTimestamp"]),
                shard=shard,
                sequence=record["SequenceNumber"],
            )
        if answer["Records"]:
            self._sink(facts)
            self._last[shard] = answer["Records"][-1]["SequenceNumber"]
        # None: the shard was split or merged, and its children are looked for.
        self._iterators[shard] = answer.get("NextShardIterator")
        return len(answer["Records"]) == RECORDS_PER_READ


class PageObserver(_Observer):
    """Receives the pages from the queue that is subscribed to the topic."""

    def __init__(self, client: "SQSClient", queue_url: str, sink: Sink) -> None:
        """Receive from `queue_url` with `client`, whose read time-out exceeds the long poll."""
        super().__init__("page observer", sink)
        self._client = client
        self._queue_url = queue_url

    def _look(self) -> float:
        answer = self._client.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=PAGES_PER_READ,
            WaitTimeSeconds=LONG_POLL_SECONDS,
        )
        received = datetime.now(UTC)
        for message in answer.get("Messages", []):
            self._sink([page_of(message["Body"], received=received)])
            self._client.delete_message(
                QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return 0.0


def page_of(body: str, *, received: datetime) -> PageReceived:
    """Read a page off SNS's envelope; raises ValueError where it is not one."""
    try:
        envelope = json.loads(body)
        attributes = {
            name: attribute["Value"] for name, attribute in envelope["MessageAttributes"].items()
        }
        return PageReceived(
            received=received,
            message_id=str(envelope["MessageId"]),
            page_id=attributes["page_id"],
            subject=envelope["Subject"],
            text=envelope["Message"],
            alert_ids=tuple(json.loads(attributes["alert_ids"])),
            repeat=attributes["repeat"] == "true",
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        msg = f"a message in the pages queue is no page ({type(error).__name__})"
        raise ValueError(msg) from None
