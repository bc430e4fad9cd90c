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
_ID: Final[TypeAdapter[str]] = TypeAdapter(LegibleId)
_MAX_ID: Final = 128


def legible_tokens(raw: bytes) -> frozenset[str]:
    """Give the card tokens that a record breaking the contract may be a payment of.

    A token is what stands behind `card_token` or, where there is no such place, any run of 32 hex
    digits (an id can look the same: no card has it). None where the record says that it is an event
    of the contract's other types.
    """
    text = raw.lower()
    if _said_type(text) in _OTHER_TYPES:
        return frozenset()
    return _tokens(_LABELED.findall(text) or _TOKEN.findall(text))


def legible_status_tokens(raw: bytes) -> frozenset[str]:
    """Give the card tokens behind `card_token` where the record says that it is a CARD_STATUS."""
    text = raw.lower()
    return _tokens(_LABELED.findall(text) if _said_type(text) == b"card_status" else [])


def legible_payment_id(raw: bytes) -> str | None:
    """Give the payment id, as an alert of that payment has it, unless it holds a card number.

    A number's digits are an id as well, and what is longer is cut: the detection reads it so.
    """
    text = _text_of(raw, "payment_id")
    try:
        return None if text is None else _ID.validate_python(text[:_MAX_ID])
    except ValidationError:
        return None


def legible_status(raw: bytes) -> Status | None:
    """Give a card status's status."""
    text = _text_of(raw, "status")
    return cast("Status", text) if text in get_args(Status) else None


def legible_time(raw: bytes, name: str) -> datetime | None:
    """Give the instant of a field of that name."""
    text = _text_of(raw, name)
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        return None


def _said_type(text: bytes) -> bytes | None:
    said = _TYPE.search(text)
    return said and said.group(1)


def _text_of(raw: bytes, name: str) -> str | None:
    """Give a field's text, free of escapes, or its whole number.

    None where it is not there, or said in several ways.
    """
    found = re.findall(
        rb"""["']%b["']\s*:\s*(?:"([^"\\]+)"|'([^'\\]+)'|([0-9]+)(?![0-9.e]))""" % name.encode(),
        raw,
        re.IGNORECASE,
    )
    values = {b"".join(groups) for groups in found}
    try:
        return values.pop().decode() if len(values) == 1 else None
    except UnicodeDecodeError:
        return None


def _tokens(found: list[bytes]) -> frozenset[str]:
    return frozenset(token.decode() for token in found)
