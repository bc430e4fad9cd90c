"""Quarantine and the delivery bucket, on moto and on the emulator."""

import base64
import gzip
import json
from collections.abc import Mapping
from uuid import uuid4

import pytest
from tests.fakes import NOON, FakeClock, FakeEventStream
from tests.kpl import aggregated

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.contract.streams import StreamName
from cardwatch.ports import EventStream
from cardwatch.recovery.error_output import (
    QUARANTINE,
    ErrorOutput,
    FailedRecord,
    read_failed_records,
)
from cardwatch.recovery.ports import BucketUnavailableError, UnreadableObjectError
from cardwatch.recovery.redrive import RedriveReport, redrive

NAME = f"{QUARANTINE}2026/11/21/11/one.gz"


def event(number: int, *, kind: str = "PAGE_EVENT") -> bytes:
    data = {
        "PAGE_EVENT": {
            "page_id": f"page-{number}",
            "state": "SENT",
            "alert_ids": ["a" * 64],
            "channel": "sns",
            "repeat": False,
        },
        "HEARTBEAT": {"source": "simulator"},
    }[kind]
    envelope = {
        "type": kind,
        "event_id": f"event-{number}",
        "schema_version": 1,
        "event_date_origin": "2026-11-21T11:00:00.000Z",
        "event_json_data": data,
    }
    return json.dumps(envelope).encode()


def wrap(*raws: bytes) -> bytes:
    records = [
        FailedRecord(raw, NOON, 4, NOON, "Lambda.FunctionError", "it failed", "arn:stager")
        for raw in raws
    ]
    return b"".join(record.to_line() for record in records)


@pytest.fixture
def bucket(aws: AwsClients) -> S3DeliveredObjects:
    name = f"delivered-{uuid4().hex[:8]}"
    aws.s3().create_bucket(Bucket=name)
    return S3DeliveredObjects(aws.s3(), name)


def replay(
    bucket: S3DeliveredObjects, stream: FakeEventStream, *, dry_run: bool = False
) -> RedriveReport:
    clock = FakeClock()
    streams: Mapping[StreamName, EventStream] = {"events": stream, "scores": stream}
    return redrive(ErrorOutput(bucket, clock), streams, clock, dry_run=dry_run)


def quarantined(bucket: S3DeliveredObjects) -> list[FailedRecord]:
    bodies = [bucket.get(item.key) for item in bucket.list(QUARANTINE)]
    return [record for body in bodies for record in read_failed_records(body or b"")]


def test_objects_are_listed_read_and_removed(bucket: S3DeliveredObjects) -> None:
    bucket.put("events/1", b"one")
    bucket.put("other/1", b"two")
    (item,) = bucket.list("events/")
    assert item.key == "events/1"
    assert len(item.etag) == 32
    assert bucket.get("events/1") == b"one"
    assert bucket.get("events/2") is None
    bucket.remove("events/1")
    assert bucket.list("events/") == []


def test_a_bucket_that_is_not_there_is_named(aws: AwsClients) -> None:
    missing = S3DeliveredObjects(aws.s3(), "no-such-bucket")
    with pytest.raises(BucketUnavailableError, match=r"no-such-bucket was asked to list events/: "):
        missing.list("events/")


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_valid_now_goes_to_the_stream_and_the_object_goes(
    bucket: S3DeliveredObjects, *, packed: bool
) -> None:
    body = wrap(event(1), event(2))
    bucket.put(NAME, gzip.compress(body) if packed else body)
    stream = FakeEventStream()
    report = replay(bucket, stream)
    assert report.complete
    assert report.sent == {"PAGE_EVENT": 2}
    assert [entry.data for entry in stream.entries] == [event(1), event(2)]
    assert [entry.partition_key for entry in stream.entries] == ["page-1", "page-2"]
    assert bucket.list(QUARANTINE) == []


def test_records_that_follow_one_another_without_a_line_s_end_are_read(
    bucket: S3DeliveredObjects,
) -> None:
    bucket.put(NAME, wrap(event(1), event(2)).replace(b"\n", b""))
    assert replay(bucket, FakeEventStream()).sent == {"PAGE_EVENT": 2}


