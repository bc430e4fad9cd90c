"""Decodes records as Flink's `json` format does, for the local edge, which has the bytes in Python.

The columns come from the table's declared schema. What `json.ignore-parse-errors` makes of a bad
record is part of the job's behaviour, so it is reproduced: a record that is no JSON is gone, a
field that cannot be read is NULL, and so on, down to the encodings that Flink's parser guesses and
the days that a month does not have. tests/adapters/test_flink_json.py feeds the same bytes to Flink
and to this module and compares.

Known differences, none of which a detection can see: names of more than 50,000 characters and
nesting deeper than about 900 (Flink's limits are 50,000 and 1,000), and the last digit of a number
with a fraction that stands where a text should be.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final, NoReturn

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Text:
    """STRING."""


@dataclass(frozen=True)
class Instant:
    """TIMESTAMP_LTZ."""


@dataclass(frozen=True)
class WholeNumber:
    """BIGINT."""


@dataclass(frozen=True)
class Number:
    """DECIMAL(precision, scale)."""

    precision: int
    scale: int


@dataclass(frozen=True)
class Fields:
    """ROW, or the record itself: named columns in order."""

    columns: tuple[tuple[str, "Kind"], ...]


Kind = Text | Instant | WholeNumber | Number | Fields


class Decoder:
    """Turns a record's bytes into rows; makes what the caller needs out of rows and instants."""

    def __init__(
        self,
        columns: Fields,
        *,
        row: Callable[..., Any] = lambda *values: values,
        instant: Callable[[int, int], Any] = lambda seconds, nanos: (seconds, nanos),
    ) -> None:
        """Decode `columns`; `instant` gets epoch seconds and nanoseconds."""
        self._read = self._reader(columns)
        self._row = row
        self._instant = instant
        # Flink keeps fractions exact only where a column asks for it.
        exact = _has_number(columns)
        self._json = json.JSONDecoder(
            parse_int=_whole,
            parse_float=_exact_fraction if exact else _fraction,
            parse_constant=_refuse,
            strict=False,
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
            case Instant():
                return self._read_instant
            case WholeNumber():
                return _whole_number
            case Number(precision, scale):
                return lambda value: _decimal(value, precision, scale)
            case Fields(columns):
                readers = [(name, self._reader(inner)) for name, inner in columns]

                def read(value: Any) -> Any | None:  # noqa: ANN401  any JSON, any row
                    if type(value) is not dict:
                        return None
                    get = value.get
                    return self._row(*[reader(get(name)) for name, reader in readers])

                return read

    def _read_instant(self, value: object) -> Any | None:  # noqa: ANN401  what `instant` makes
        found = _instant(value) if type(value) is str else None
        return None if found is None else self._instant(*found)


def _has_number(kind: Kind) -> bool:
    if isinstance(kind, Fields):
        return any(_has_number(inner) for _, inner in kind.columns)
    return isinstance(kind, Number)


# Numbers, as they come out of the parser ----------------------------------------------------

_MOST_DIGITS: Final = 1_000
_LARGEST_EXPONENT: Final = 2**31 - 1
_LONGEST: Final = 2**63 - 1
_JAVA_BLANKS: Final = "".join(map(chr, range(33)))
_WHOLE: Final = re.compile(r"[+-]?\d+")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,10})?")


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


def _exact_fraction(text: str) -> Decimal:
    _fraction(text)
    value = _java_decimal(text)
    if value is None:
        _refuse("a number this large")
    return value.normalize(Context(prec=len(text))) if value else Decimal(0)


def _java_decimal(text: str) -> Decimal | None:
    """Read what Java's BigDecimal reads; None for anything else."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    fits = isinstance(exponent, int) and abs(exponent) <= _LARGEST_EXPONENT
    return value if fits else None


def _whole_number(value: object) -> int | None:
    """Read a BIGINT: a fraction is cut off, one out of range is NULL."""
    if type(value) is str:
        digits = value.strip(_JAVA_BLANKS)
        value = int(digits) if _WHOLE.fullmatch(digits) else None
    if type(value) is int:
        return value if -_LONGEST - 1 <= value <= _LONGEST else None
    if type(value) is float:
        return min(int(value), _LONGEST) if abs(value) <= _LONGEST else None
    if type(value) is Decimal:
        return int(value) if -_LONGEST - 1 <= value <= _LONGEST else None
    return None


def _decimal(value: object, precision: int, scale: int) -> Decimal | None:
    """Read a DECIMAL(precision, scale): rounded half up, one too large is NULL."""
    if type(value) is int:
        value = Decimal(value)
    elif type(value) is str:
        value = _java_decimal(value)
    if type(value) is not Decimal or value.adjusted() > precision:
        return None
    if value.adjusted() < -scale - 1:
        return Decimal(0).scaleb(-scale)
    digits = len(value.as_tuple().digits) + precision + scale + 2
    rounded = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, Context(prec=digits))
    return rounded if rounded.adjusted() < precision - scale else None


# Times --------------------------------------------------------------------------------------

_TIME: Final = re.compile(
    r"([+-]?)([0-9]{4,10})-([0-9]{2})-([0-9]{2})"
    r"T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{0,9}))?Z"
)
_MARKS: Final = "0000-00-00T00:00:00.000Z"
_MARKS_AT: Final = (_MARKS[4], *_MARKS[7:20:3], _MARKS[23])
_LAST_YEAR: Final = 999_999_999
_PLAIN_YEAR: Final = 4
_END_OF_DAY: Final = 24


def _instant(text: str) -> tuple[int, int] | None:
    """Read an ISO-8601 UTC time: epoch seconds and nanoseconds, or None."""
    # The contract's own format; what fromisoformat takes beyond it is left to the pattern.
    if len(text) == len(_MARKS) and (text[4], *text[7:20:3], text[23]) == _MARKS_AT:
        try:
            since = datetime.fromisoformat(text) - EPOCH
        except ValueError:
            pass
        else:
            return since.days * 86_400 + since.seconds, since.microseconds * 1_000
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    sign, digits = found[1], found[2]
    year = int(sign + digits)
    month, day, hour, minute, second = (int(found[group]) for group in range(3, 8))
    nanos = int((found[8] or "").ljust(9, "0"))
    # From the fifth digit on a year has a sign; with four it has no plus, and zero has no minus.
    signed_rightly = sign != ("+" if len(digits) == _PLAIN_YEAR else "") and (year or sign != "-")
    in_range = (
        abs(year) <= _LAST_YEAR
        and 1 <= month <= 12  # noqa: PLR2004
        and 1 <= day <= 31  # noqa: PLR2004
        and max(minute, second) < 60  # noqa: PLR2004
        and (hour < _END_OF_DAY or (hour == _END_OF_DAY and not (minute or second or nanos)))
    )
    if not (signed_rightly and in_range):
        return None
    # A day that the month does not have is its last day. The calendar repeats every 400 years.
    alike = 2_000 + year % 400
    first = (datetime(alike, month, 1, tzinfo=UTC) - EPOCH).days
    following = (datetime(alike + month // 12, month % 12 + 1, 1, tzinfo=UTC) - EPOCH).days
    days = min(first + day, following) - 1 + (year - alike) // 400 * 146_097
    return ((days * 24 + hour) * 60 + minute) * 60 + second, nanos


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
