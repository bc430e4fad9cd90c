"""Text of any script in ASCII letters, for what takes no other: the subject of an SNS e-mail."""

import re
from typing import Final

from anyascii import anyascii

_NOTHING_BETWEEN: Final = re.compile(r",(?:\s*,)+|,\s*$")


def in_ascii(text: str) -> str:
    """Write a text in ASCII, on one line: letters by their sound, what has none left out.

    anyascii (ISC) and not Unidecode, whose licence is the GPL. A part of a list that came to
    nothing takes its comma with it.
    """
    line = " ".join(anyascii(text).split())
    return _NOTHING_BETWEEN.sub(lambda found: "," if found.end() < len(line) else "", line)
