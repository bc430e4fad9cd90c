"""The card file: a header line, then `card_number,status,effective_from,reason` per line.

UTF-8, one card a line, each card once. The reason is the rest of the line and may hold commas.
No error text holds a card number, or any part of a line.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from cardwatch.cards.number import CardNumber
from cardwatch.contract.card_status import Status
from cardwatch.contract.fields import Reason, format_time, parse_time
from cardwatch.contract.streams import EARLIEST_EVENT_TIME

HEADER: Final = "card_number,status,effective_from,reason"
MAX_PROBLEMS_SHOWN: Final = 10

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
    for line, raw in enumerate(_raw_lines(path), start=1):
        try:
            text = _decode(raw)
            if line == 1:
                _check_header(text)
                continue
            card = _parse_line(text, now)
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


def _raw_lines(path: Path) -> list[bytes]:
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
    return content.removesuffix(b"\n").split(b"\n")


def write_card_file(path: Path, cards: Iterable[Card]) -> None:
    """Write a card file; a reader never sees half of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in _lines(cards))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _lines(cards: Iterable[Card]) -> Iterator[str]:
    yield HEADER
    for card in cards:
        since = format_time(card.effective_from)
        yield f"{card.number.reveal()},{card.status},{since},{card.reason}"


def _decode(raw: bytes) -> str:
    try:
        return raw.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        msg = "not UTF-8"
        raise ValueError(msg) from None


def _check_header(text: str) -> None:
    if text.removeprefix("\ufeff") != HEADER:
        msg = f"the header must be {HEADER}"
        raise ValueError(msg)


def _parse_line(text: str, now: datetime) -> Card:
    fields = text.split(",", 3)
    if len(fields) != len(HEADER.split(",")):
        msg = "must have four fields: " + HEADER
        raise ValueError(msg)
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
    except ValidationError:
        msg = "reason must be 1 to 200 characters and hold no run of 13 digits"
        raise ValueError(msg) from None
    return Card(number, status, since, reason)


def _summary(path: Path, bad_lines: list[BadLine]) -> str:
    shown = "; ".join(f"line {bad.line}: {bad.reason}" for bad in bad_lines[:MAX_PROBLEMS_SHOWN])
    more = len(bad_lines) - MAX_PROBLEMS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"the card file {path} has {len(bad_lines)} bad lines: {shown}{rest}"
