"""Delivery's ends on the local AWS stack."""

import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3
import pytest
from tests.fakes import NOON, FakeCardRegistry, FakeClock

from cardwatch.aws.clients import AwsClients
from cardwatch.local.firehose.delivery import InvocationError, UnreachableError
from cardwatch.local.firehose.ends import (
    BucketObjects,
    Quarantine,
    Quarantined,
    StagerFunction,
    StreamSource,
)
from cardwatch.local.stream.shard import Stream
from cardwatch.recovery.error_output import FailedRecord
from cardwatch.recovery.ports import StoredObject
from cardwatch.staging.ports import KnownStatus
from cardwatch.staging.stolen import StolenCards

FUNCTION = """
import time

def handler(event, context):
    if event.get("raise"):
        raise RuntimeError("4242 4242 " + "4242 4242")
    return {"records": event["records"]}
"""

pytestmark = pytest.mark.stack


class Ends:
    """What the tests need of the emulator beside the ends themselves."""

    def __init__(self, emulator: AwsClients, name: str) -> None:
        self.endpoint = str(emulator.kinesis().meta.endpoint_url)
        self.session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the emulator's, opens nothing
            region_name="us-east-1",
        )
        self.aws = emulator
        self.kinesis = emulator.kinesis()
        self.name = name

    def stream(self, shards: int = 1) -> StreamSource:
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.kinesis.get_waiter("stream_exists").wait(
            StreamName=self.name, WaiterConfig={"Delay": 1}
        )
        return StreamSource(Stream(self.kinesis, self.name))

    def put(self, *data: bytes) -> None:
        self.kinesis.put_records(
            StreamName=self.name, Records=[{"Data": d, "PartitionKey": "k"} for d in data]
        )

    def bucket(self) -> BucketObjects:
        self.session.client("s3", endpoint_url=self.endpoint).create_bucket(Bucket=self.name)
        return BucketObjects(self.aws.s3(), self.name)

    def function(self) -> StagerFunction:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("handler.py", FUNCTION)
        self.session.client("lambda", endpoint_url=self.endpoint).create_function(
            FunctionName=self.name,
            Runtime="python3.12",
            Handler="handler.handler",
            Role="arn:aws:iam::000000000000:role/none",
            Code={"ZipFile": archive.getvalue()},
        )
        return StagerFunction(self.aws.impatient_lambda(patience_seconds=30), self.name)


@pytest.fixture
def ends(emulator: AwsClients) -> Ends:
    return Ends(emulator, f"delivery-{uuid4()}")


def test_a_shard_is_read_from_the_oldest_record_and_on_from_any_position(ends: Ends) -> None:
    source = ends.stream()
    (shard,) = source.shards()
    ends.put(b"one", b"two", b"\xff three")
    page = source.read(shard, None)
    assert [record.data for record in page.records] == [b"one", b"two", b"\xff three"]
    assert page.behind_ms == 0
    assert all(record.arrived_at.tzinfo is not None for record in page.records)
    rest = source.read(shard, page.records[0].sequence_number)
    assert [record.data for record in rest.records] == [b"two", b"\xff three"]
    assert source.read(shard, page.records[-1].sequence_number).records == []


def test_every_shard_is_found_and_a_stream_made_anew_is_another_one(ends: Ends) -> None:
    source = ends.stream(shards=3)
    assert len(source.shards()) == 3
    first = source.identity()
    assert source.identity() == first
    assert first.startswith("arn:aws:kinesis:us-east-1:")


def test_objects_are_stored_listed_by_prefix_and_replaced(ends: Ends) -> None:
    objects = ends.bucket()
    etag = objects.put("events/1.gz", b"one")
    objects.put("other/1.gz", b"two")
    assert objects.list("events/") == [StoredObject("events/1.gz", etag)]
    assert objects.get("events/1.gz") == b"one"
    assert objects.get("events/2.gz") is None
    assert objects.put("events/1.gz", b"three") != etag
    assert len(objects.list("events/")) == 1
    assert objects.list("nothing/") == []


def test_the_function_is_invoked_and_its_failure_is_told_without_its_words(ends: Ends) -> None:
    function = ends.function()
    assert function.arn.endswith(f":function:{ends.name}")
    assert function.invoke({"records": [1]}) == {"records": [1]}
    with pytest.raises(InvocationError) as failed:
        function.invoke({"raise": True})
    assert failed.value.code == "Lambda.FunctionError"
    assert "4242" not in str(failed.value)
    assert function.invoke({"records": []}) == {"records": []}


def test_what_is_not_there_is_unreachable_and_named(ends: Ends) -> None:
    nothing = AwsClients(ends.session, endpoint_url="http://127.0.0.1:9")
    acts: tuple[Callable[[], object], ...] = (
        lambda: StreamSource(Stream(ends.kinesis, "no-such-stream")).identity(),
        lambda: StreamSource(Stream(nothing.kinesis(), "no-such-stream")).shards(),
        lambda: StagerFunction(ends.aws.impatient_lambda(), "no-such-function").invoke({}),
        lambda: BucketObjects(ends.aws.s3(), "no-such-bucket").put("key", b""),
        lambda: BucketObjects(nothing.s3(), "no-such-bucket").list("events/"),
    )
    for act in acts:
        with pytest.raises(UnreachableError, match="no-such-"):
            act()


def test_quarantine_is_counted_by_reason_and_a_broken_object_stops_nothing(ends: Ends) -> None:
    def wrap(*records: bytes) -> bytes:
        now = datetime.now(UTC)
        lines = [
            FailedRecord(raw, now, 1, now, "Lambda.ProcessingFailedStatus", "failed", "arn")
            for raw in records
        ]
        return gzip.compress(b"".join(line.to_line() for line in lines))

    objects = ends.bucket()
    card = "4f0c" * 8
    registry = FakeCardRegistry({card: KnownStatus(card, stolen=True, effective_from=NOON)})
    quarantine = Quarantine(objects, StolenCards(registry, FakeClock()))
    assert quarantine.count() == Quarantined()
    objects.put("events/processing-failed/1.gz", wrap(b"{", b"\xff", b"["))
    objects.put("events/processing-failed/2.gz", b"broken")
    assert quarantine.count() == Quarantined(
        Counter({"not_json": 2, "not_utf8": 1, "unreadable_object": 1})
    )
    unknown: dict[str, Any] = {"type": "OTHER", "event_json_data": {"card_token": card}}
    objects.put("events/processing-failed/2.gz", wrap(json.dumps(unknown).encode()))
    found = quarantine.count()
    assert found.reasons == {"not_json": 2, "not_utf8": 1, "unknown_type": 1}
    assert found.on_stolen_cards == 1
    registry.broken = True
    objects.put("events/processing-failed/3.gz", wrap(json.dumps(unknown).encode()))
    with pytest.raises(UnreachableError, match="card registry"):
        quarantine.count()
