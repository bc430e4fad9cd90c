"""The tokenizer's key in AWS Secrets Manager."""

from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, code

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

MIN_KEY_BYTES: Final = 32


class TokenKeyError(Exception):
    """The key cannot be had; the text names the secret and the remedy, never the key."""


class SecretsManagerTokenKeys:
    """Reads the key from one secret: the bytes of its binary value or of its text."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        """Use one secret, by name or ARN."""
        self._client = client
        self._secret_id = secret_id

    def current(self) -> bytes:
        """Give the key, at least 32 bytes; raises TokenKeyError."""
        try:
            secret = self._client.get_secret_value(SecretId=self._secret_id)
        except FAILURES as error:
            raise TokenKeyError(self._text(f"cannot be read ({code(error)})")) from None
        key = key_of(secret)
        if len(key) < MIN_KEY_BYTES:
            raise TokenKeyError(self._text(f"has fewer than {MIN_KEY_BYTES} bytes"))
        return key

    def _text(self, what: str) -> str:
        return f"the tokenizer's key, secret {self._secret_id}, {what}; check TOKEN_KEY_SECRET"


def key_of(secret: "GetSecretValueResponseTypeDef") -> bytes:
    """Give a secret's value as a key: its bytes, or those of its text."""
    return secret.get("SecretBinary") or secret.get("SecretString", "").encode()
