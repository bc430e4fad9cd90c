import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from cardwatch.local.stream.shard import Stream
from cardwatch.local.witness.observer import PageObserver, StreamObserver, page_of
from cardwatch.local.witness.receipts import EventSeen, Fact, PageReceived, RejectedSeen

NOW = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)


def heartbeat(number: int) -> bytes:
    event = {
        "type": "HEARTBEAT",
        "event_id": f"h{number}",
        "schema_version": 1,
        "event_date_origin": "2026-11-21T07:00:00.000Z",
        "event_json_data": {"source": "simulator"},
    }
    return json.dumps(event).encode()


class Kinesis:
    """A stream of two shards that can be away for a while."""

    def __init__(self) -> None:
        self.shards: dict[str, list[bytes]] = {"a": [], "b": []}
        self.outages = 0

    def get_paginator(self, name: str) -> "Kinesis":
        assert name == "list_shards"
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return [{"Shards": [{"ShardId": shard} for shard in self.shards]}]

    def get_shard_iterator(self, **request: str) -> dict[str, Any]:
        after = request.get("StartingSequenceNumber")
        start = 0 if after is None else int(after) + 1
        return {"ShardIterator": f"{request['ShardId']}|{start}"}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, Any]:  # noqa: N803  boto3's
        shard, start = ShardIterator.split("|")
        if self.outages:
            self.outages -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1")
        number = int(start)
        found = self.shards[shard][number : number + Limit]
        records = [
            {
                "SequenceNumber": str(n),
                "PartitionKey": "k",
                "Data": data,
                "ApproximateArrivalTimestamp": NOW,
            }
            for n, data in enumerate(found, start=number)
        ]
        return {"Records": records, "NextShardIterator": f"{shard}|{number + len(found)}"}


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_every_record_of_every_shard_is_seen_once_also_across_an_outage() -> None:
    client = Kinesis()
    seen: list[Fact] = []
    client.shards["a"] = [heartbeat(n) for n in range(3)]
    observer = StreamObserver(Stream(cast("Any", client), "events"), seen.extend)
    observer.start()
    try:
        assert until(lambda: len(seen) == 3)
        client.outages = 1
        assert until(lambda: observer.error is not None)
        client.shards["a"] += [heartbeat(3)]
        client.shards["b"] += [b"poison"]
        assert until(lambda: len(seen) == 5)
        assert until(lambda: observer.error is None)
    finally:
        observer.stop()
    assert sorted(f.event_id for f in seen if isinstance(f, EventSeen)) == ["h0", "h1", "h2", "h3"]
    assert [f.reason for f in seen if isinstance(f, RejectedSeen)] == ["not_json"]


def envelope(**changes: object) -> str:
    attributes = {
        "page_id": {"Type": "String", "Value": "page_1"},
        "alert_ids": {"Type": "String.Array", "Value": '["x","y"]'},
        "repeat": {"Type": "String", "Value": "true"},
        "kind": {"Type": "String", "Value": "FOLLOW_UP"},
    }
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "m",
            "Subject": "2 payments",
            "Message": "text",
            "MessageAttributes": attributes,
            **changes,
        }
    )


def test_a_page_is_read_with_all_its_alerts() -> None:
    page = page_of(envelope(), received=NOW)
    assert page == PageReceived(
        NOW, "m", "page_1", "2 payments", "text", ("x", "y"), repeat=True, kind="FOLLOW_UP"
    )


@pytest.mark.parametrize("body", ["", "[]", "{}", envelope(MessageAttributes={})])
def test_what_is_no_page_is_refused_without_quoting_it(body: str) -> None:
    with pytest.raises(ValueError, match="is no page"):
        page_of(body, received=NOW)


class Queue:
    """A queue whose messages come back until they are deleted, unseen ones excepted."""

    def __init__(self, *bodies: str) -> None:
        self.messages = {str(n): body for n, body in enumerate(bodies)}
        self.unseen: dict[str, float] = {}
        """Until when a message that was received is not seen, by the queue's own clock."""
        self.now = 0.0
        self.failing_deletes = 0
        self.at_once = 1

    def receive_message(self, *, VisibilityTimeout: float = 180, **_: object) -> dict[str, Any]:  # noqa: N803  boto3's
        time.sleep(0.01)
        seen = [h for h in self.messages if self.unseen.get(h, 0) <= self.now][: self.at_once]
        self.unseen |= dict.fromkeys(seen, self.now + VisibilityTimeout)
        found = [{"MessageId": h, "ReceiptHandle": h, "Body": self.messages[h]} for h in seen]
        return {"Messages": found}

    def delete_message(self, **request: str) -> None:
        if self.failing_deletes:
            self.failing_deletes -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1")
        del self.messages[request["ReceiptHandle"]]


def test_a_page_leaves_the_queue_only_after_its_receipt_was_kept() -> None:
    queue = Queue(envelope(), envelope(MessageId="n"))
    kept: list[tuple[int, Fact]] = []

    def keep(facts: list[Fact]) -> None:
        kept.extend((len(queue.messages), fact) for fact in facts)

    observer = PageObserver(cast("Any", queue), "http://queue", keep)
    observer.start()
    try:
        assert until(lambda: not queue.messages)
    finally:
        observer.stop()
    assert [waiting for waiting, _ in kept] == [2, 1]


def test_what_is_no_page_is_removed_and_counted_and_hides_no_page() -> None:
    queue = Queue("by hand", envelope(), "again by hand", envelope(MessageId="n"))
    queue.at_once = 10
    kept: list[Fact] = []
    observer = PageObserver(cast("Any", queue), "http://queue", kept.extend)
    observer.look()
    assert [fact.message_id for fact in kept if isinstance(fact, PageReceived)] == ["m", "n"]
    assert observer.no_pages == 2
    assert not queue.messages


def test_a_message_that_could_not_be_removed_is_received_again_and_counted_once() -> None:
    queue = Queue("by hand")
    queue.failing_deletes = 1
    observer = PageObserver(cast("Any", queue), "http://queue", lambda _: None)
    with pytest.raises(EndpointConnectionError):
        observer.look()
    queue.now += 10
    observer.look()
    assert observer.no_pages == 1
    assert not queue.messages


def test_a_page_whose_receipt_could_not_be_kept_is_received_again_within_seconds() -> None:
    """Not after the minutes that the queue gives a function: a measured run ends before them."""
    queue = Queue(envelope())
    kept: list[Fact] = []
    full_disk = [OSError("no space left")]

    def keep(facts: list[Fact]) -> None:
        if full_disk:
            raise full_disk.pop()
        kept.extend(facts)

    observer = PageObserver(cast("Any", queue), "http://queue", keep)
    with pytest.raises(OSError, match="no space"):
        observer.look()
    queue.now += 10
    observer.look()
    assert [fact.message_id for fact in kept if isinstance(fact, PageReceived)] == ["m"]
    assert not queue.messages
