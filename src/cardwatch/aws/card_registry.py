"""The stager's card registry in Amazon DynamoDB: one item per card, the newest status seen of it.

The table (template.yaml, CardRegistryTable) has the string key `pk`, the card token. `version` is
the instant in the contract's format and S for STOLEN or A for ACTIVE, so that a later one is the
greater text.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, Failure, code
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.staging.ports import KnownStatus, RegistryUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY: Final = "pk"
_KEYS_PER_READ: Final = 100
_STOLEN: Final = "S"
_ACTIVE: Final = "A"


class DynamoDBCardRegistry:
    """Reads many cards at once; writes one on condition that it is no older than what is there."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use one table, through a client that fails within a second instead of retrying."""
        self._client = client
        self._table = table

    def read(self, card_tokens: Collection[str]) -> Mapping[str, KnownStatus]:
        tokens = sorted(set(card_tokens))
        found: dict[str, KnownStatus] = {}
        for start in range(0, len(tokens), _KEYS_PER_READ):
            keys = [{KEY: {"S": token}} for token in tokens[start : start + _KEYS_PER_READ]]
            try:
                answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            except FAILURES as error:
                raise RegistryUnavailableError(self._text("read", error)) from None
            if answer["UnprocessedKeys"]:
                msg = f"the card registry {self._table} is throttled"
                raise RegistryUnavailableError(msg)
            for item in answer["Responses"].get(self._table, []):
                status = _status(item[KEY]["S"], item["version"]["S"])
                found[status.card_token] = status
        return found

    def write(self, status: KnownStatus) -> None:
        """Remember a status, unless a newer one is there; raises RegistryUnavailableError."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={KEY: {"S": status.card_token}, "version": {"S": _version(status)}},
                ConditionExpression="attribute_not_exists(pk) OR #version < :version",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":version": {"S": _version(status)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return
        except FAILURES as error:
            raise RegistryUnavailableError(self._text("written", error)) from None

    def _text(self, what: str, error: Failure) -> str:
        return f"the card registry {self._table} cannot be {what} ({code(error)})"


def _version(status: KnownStatus) -> str:
    return f"{format_time(status.effective_from)}|{_STOLEN if status.stolen else _ACTIVE}"


def _status(token: str, version: str) -> KnownStatus:
    instant, _, kind = version.partition("|")
    return KnownStatus(token, kind == _STOLEN, parse_time(instant))
