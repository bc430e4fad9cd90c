"""What a page keeps of an alert: no card number, and every id that somebody must type."""

import random
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.paging.support import alert_event

from cardwatch.contract.card_numbers import luhn_check_digit
from cardwatch.paging.alerts import MAX_TEXT, PagedAlert

BODY = "4" + "242" * 4 + "42"
NUMBER = BODY + luhn_check_digit(BODY)
GROUPS = [NUMBER[i : i + 4] for i in range(0, 16, 4)]


@pytest.mark.parametrize(
    "payment_id",
    [
        "pay_a6c87a4320191063295083d0",
        "b39cfd4b-8abe-4d78-8520-10116895cea8",
        "20261121070003120",
        "8816178952380553",
        "1795244406401",
    ],
)
def test_an_id_that_is_no_card_number_is_shown_as_it_is(payment_id: str) -> None:
    paged = PagedAlert.of(alert_event(payment_id=payment_id, account_id=payment_id))
    assert (paged.payment_ids, paged.account_id) == ((payment_id,), payment_id)


@given(st.uuids(), st.integers(0, 2**96 - 1))
def test_the_ids_that_shops_and_the_simulator_make_are_shown_as_they_are(
    shop: uuid.UUID, simulated: int
) -> None:
    paged = PagedAlert.of(alert_event(payment_id=str(shop), account_id=f"pay_{simulated:024x}"))
    assert (paged.payment_ids, paged.account_id) == ((str(shop),), f"pay_{simulated:024x}")


@pytest.mark.parametrize(
    "separator", ["", " ", "-", ".", "/", "_", "  ", " - ", "\u2013", "\u200b"]
)
@pytest.mark.parametrize("field", ["city", "merchant_id", "country", "account_id", "payment_id"])
def test_a_card_number_is_shown_by_its_last_four_digits_in_any_field(
    field: str, separator: str
) -> None:
    fields: dict[str, Any] = {field: f"at {separator.join(GROUPS)}"}
    paged = PagedAlert.of(alert_event(**fields))
    shown = {
        **paged.model_dump(),
        "merchant_id": paged.merchant,
        "payment_id": paged.payment_ids[0],
    }
    assert shown[field] == f"at *{NUMBER[-4:]}"


def test_a_number_that_ends_where_a_field_is_cut_is_masked_before() -> None:
    text = "x " * (MAX_TEXT // 2 - 4) + NUMBER
    paged = PagedAlert.of(alert_event(merchant_id=text))
    assert paged.merchant is not None
    assert NUMBER[:8] not in paged.merchant


def test_an_amount_of_a_card_numbers_digits_is_not_shown() -> None:
    body = "37" + "".join(random.Random(1).choice("0123456789") for _ in range(12))
    number = body + luhn_check_digit(body)
    assert PagedAlert.of(alert_event(amount=f"{number}.00")).amount is None
    assert PagedAlert.of(alert_event(amount="12.50")).amount is not None


@pytest.mark.parametrize(
    ("card_bin", "card"),
    [
        ("424242", "424242******4242"),
        ("42424242", "424242******4242"),
        ("4242424", "******4242"),
        (None, "******4242"),
    ],
)
def test_a_card_is_shown_by_six_first_digits_at_most_however_many_are_known(
    card_bin: str | None, card: str
) -> None:
    assert PagedAlert.of(alert_event(card_bin=card_bin)).entity == card
