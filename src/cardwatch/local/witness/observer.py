"""The run's own eyes: one thread that reads the stream, one that receives pages.

Both only look. The stream is read from its beginning, once; pages come through a real subscription
of the topic, a queue, and are removed from it only when their receipt is on disk.
"""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cardwatch.contract.fields import parse_time
from cardwatch.local.stream.all_shards import AllShards
from cardwatch.local.stream.shard import Stream, StreamRecord
from cardwatch.local.witness.receipts import Fact, PageReceived, facts_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0
LONG_POLL_SECONDS: Final = 2
PAGES_PER_READ: Final = 10
VISIBILITY_SECONDS: Final = 10
"""How long a page that was received and not removed stays unseen."""

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
                wait = self.look()
                self.error = None
            except Exception as error:  # noqa: BLE001  an observer that ended would be a false witness
                self.error = f"{self.name}: {error}"
                wait = RETRY_SECONDS
            self._stop_asked.wait(wait)

    def stop(self) -> None:
        """Stop looking and wait for the thread."""
        self._stop_asked.set()
        self.join()

    def look(self) -> float:
        """Look once; gives how many seconds to wait before looking again."""
        raise NotImplementedError


class StreamObserver(_Observer):
    """Reads every shard of the stream from its beginning."""

    def __init__(self, stream: Stream, sink: Sink) -> None:
        """Read `stream`."""
        super().__init__("stream observer", sink)
        self._shards = AllShards(stream)

    def look(self) -> float:
        """Read each shard once."""
        return 0.0 if self._shards.read(self._take) else POLL_SECONDS

    def _take(self, shard: str, records: Sequence[StreamRecord]) -> None:
        facts: list[Fact] = []
        for record in records:
            facts += facts_of(
                record.data,
                arrived=parse_time(record.arrived_at),
                shard=shard,
                sequence=record.sequence_number,
            )
        self._sink(facts)


class PageObserver(_Observer):
    """Receives the pages from the queue that is subscribed to the topic."""

    def __init__(self, client: "SQSClient", queue_url: str, sink: Sink) -> None:
        """Receive from `queue_url` with `client`, whose read time-out exceeds the long poll."""
        super().__init__("page observer", sink)
        self._client = client
        self._queue_url = queue_url
        self._no_pages: set[str] = set()

    def look(self) -> float:
        """Receive what is there."""
        answer = self._client.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=PAGES_PER_READ,
            WaitTimeSeconds=LONG_POLL_SECONDS,
            # What fails is seen again soon, and not after the time that a function would need.
            VisibilityTimeout=VISIBILITY_SECONDS,
        )
        received = datetime.now(UTC)
        for message in answer.get("Messages", []):
            try:
                page = page_of(message["Body"], received=received)
            except ValueError:
                self._no_pages.add(message["MessageId"])
            else:
                self._sink([page])
            self._client.delete_message(
                QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return 0.0

    @property
    def no_pages(self) -> int:
        """Say how many messages were removed that are no page."""
        return len(self._no_pages)


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
            kind=attributes["kind"],
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        msg = f"a message in the pages queue is no page ({type(error).__name__})"
        raise ValueError(msg) from None
