"""The queue of pages that wait for Slack, and the secret that holds Slack's address."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cardwatch.aws.failures import FAILURES, code
from cardwatch.paging.slack import QueuedPage, WebhookFailedError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


class SqsPageQueue:
    """Says when the queue delivers a page again; without a word it waits its own time-out."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        """Use one queue."""
        self._client = client
        self._queue_url = queue_url

    def put_off(self, pages: Mapping[QueuedPage, int]) -> str | None:
        """Have at most ten pages delivered again after so many seconds each; give the problem."""
        if not pages:
            return None
        try:
            answer = self._client.change_message_visibility_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": page.receipt, "VisibilityTimeout": seconds}
                    for number, (page, seconds) in enumerate(pages.items())
                ],
            )
        except FAILURES as error:
            return self._problem(code(error))
        codes = sorted({entry["Code"] for entry in answer.get("Failed", [])})
        return self._problem(", ".join(codes)) if codes else None

    def _problem(self, code: str) -> str:
        return f"{self._queue_url} delivers at its own time-out instead: {code}"


class SecretsManagerWebhookAddress:
    """Reads the webhook's address at every call: a person may just have stored another."""

    def __init__(self, client: "SecretsManagerClient", secret_id: str) -> None:
        """Use one secret, by name or ARN."""
        self._client = client
        self._secret_id = secret_id

    def __call__(self) -> str:
        """Give what the secret holds; raises WebhookFailedError, which never quotes it."""
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id)
        except FAILURES as error:
            raise WebhookFailedError(self._text(code(error))) from None
        return answer.get("SecretString", "")

    def _text(self, code: str) -> str:
        return (
            f"the webhook's address cannot be read from secret {self._secret_id} ({code}); "
            "store it as the stack's output SlackNextStep says"
        )
