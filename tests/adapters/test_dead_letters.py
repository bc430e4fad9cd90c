"""Dead letters in S3: what is kept comes back whole."""

import base64
import gzip
import json
import random

import pytest
from tests.fakes import FakeClock

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import MAPPING_SOURCE, S3DeadLetters
from cardwatch.ports import NotKeptError
from cardwatch.recovery.ports import DeadLetter, DeadLetterStore, UnreadableObjectError

MAPPING_KEY = (
    "aws/lambda/a1b2/shardId-000000000000/2026/11/21/"
    "2026-11-21T12.00.00-0e8a6e1c-6a9b-4b1d-9d55-1f3a6f0f8f3c"
)


@pytest.fixture
def bucket(aws: AwsClients) -> str:
    name = f"dead-letters-{random.getrandbits(32):08x}"
    aws.s3().create_bucket(Bucket=name)
    return name


def test_records_come_back_byte_for_byte_with_their_reason(aws: AwsClients, bucket: str) -> None:
    letters: DeadLetterStore = S3DeadLetters(aws.s3(), bucket, FakeClock())
    raw = [b"", b"\xff\x00\n{", b"x" * 1_048_576]
    name = letters.keep("notifier", raw, reason="not_json")
    assert name.startswith("dead-letters/notifier/2026/11/21/")
    assert list(letters.letters_in(name)) == [DeadLetter(r, "not_json") for r in raw]
    stored = aws.s3().get_object(Bucket=bucket, Key=name)["Body"].read()
    first = json.loads(gzip.decompress(stored).splitlines()[0])
    assert first["kept_at"] == "2026-11-21T12:00:00.000Z"


def test_the_same_records_kept_again_are_one_object(aws: AwsClients, bucket: str) -> None:
    letters = S3DeadLetters(aws.s3(), bucket, FakeClock())
    letters.keep("notifier", [b"a"], reason="not_json")
    letters.keep("notifier", [b"a"], reason="not_json")
    letters.keep("notifier", [b"b"], reason="not_json")
    letters.keep("notifier", [b"a"], reason="too_old")
    assert len(list(letters.objects("notifier"))) == 3


def test_sources_are_listed_and_objects_go_when_removed(aws: AwsClients, bucket: str) -> None:
    letters = S3DeadLetters(aws.s3(), bucket, FakeClock())
    assert letters.sources() == []
    name = letters.keep("simulator", [b"a"], reason="throttled")
    letters.keep("notifier", [b"a"], reason="not_json")
    aws.s3().put_object(Bucket=bucket, Key=MAPPING_KEY, Body=b"{}")
    assert sorted(letters.sources()) == [MAPPING_SOURCE, "notifier", "simulator"]
    assert list(letters.objects(MAPPING_SOURCE)) == [MAPPING_KEY]
    letters.remove(name)
    assert list(letters.objects("simulator")) == []


def test_what_the_event_source_mapping_gave_up_is_read_with_its_partition_keys(
    aws: AwsClients, bucket: str
) -> None:
    invocation = {
        "Records": [
            {"kinesis": {"partitionKey": "k", "data": base64.b64encode(b"{}").decode()}},
            {"kinesis": {"partitionKey": "l", "data": base64.b64encode(b"\xff").decode()}},
        ]
    }
    document = {
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "version": "1.0",
        "KinesisBatchInfo": {"shardId": "shardId-000000000000", "batchSize": 2},
        "payload": json.dumps(invocation),
    }
    aws.s3().put_object(Bucket=bucket, Key=MAPPING_KEY, Body=json.dumps(document).encode())
    assert list(S3DeadLetters(aws.s3(), bucket, FakeClock()).letters_in(MAPPING_KEY)) == [
        DeadLetter(b"{}", "RetryAttemptsExhausted", "k"),
        DeadLetter(b"\xff", "RetryAttemptsExhausted", "l"),
    ]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("dead-letters/notifier/2026/11/21/a.jsonl.gz", b"not gzip " + b"42" * 8),
        ("dead-letters/notifier/2026/11/21/a.jsonl.gz", gzip.compress(b"x" * 500)[:40]),
        ("dead-letters/notifier/2026/11/21/a.jsonl.gz", gzip.compress(b"[]\n")),
        ("dead-letters/notifier/2026/11/21/a.jsonl.gz", gzip.compress(b'{"raw":"!","reason":""}')),
        (MAPPING_KEY, b"\xff"),
        (MAPPING_KEY, b"[]"),
        (MAPPING_KEY, b'{"requestContext": {}}'),
        (MAPPING_KEY, b'{"payload": "{}"}'),
    ],
)
def test_an_object_without_letters_is_named_and_not_quoted(
    aws: AwsClients, bucket: str, key: str, content: bytes
) -> None:
    aws.s3().put_object(Bucket=bucket, Key=key, Body=content)
    with pytest.raises(UnreadableObjectError, match="holds no dead letters") as caught:
        S3DeadLetters(aws.s3(), bucket, FakeClock()).letters_in(key)
    assert key in str(caught.value)
    assert "4242" not in str(caught.value).replace(bucket, "")


def test_a_bucket_that_is_not_there_is_told_to_the_caller(aws: AwsClients) -> None:
    letters = S3DeadLetters(aws.s3(), "nobody-made-this-bucket", FakeClock())
    with pytest.raises(NotKeptError, match="nobody-made-this-bucket"):
        letters.keep("notifier", [b"a"], reason="not_json")
