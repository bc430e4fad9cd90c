"""What can be read of a record that breaks the contract: it need not be JSON, nor UTF-8."""

import re
from datetime import datetime
from typing import Final, cast, get_args

from pydantic import TypeAdapter, ValidationError

from cardwatch.contract.card_status import Status
from cardwatch.contract.fields import LegibleId, parse_time
from cardwatch.contract.streams import EVENT_TYPES

_TYPE: Final = re.compile(rb"""["']type["']\s*:\s*["']([a-z_]*)["']""")
_LABELED: Final = re.compile(rb"""["']card_token["']\s*:\s*["']([0-9a-f]{32})["']""")
_TOKEN: Final = re.compile(rb"(?<![0-9a-z])[0-9a-f]{32}(?![0-9a-z])")
_OTHER_TYPES: Final = frozenset(
    name.lower().encode() for name in EVENT_TYPES if name != "PAYMENT_EVENT"
)


def legible_tokens(raw: bytes) -> frozenset[str]:
    """Give the card tokens that a record breaking the contract may be a payment of.

    A token is what stands behind `card_token` or, where there is no such place, any run of 32 hex
    digits (an id can look the same: no card has it). None where the record says that it is an event
    of the contract's other types.
    """
    text = raw.lower()
    said = _TYPE.search(text)
    if said and said.group(1) in _OTHER_TYPES:
        return frozenset()
    return _tokens(_LABELED.findall(text) or _TOKEN.findall(text))


def legible_status_tokens(raw: bytes) -> frozenset[str]:
    """Give the card tokens behind `card_token` where the record says that it is a CARD_STATUS."""
    text = raw.lower()
    said = _TYPE.search(text)
    if not said or said.group(1) != b"card_status":
        return frozenset()
    return _tokens(_LABELED.findall(text))


def legible_payment_id(raw: bytes) -> str | None:
    """Give the payment id, as an alert of that payment has it, unless it holds a card number.

    A number's digits are an id as well, and what is longer is cut: the detection reads it so.
    """
    text = _only(_PAYMENT_ID, raw)
    if text is None:
        return None
    try:
        return _ID.validate_python(text[:_MAX_ID])
    except ValidationError:
        return None


def legible_status(raw: bytes) -> Status | None:
    """Give a card status's status."""
    text = _only(_STATUS, raw)
    return cast("Status", text) if text in get_args(Status) else None


def legible_time(raw: bytes, name: str) -> datetime | None:
    """Give the instant of a field of that name."""
    text = _only(_value_of(name), raw)
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        return None


def _value_of(name: str) -> re.Pattern[bytes]:
    """Give what finds a field's text, free of escapes, or its whole number."""
    return re.compile(
        rb"""["']%b["']\s*:\s*(?:"([^"\\]+)"|'([^'\\]+)'|([0-9]+)(?![0-9.e]))""" % name.encode(),
        re.IGNORECASE,
    )


_ID: Final[TypeAdapter[str]] = TypeAdapter(LegibleId)
_MAX_ID: Final = 128
_PAYMENT_ID: Final = _value_of("payment_id")
_STATUS: Final = _value_of("status")


def _only(pattern: re.Pattern[bytes], raw: bytes) -> str | None:
    """Give a field's value; None where it is not there, or said in several ways."""
    values = {b"".join(found) for found in pattern.findall(raw)}
    try:
        return values.pop().decode() if len(values) == 1 else None
    except UnicodeDecodeError:
        return None


def _tokens(found: list[bytes]) -> frozenset[str]:
    return frozenset(token.decode() for token in found)
