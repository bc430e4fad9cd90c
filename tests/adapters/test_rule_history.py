import random
from datetime import timedelta

import pytest
from tests.fakes import NOON, FakeClock
from tests.unit.rules.test_publication import version

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.rule_history import S3RuleHistory
from cardwatch.rules.errors import PublicationError, RuleHistoryUnavailableError
from cardwatch.rules.publication import RuleHistory


@pytest.fixture
def bucket(aws: AwsClients) -> str:
    name = f"delivered-{random.getrandbits(32):08x}"
    aws.s3().create_bucket(Bucket=name)
    return name


def test_versions_come_back_as_they_were_published_in_the_order_of_their_numbers(
    aws: AwsClients, bucket: str
) -> None:
    history: RuleHistory = S3RuleHistory(aws.s3(), bucket, FakeClock(NOON + timedelta(days=1)))
    assert history.versions() == []
    for number in (9, 10, 2):
        assert history.add(version(number, 100 * number))
    assert history.versions() == [2, 9, 10]
    assert history.read(10) == version(10, 1_000)


def test_a_number_is_taken_once(aws: AwsClients, bucket: str) -> None:
    history = S3RuleHistory(aws.s3(), bucket, FakeClock(NOON + timedelta(days=1)))
    assert history.add(version(2, 100))
    assert not history.add(version(2, 200))
    assert history.read(2) == version(2, 100)


def test_an_object_that_is_no_version_is_told_by_its_key(aws: AwsClients, bucket: str) -> None:
    history = S3RuleHistory(aws.s3(), bucket, FakeClock())
    aws.s3().put_object(Bucket=bucket, Key="rules/000000002.jsonl", Body=b"{}")
    aws.s3().put_object(Bucket=bucket, Key="rules/readme.txt", Body=b"not ours")
    assert history.versions() == [2]
    with pytest.raises(PublicationError, match=r"rules/000000002\.jsonl is no version"):
        history.read(2)


def test_a_bucket_that_is_not_there_is_one_error_that_names_it(aws: AwsClients) -> None:
    history = S3RuleHistory(aws.s3(), "nobody-made-this", FakeClock())
    with pytest.raises(RuleHistoryUnavailableError, match="nobody-made-this"):
        history.versions()
    with pytest.raises(RuleHistoryUnavailableError, match="nobody-made-this"):
        history.add(version(2))
