"""The card file: a header line, then `card_number,status,effective_from,reason` per line.

UTF-8, one card a line, each card once. What spreadsheets write is read as well: a byte order mark,
semicolons or tabs in the place of the commas (the header says which), quotes (RFC 4180), any line
ends, empty rows. The reason is the rest of the line and may hold commas without quotes. No error
text holds a card number, or any part of a line.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from cardwatch import files
from cardwatch.cards.number import CardNumber
from cardwatch.contract.card_status import Status
from cardwatch.contract.fields import Reason, format_time, parse_time
from cardwatch.contract.streams import EARLIEST_EVENT_TIME

HEADER: Final = "card_number,status,effective_from,reason"
MAX_PROBLEMS_SHOWN: Final = 10

_SEPARATORS: Final = (",", ";", "\t")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_CONTROL_Z: Final = b"\x1a"
"""DOS ended texts with it, and some programs still do."""
_STATUS: Final = TypeAdapter[Status](Annotated[Status, Field()])
_REASON: Final = TypeAdapter[str](Reason)


@dataclass(frozen=True, slots=True)
class Card:
    """One line of the card file."""

    number: CardNumber
    status: Status
    effective_from: datetime
    """UTC, milliseconds."""
    reason: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that breaks the format; `reason` holds nothing of its content."""

    line: int
    """Counted from 1, the header included."""
    reason: str


class CardFileError(Exception):
    """The card file is missing or wrong; the text is one line and holds no card number."""

    def __init__(self, message: str, bad_lines: tuple[BadLine, ...] = ()) -> None:
        """Keep every bad line; the text shows the first ten."""
        super().__init__(message)
        self.bad_lines = bad_lines


def read_card_file(path: Path, *, now: datetime) -> tuple[Card, ...]:
    """Read a card file whole; a status must not take effect after `now`.

    Raises CardFileError naming every bad line by number and reason (the text shows the first ten).
    A file with a bad line is refused as a whole: a registry that silently lacks a stolen card is
    worse than one that says what is wrong with it.
    """
    cards: list[Card] = []
    bad_lines: list[BadLine] = []
    line_of: dict[CardNumber, int] = {}
    for line, fields in _rows(path):
        try:
            if line == 1:
                _check_header(fields)
                continue
            card = _parse_line(fields, now)
            first = line_of.setdefault(card.number, line)
            if first != line:
                msg = f"the same card as line {first}"
                raise ValueError(msg)  # noqa: TRY301  collected with the line's other problems
        except ValueError as error:
            bad_lines.append(BadLine(line, str(error)))
        else:
            cards.append(card)
    if bad_lines:
        raise CardFileError(_summary(path, bad_lines), tuple(bad_lines)) from None
    if not cards:
        msg = f"the card file {path} holds no card"
        raise CardFileError(msg)
    return tuple(cards)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the fields of each line that has any, with its number from 1; the header always."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        msg = (
            f"there is no card file {path}; make one with "
            f"`cardwatch cards generate --out {path}` or set CARD_FILE"
        )
        raise CardFileError(msg) from None
    except OSError as error:
        msg = f"the card file {path} cannot be read: {error.strerror}"
        raise CardFileError(msg) from None
    if content.startswith(_UTF_16):
        msg = f"the card file {path} is in UTF-16: save it as CSV in UTF-8"
        raise CardFileError(msg)
    # Bytes that are not UTF-8 come through as halves of pairs, so that their line can be named.
    text = content.removesuffix(_CONTROL_Z).decode("utf-8-sig", "surrogateescape")
    header = text.splitlines()[0] if text.strip() else ""
    separator = next((each for each in _SEPARATORS if each in header), _SEPARATORS[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line = 1
    try:
        for fields in reader:
            if line == 1 or any(map(str.strip, fields)):
                yield line, [*fields[:3], separator.join(fields[3:])] if fields[3:] else fields
            line = reader.line_num + 1
    except csv.Error:
        msg = f"the card file {path} has a field without an end in line {line}: is a quote open?"
        raise CardFileError(msg) from None


def write_card_file(path: Path, cards: Iterable[Card]) -> None:
    """Write a card file; a reader never sees half of it. Raises OSError."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_lines(cards))
    files.replace(path, text.getvalue())


def _lines(cards: Iterable[Card]) -> Iterator[Sequence[str]]:
    yield HEADER.split(",")
    for card in cards:
        yield card.number.reveal(), card.status, format_time(card.effective_from), card.reason


def _check_header(fields: list[str]) -> None:
    if [field.strip().lower() for field in fields] != HEADER.split(","):
        msg = f"the header must be {HEADER}"
        raise ValueError(msg)


def _parse_line(fields: list[str], now: datetime) -> Card:
    if not all(map(is_decoded, fields)):
        msg = "not UTF-8"
        raise ValueError(msg)
    if len(fields) != len(HEADER.split(",")):
        msg = "must have four fields: " + HEADER
        raise ValueError(msg)
    if any(line_end in field for field in fields for line_end in "\r\n"):
        msg = "its quotes hold a line end: is one not closed?"
        raise ValueError(msg)
    fields = [field.strip(" ") for field in fields]
    number = CardNumber(fields[0])
    try:
        status = _STATUS.validate_python(fields[1])
    except ValidationError:
        msg = "status must be ACTIVE or STOLEN"
        raise ValueError(msg) from None
    try:
        since = parse_time(fields[2])
    except ValueError as error:
        msg = f"effective_from {error}"
        raise ValueError(msg) from None
    if since < EARLIEST_EVENT_TIME:
        msg = "effective_from is before 2020"
        raise ValueError(msg)
    if since > now:
        msg = "effective_from is in the future, which is not supported"
        raise ValueError(msg)
    try:
        reason = _REASON.validate_python(fields[3])
    except ValidationError as error:
        msg = f"reason {_told(error)}"
        raise ValueError(msg) from None
    return Card(number, status, since, reason)


def is_decoded(field: str) -> bool:
    """Say whether all of a text, read with `surrogateescape`, was of its encoding."""
    try:
        field.encode()
    except UnicodeEncodeError:
        return False
    return True


def _told(error: ValidationError) -> str:
    """Give what is wrong with a reason, which is not quoted."""
    (wrong,) = error.errors(include_input=False, include_url=False)
    if wrong["type"].startswith("string_too"):
        return "must be 1 to 200 characters"
    return wrong["msg"].removeprefix("Value error, ")


def _summary(path: Path, bad_lines: list[BadLine]) -> str:
    shown = "; ".join(f"line {bad.line}: {bad.reason}" for bad in bad_lines[:MAX_PROBLEMS_SHOWN])
    more = len(bad_lines) - MAX_PROBLEMS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    lines = "1 bad line" if len(bad_lines) == 1 else f"{len(bad_lines)} bad lines"
    return f"the card file {path} has {lines}: {shown}{rest}"
