"""Card numbers in files of payments that other programs made.

They need not be test cards, nor pass the Luhn test: public data sets have numbers of 11 to 19
digits that were drawn at random. They go from the file's row into the tokenizer and no further.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from cardwatch.cards.number import ROUNDED, is_rounded
from cardwatch.contract.card_numbers import MAX_DIGITS

MIN_IMPORTED_DIGITS: Final = 11

_GROUPED: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_NO_DIGITS: Final = re.compile(r"[^0-9]+")


def digits_of(text: str) -> str:
    """Give a number's digits, which may be grouped by blanks or hyphens.

    Raises ValueError, without a digit of it, for anything else.
    """
    if not text.isascii() or not _GROUPED.fullmatch(text):
        hint = f": {ROUNDED}" if is_rounded(text) else ""
        msg = f"the card number must be digits only{hint}"
        raise ValueError(msg)
    digits = text.replace(" ", "").replace("-", "")
    if not MIN_IMPORTED_DIGITS <= len(digits) <= MAX_DIGITS:
        msg = f"a card number has {MIN_IMPORTED_DIGITS} to {MAX_DIGITS} digits"
        raise ValueError(msg)
    return digits


def is_repeated(number: str, texts: Iterable[str]) -> bool:
    """Say whether a number, as `digits_of` takes it, stands in one of some texts as well.

    In any script and with anything between its digits: the test by schemes and Luhn does not know
    the numbers of a data set.
    """
    digits = digits_of(number)
    return any(digits in _only_digits(text) for text in texts)


def _only_digits(text: str) -> str:
    if text.isascii():
        return _NO_DIGITS.sub("", text)
    text = unicodedata.normalize("NFKD", text)
    values = (unicodedata.digit(character, None) for character in text)
    return "".join(str(value) for value in values if value is not None)
