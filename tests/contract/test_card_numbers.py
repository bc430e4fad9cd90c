"""One test for "is a card number", over all of Unicode: in the contract and in the mask."""

import json
import random
import sys
import time
import unicodedata
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cardwatch.contract.card_numbers import (
    holds_card_number,
    is_card_number,
    luhn_check_digit,
    mask_card_numbers,
)
from cardwatch.contract.streams import RejectedRecord, RejectionReason, read_event

NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "events/examples"
ISSUED = [
    *[("4", length) for length in (13, 16, 18, 19)],
    *[(first, 16) for first in ("51", "55", "2221", "2720", "9792")],
    *[(first, 15) for first in ("34", "37")],
    *[(first, length) for first in ("300", "36", "38") for length in (14, 16, 19)],
    *[(first, length) for first in ("6011", "65", "3528", "2200") for length in (16, 19)],
    *[(first, length) for first in ("50", "58", "63", "67") for length in (13, 16, 19)],
    *[("62", length) for length in (16, 17, 18, 19)],
]
CHARACTERS = [
    c
    for c in map(chr, range(sys.maxunicode + 1))
    # No halves of pairs; of the 970,000 that are unassigned or of private use one in a thousand.
    if unicodedata.category(c) not in {"Cs", "Cn", "Co"}
    or (unicodedata.category(c) != "Cs" and ord(c) % 1000 == 7)
]
IDS = ("payment_id", "account_id", "user_id", "merchant_id", "event_id")
SEPARATORS = [c for c in CHARACTERS if unicodedata.category(c)[0] not in "LN"]
"""Everything that is no letter and no numeral: marks, punctuation, symbols, blanks, controls."""
ZEROS = [c for c in CHARACTERS if unicodedata.decimal(c, None) == 0]
"""The zero of each script that has ten digits in a row."""


def issued(first: str, length: int, draw: random.Random) -> str:
    digits = first + "".join(draw.choice("0123456789") for _ in range(length - 1 - len(first)))
    return digits + luhn_check_digit(digits)


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    first, length = draw(st.sampled_from(ISSUED))
    return issued(first, length, draw(st.randoms(use_true_random=False)))


@st.composite
def written(draw: st.DrawFn) -> str:
    """A card number in any groups, behind any separators, in the digits of any scripts."""
    text = ""
    zero = draw(st.sampled_from(ZEROS))
    for digit in draw(card_numbers()):
        if draw(st.integers(0, 3)) == 0:
            text += "".join(draw(st.lists(st.sampled_from(SEPARATORS), max_size=3)))
        if draw(st.integers(0, 9)) == 0:
            zero = draw(st.sampled_from(ZEROS))
        text += chr(ord(zero) + int(digit))
    return text


def payment(**fields: object) -> bytes:
    event = json.loads((EXAMPLES / "payment_event.v1/valid/authorized.json").read_bytes())
    for name, value in fields.items():
        (event if name in event else event["event_json_data"])[name] = value
    return json.dumps(event).encode()


def refusal(raw: bytes) -> RejectedRecord | None:
    try:
        read_event(raw, now=NOW)
    except RejectedRecord as rejected:
        return rejected
    return None


def decimals(text: str) -> str:
    values = (unicodedata.decimal(c, None) for c in text)
    return "".join(str(value) for value in values if value is not None)


@given(written())
def test_a_card_number_is_found_by_any_separator_and_in_any_script(text: str) -> None:
    # A phone number and an address with its port are written with the same marks.
    assume(not text.lstrip().startswith("+") and "+" not in text)
    assert holds_card_number(text)
    assert decimals(mask_card_numbers(text)) == decimals(text)[-4:]


@pytest.mark.parametrize("zero", ZEROS, ids=lambda zero: f"U+{ord(zero):04X}")
def test_the_digits_of_every_script_are_digits(zero: str) -> None:
    number = issued("4", 16, random.Random(1))
    assert holds_card_number("".join(chr(ord(zero) + int(digit)) for digit in number))


