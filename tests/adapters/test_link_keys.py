"""The keys of page links from Secrets Manager, on moto and on the local stack."""

import random

import pytest

from cardwatch.acts.ports import LinkKeysUnavailableError
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.link_keys import SecretsManagerLinkKeys


def secret(aws: AwsClients, value: str) -> str:
    name = f"link-key-{random.getrandbits(32):08x}"
    return aws.secrets().create_secret(Name=name, SecretString=value)["ARN"]


def test_a_new_secret_has_one_key(aws: AwsClients) -> None:
    keys = SecretsManagerLinkKeys(aws.secrets(), secret(aws, "a" * 64)).read()
    assert keys.current.secret == b"a" * 64
    assert keys.previous is None
    assert keys.find(keys.current.key_id) == keys.current
    assert keys.find("another") is None


def test_a_rotation_keeps_the_key_before_and_the_next_one_drops_it(aws: AwsClients) -> None:
    arn = secret(aws, "a" * 64)
    store = SecretsManagerLinkKeys(aws.secrets(), arn)
    first = store.read().current
    aws.secrets().put_secret_value(SecretId=arn, SecretString="b" * 64)
    second = store.read()
    assert second.current.secret == b"b" * 64
    assert second.find(first.key_id) == first
    aws.secrets().put_secret_value(SecretId=arn, SecretString="c" * 64)
    third = store.read()
    assert third.find(second.current.key_id) == second.current
    assert third.find(first.key_id) is None


def test_a_short_key_is_refused_without_showing_it(aws: AwsClients) -> None:
    arn = secret(aws, "correct horse battery")
    with pytest.raises(LinkKeysUnavailableError, match="fewer than 32 bytes; check LINK_K") as e:
        SecretsManagerLinkKeys(aws.secrets(), arn).read()
    assert "horse" not in str(e.value)


def test_a_secret_that_is_not_there_is_named_with_the_remedy(aws: AwsClients) -> None:
    store = SecretsManagerLinkKeys(aws.secrets(), "nowhere")
    with pytest.raises(LinkKeysUnavailableError, match="secret nowhere, has no value; check LINK"):
        store.read()
