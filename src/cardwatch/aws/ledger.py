"""The page ledger in an Amazon DynamoDB table.

The table (template.yaml, LedgerTable) has the string key `pk`, the TTL attribute `expires_at`, and
a sparse index `unfinished` by (`unfinished`, `since`) with the keys only.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from cardwatch.aws.failures import FAILURES, Failure, code, reason
from cardwatch.backoff import Backoff
from cardwatch.paging.ports import LedgerItem, LedgerUnavailableError
from cardwatch.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        KeysAndAttributesTypeDef,
        TransactWriteItemTypeDef,
    )

KEY: Final = "pk"
UNFINISHED_INDEX: Final = "unfinished"
EXPIRES_AT: Final = "expires_at"

_KEYS_PER_READ: Final = 100
_READS: Final = Backoff(tries=8, first_seconds=0.1, longest_seconds=0.5, patience_seconds=5.0)
"""DynamoDB answers in part when it is throttled; what is left is asked for again."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHANGED_MEANWHILE: Final = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict"})


class DynamoDBPageLedger:
    """Keeps items under optimistic locking; raises LedgerUnavailableError when it cannot.

    Every write is a transaction, also of one item: the client repeats a transaction under the same
    token, so a write whose answer got lost is not mistaken for somebody else's.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, clock: Clock, *, keep_for: timedelta
    ) -> None:
        """Use a table; items are forgotten `keep_for` after their last write."""
        self._client = client
        self._table = table
        self._clock = clock
        self._keep_for = keep_for

    def read(self, keys: Collection[str]) -> Mapping[str, LedgerItem]:
        distinct = sorted(set(keys))
        # TTL deletes up to days late: what has expired counts as gone.
        now = self._seconds()
        return {
            row[KEY]["S"]: _item(row)
            for start in range(0, len(distinct), _KEYS_PER_READ)
            for row in self._rows(distinct[start : start + _KEYS_PER_READ])
            if int(row[EXPIRES_AT]["N"]) >= now
        }

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        """Write all as the next version, or none and False when one has changed meanwhile."""
        try:
            self._client.transact_write_items(TransactItems=[self._put(item) for item in items])
        except FAILURES as error:
            if isinstance(error, ClientError) and _changed_meanwhile(error):
                return False
            raise self._unavailable(error, "written") from error
        return True

    def waiting(self, kind: str, *, limit: int) -> Sequence[str]:
        """Give the keys of unfinished items of a kind, oldest first; eventually consistent."""
        try:
            answer = self._client.query(
                TableName=self._table,
                IndexName=UNFINISHED_INDEX,
                KeyConditionExpression="#unfinished = :kind",
                ExpressionAttributeNames={"#unfinished": "unfinished"},
                ExpressionAttributeValues={":kind": {"S": kind}},
                ScanIndexForward=True,
                Limit=limit,
            )
        except FAILURES as error:
            raise self._unavailable(error, "searched") from error
        return [row[KEY]["S"] for row in answer["Items"]]

    def _rows(self, keys: Sequence[str]) -> Iterator[Mapping[str, "AttributeValueTypeDef"]]:
        request: KeysAndAttributesTypeDef = {
            "Keys": [{KEY: {"S": key}} for key in keys],
            "ConsistentRead": True,
        }
        for _ in _READS.attempts(self._clock):
            try:
                answer = self._client.batch_get_item(RequestItems={self._table: request})
            except FAILURES as error:
                raise self._unavailable(error, "read") from error
            yield from answer["Responses"].get(self._table, [])
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            if not left:
                return
            request = {"Keys": left["Keys"], "ConsistentRead": True}
        msg = f"the page ledger {self._table} cannot be read (throttled)"
        raise LedgerUnavailableError(msg)

    def _unavailable(self, error: Failure, what: str) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"the page ledger {self._table} cannot be {what} ({reason(error)})"
        )

    def _put(self, item: LedgerItem) -> "TransactWriteItemTypeDef":
        now = self._seconds()
        row: dict[str, AttributeValueTypeDef] = {
            KEY: {"S": item.key},
            "version": {"N": str(item.version + 1)},
            "state": {"S": item.state},
            "body": {"S": item.body},
            "since": {"N": str((item.since - _EPOCH) // _MILLISECOND)},
            EXPIRES_AT: {"N": str(now + int(self._keep_for.total_seconds()))},
        }
        if item.unfinished is not None:
            row["unfinished"] = {"S": item.unfinished}
        if item.version:
            return {
                "Put": {
                    "TableName": self._table,
                    "Item": row,
                    "ConditionExpression": "#version = :version",
                    "ExpressionAttributeNames": {"#version": "version"},
                    "ExpressionAttributeValues": {":version": {"N": str(item.version)}},
                }
            }
        return {
            "Put": {
                "TableName": self._table,
                "Item": row,
                "ConditionExpression": "attribute_not_exists(#key) OR #expires_at < :now",
                "ExpressionAttributeNames": {"#key": KEY, "#expires_at": EXPIRES_AT},
                "ExpressionAttributeValues": {":now": {"N": str(now)}},
            }
        }

    def _seconds(self) -> int:
        return int(self._clock.now().timestamp())


def _changed_meanwhile(error: ClientError) -> bool:
    if code(error) != "TransactionCanceledException":
        return False
    reasons = {r.get("Code", "None") for r in error.response.get("CancellationReasons", [])}
    return bool(reasons) and reasons <= _CHANGED_MEANWHILE


def _item(row: Mapping[str, "AttributeValueTypeDef"]) -> LedgerItem:
    return LedgerItem(
        key=row[KEY]["S"],
        version=int(row["version"]["N"]),
        state=row["state"]["S"],
        body=row["body"]["S"],
        unfinished=row["unfinished"]["S"] if "unfinished" in row else None,
        since=_EPOCH + int(row["since"]["N"]) * _MILLISECOND,
    )
