"""`banking.transactions` becomes PAYMENT_EVENTs; the card number goes into the tokenizer only."""

from datetime import datetime
from typing import Final

from cardwatch.banking.ports import BankRow, BankTable
from cardwatch.banking.rows import Feed, entry_of, instant, shown_key
from cardwatch.cards.imported import is_repeated
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.contract.streams import RejectedRecord, RejectionReason, new_event_id
from cardwatch.ports import StreamEntry

TABLE: Final = BankTable(
    "banking.transactions",
    "transaction_id",
    (
        "card_number",
        "account_id",
        "user_id",
        "amount",
        "currency",
        "merchant_id",
        "country",
        "city",
        "status",
        "status_at",
        "entry_mode",
        "merchant_category",
        "latitude",
        "longitude",
    ),
)
_NOT_OF_THE_EVENT: Final = ("card_number", "status_at")
_HIDDEN: Final = "(holds the card's number)"


def transactions(tokenizer: Tokenizer) -> Feed:
    """Give the feed of transactions under one key."""

    def entry(row: BankRow, now: datetime) -> StreamEntry:
        return payment_entry(row, tokenizer, now)

    return Feed("transactions", TABLE, entry, _shown)


def payment_entry(row: BankRow, tokenizer: Tokenizer, now: datetime) -> StreamEntry:
    """Give the PAYMENT_EVENT of a row in its present status; raises RejectedRecord.

    Event time is when it came into that status. The same status of it has the same event id.
    """
    number = row.values["card_number"] or ""
    try:
        card = tokenizer.tokenize_imported(number)
    except ValueError as error:
        detail = f"card_number: {error}"
        raise RejectedRecord(RejectionReason.INVALID_DATA, detail) from None
    data = {
        name: text
        for name, text in row.values.items()
        if name not in _NOT_OF_THE_EVENT and text is not None
    }
    data["payment_id"] = row.key
    # The contract's own test by schemes and Luhn does not know every number that a bank may issue.
    for name, text in data.items():
        if is_repeated(number, (text,)):
            detail = f"{name} holds the number of the row's card"
            raise RejectedRecord(RejectionReason.INVALID_DATA, detail)
    at = instant("status_at", row.values["status_at"])
    event_id = new_event_id("bank", row.key, card.token, data.get("status"), at)
    face = {"card_token": card.token, "card_bin": card.bin, "card_last4": card.last4}
    return entry_of("PAYMENT_EVENT", event_id, at, {**data, **face}, now)


def _shown(row: BankRow) -> str:
    number = row.values["card_number"] or ""
    try:
        hidden = is_repeated(number, (row.key,))
    except ValueError:
        hidden = False
    return _HIDDEN if hidden else shown_key(row)
