"""PAYMENT_ALERT: a payment on a stolen card, found by the 5 s detection."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from cardwatch.contract.fields import (
    Amount,
    CardToken,
    Contract,
    Count,
    EventTime,
    Identifier,
    Sha256,
)

# What describes the payment is copied from it as it came. A payment with a field that breaks the
# contract still alerts, so these are wide: text cut to the payment's own length, or null.
ShortText = Annotated[str, Field(max_length=128)]
CityText = Annotated[str, Field(max_length=64)]

FoundBy = Literal["stream", "audit", "look_back"]


class PaymentAlert(Contract):
    """One stolen payment. Everything a person needs to act on is in it."""

    alert_id: Annotated[
        Sha256, Field(description="SHA-256 of payment_id|card_token|rule|rule_version.")
    ]
    rule: Annotated[Identifier, Field(description="Which rule fired.")]
    rule_version: Annotated[Count, Field(description="The version of the rule.")]
    reason: Annotated[str, Field(max_length=256, description="Why, for people.")]
    reported_at: Annotated[
        EventTime, Field(description="effective_from of the status that says STOLEN.")
    ]
    window_start: Annotated[
        EventTime, Field(description="Start of the 5 s window the payment belongs to.")
    ]
    window_end: Annotated[EventTime, Field(description="End of that window, exclusive.")]
    late: Annotated[
        bool, Field(strict=True, description="The payment came after its window had closed.")
    ]
    detected_at: Annotated[EventTime, Field(description="Wall clock when the alert was made.")]
    payment_id: Annotated[str, Field(max_length=128, description="The payment.")]
    account_id: Annotated[ShortText | None, Field(description="The account that is charged.")]
    user_id: Annotated[ShortText | None, Field(description="The user who pays.")]
    card_token: Annotated[CardToken, Field(description="The card.")]
    card_bin: Annotated[ShortText | None, Field(description="The issuer's six digits.")]
    card_last4: Annotated[
        ShortText | None, Field(description="The card number's last four digits.")
    ]
    amount: Annotated[
        Amount | None, Field(description="The amount, or null where it could not be read.")
    ]
    currency: Annotated[ShortText | None, Field(description="ISO 4217 code.")]
    merchant_id: Annotated[ShortText | None, Field(description="The merchant who is paid.")]
    country: Annotated[ShortText | None, Field(description="ISO 3166-1 alpha-2 code.")]
    city: Annotated[CityText | None, Field(description="The merchant's city.")]
    status: Annotated[
        ShortText | None,
        Field(description="The payment's status, as the payment said it; null when unreadable."),
    ] = None
    found_by: Annotated[
        FoundBy | None, Field(description="Which path found it; absent means the stream.")
    ] = None


def alert_id(
    payment_id: str, card_token: str, rule: str = "stolen_card", rule_version: int = 1
) -> str:
    """Give an alert's id, the same on every path and replay; the detection builds it in SQL."""
    return hashlib.sha256(f"{payment_id}|{card_token}|{rule}|{rule_version}".encode()).hexdigest()
