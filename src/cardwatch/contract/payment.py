"""PAYMENT_EVENT: a card payment, as the payment gateway (here the simulator) saw it."""

from typing import Annotated, Literal

from pydantic import Field

from cardwatch.contract.fields import (
    CardBin,
    CardLast4,
    CardToken,
    City,
    Contract,
    Country,
    Currency,
    Identifier,
    PaymentAmount,
)

PaymentStatus = Literal["AUTHORIZED", "DECLINED", "CAPTURED", "REFUNDED"]


class Payment(Contract):
    """One payment. The card is a token; its number never leaves the card file and the tokenizer."""

    payment_id: Annotated[
        Identifier, Field(description="Unique per payment; copies of a payment share it.")
    ]
    account_id: Annotated[Identifier, Field(description="The account that is charged.")]
    user_id: Annotated[Identifier, Field(description="The user who pays.")]
    card_token: Annotated[
        CardToken,
        Field(description="HMAC-SHA-256 of the card number, first 128 bits, hex."),
    ]
    card_bin: Annotated[
        CardBin | None,
        Field(
            description=(
                "The card number's first digits, the issuer's: eight of 16 digits or more, six of "
                "15 or more, null of fewer."
            )
        ),
    ]
    card_last4: Annotated[
        CardLast4, Field(description="The card number's last four digits, for people.")
    ]
    amount: Annotated[
        PaymentAmount,
        Field(description="Decimal string in units of the currency, DECIMAL(19,4)."),
    ]
    currency: Annotated[Currency, Field(description="ISO 4217 code.")]
    merchant_id: Annotated[Identifier, Field(description="The merchant who is paid.")]
    country: Annotated[
        Country, Field(description="ISO 3166-1 alpha-2 code of the merchant's country.")
    ]
    city: Annotated[City, Field(description="The merchant's city.")]
    status: Annotated[
        PaymentStatus, Field(description="Where the payment stands at its event time.")
    ]
