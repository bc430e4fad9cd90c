"""Cursors in Amazon DynamoDB: one item each, in the control table (template.yaml, ControlTable).

They end with the stack, as the stream does that they speak of.
"""

from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, Failure, code
from cardwatch.ports import CursorUnavailableError, SavedCursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutItemInputTypeDef

KEY_PREFIX: Final = "cursor|"
"""What the role may write under; the table's other items are the simulator's."""


class DynamoDBCursors:
    """Reads consistently; writes on condition that nobody else has written meanwhile.

    A write whose answer got lost looks like somebody else's: the run ends, and the next goes on.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use one table."""
        self._client = client
        self._table = table

    def read(self, name: str) -> SavedCursor | None:
        try:
            answer = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": KEY_PREFIX + name}}, ConsistentRead=True
            )
        except FAILURES as error:
            raise self._unavailable(name, "read", error) from None
        item = answer.get("Item")
        if item is None:
            return None
        return SavedCursor(item["text"]["S"], int(item["version"]["N"]))

    def save(self, name: str, text: str, *, after: SavedCursor | None) -> SavedCursor | None:
        saved = SavedCursor(text, after.version + 1 if after else 1)
        request: PutItemInputTypeDef = {
            "TableName": self._table,
            "Item": {
                "pk": {"S": KEY_PREFIX + name},
                "text": {"S": saved.text},
                "version": {"N": str(saved.version)},
            },
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if after:
            request["ConditionExpression"] = "#version = :before"
            request["ExpressionAttributeNames"] = {"#version": "version"}
            request["ExpressionAttributeValues"] = {":before": {"N": str(after.version)}}
        try:
            self._client.put_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        except FAILURES as error:
            raise self._unavailable(name, "saved", error) from None
        return saved

    def _unavailable(self, name: str, what: str, error: Failure) -> CursorUnavailableError:
        return CursorUnavailableError(
            f"the cursor {name} in {self._table} cannot be {what} ({code(error)})"
        )
