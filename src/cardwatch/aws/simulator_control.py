"""The simulator's control table in DynamoDB: the items `lease` and `control`."""

import math
from typing import TYPE_CHECKING, Final

from cardwatch.aws.failures import FAILURES, Failure, code
from cardwatch.simulation.control import Control, ControlUnavailableError, Handover

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, PutItemInputTypeDef

LEASE: Final = "lease"
CONTROL: Final = "control"
MIN_PAYMENTS_PER_SECOND: Final = 0.001
MAX_PAYMENTS_PER_SECOND: Final = 10_000.0


class DynamoDBSimulatorControl:
    """Reads both items in one call; writes the lease on condition.

    The item `control` is written by people and programs: `payments` ("on" or "off") and
    `payments_per_second` (a number from 0.001 to 10,000); a missing one changes nothing.
    """

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        """Use one table, through a client that fails within a second instead of retrying."""
        self._client = client
        self._table_name = table_name

    def read(self) -> Control:
        """Read what is written; raises ControlUnavailableError."""
        try:
            answer = self._client.batch_get_item(
                RequestItems={
                    self._table_name: {
                        "Keys": [{"pk": {"S": LEASE}}, {"pk": {"S": CONTROL}}],
                        "ConsistentRead": True,
                    }
                }
            )
        except FAILURES as error:
            raise ControlUnavailableError(self._text("read", error)) from None
        if answer["UnprocessedKeys"]:
            msg = f"the control table {self._table_name} is throttled"
            raise ControlUnavailableError(msg)
        items = {item["pk"]["S"]: item for item in answer["Responses"].get(self._table_name, [])}
        switches = items.get(CONTROL, {})
        problems: list[str] = []
        return Control(
            handovers=_read_handovers(items.get(LEASE, {})),
            payments=_read_payments(switches, problems),
            payments_per_second=_read_rate(switches, problems),
            problems=tuple(problems),
        )

    def write_handovers(self, handovers: tuple[Handover, ...], *, after: Handover | None) -> bool:
        """Replace the hand-overs if `after` is still the last one, and say whether it was.

        Raises ControlUnavailableError; it may have been written nevertheless.
        """
        last = handovers[-1]
        request: PutItemInputTypeDef = {
            "TableName": self._table_name,
            "Item": {
                "pk": {"S": LEASE},
                **_handover_item(last),
                "handovers": {"L": [{"M": _handover_item(each)} for each in handovers]},
            },
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if after:
            request["ConditionExpression"] = "generation = :generation AND holder = :holder"
            request["ExpressionAttributeValues"] = {
                ":generation": {"N": str(after.generation)},
                ":holder": {"S": after.holder},
            }
        try:
            self._client.put_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except FAILURES as error:
            raise ControlUnavailableError(self._text("written", error)) from None
        return True

    def _text(self, what: str, error: Failure) -> str:
        return f"the control table {self._table_name} cannot be {what} ({code(error)})"


def _handover_item(handover: Handover) -> "dict[str, AttributeValueTypeDef]":
    return {
        "generation": {"N": str(handover.generation)},
        "holder": {"S": handover.holder},
        "from_tick": {"N": str(handover.from_tick)},
    }


def _read_handovers(item: "dict[str, AttributeValueTypeDef]") -> tuple[Handover, ...]:
    return tuple(
        Handover(
            generation=int(each["M"]["generation"]["N"]),
            holder=each["M"]["holder"]["S"],
            from_tick=int(each["M"]["from_tick"]["N"]),
        )
        for each in item.get("handovers", {}).get("L", [])
    )


def _read_payments(
    switches: "dict[str, AttributeValueTypeDef]", problems: list[str]
) -> bool | None:
    if "payments" not in switches:
        return None
    value = switches["payments"].get("S")
    if value not in {"on", "off"}:
        problems.append("payments must be the text on or off")
        return None
    return value == "on"


def _read_rate(switches: "dict[str, AttributeValueTypeDef]", problems: list[str]) -> float | None:
    if "payments_per_second" not in switches:
        return None
    value = float(switches["payments_per_second"].get("N", math.nan))
    if not MIN_PAYMENTS_PER_SECOND <= value <= MAX_PAYMENTS_PER_SECOND:
        problems.append("payments_per_second must be a number from 0.001 to 10000")
        return None
    return value