def test_every_character_that_is_no_letter_and_no_numeral_is_a_separator() -> None:
    number = issued("4", 16, random.Random(2))
    groups = [number[i : i + 4] for i in range(0, 16, 4)]
    assert [c for c in SEPARATORS if not holds_card_number(c.join(groups))] == []
    assert [c for c in SEPARATORS if not holds_card_number(c.join(number))] == []


@pytest.mark.parametrize(
    "glued", ["Visa {}", "card:{}", "pay_{}", "№{}", "東京{}", "①{}", "{}, MT"]
)
def test_a_card_number_beside_other_text_is_found(glued: str) -> None:
    number = issued("51", 16, random.Random(3))
    assert mask_card_numbers(glued.format(number)) == glued.format(f"*{number[-4:]}")


@pytest.mark.parametrize("text", ["{} 20261121", "20261121 {}", "12/28 {} 123", "{} {}"])
def test_a_card_number_between_other_digits_is_found(text: str) -> None:
    number = issued("37", 15, random.Random(4))
    assert holds_card_number(text.format(number, number))
    assert number not in mask_card_numbers(text.format(number, number))


@given(st.integers(0, 2**96 - 1), st.integers(0, 2**128 - 1))
def test_ids_made_of_hex_digits_are_none(short: int, long: int) -> None:
    for text in (f"pay_{short:024x}", str(uuid.UUID(int=long)), f"{long:032x}"):
        # A run of 13 to 19 decimal digits that begins and ends with the id is an id of digits.
        assume(not text.removeprefix("pay_").isdigit())
        assert mask_card_numbers(text) == text
        assert not holds_card_number(f"payment {text}, again {text.upper()}")


def test_no_id_of_a_large_sample_is_taken_for_a_card() -> None:
    draw = random.Random(5)
    for _ in range(20_000):
        bits = draw.getrandbits(128)
        for text in (f"pay_{bits >> 32:024x}", str(uuid.UUID(int=bits)), f"ord{bits % 10**16:016}"):
            assert not holds_card_number(text), text


@pytest.mark.parametrize(
    "text",
    [
        str(int(NOW.timestamp() * 1000)),
        str(int(NOW.timestamp() * 1_000_000)),
        str(int(NOW.timestamp()) * 1_000_000_000),
        "20261121070003120",
        "2026-11-21T07:00:03.120456789Z",
        "2026-11-21T22:30:02.123456-00:00",
        "192.168.100.200",
        "55.100.100.100:8080",
        "10.0.0.1, 172.16.254.254",
        "2001:db8:85a3::8a2e:370:7334",
        "DE89 3704 0044 0532 0130 00",
        "0" * 16,
    ],
)
def test_times_addresses_and_references_are_no_card_numbers(text: str) -> None:
    assert mask_card_numbers(text) == text


@given(st.sampled_from(["49", "44", "356", "1"]), st.integers(10**9, 10**11 - 1))
def test_a_phone_number_is_none(country: str, subscriber: int) -> None:
    number = f"+{country} {subscriber}"
    assert mask_card_numbers(number) == number
    assert not holds_card_number(f"call +{country} (0){subscriber // 100}")


