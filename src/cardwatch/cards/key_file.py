"""The tokenizer's key in a file."""

import re
from pathlib import Path
from typing import Final

from cardwatch.cards.tokenizer import MIN_KEY_BYTES

_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


class KeyFileError(Exception):
    """The file holds no key; the text names it and the remedy, never what is in it."""


def read_key_file(path: Path) -> bytes:
    """Give a key of at least 32 bytes: hexadecimal digits, or else the file as it is.

    A line end behind it is not part of it. Raises KeyFileError, and OSError as open does.
    """
    content = path.read_bytes().rstrip(b"\r\n")
    if _HEX.fullmatch(content) and len(content) >= 2 * MIN_KEY_BYTES:
        return bytes.fromhex(content.decode())
    if len(content) < MIN_KEY_BYTES or _HEX.fullmatch(content):
        msg = (
            f"the key file {path} has fewer than {MIN_KEY_BYTES} bytes; make one with "
            f"`openssl rand -hex {MIN_KEY_BYTES} > {path}`"
        )
        raise KeyFileError(msg)
    return content
