"""What stands on a stream, read from its beginning."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import RecordTypeDef


def records_on(kinesis: "KinesisClient", stream: str) -> "list[RecordTypeDef]":
    """Give the records of a stream, shard by shard."""
    found: list[RecordTypeDef] = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        answer = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        iterator: str | None = answer["ShardIterator"]
        while iterator:
            batch = kinesis.get_records(ShardIterator=iterator)
            found += batch["Records"]
            iterator = batch.get("NextShardIterator") if batch["Records"] else None
    return found
