"""Decodes records as Flink's `json` format does, for the local edge, which has the bytes in Python.

The columns come from the table's declared schema. What `json.ignore-parse-errors` makes of a bad
record is part of the job's behaviour, so it is reproduced: a record that is no JSON is gone, a
field that cannot be read is NULL, and so on, down to the encodings that Flink's parser guesses.
Every column is text, or a row of such: numbers and times are read by the job's SQL.
tests/adapters/test_flink_json.py feeds the same bytes to Flink and to this module and compares.
Why not Flink's own format: docs/decisions/0035.

Known differences, none of which a detection can see: names of more than 50,000 characters and
nesting deeper than about 900 (Flink's limits are 50,000 and 1,000), and the last digit of a number
with a fraction that stands where a text should be.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn


@dataclass(frozen=True)
class Text:
    """STRING."""


@dataclass(frozen=True)
class Fields:
    """ROW, or the record itself: named columns in order."""

    columns: tuple[tuple[str, "Kind"], ...]


Kind = Text | Fields


class Decoder:
    """Turns a record's bytes into rows."""

    def __init__(
        self, columns: Fields, *, row: Callable[..., Any] = lambda *values: values
    ) -> None:
        """Decode `columns` into what `row` makes of their values."""
        self._read = self._reader(columns)
        self._row = row
        self._json = json.JSONDecoder(
            parse_int=_whole, parse_float=_fraction, parse_constant=_refuse, strict=False
        )

    def decode(self, data: bytes) -> list[Any]:
        """Give the rows of one record: one; none where Flink drops it; each of an array's."""
        text = _as_text(data)
        blanks = _BLANKS.match(text)
        begin = blanks.end() if blanks else 0
        try:
            # What stands behind the first value is not looked at.
            value, _ = self._json.raw_decode(text, begin)
        except (ValueError, RecursionError):
            return []
        rows = map(self._read, value if isinstance(value, list) else [value])
        return [row for row in rows if row is not None]

    def _reader(self, kind: Kind) -> Callable[[Any], Any]:
        match kind:
            case Text():
                return _text
            case Fields(columns):
                readers = [(name, self._reader(inner)) for name, inner in columns]

                def read(value: Any) -> Any | None:  # noqa: ANN401  any JSON, any row
                    if type(value) is not dict:
                        return None
                    get = value.get
                    return self._row(*[reader(get(name)) for name, reader in readers])

                return read


# Numbers, as they come out of the parser ----------------------------------------------------

_MOST_DIGITS: Final = 1_000


def _refuse(constant: str) -> NoReturn:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        _refuse("a number this long")
    return int(text)


def _fraction(text: str) -> float:
    if len(text) - 1 > _MOST_DIGITS and sum(map(text.count, "0123456789")) > _MOST_DIGITS:
        _refuse("a number this long")
    return float(text)


# Texts --------------------------------------------------------------------------------------

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SPECIAL: Final = re.compile(r'[\x00-\x1f"\\]')
_ESCAPED: Final = dict(zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True))


def _text(value: object) -> str | None:
    """Give whatever stands where a text should be as Flink's text of it."""
    if type(value) is str:
        return _well_formed(value)
    return None if value is None else _well_formed(_print(value))


def _print(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(k)}:{_print(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_print, value)) + "]"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, float):
        return _java_double(value)
    # Words as JSON has them, whole numbers and decimals as Python prints them.
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _quote(text: str) -> str:
    return f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{_ESCAPED[character]}" if character in _ESCAPED else f"\\u{ord(character):04X}"


def _java_double(value: float) -> str:
    """Write a double as Java does: 100.0, 1.0E7, 1.0E-4."""
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if not value or 1e-3 <= abs(value) < 1e7:  # noqa: PLR2004  where Java writes no exponent
        return format(Decimal(repr(value)), "f") if value % 1 else f"{value:.1f}"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    written = "".join(map(str, digits)).rstrip("0")
    power = len(digits) - 1 + int(exponent)
    return f"{'-' * sign}{written[0]}.{written[1:] or '0'}E{power}"


def _well_formed(text: str) -> str:
    """Join surrogate pairs; a lone one becomes a question mark, as where Flink stores texts."""
    if text.isascii() or not _SURROGATES.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATES.sub("?", joined)


# Bytes --------------------------------------------------------------------------------------

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_ENCODINGS: Final = (
    # What a record in another encoding begins with, marks first.
    (re.compile(rb"\0\0\xfe\xff|\xff\xfe\0\0"), "utf-32"),
    (re.compile(rb"\xfe\xff|\xff\xfe"), "utf-16"),
    (re.compile(rb"\0\0\0."), "utf-32-be"),
    (re.compile(rb".\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0."), "utf-16-be"),
    (re.compile(rb".\0"), "utf-16-le"),
)
_HALF_PAIR: Final = re.compile("[\ud800-\udbff].?|[\udc00-\udfff]", re.DOTALL)
_CHARACTERS: Final = re.compile(
    rb"(?:[\x00-\x7f]+|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3})*"
)
_SIZES: Final = ((0xC0, 1), (0xE0, 2), (0xF0, 3), (0x100, 4))


def _as_text(data: bytes) -> str:
    """Decode a record; it ends before the first byte that belongs to no character."""
    encoding = next((name for begin, name in _ENCODINGS if begin.match(data)), None)
    if encoding is not None:
        text = _decode(data, encoding)
        # Java's reader takes what follows half a pair for its other half.
        return _HALF_PAIR.sub("\ufffd", text) if encoding.startswith("utf-16") else text
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError:
        characters = _CHARACTERS.match(data)
        return "".join(_units(characters.group())) if characters else ""


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return data.decode(encoding, "replace")


def _units(run: bytes) -> Iterator[str]:
    """Decode as leniently as the parser: overlong forms, surrogates, more than Unicode has."""
    at = 0
    while at < len(run):
        lead = run[at]
        size = next(size for end, size in _SIZES if lead < end)
        code = lead & (0x7F if size == 1 else 0x7F >> size)
        for byte in run[at + 1 : at + size]:
            code = code << 6 | byte & 0x3F
        if size == _SIZES[-1][1]:
            code -= 0x10000
            yield chr((0xD800 | code >> 10) & 0xFFFF)
            yield chr(0xDC00 | code & 0x3FF)
        else:
            yield chr(code)
        at += size
