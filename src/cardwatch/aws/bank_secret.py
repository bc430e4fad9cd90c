"""Where the bank's database is and as whom to read it, in AWS Secrets Manager."""

from typing import TYPE_CHECKING

from cardwatch.aws.failures import FAILURES, code
from cardwatch.banking.ports import BankUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretsManagerBankAddress:
    """Reads the DSN from one secret's text; it has a password in it, so no text of ours has it."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        """Use one secret, by ARN."""
        self._client = client
        self._secret_id = secret_id

    def current(self) -> str:
        """Give the DSN; raises BankUnavailableError."""
        try:
            secret = self._client.get_secret_value(SecretId=self._secret_id)
        except FAILURES as error:
            raise BankUnavailableError(self._text(f"cannot be read ({code(error)})")) from None
        dsn = secret.get("SecretString", "").strip()
        if not dsn:
            raise BankUnavailableError(self._text("holds no text"))
        return dsn

    def _text(self, what: str) -> str:
        return f"the bank's DSN, secret {self._secret_id}, {what}; check AccountsDatabase"
