"""ACCOUNT: what the bank says of one account from a moment on."""

import hashlib
import unicodedata
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cardwatch.contract.fields import (
    Contract,
    Country,
    Currency,
    EventTime,
    Identifier,
    PaymentAmount,
    format_time,
)

AccountStatus = Literal["ACTIVE", "BLOCKED", "CLOSED"]
RiskSegment = Literal["LOW", "MEDIUM", "HIGH"]

MASKED_NAME_PATTERN = r"^[^\s*0-9]\*+( [^\s*0-9]\*+)*$"
"""The first letter of each word and stars in the place of the others: `J*** D**`."""
MAX_NAME: Final = 64
_MAX_WORDS: Final = 12


def mask_name(name: str) -> str:
    """Give a holder's name as the contract takes it: the first letter of each word, three stars.

    How long a word is says who it may be, so each has as many stars. Words that begin with no
    letter are left out, and those behind the twelfth; a name without a letter is `?***`.
    """
    words = [word for word in unicodedata.normalize("NFC", name).split() if word[0].isalpha()]
    return " ".join(f"{word[0]}***" for word in words[:_MAX_WORDS]) or "?***"


def _not_negative(value: Decimal) -> Decimal:
    if value < 0:
        msg = "must not be negative"
        raise ValueError(msg)
    return value


class Account(Contract):
    """One version of one account; it holds from `valid_from` to that of the next version.

    The holder's full name never leaves the bank's database.
    """

    account_id: Annotated[Identifier, Field(description="The account.")]
    account_name: Annotated[
        str,
        Field(
            pattern=MASKED_NAME_PATTERN,
            max_length=MAX_NAME,
            description="The holder, masked: the first letter of each word and stars.",
        ),
    ]
    holder_country: Annotated[
        Country, Field(description="ISO 3166-1 alpha-2 code of where the holder lives.")
    ]
    opened_at: Annotated[EventTime, Field(description="When the account was opened.")]
    credit_limit: Annotated[
        PaymentAmount,
        AfterValidator(_not_negative),
        Field(description="How much may be spent in all, in units of the currency."),
    ]
    currency: Annotated[
        Currency, Field(description="ISO 4217 code of the limit and what is spent.")
    ]
    spent: Annotated[
        PaymentAmount,
        Field(description="What was spent of the limit by spent_until, net of refunds."),
    ]
    spent_until: Annotated[
        EventTime, Field(description="Up to when: the last midnight, or when it was opened.")
    ]
    status: Annotated[AccountStatus, Field(description="Whether it may be charged.")]
    risk_segment: Annotated[RiskSegment, Field(description="How the bank rates it.")]
    valid_from: Annotated[
        EventTime,
        Field(description="From when this version holds; not after the event's event_date_origin."),
    ]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.opened_at > self.valid_from or self.spent_until > self.valid_from:
            msg = "opened_at and spent_until must not be after valid_from"
            raise ValueError(msg)
        return self


def account_event_id(account_id: str, valid_from: datetime) -> str:
    """Give the event id of a version; publishing it again makes the same id."""
    return hashlib.sha256(f"account|{account_id}|{format_time(valid_from)}".encode()).hexdigest()
