"""The one test for "is a card number", and the mask that goes by it.

A card number is 13 to 19 digits of a length and under first digits that a card scheme issues, with
a right check digit (ISO/IEC 7812-1). Its digits may be of any script, and anything that is neither
letter nor digit may stand between them: nobody can hide a number behind dots. Digits within a
longer run of digits, an id of letters and digits, a UUID, a phone number or an IPv4 address with
its port are none: an id that somebody must type is not masked.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19

# First digits, from and to, with the lengths issued under them, by what Visa, Mastercard, American
# Express, Discover, Diners Club, JCB, UnionPay, Mir, Maestro, RuPay, Troy, NAPAS, Uzcard and Humo
# publish. UATP (15 digits that begin with 1) is left out: times since the epoch look like it.
_ISSUED: Final = (
    ("2200", "2204", range(16, 20)),
    ("2221", "2720", range(16, 17)),
    ("300", "305", range(14, 20)),
    ("3095", "3095", range(14, 20)),
    ("34", "34", range(15, 16)),
    ("3528", "3589", range(16, 20)),
    ("36", "36", range(14, 20)),
    ("37", "37", range(15, 16)),
    ("38", "39", range(14, 20)),
    ("4", "4", (13, 16, 18, 19)),
    ("50", "50", range(13, 20)),
    ("51", "55", range(16, 17)),
    ("56", "60", range(13, 20)),
    ("62", "62", range(14, 20)),
    ("63", "63", range(13, 20)),
    ("64", "65", range(16, 20)),
    ("67", "67", range(13, 20)),
    ("81", "82", range(14, 20)),
    ("8600", "8600", range(16, 17)),
    ("9704", "9704", range(16, 20)),
    ("9792", "9792", range(16, 17)),
    ("9860", "9860", range(16, 17)),
)

_PERHAPS: Final = re.compile(r"[0-9](?:[^0-9A-Za-z]*[0-9]){12}")
"""What is all ASCII and holds a card number matches this; few texts do."""
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IS_NONE: Final = re.compile(
    # A UUID.
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])"
    # An IPv4 address with its port; without, it has too few digits.
    rf"|(?<![^\s(\[]){_OCTET}(?:\.{_OCTET}){{3}}:[0-9]{{1,5}}(?![^\s)\],;])"
    # A phone number: a plus and 15 digits at most (ITU-T E.164), as people write them.
    r"|(?<![^\s(:])\+[0-9](?:[ ().-]{0,2}[0-9]){12,14}(?![ ().-]{0,2}[0-9])",
    re.ASCII,
)
_DIGITS: Final = re.compile(r"[0-9]+")
_LETTERS_BEFORE: Final = re.compile(r"[A-Za-z]+\Z")
_LETTERS_BEHIND: Final = re.compile(r"[A-Za-z]+")
_NOT_HEX: Final = re.compile(r"[G-Zg-z]")
_SHOWN_DIGITS: Final = 4


class _Run(NamedTuple):
    """Digits that stand side by side."""

    start: int
    end: int
    digits: str


def luhn_check_digit(digits: str) -> str:
    """Give the digit that makes `digits` plus it valid by ISO/IEC 7812-1 Annex B (Luhn)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004  the sum of two digits
    return str(-total % 10)


def is_card_number(digits: str) -> bool:
    """Say whether ASCII digits, and nothing else, are a card number that a scheme may issue."""
    return (
        MIN_DIGITS <= len(digits) <= MAX_DIGITS
        and any(
            first <= digits[: len(first)] <= last and len(digits) in lengths
            for first, last, lengths in _ISSUED
        )
        and luhn_check_digit(digits[:-1]) == digits[-1]
    )


def holds_card_number(text: str) -> bool:
    """Say whether a text holds a card number, however it is written."""
    return next(_found(text), None) is not None


def mask_card_numbers(text: str) -> str:
    """Put a `*` and its last four digits in the place of each card number in a text."""
    # Once more after each round: what is left of two numbers could be read as a third one.
    while spans := sorted(_found(text)):
        parts, behind, at = [], 0, 0
        while at < len(spans):
            start, end = spans[at]
            while at < len(spans) and spans[at][0] < end:
                end = max(end, spans[at][1])
                at += 1
            digits = "".join(run.digits for run in _runs(text[start:end]))
            parts += [text[behind:start], "*", digits[-_SHOWN_DIGITS:]]
            behind = end
        text = "".join((*parts, text[behind:]))
    return text


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Give where card numbers begin and end; they may overlap."""
    if len(text) < MIN_DIGITS or (text.isascii() and not _PERHAPS.search(text)):
        return
    # Few texts get past the first look; the second costs more.
    if next(_candidates(text), None) is not None:
        # As long as before, so that places stay: what is no card number becomes letters.
        yield from _candidates(_IS_NONE.sub(lambda none: "a" * len(none.group()), text))


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    runs = list(_runs(text))
    for index, first in enumerate(runs):
        digits = ""
        previous = first
        for run in runs[index:]:
            joined = not any(map(str.isalnum, text[previous.end : run.start]))
            digits += run.digits
            if not joined or len(digits) > MAX_DIGITS:
                break
            if is_card_number(digits) and not _within_id(text, first, run):
                yield first.start, run.end
            previous = run


def _within_id(text: str, first: _Run, last: _Run) -> bool:
    """Say whether digits that touch letters are part of an id and not a number behind a word.

    Only what is written in groups, like a card, is taken for a number when it touches a word.
    """
    before = _LETTERS_BEFORE.search(text, max(0, first.start - MAX_DIGITS), first.start)
    behind = _LETTERS_BEHIND.match(text, last.end)
    touching = [letters.group() for letters in (before, behind) if letters]
    if first is last:
        return bool(touching)
    return not all(map(_NOT_HEX.search, touching))


def _runs(text: str) -> Iterator[_Run]:
    if text.isascii():
        yield from (_Run(*found.span(), found.group()) for found in _DIGITS.finditer(text))
        return
    start = 0
    digits: list[str] = []
    script = 0
    for place, character in enumerate(text):
        found = _digit(character)
        if digits and (found is None or found[1] != script):
            yield _Run(start, place, "".join(digits))
            digits = []
        if found is not None:
            if not digits:
                start, script = place, found[1]
            digits.append(found[0])
    if digits:
        yield _Run(start, len(text), "".join(digits))


@lru_cache(maxsize=4096)
def _digit(character: str) -> tuple[str, int] | None:
    """Give a character's digit and which set of digits it is of; None for no digit."""
    value = unicodedata.numeric(character, None)
    if value is None or value not in range(10):
        return None
    digit = int(value)
    # The ten digits of a script stand side by side; the others (circled ones, Han ones) need not.
    is_decimal = unicodedata.decimal(character, None) is not None
    return str(digit), ord(character) - digit if is_decimal else -1
