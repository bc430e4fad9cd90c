"""The list of stolen cards: numbers or references, one a line, or a card file."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cardwatch.cards.card_file import HEADER, read_card_file
from cardwatch.cards.tokenizer import REFERENCE_SEPARATOR, CardFace, Tokenizer
from cardwatch.imports.conversion import card_of
from cardwatch.imports.errors import ImportFileError
from cardwatch.imports.mapping import Mapping

REASON: Final = "imported as stolen"
MAX_PROBLEMS_SHOWN: Final = 10


def read_stolen(
    path: Path, mapping: Mapping, tokenizer: Tokenizer, *, now: datetime
) -> dict[CardFace, str]:
    """Give each stolen card once, with the reason, in the file's order.

    Empty lines and lines that begin with # are skipped. Of a card file the cards with the status
    STOLEN count. Raises ImportFileError or CardFileError for a wrong line, whose content is not
    told: a list that silently lacks a card is worse than none. Raises OSError as open does.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8; save it as text in UTF-8"
        raise ImportFileError(msg) from None
    if lines and lines[0].strip().strip('"').startswith(HEADER.split(",")[0]):
        if mapping.card.number is None:
            msg = f"{path} is a card file, and the mapping knows cards by references; list those"
            raise ImportFileError(msg)
        cards = map(tokenizer.tokenize, read_card_file(path, now=now))
        return {CardFace(c.token, c.bin, c.last4): c.reason for c in cards if c.status == "STOLEN"}
    found: dict[CardFace, str] = {}
    problems: list[str] = []
    for number, text in _told(lines):
        cells: tuple[str, ...] = (text,)
        if mapping.card.reference is not None:
            cells = tuple(part.strip() for part in text.split(REFERENCE_SEPARATOR))
            if len(cells) != len(mapping.card.reference):
                wanted = REFERENCE_SEPARATOR.join(mapping.card.reference)
                problems.append(f"line {number}: must be {wanted}")
                continue
        try:
            found[card_of(mapping, cells, tokenizer)] = REASON
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = len(problems) - MAX_PROBLEMS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        msg = f"{path} has wrong lines: {'; '.join(problems[:MAX_PROBLEMS_SHOWN])}{rest}"
        raise ImportFileError(msg)
    return found


def _told(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, text
