"""A card number is checked on the way in and does not leak on any way out."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.cards.card_file import Card
from cardwatch.cards.number import CardNumber
from cardwatch.cards.schemes import SCHEMES
from cardwatch.contract.card_numbers import luhn_check_digit

PUBLISHED = [
    "4111111111111111",
    "4012888888881881",
    "4242424242424242",
    "4000056655665556",
    "5555555555554444",
    "5105105105105100",
    "5200828282828210",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6011000990139424",
    "3056930009020004",
    "3566002020360505",
    "3530111333300000",
    "6200000000000005",
]


@pytest.mark.parametrize("digits", PUBLISHED)
def test_every_published_test_card_is_a_card_number(digits: str) -> None:
    number = CardNumber(digits)
    assert (number.bin, number.last4, number.reveal()) == (digits[:6], digits[-4:], digits)


def test_every_test_bin_comes_from_a_published_test_card() -> None:
    bins = {test_bin for scheme in SCHEMES for test_bin in scheme.test_bins}
    assert bins == {digits[:6] for digits in PUBLISHED}


@given(st.text("0123456789", min_size=11, max_size=18), st.data())
def test_the_check_digit_finds_every_single_wrong_digit(body: str, data: st.DataObject) -> None:
    valid = body + luhn_check_digit(body)
    place = data.draw(st.integers(0, len(valid) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != valid[place]]))
    broken = valid[:place] + other + valid[place + 1 :]
    assert luhn_check_digit(broken[:-1]) != broken[-1]


@pytest.mark.parametrize(
    ("digits", "problem"),
    [
        ("4111111111111112", "check digit"),
        ("411111111111111", "has 16 digits"),
        ("41111111111111111", "has 16 digits"),
        ("4929000000000000", "test BIN"),
        ("", "digits only"),
        ("4111 1111 1111 1111", "digits only"),
        ("४१११११११११११११११", "digits only"),
    ],
)
def test_a_wrong_number_is_refused_without_a_digit_of_it(digits: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        CardNumber(digits)
    text = "".join(traceback.format_exception(caught.value))
    assert not digits or digits not in text


NUMBER = CardNumber("4242424242424242")
CARD = Card(NUMBER, "STOLEN", datetime(2026, 1, 1, tzinfo=UTC), "lost")


@pytest.mark.parametrize(
    "text",
    [
        repr(NUMBER),
        str(NUMBER),
        f"{NUMBER}",
        f"{NUMBER:>40}",
        f"{NUMBER!r}",
        "%s" % NUMBER,  # noqa: UP031  the old way of logging is one of the ways out
        ascii(NUMBER),
        repr(CARD),
        str([CARD]),
        str(dataclasses.asdict(CARD)),
        json.dumps(dataclasses.asdict(CARD), default=str),
        repr(copy.deepcopy(NUMBER)),
    ],
)
def test_no_text_of_a_card_holds_its_number(text: str) -> None:
    assert "CardNumber(hidden)" in text
    assert "42424242" not in text


def test_an_error_and_a_log_record_about_a_card_hold_no_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        raise RuntimeError(CARD, NUMBER)  # noqa: TRY301  what is logged is the raised error
    except RuntimeError:
        logging.getLogger("cards").exception("failed on %s %r", CARD, NUMBER)
    assert "CardNumber(hidden)" in caplog.text
    assert "42424242" not in caplog.text


@pytest.mark.parametrize("value", [NUMBER, CARD, [CARD]])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_card_is_not_pickled(value: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(value, protocol)


def test_json_refuses_a_card_number() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(NUMBER)


def test_a_card_number_has_no_attributes_to_dump() -> None:
    assert not hasattr(NUMBER, "__dict__")


def test_card_numbers_compare_by_number() -> None:
    assert CardNumber("4242424242424242") == NUMBER
    assert CardNumber("4111111111111111") != NUMBER
    assert len({NUMBER, CardNumber("4242424242424242")}) == 1
