"""The job between the ends that it has on AWS: each detection's cases over a Kinesis stream.

The official connector reads the stream and writes to it, by the production DDL; the stream is the
emulator's. It needs the connector's jar in flink_app/lib (docs/deployment.md), which no clone has.
The job is planned once for each detection and started for each case, between which the stream is
made anew. Beside each runs the alert of stolen cards, which says when the job has read everything.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.flink.running import Flink, in_a_replays_order, turning_points
from tests.flink.scenarios import DAY, heartbeat, payment, status, time_text

from cardwatch.aws.clients import AwsClients
from cardwatch.contract.streams import EVENT_TYPES

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests/flink").glob("*/*/case.md"))
STREAM, SCORES_STREAM = STREAMS = "cases", "cases-scores"
READ_BY = "payment_alert"
END = 10 * DAY
"""When the last records of a stream happen: after everything in any case."""
PATIENCE_SECONDS = 60

pytestmark = [
    pytest.mark.flink,
    pytest.mark.stack,
    pytest.mark.skipif(
        not list((ROOT / "flink_app/lib").glob("*.jar")),
        reason="no connector jar in flink_app/lib: docs/deployment.md has how to get it",
    ),
]


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Flink]:
    # The emulator speaks no CBOR.
    running = Flink(tmp_path_factory.mktemp("connector"), "-Daws.cborEnabled=false")
    yield running
    running.stop()


def groups(emulator: AwsClients, detection: str) -> dict[str, dict[str, str]]:
    kinesis = emulator.kinesis()
    arns = [
        kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
        for name in STREAMS
    ]
    example = json.loads((ROOT / "flink_app/application_properties.json").read_bytes())
    edge = next(g["PropertyMap"] for g in example if g["PropertyGroupId"] == "cardwatch.edge")
    return {
        "cardwatch.edge": {
            **edge,
            "stream_arn": arns[0],
            "scores_stream_arn": arns[1],
            "aws_region": kinesis.meta.region_name,
            "poll_interval_ms": "250",
        },
        "cardwatch.connector": {
            "aws.endpoint": kinesis.meta.endpoint_url,
            "aws.credentials.provider": "BASIC",
            "aws.credentials.basic.accesskeyid": "test",
            "aws.credentials.basic.secretkey": "test",
            "aws.http.protocol.version": "HTTP1_1",
        },
        "cardwatch.detection": {"detections": ",".join({detection, READ_BY})},
        # The connector (6.0.0) fails when its first look for shards takes longer than its second is
        # away, as on a busy machine; on AWS, too, a restart mends it.
        "cardwatch.flink": {"parallelism.default": "1", "restart-strategy.type": "fixed-delay"},
    }


def put(emulator: AwsClients, lines: Iterable[str]) -> int:
    """Put lines onto a new stream of one shard, which keeps their order; give how many."""
    kinesis = emulator.kinesis()
    for name in STREAMS:
        if name in kinesis.list_streams()["StreamNames"]:
            kinesis.delete_stream(StreamName=name)
            kinesis.get_waiter("stream_not_exists").wait(StreamName=name)
        kinesis.create_stream(StreamName=name, ShardCount=1)
        kinesis.get_waiter("stream_exists").wait(StreamName=name)
    data = [line.encode() for line in lines if line]
    for line in data:
        kinesis.put_record(StreamName=STREAM, Data=line, PartitionKey="one")
    return len(data)


def records(emulator: AwsClients, stream: str = STREAM, *, after: int = 0) -> list[dict[str, Any]]:
    """Give the records behind the first ones of a stream, each under the key of its event."""
    kinesis = emulator.kinesis()
    [shard] = kinesis.list_shards(StreamName=stream)["Shards"]
    iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[tuple[str, bytes]] = []
    while True:
        batch = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
        found += [(record["PartitionKey"], record["Data"]) for record in batch["Records"]]
        if batch["MillisBehindLatest"] == 0:
            break
        iterator = batch["NextShardIterator"]
    events = []
    for key, data in found[after:]:
        event = json.loads(data)
        place = EVENT_TYPES[event["type"]].partition_key
        assert key == event["event_json_data"].get(place, event["event_id"])
        events.append(event)
    return events


def detect(
    emulator: AwsClients, flink: Flink, detection: str, lines: Iterable[str]
) -> list[dict[str, Any]]:
    """Give what a detection writes about the lines, in a replay's order, without detected_at.

    Behind the lines stands a payment on a stolen card; when that is reported the job has read all.
    """
    last = [
        status("the end", "STOLEN", END, END),
        payment("the_end", "the end", END + 1),
        heartbeat(END + 60_000),
    ]
    read = put(emulator, [*lines, *last])
    flink.start("connector", groups(emulator, detection))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(r["event_date_origin"] > time_text(END) for r in records(emulator, after=read)):
        assert time.monotonic() < deadline, "the last payment was not reported"
        time.sleep(0.2)
    flink.drain()
    found = [
        record
        for record in (*records(emulator, after=read), *records(emulator, SCORES_STREAM))
        if record["event_date_origin"] <= time_text(END)
        and (detection == READ_BY or record["type"] != "PAYMENT_ALERT")
    ]
    for record in found:
        record["event_json_data"].pop("detected_at", None)
    return sorted(found, key=in_a_replays_order)


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parts[-3]}/{path.parts[-2]}")
def test_over_kinesis_the_detection_says_what_the_case_expects(
    emulator: AwsClients, flink: Flink, case: Path
) -> None:
    lines = (case.parent / "input.jsonl").read_text(encoding="utf-8").splitlines()
    detection = case.parts[-3]
    found = detect(emulator, flink, detection, lines)
    if detection == "payment_alert_summary":
        found = turning_points(found)
    expected = (case.parent / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    assert found == [json.loads(line) for line in expected]
