"""The keys of page links in AWS Secrets Manager: a secret's current version and the one before."""

from typing import TYPE_CHECKING, Final, Literal

from cardwatch.acts.ports import LinkKey, LinkKeys, LinkKeysUnavailableError
from cardwatch.aws.failures import FAILURES, code
from cardwatch.aws.token_keys import MIN_KEY_BYTES, key_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_KEY_ID_CHARACTERS: Final = 8
"""Of a version's id; two versions are told apart."""


class SecretsManagerLinkKeys:
    """Reads a secret's versions, so that whoever rotates it need not know what it is for."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        """Use one secret, by name or ARN."""
        self._client = client
        self._secret_id = secret_id

    def read(self) -> LinkKeys:
        """Give the keys of at least 32 bytes each; raises LinkKeysUnavailableError."""
        current = self._version("AWSCURRENT")
        if current is None:
            raise LinkKeysUnavailableError(self._text("has no value"))
        return LinkKeys(current=current, previous=self._version("AWSPREVIOUS"))

    def _version(self, stage: Literal["AWSCURRENT", "AWSPREVIOUS"]) -> LinkKey | None:
        """Give the key of a stage; None when no version is in it, as before the first rotation."""
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
        except FAILURES as error:
            if code(error) == "ResourceNotFoundException":
                return None
            raise LinkKeysUnavailableError(self._text(f"cannot be read ({code(error)})")) from None
        key = key_of(answer)
        if len(key) < MIN_KEY_BYTES:
            raise LinkKeysUnavailableError(self._text(f"has fewer than {MIN_KEY_BYTES} bytes"))
        return LinkKey(answer["VersionId"][:_KEY_ID_CHARACTERS], key)

    def _text(self, what: str) -> str:
        return f"the key of page links, secret {self._secret_id}, {what}; check LINK_KEY_SECRET"
