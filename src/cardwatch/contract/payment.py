"""PAYMENT_EVENT: a card payment, as the payment gateway (here the simulator) saw it."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from cardwatch.contract.fields import (
    CardBin,
    CardLast4,
    CardToken,
    City,
    Contract,
    Country,
    Currency,
    Identifier,
    Latitude,
    Longitude,
    MerchantCategory,
    PaymentAmount,
)

PaymentStatus = Literal["AUTHORIZED", "DECLINED", "CAPTURED", "REFUNDED"]
CardPresent = Literal["CHIP", "CONTACTLESS", "MAGSTRIPE", "KEYED"]
CardNotPresent = Literal["ECOMMERCE", "MAIL_OR_TELEPHONE", "RECURRING"]
EntryMode = Literal[CardPresent, CardNotPresent]

CARD_NOT_PRESENT: Final[frozenset[EntryMode]] = frozenset(get_args(CardNotPresent))


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
    city: Annotated[
        City | None,
        Field(description="The merchant's city; needed unless entry_mode says: card not present."),
    ] = None
    status: Annotated[
        PaymentStatus, Field(description="Where the payment stands at its event time.")
    ]
    entry_mode: Annotated[
        EntryMode | None,
        Field(description="How the card was read: present by the first four, not by the others."),
    ] = None
    merchant_category: Annotated[
        MerchantCategory | None, Field(description="Merchant category code, ISO 18245.")
    ] = None
    latitude: Annotated[
        Latitude | None,
        Field(description="Where the terminal stands, WGS 84 degrees north; with longitude only."),
    ] = None
    longitude: Annotated[Longitude | None, Field(description="The same, degrees east.")] = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.city is None and self.entry_mode not in CARD_NOT_PRESENT:
            msg = "city is needed unless entry_mode says that the card was not present"
            raise ValueError(msg)
        if (self.latitude is None) != (self.longitude is None):
            msg = "latitude and longitude must be both there or both left out"
            raise ValueError(msg)
        return self
