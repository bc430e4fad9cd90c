"""Tokens: keyed, stable, and all that is left of a number."""

import dataclasses
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from cardwatch.cards.card_file import Card
from cardwatch.cards.number import CardNumber
from cardwatch.cards.tokenizer import TokenizedCard, Tokenizer

KEY = bytes(range(32))
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
CARD = Card(CardNumber("4242424242424242"), "STOLEN", SINCE, "lost")


def test_a_token_is_the_first_128_bits_of_the_keyed_hash() -> None:
    expected = hmac.digest(KEY, b"4242424242424242", hashlib.sha256)[:16].hex()
    assert Tokenizer(KEY).token(CARD.number) == expected


def test_another_key_gives_another_token() -> None:
    assert Tokenizer(KEY).token(CARD.number) != Tokenizer(KEY[::-1]).token(CARD.number)


def test_a_tokenized_card_keeps_all_but_the_number() -> None:
    card = Tokenizer(KEY).tokenize(CARD)
    token = Tokenizer(KEY).token(CARD.number)
    assert card == TokenizedCard(token, "42424242", "4242", "STOLEN", SINCE, "lost")
    assert "4242424242424242" not in str(dataclasses.asdict(card))


def test_a_short_key_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes") as caught:
        Tokenizer(b"correct horse battery staple")
    assert "horse" not in str(caught.value)


def test_a_tokenizer_does_not_show_its_key() -> None:
    assert repr(Tokenizer(KEY)) == "Tokenizer(key hidden)"
