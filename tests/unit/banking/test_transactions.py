"""A transaction becomes a payment; its card's number goes nowhere."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes import NOON
from tests.unit.banking.support import CARD, PAYMENT

from cardwatch.banking.ports import BankRow
from cardwatch.banking.transactions import payment_entry, transactions
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import RejectedRecord, read_event

TOKENIZER = Tokenizer(b"k" * 32)
NUMBER = CARD.reveal()
NO_LUHN = "62000000000"
"""A number that the contract's test does not know for one."""
ROW = BankRow("pay_1", NOON, PAYMENT)


def row(key: str = "pay_1", **values: str | None) -> BankRow:
    return BankRow(key, NOON, {**PAYMENT, **values})


def test_it_is_a_payment_by_the_contract_under_the_cards_token() -> None:
    entry = payment_entry(ROW, TOKENIZER, NOON)
    event = read_event(entry.data, now=NOON)
    payment = event.event_json_data
    assert isinstance(payment, Payment)
    face = TOKENIZER.tokenize_imported(NUMBER)
    assert entry.partition_key == payment.card_token == face.token
    assert (payment.card_bin, payment.card_last4) == (CARD.bin, CARD.last4)
    assert (payment.payment_id, payment.status, payment.entry_mode) == (
        "pay_1",
        "AUTHORIZED",
        "CHIP",
    )
    assert event.event_date_origin == NOON - timedelta(seconds=60) + timedelta(milliseconds=123)
    assert NUMBER not in entry.data.decode()


def test_the_same_status_is_the_same_event_and_the_next_one_another() -> None:
    first = read_event(payment_entry(ROW, TOKENIZER, NOON).data, now=NOON)
    again = replace(ROW, updated_at=NOON + timedelta(hours=1))
    assert read_event(payment_entry(again, TOKENIZER, NOON).data, now=NOON) == first
    later = row(status="CAPTURED", status_at="2026-11-21 11:59:30+00")
    assert (
        read_event(payment_entry(later, TOKENIZER, NOON).data, now=NOON).event_id != first.event_id
    )


@pytest.mark.parametrize(
    "broken",
    [
        row(card_number="4242-4242-42"),
        row(card_number=f"number {NUMBER}"),
        row(card_number=None),
        row(merchant_id=f"mer_{NUMBER}"),
        row(merchant_id=f"mer_{NO_LUHN}", card_number=NO_LUHN),
        row(f"pay_{NO_LUHN}", card_number=NO_LUHN),
        row(city=NUMBER),
        row(status="PENDING"),
        row(status_at=None),
        row(status_at="infinity"),
        row(amount=None),
    ],
    ids=lambda each: each.key if isinstance(each, BankRow) else "",
)
def test_what_breaks_the_contract_is_refused_without_a_digit_of_the_number(broken: BankRow) -> None:
    feed = transactions(TOKENIZER)
    with pytest.raises(RejectedRecord) as refused:
        feed.event(broken, NOON)
    error = refused.value
    told = f"{error}{error!r}{error.__cause__!r}{broken!r}".replace(broken.key, "")
    assert NUMBER not in told
    assert NO_LUHN not in told + feed.shown(broken)
    assert error.__context__ is None or error.__suppress_context__
