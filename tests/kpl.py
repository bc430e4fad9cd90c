"""Records as the Kinesis Producer Library aggregates them, by its published format."""

import hashlib

MAGIC = b"\xf3\x89\x9a\xc2"


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def aggregated(*records: bytes) -> bytes:
    """One record of the stream that holds others, each under a key and a hash key of its own."""
    message = b"".join(_field(1, f"key-{n}".encode()) for n in range(len(records)))
    message += _field(2, b"170141183460469231731687303715884105728")
    for number, data in enumerate(records):
        index = b"\x08" + _varint(number)
        tag = _field(4, _field(1, b"tag"))
        message += _field(3, index + b"\x10\x00" + _field(3, data) + tag)
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()
