"""The field types that the contract's models share."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
AMOUNT_PATTERN = r"^-?\d{1,15}(\.\d{1,4})?$"
"""At most DECIMAL(19,4): 15 digits before the point, 4 after it."""

_TIME = re.compile(TIME_PATTERN)
_AMOUNT = re.compile(AMOUNT_PATTERN)
_CARD_NUMBER_LIKE = re.compile(r"(?:\d[ -]?){13,}")


def format_time(value: datetime) -> str:
    """Write an instant the contract's way: ISO-8601 UTC with exactly milliseconds and `Z`.

    Microseconds are cut, not rounded, as Flink does. Raises ValueError for a time without a zone.
    """
    if value.tzinfo is None:
        msg = "a time without a zone cannot be an instant"
        raise ValueError(msg)
    utc = value.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parse_time(value: object) -> datetime:
    """Read an instant in the contract's format; a datetime passes when it has a zone.

    Raises ValueError, without the value in its text, for anything else.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            msg = "must have a time zone"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
    # fromisoformat takes Unicode digits too, the pattern's \d as well: isascii keeps both out.
    if not isinstance(value, str) or not value.isascii() or not _TIME.fullmatch(value):
        msg = "must be ISO-8601 UTC with milliseconds, like 2026-11-21T07:00:03.120Z"
        raise ValueError(msg)
    return datetime.fromisoformat(value)


def _parse_amount(value: object) -> Decimal:
    if isinstance(value, Decimal):
        value = format(value, "f")
    if not isinstance(value, str) or not value.isascii() or not _AMOUNT.fullmatch(value):
        msg = "must be a decimal string with at most 15 digits before the point and 4 after it"
        raise ValueError(msg)
    return Decimal(value)


def _readable(value: str) -> str:
    if not value.isprintable():
        msg = "must not hold control characters"
        raise ValueError(msg)
    if _CARD_NUMBER_LIKE.search(value):
        msg = "must not hold a run of 13 or more digits, which could be a card number"
        raise ValueError(msg)
    return value


EventTime = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "pattern": TIME_PATTERN}),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_parse_amount),
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": AMOUNT_PATTERN}),
]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:|-]*$", max_length=128)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
CardToken = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", max_length=32)]
CardBin = Annotated[str, Field(pattern=r"^[0-9]{6}$", max_length=6)]
CardLast4 = Annotated[str, Field(pattern=r"^[0-9]{4}$", max_length=4)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", max_length=3)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", max_length=2)]
City = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_readable)]
Reason = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_readable)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]


class Contract(BaseModel):
    """What every model of the contract is: frozen, and closed to fields nobody described.

    An unknown field is refused, because it could carry a card number into the warehouse; a new
    field is added to the contract first (docs/decisions/0002).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
