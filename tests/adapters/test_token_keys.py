"""The tokenizer's key from Secrets Manager, on moto and on the local stack."""

import random

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.token_keys import SecretsManagerTokenKeys, TokenKeyError


def new_name() -> str:
    return f"token-key-{random.getrandbits(32):08x}"


def test_a_text_secret_is_its_bytes(aws: AwsClients) -> None:
    arn = aws.secrets().create_secret(Name=new_name(), SecretString="k" * 64)["ARN"]
    keys = SecretsManagerTokenKeys(aws.secrets(), arn)
    assert keys.current() == b"k" * 64


def test_a_binary_secret_is_taken_as_it_is(aws: AwsClients) -> None:
    arn = aws.secrets().create_secret(Name=new_name(), SecretBinary=bytes(range(32)))["ARN"]
    assert SecretsManagerTokenKeys(aws.secrets(), arn).current() == bytes(range(32))


def test_a_short_key_is_refused_without_showing_it(aws: AwsClients) -> None:
    short = "correct horse battery"
    arn = aws.secrets().create_secret(Name=new_name(), SecretString=short)["ARN"]
    with pytest.raises(TokenKeyError, match="fewer than 32 bytes; check TOKEN_KEY_SECRET") as e:
        SecretsManagerTokenKeys(aws.secrets(), arn).current()
    assert "horse" not in str(e.value)


def test_a_missing_secret_is_named_with_the_remedy(aws: AwsClients) -> None:
    with pytest.raises(
        TokenKeyError, match=r"secret nowhere, cannot be read \(ResourceNotFoundEx.*TOKEN_KEY_SEC"
    ):
        SecretsManagerTokenKeys(aws.secrets(), "nowhere").current()
