"""A card number (PAN) that does not leak: not into logs, errors, pickles or JSON."""

import re
from typing import Final, NoReturn, Self

from cardwatch.cards.schemes import scheme_of
from cardwatch.contract.card_numbers import MAX_DIGITS, MIN_DIGITS, luhn_check_digit

_HIDDEN: Final = "CardNumber(hidden)"
_EIGHT_FROM: Final = 16
_SIX_FROM: Final = 15
_ROUNDED: Final = re.compile(r"[0-9][.,]?[0-9]*E\+?[0-9]+|[0-9]+\.[0-9]+", re.IGNORECASE)

ROUNDED: Final = "a spreadsheet rounded it; have its column be text"


def is_rounded(text: str) -> bool:
    """Say whether a program took a card number for a quantity: 2.29116E+15, or with a fraction."""
    return _ROUNDED.fullmatch(text) is not None


def shown_first_digits(digits: str) -> str | None:
    """Give the first digits of a number that may be shown: eight of 16, six of 15, else None."""
    if len(digits) < _SIX_FROM:
        return None
    return digits[: 8 if len(digits) >= _EIGHT_FROM else 6]


class CardNumber:
    """One card number, checked. Its text is given by `reveal()` and by nothing else.

    Only the card file and the tokenizer call `reveal()`.
    """

    __slots__ = ("__digits",)

    def __init__(self, digits: str) -> None:
        """Check the number; raises ValueError, without a digit of it, when it is not a test card.

        A number outside the processors' published test BINs is refused: a real one must not be
        in cardwatch at all.
        """
        if not (digits.isascii() and digits.isdigit()):
            hint = f": {ROUNDED}" if is_rounded(digits) else ""
            msg = f"the card number must be digits only{hint}"
            raise ValueError(msg)
        if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
            msg = f"a card number has {MIN_DIGITS} to {MAX_DIGITS} digits"
            raise ValueError(msg)
        scheme = scheme_of(digits)
        if scheme is None:
            msg = "cardwatch does not know this test BIN: it takes those that processors publish"
            raise ValueError(msg)
        if len(digits) not in scheme.lengths:
            *most, last = map(str, scheme.lengths)
            lengths = f"{', '.join(most)} or {last}" if most else last
            msg = f"a {scheme.name} card number has {lengths} digits"
            raise ValueError(msg)
        if luhn_check_digit(digits[:-1]) != digits[-1]:
            msg = "the card number's check digit is wrong (Luhn)"
            raise ValueError(msg)
        self.__digits = digits

    @property
    def bin(self) -> str | None:
        """Give the first digits, which name the issuer and may be shown beside the last four.

        Eight of 16 digits or more, six of 15, none of fewer (PCI SSC FAQ 1091).
        """
        return shown_first_digits(self.__digits)

    @property
    def last4(self) -> str:
        """Give the last four digits, which may be shown."""
        return self.__digits[-4:]

    def reveal(self) -> str:
        return self.__digits

    def __eq__(self, other: object) -> bool:
        """Compare by number."""
        return isinstance(other, CardNumber) and self.__digits == other.__digits

    def __hash__(self) -> int:
        """Hash by number; Python salts it per process."""
        return hash(self.__digits)

    def __repr__(self) -> str:
        """Give a text without a digit of the number."""
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Give the same text whatever the format."""
        return _HIDDEN

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled; raises TypeError."""
        msg = "a card number is not pickled"
        raise TypeError(msg)

    def __copy__(self) -> Self:
        """Give itself: it never changes."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Give itself: it never changes."""
        return self
