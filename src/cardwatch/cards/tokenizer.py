"""The tokenizer: the only code besides the card file that sees a card number."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cardwatch.cards.card_file import Card, read_card_file
from cardwatch.cards.number import CardNumber
from cardwatch.contract.card_status import Status

MIN_KEY_BYTES: Final = 32
_TOKEN_HEX_DIGITS: Final = 32


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
        digest = hmac.new(self.__key, number.reveal().encode(), hashlib.sha256)
        return digest.hexdigest()[:_TOKEN_HEX_DIGITS]

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

    def __repr__(self) -> str:
        """Give a text without the key."""
        return "Tokenizer(key hidden)"


def read_tokenized_cards(
    path: Path, tokenizer: Tokenizer, *, now: datetime
) -> tuple[TokenizedCard, ...]:
    """Read a card file and keep everything but the numbers; raises CardFileError."""
    return tuple(tokenizer.tokenize(card) for card in read_card_file(path, now=now))
