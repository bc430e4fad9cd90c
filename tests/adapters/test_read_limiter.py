"""The limiter refuses what a shard on AWS refuses, and changes nothing else."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from tests.read_limiter import READS_PER_SECOND, LimitedReads, limited_reads

from cardwatch.aws.clients import AwsClients

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

pytestmark = pytest.mark.stack


@pytest.fixture
def reads(emulator: AwsClients) -> Iterator[LimitedReads]:
    with limited_reads(emulator.kinesis().meta.endpoint_url) as limited:
        yield limited


@pytest.fixture
def kinesis(reads: LimitedReads) -> "KinesisClient":
    return boto3.client(
        "kinesis",
        endpoint_url=reads.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  it opens nothing
        config=Config(retries={"total_max_attempts": 1}),
    )


def made(kinesis: "KinesisClient", shards: int) -> tuple[str, list[str]]:
    """Make a stream through the limiter and give an iterator of each shard."""
    name = f"limited-{uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    iterators = [
        kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for shard in kinesis.list_shards(StreamName=name)["Shards"]
    ]
    return name, iterators


def test_the_sixth_read_of_a_shard_in_a_second_is_refused_and_of_another_shard_is_not(
    kinesis: "KinesisClient", reads: LimitedReads
) -> None:
    _, (first, second) = made(kinesis, shards=2)
    iterator = first
    for _ in range(READS_PER_SECOND):
        iterator = kinesis.get_records(ShardIterator=iterator)["NextShardIterator"]
    with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException):
        kinesis.get_records(ShardIterator=iterator)
    kinesis.get_records(ShardIterator=second)
    assert sorted(reads.served.values()) == [1, READS_PER_SECOND]
    assert list(reads.refused.values()) == [1]


def test_a_second_later_the_shard_is_read_again_and_nothing_was_lost(
    kinesis: "KinesisClient", reads: LimitedReads
) -> None:
    name, (iterator,) = made(kinesis, shards=1)
    kinesis.put_record(StreamName=name, Data=b"one", PartitionKey="k")
    refused = 0
    found: list[bytes] = []
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        try:
            answer = kinesis.get_records(ShardIterator=iterator)
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            refused += 1
            continue
        iterator = answer["NextShardIterator"]
        found += [record["Data"] for record in answer["Records"]]
    assert found == [b"one"]
    assert refused > 0
    [served] = reads.served.values()
    assert served <= 3 * READS_PER_SECOND
