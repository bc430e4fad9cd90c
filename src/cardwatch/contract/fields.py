"""The field types that the contract's models share."""

import re
import unicodedata
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
from pydantic_core import PydanticCustomError

from cardwatch.contract.card_numbers import holds_card_number

TIME_PATTERN = (
    r"^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))$"
)
"""An instant as producers write it; the contract itself writes milliseconds and `Z`."""
PUBLISHED_TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$"
"""The same as the schemas tell producers, its shape alone; `parse_time` looks closer."""
WRITTEN_TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
"""The one way in which the contract writes an instant, and says so to readers."""
AMOUNT_PATTERN = r"^-?\d{1,15}(\.\d{1,4})?$"
"""At most DECIMAL(19,4): 15 digits before the point, 4 after it."""

_TIME = re.compile(TIME_PATTERN)
_AMOUNT = re.compile(AMOUNT_PATTERN)
_MILLISECONDS_END = 23

ID_LIKE_CARD_NUMBER = "id_like_card_number"
"""The error type of an id that is digits alone and could be a card number."""


def format_time(value: datetime) -> str:
    """Write an instant the contract's way: ISO-8601 UTC with exactly milliseconds and `Z`.

    Microseconds are cut, not rounded, as Flink does. Raises ValueError for a time without a zone.
    """
    if value.tzinfo is None:
        msg = "a time without a zone cannot be an instant"
        raise ValueError(msg)
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def parse_time(value: object) -> datetime:
    """Read an instant: ISO-8601 with seconds, 0 to 9 digits of a fraction, and `Z` or an offset.

    What is finer than a millisecond is cut, not rounded, as Flink does. A datetime passes when it
    has a zone. Raises ValueError, without the value in its text, for anything else: what has no
    zone, a leap second or a day that is none could be meant as more than one instant.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            msg = "must have a time zone"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
    # fromisoformat takes Unicode digits too, the pattern's \d as well: isascii keeps both out.
    if not isinstance(value, str) or not value.isascii() or not _TIME.fullmatch(value):
        msg = "must be ISO-8601 with seconds and a zone, like 2026-11-21T07:00:03.120Z"
        raise ValueError(msg)
    zone = value[-1:] if value.endswith("Z") else value[-6:]
    try:
        instant = datetime.fromisoformat(value.removesuffix(zone)[:_MILLISECONDS_END] + zone)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = "must be a day and time that exist, like 2026-11-21T07:00:03.120Z"
        raise ValueError(msg) from None


def _parse_amount(value: object) -> Decimal:
    if isinstance(value, Decimal):
        value = format(value, "f")
    if not isinstance(value, str) or not value.isascii() or not _AMOUNT.fullmatch(value):
        msg = "must be a decimal string with at most 15 digits before the point and 4 after it"
        raise ValueError(msg)
    return Decimal(value)


def _without_card_number(value: str) -> str:
    if holds_card_number(value):
        msg = "must not hold a card number"
        raise ValueError(msg)
    return value


def _amount_without_card_number(value: Decimal) -> Decimal:
    _without_card_number(format(value, "f"))
    return value


def _identifier(value: str) -> str:
    if value.isdigit() and holds_card_number(value):
        raise PydanticCustomError(
            ID_LIKE_CARD_NUMBER, "must not be digits alone that could be a card number"
        )
    return _without_card_number(value)


def readable(value: str) -> str:
    """Give a text that holds no control character and no card number; raises ValueError."""
    if not value.isprintable():
        unreadable = next(each for each in value if not each.isprintable())
        name = unicodedata.name(unreadable, "a control character")
        msg = f"must not hold U+{ord(unreadable):04X} ({name})"
        raise ValueError(msg)
    return _without_card_number(value)


EventTime = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PUBLISHED_TIME_PATTERN}, mode="validation"),
    WithJsonSchema({"type": "string", "pattern": WRITTEN_TIME_PATTERN}, mode="serialization"),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_parse_amount),
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": AMOUNT_PATTERN}),
]
PaymentAmount = Annotated[Amount, AfterValidator(_amount_without_card_number)]
Identifier = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:|-]*$", max_length=128),
    AfterValidator(_identifier),
]
LegibleId = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(readable)]
"""An id as somebody wrote it: it may break Identifier's pattern, and holds no card number."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
CardToken = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", max_length=32)]
CardBin = Annotated[str, Field(pattern=r"^[0-9]{6}([0-9]{2})?$", max_length=8)]
CardLast4 = Annotated[str, Field(pattern=r"^[0-9]{4}$", max_length=4)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", max_length=3)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", max_length=2)]
MerchantCategory = Annotated[str, Field(pattern=r"^[0-9]{4}$", max_length=4)]
Latitude = Annotated[
    str,
    Field(pattern=r"^-?(90(\.0{1,6})?|[1-8]?[0-9](\.[0-9]{1,6})?)$", max_length=10),
]
Longitude = Annotated[
    str,
    Field(pattern=r"^-?(180(\.0{1,6})?|(1[0-7][0-9]|[1-9]?[0-9])(\.[0-9]{1,6})?)$", max_length=11),
]
"""Degrees as decimal texts, like amounts; six decimals are a tenth of a metre."""
City = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(readable)]
Reason = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(readable)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]


class Contract(BaseModel):
    """What every model of the contract is: frozen, and closed to fields nobody described.

    An unknown field is refused, because it could carry a card number into the warehouse; a new
    field is added to the contract first (docs/decisions/0002).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