@given(card_numbers())
def test_a_number_with_a_wrong_check_digit_or_of_no_scheme_is_none(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not is_card_number(wrong)
    other = "1" + number[1:-1]
    assert not is_card_number(other + luhn_check_digit(other))
    assert is_card_number(number)


@given(st.text())
def test_a_masked_text_holds_no_card_number_and_is_not_masked_again(text: str) -> None:
    masked = mask_card_numbers(text)
    assert not holds_card_number(masked)
    assert mask_card_numbers(masked) == masked
    assert (masked == text) == (not holds_card_number(text))


@pytest.mark.parametrize("text", ["4 " * 500, "4" * 5000, "4242 " * 200, "+4" * 500, "a4-" * 400])
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    began = time.process_time()
    mask_card_numbers(text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "field", ["payment_id", "account_id", "user_id", "merchant_id", "event_id"]
)
@given(card_numbers())
def test_an_id_that_is_a_card_numbers_digits_has_a_reason_of_its_own(
    field: str, number: str
) -> None:
    rejected = refusal(payment(**{field: number}))
    assert rejected is not None
    assert rejected.reason is RejectionReason.ID_LIKE_CARD_NUMBER
    assert field in rejected.detail
    assert number not in str(rejected)


@pytest.mark.parametrize(
    "field", ["payment_id", "account_id", "user_id", "merchant_id", "event_id"]
)
@given(card_numbers(), st.sampled_from("_.:|-"))
def test_an_id_with_a_card_number_in_it_is_refused(field: str, number: str, separator: str) -> None:
    for text in (f"ref{separator}{number}", separator.join((number[:6], number[6:]))):
        rejected = refusal(payment(**{field: text}))
        assert rejected is not None
        assert rejected.reason is RejectionReason.INVALID_DATA
        assert number[6:] not in str(rejected)


@given(written())
def test_a_card_number_in_a_text_is_refused_however_it_is_written(text: str) -> None:
    assume("+" not in text and len(text) <= 50)
    for raw in (payment(city=text), payment(city=f"at {text}"), status(reason=text)):
        rejected = refusal(raw)
        assert rejected is not None
        assert rejected.reason is RejectionReason.INVALID_DATA
        assert text not in str(rejected)


def status(**fields: object) -> bytes:
    event = json.loads((EXAMPLES / "card_status.v1/valid/stolen.json").read_bytes())
    event["event_json_data"] |= fields
    return json.dumps(event).encode()


def test_an_amount_of_a_card_numbers_digits_is_refused() -> None:
    number = issued("37", 15, random.Random(6))
    for amount in (number, f"{issued('4', 16, random.Random(7))[:12]}.0000"[:12]):
        rejected = refusal(payment(amount=amount))
        assert (rejected is None) == (not holds_card_number(amount))


def test_ids_that_are_no_card_number_are_accepted() -> None:
    draw = random.Random(8)
    ids = [str(uuid.UUID(int=draw.getrandbits(128))), f"pay_{draw.getrandbits(96):024x}"]
    ids += ["20261121070003120", str(int(NOW.timestamp() * 1000)), "0000000000000001"]
    for text in ids:
        assert refusal(payment(payment_id=text, account_id=text, event_id=text)) is None


def alert(**fields: object) -> bytes:
    event = json.loads((EXAMPLES / "payment_alert.v1/valid/stolen_card.json").read_bytes())
    event["event_json_data"] |= fields
    return json.dumps(event).encode()


COPIED = (*IDS[:-1], "card_bin", "card_last4", "currency", "country", "city")


@settings(max_examples=300)
@given(field=st.sampled_from(COPIED), text=written())
def test_an_alert_that_copied_a_card_number_is_read_without_it(field: str, text: str) -> None:
    assume("+" not in text and len(text) <= 64)
    event = read_event(alert(**{field: text}), now=NOW)
    assert decimals(getattr(event.event_json_data, field)) == decimals(text)[-4:]
    assert text not in event.data_text()


def test_an_alerts_amount_of_a_card_numbers_digits_is_null() -> None:
    number = issued("37", 15, random.Random(9))
    event = read_event(alert(amount=f"{number}.00"), now=NOW)
    assert getattr(event.event_json_data, "amount") is None  # noqa: B009  one of many types
    assert number not in event.data_text()


def test_an_alert_without_a_card_number_is_read_as_it_is() -> None:
    raw = (EXAMPLES / "payment_alert.v1/valid/stolen_card.json").read_bytes()
    assert json.loads(read_event(raw, now=NOW).to_bytes()) == json.loads(raw)
