"""The tokenizer: the only code besides the card file that sees a card number."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cardwatch.cards.card_file import Card, read_card_file
from cardwatch.cards.imported import digits_of
from cardwatch.cards.number import CardNumber, shown_first_digits
from cardwatch.contract.card_status import Status

MIN_KEY_BYTES: Final = 32
_TOKEN_HEX_DIGITS: Final = 32
_REFERENCE: Final = "reference:"
"""Begins what is hashed for a card without a number, so that it is no number's text."""
REFERENCE_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class TokenizedCard:
    """What everything else knows of a card: all of the card file's line but the number."""

    token: str
    """32 lower-case hex digits."""
    bin: str | None
    """The first digits as far as they may be shown."""
    last4: str
    status: Status
    effective_from: datetime
    """UTC, milliseconds."""
    reason: str


@dataclass(frozen=True, slots=True)
class CardFace:
    """What is kept of a card in a file of payments."""

    token: str
    """32 lower-case hex digits."""
    bin: str | None
    """The first digits as far as they may be shown; None of a card without a number."""
    last4: str


class Tokenizer:
    """Turns card numbers into tokens under one key."""

    __slots__ = ("__key",)

    def __init__(self, key: bytes) -> None:
        """Take the HMAC key; raises ValueError when it has fewer than 32 bytes."""
        if len(key) < MIN_KEY_BYTES:
            msg = f"the tokenizer's key must have at least {MIN_KEY_BYTES} bytes"
            raise ValueError(msg)
        self.__key = key

    def token(self, number: CardNumber) -> str:
        """Give a card's token: HMAC-SHA-256 of the number, the first 128 bits, hex."""
        return self.__hash(number.reveal())

    def tokenize_imported(self, text: str) -> CardFace:
        """Give what is kept of a number from a file of payments, which need not be a test card.

        The token is the one that the card file's number of the same digits has. Raises ValueError,
        without a digit of it, for what is no number of 11 to 19 digits.
        """
        digits = digits_of(text)
        return CardFace(self.__hash(digits), shown_first_digits(digits), digits[-4:])

    def tokenize_reference(self, parts: Sequence[str]) -> CardFace:
        """Give what is kept of a card that a file knows by other things than its number.

        No number has such a token. The last four digits, for people, come from the token. Raises
        ValueError when all parts are empty or one has the separator `|` in it.
        """
        if not any(parts):
            msg = "nothing says which card it is"
            raise ValueError(msg)
        if any(REFERENCE_SEPARATOR in part for part in parts):
            msg = f"a part of a card's reference must not hold {REFERENCE_SEPARATOR}"
            raise ValueError(msg)
        token = self.__hash(_REFERENCE + REFERENCE_SEPARATOR.join(parts))
        return CardFace(token, None, f"{int(token, 16) % 10_000:04d}")

    def tokenize(self, card: Card) -> TokenizedCard:
        """Give the card without its number."""
        return TokenizedCard(
            token=self.token(card.number),
            bin=card.number.bin,
            last4=card.number.last4,
            status=card.status,
            effective_from=card.effective_from,
            reason=card.reason,
        )

    def __hash(self, text: str) -> str:
        digest = hmac.new(self.__key, text.encode(), hashlib.sha256)
        return digest.hexdigest()[:_TOKEN_HEX_DIGITS]

    def __repr__(self) -> str:
        """Give a text without the key."""
        return "Tokenizer(key hidden)"


def read_tokenized_cards(
    path: Path, tokenizer: Tokenizer, *, now: datetime
) -> tuple[TokenizedCard, ...]:
    """Read a card file and keep everything but the numbers; raises CardFileError."""
    return tuple(tokenizer.tokenize(card) for card in read_card_file(path, now=now))