@pytest.mark.parametrize(
    "joined",
    [
        event(1) + event(2) + event(3),
        b"\n".join(map(event, (1, 2, 3))),
        aggregated(*map(event, (1, 2, 3))),
    ],
    ids=["end to end", "lines", "aggregated"],
)
def test_the_events_of_one_record_are_sent_each_by_itself_under_its_own_key(
    bucket: S3DeliveredObjects, joined: bytes
) -> None:
    bucket.put(NAME, wrap(joined))
    stream = FakeEventStream()
    assert replay(bucket, stream).complete
    assert [entry.data for entry in stream.entries] == [event(1), event(2), event(3)]
    assert [entry.partition_key for entry in stream.entries] == ["page-1", "page-2", "page-3"]
    assert bucket.list(QUARANTINE) == []


def test_of_several_events_in_one_record_only_the_broken_one_stays(
    bucket: S3DeliveredObjects,
) -> None:
    bucket.put(NAME, wrap(event(1) + b'\n{"type":\n' + event(2)))
    stream = FakeEventStream()
    assert replay(bucket, stream).rejected == {"not_json": 1}
    assert [entry.data for entry in stream.entries] == [event(1), event(2)]
    assert [record.raw for record in quarantined(bucket)] == [b'{"type":']


def test_a_dry_run_sends_and_removes_nothing(bucket: S3DeliveredObjects) -> None:
    bucket.put(NAME, wrap(event(1), b"{"))
    stream = FakeEventStream()
    report = replay(bucket, stream, dry_run=True)
    assert report.sent == {"PAGE_EVENT": 1}
    assert report.rejected == {"not_json": 1}
    assert stream.entries == []
    assert [item.key for item in bucket.list(QUARANTINE)] == [NAME]


def test_what_is_still_broken_stays_in_its_wrapper(bucket: S3DeliveredObjects) -> None:
    bucket.put(NAME, wrap(event(1), b"{", event(2)))
    report = replay(bucket, FakeEventStream())
    assert not report.complete
    (left,) = quarantined(bucket)
    assert (left.raw, left.arrived_at, left.attempts) == (b"{", NOON, 4)
    assert left.reason() == "not_json"
    assert NAME not in [item.key for item in bucket.list(QUARANTINE)]
    # Once more: nothing is sent twice, and what is left stays where it is.
    stream = FakeEventStream()
    replay(bucket, stream)
    assert stream.entries == []
    assert quarantined(bucket) == [left]


def test_what_the_stream_refuses_stays(bucket: S3DeliveredObjects) -> None:
    bucket.put(NAME, wrap(event(1)))
    report = replay(bucket, FakeEventStream(refuse="InternalFailure"))
    assert report.undelivered == {"InternalFailure": 1}
    assert [item.key for item in bucket.list(QUARANTINE)] == [NAME]


def test_a_heartbeat_of_a_moment_that_has_passed_is_dropped(bucket: S3DeliveredObjects) -> None:
    bucket.put(NAME, wrap(event(1, kind="HEARTBEAT")))
    stream = FakeEventStream()
    assert replay(bucket, stream).outdated == 1
    assert (stream.entries, bucket.list(QUARANTINE)) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[1]",
        b'{"rawData": "e30="}',
        gzip.compress(b"{}")[:-4],
        b"\x1f\x8bno gzip",
        wrap(b"a record").replace(b'"rawData": "', b'"rawData": "!'),
    ],
)
def test_an_object_that_is_no_error_output_is_named_and_never_quoted(
    bucket: S3DeliveredObjects, body: bytes
) -> None:
    bucket.put(NAME, body)
    report = replay(bucket, FakeEventStream())
    (problem,) = report.problems
    assert f"s3://{bucket.bucket}/{NAME}: not an object of the error output" in problem
    for quoted in ("no json", "e30=", base64.b64encode(b"a record").decode()):
        assert quoted not in problem
    with pytest.raises(UnreadableObjectError):
        ErrorOutput(bucket, FakeClock()).letters_in(NAME)
