"""Several events in one record of the stream: how producers join them, and how they come apart.

The contract is one JSON object per record. An agent that ships lines joins some, others put
documents end to end or into an array, and the Kinesis Producer Library (KPL) packs small records
into one ("aggregation", in a published format). The Flink job reads the first document of a record
and nothing of an aggregated one; everybody else asks here.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MAX_BROKEN: Final = 1_000
"""Of one record: what comes after so many that are no documents stays one part. Each costs the
parser a look at all that stands before it."""

_KPL_MAGIC: Final = b"\xf3\x89\x9a\xc2"
_MD5_BYTES: Final = 16
_RECORDS: Final = 3
_DATA: Final = 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NEXT: Final = re.compile(r'\n|\{"type"')
_KEEP_BYTES: Final = "surrogateescape"
"""Bytes that are not UTF-8 come through as they were."""
_BLANKS: Final = re.compile(r"[ \t\r\n]*")


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser takes and JSON does not know."""
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def split_record(raw: bytes) -> tuple[bytes, ...]:
    """Give the events that a record holds, as bytes: itself where it holds one.

    What is no document reaches to the end of its line, or to what looks like the next event, and is
    a part too, so that nothing is lost.
    """
    records = _deaggregated(raw)
    if records is not None:
        return tuple(part for record in records for part in split_record(record))
    text = raw.removeprefix(BYTE_ORDER_MARK).decode(errors=_KEEP_BYTES)
    parts = tuple(part.encode(errors=_KEEP_BYTES) for part, _ in _documents(text))
    return parts if len(parts) > 1 else (raw,)


def holds_several(raw: bytes) -> bool:
    """Say whether a record holds more than one event, or packs them as the KPL does."""
    if _deaggregated(raw) is not None:
        return True
    text = raw.removeprefix(BYTE_ORDER_MARK).decode(errors=_KEEP_BYTES)
    return sum(is_object for _, is_object in _documents(text)) > 1


def first_documents(raw: bytes) -> list[Any]:
    """Give what Flink's JSON format reads of a record: the first document, or an array's items."""
    try:
        text = raw.removeprefix(BYTE_ORDER_MARK).decode()
        value, _ = _DECODER.raw_decode(text, _skip_blanks(text, 0))
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else [value]


def _documents(text: str) -> Iterator[tuple[str, bool]]:
    """Split JSON documents that stand one behind the other, and say which are objects.

    The objects of an array are documents of their own.
    """
    place = _skip_blanks(text, 0)
    broken = 0
    while place < len(text):
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            broken += 1
            found = None if broken > MAX_BROKEN else _NEXT.search(text, place + 1)
            end = found.start() if found else len(text)
            yield text[place:end], False
        else:
            if isinstance(value, list) and value and all(isinstance(e, dict) for e in value):
                yield from ((json.dumps(each, ensure_ascii=False), True) for each in value)
            else:
                yield text[place:end], isinstance(value, dict)
        place = _skip_blanks(text, end)


_DECODER: Final = json.JSONDecoder(parse_constant=refuse_constant)


def _skip_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found else place


def _deaggregated(raw: bytes) -> tuple[bytes, ...] | None:
    """Give the records of a KPL-aggregated one; None where it is none.

    The format is the KPL's ("KPL Aggregated Record Format"): four bytes of magic, a protobuf
    message `AggregatedRecord`, and its MD5. Read by hand: the one library for it wants a protobuf
    runtime and was last released in 2022.
    """
    if not raw.startswith(_KPL_MAGIC):
        return None
    message, digest = raw[len(_KPL_MAGIC) : -_MD5_BYTES], raw[-_MD5_BYTES:]
    if hashlib.md5(message, usedforsecurity=False).digest() != digest:
        return None
    try:
        return tuple(
            data
            for field, record in _fields(message)
            if field == _RECORDS
            for inner, data in _fields(record)
            if inner == _DATA
        )
    except IndexError:
        return None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Give a protobuf message's fields of bytes by number; raises IndexError where it is none."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in {_FIXED64, _FIXED32}:
            place += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise IndexError(length)
            yield key >> 3, message[place : place + length]
            place += length
        else:
            raise IndexError(kind)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:  # noqa: PLR2004  the last byte has no high bit
            return value, place
