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
from cardwatch.cards.schemes import SCHEMES, SHARES, scheme_of
from cardwatch.contract.card_numbers import is_card_number, luhn_check_digit

STRIPE = """
    4242424242424242 4000056655665556 5555555555554444 2223003122003222 5200828282828210
    5105105105105100 378282246310005 371449635398431 6011111111111117 6011000990139424
    6011981111111113 3056930009020004 36227206271667 6555900000604105 3566002020360505
    6200000000000005 6200000000000047 6205500000000000004 4000000000009979 4000000000000002
"""
BRAINTREE = """
    378282246310005 371449635398431 36259600000004 6011000991300009 3530111333300000
    6304000000000000 5555555555554444 2223000048400011 4111111111111111 4005519200000004
    4009348888881881 4012000033330026 4012000077777777 4012888888881881 4217651111111119
    4500600000000061 6243030000000001 6221261111117766 6223164991230014 4000111111111115
    5105105105105100 378734493671000 6011000990139424
"""
PAYPAL = """
    378282246310005 371449635398431 378734493671000 5610591081018250 30569309025904
    38520000023237 6011111111111117 6011000990139424 3530111333300000 3566002020360505
    2221000000000009 2223000048400011 2223016768739313 5555555555554444 5105105105105100
    4111111111111111 4012888888881881 4222222222222 5019717010103742 6331101999990016
    376680816376961 5063516945005047 4772129056533503 4915805038587737
"""
CYBERSOURCE = """
    3566111111111113 50339619890917 586824160825533338 6759411100000008 6759560045005727054
    5641821111166669 2222420000001113 2222630000001125
"""
PUBLISHED = sorted({*STRIPE.split(), *BRAINTREE.split(), *PAYPAL.split(), *CYBERSOURCE.split()})
"""The lists of the sources that schemes.py names."""


@pytest.mark.parametrize("digits", PUBLISHED)
def test_every_published_test_card_is_a_card_number(digits: str) -> None:
    number = CardNumber(digits)
    assert (number.last4, number.reveal()) == (digits[-4:], digits)
    assert is_card_number(digits)


def test_a_shorter_number_shows_less_of_itself() -> None:
    shown = {len(digits): CardNumber(digits).bin for digits in PUBLISHED}
    bins = {length: 0 if found is None else len(found) for length, found in shown.items()}
    assert bins == {13: 0, 14: 0, 15: 6, 16: 8, 18: 8, 19: 8}
    assert all(digits.startswith(CardNumber(digits).bin or "") for digits in PUBLISHED)


def test_every_test_bin_comes_from_a_published_test_card() -> None:
    bins = {test_bin for scheme in SCHEMES for test_bin in scheme.test_bins}
    assert bins == {digits[:6] for digits in PUBLISHED}
    lengths = {(scheme_of(digits), len(digits)) for digits in PUBLISHED}
    unpublished = {(s.name, n) for s in SCHEMES for n in s.lengths if (s, n) not in lengths}
    assert unpublished == {("Visa", 19)}


def test_what_is_generated_is_of_a_known_scheme_and_length() -> None:
    for share in SHARES:
        for test_bin in share.test_bins:
            scheme = scheme_of(test_bin)
            assert scheme is not None
            assert share.length in scheme.lengths


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
        ("411111111111111", "a Visa card number has 13, 16 or 19 digits"),
        ("41111111111111111", "a Visa card number has 13, 16 or 19 digits"),
        ("305693090259040", "a Diners Club card number has 14 or 16 digits"),
        ("51051051051051", "a Mastercard card number has 16 digits"),
        ("76009244561", "has 13 to 19 digits"),
        ("4929000000000000", "does not know this test BIN"),
        ("4.24242E+15", "digits only: a spreadsheet rounded it"),
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
