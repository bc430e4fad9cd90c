"""PAYMENT_ATTRIBUTED: one payment with what is known of its account, its risk score and why."""

import hashlib
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cardwatch.contract.account import (
    MASKED_NAME_PATTERN,
    MAX_NAME,
    AccountStatus,
    RiskSegment,
)
from cardwatch.contract.alert import CityText, ShortText
from cardwatch.contract.fields import (
    Amount,
    CardToken,
    Contract,
    Count,
    Country,
    Currency,
    EventTime,
)

FactorName = Literal[
    "stolen_card",
    "impossible_travel",
    "over_limit",
    "decline_streak",
    "velocity_card",
    "amount_deviation",
    "velocity_user",
    "first_in_country",
    "velocity_merchant",
    "young_account",
]
"""What may speak against a payment; a list of them has this order."""

HIGHEST_SCORE: Final = 100
_MAX_TEXT: Final = 200

Points = Annotated[int, Field(ge=0, le=HIGHEST_SCORE, strict=True)]
FactorText = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]


class Factor(Contract):
    """One thing that speaks against a payment, with what was seen and what it was held against."""

    factor: Annotated[FactorName, Field(description="Which one.")]
    points: Annotated[Points, Field(description="What it adds to the score.")]
    observed: Annotated[FactorText, Field(description="What was observed, for people.")]
    threshold: Annotated[FactorText, Field(description="What it was held against, for people.")]


class AttributedPayment(Contract):
    """One payment by its first record, as it was judged when that record arrived.

    Late payments and those of unknown accounts have one too. The payment's own fields are copied as
    it said them; the account's are those of the newest version that had arrived.
    """

    payment_id: Annotated[str, Field(max_length=128, description="The payment.")]
    card_token: Annotated[CardToken, Field(description="The card.")]
    card_last4: Annotated[
        ShortText | None, Field(description="The card number's last four digits.")
    ]
    account_id: Annotated[ShortText | None, Field(description="The account that is charged.")]
    user_id: Annotated[ShortText | None, Field(description="The user who pays.")]
    merchant_id: Annotated[ShortText | None, Field(description="The merchant who is paid.")]
    amount: Annotated[
        Amount | None, Field(description="The amount, or null where it could not be read.")
    ]
    currency: Annotated[ShortText | None, Field(description="ISO 4217 code.")]
    status: Annotated[ShortText | None, Field(description="The status of its first record.")]
    country: Annotated[ShortText | None, Field(description="ISO 3166-1 alpha-2 code.")]
    city: Annotated[CityText | None, Field(description="The merchant's city.")]
    account_known: Annotated[
        bool, Field(strict=True, description="A version of the account had arrived.")
    ]
    account_name: Annotated[
        Annotated[str, Field(pattern=MASKED_NAME_PATTERN, max_length=MAX_NAME)] | None,
        Field(description="The holder, masked; this and the fields below are null when unknown."),
    ]
    holder_country: Annotated[Country | None, Field(description="Where the holder lives.")]
    opened_at: Annotated[EventTime | None, Field(description="When the account was opened.")]
    credit_limit: Annotated[
        Amount | None, Field(description="How much may be spent in all, in account_currency.")
    ]
    account_currency: Annotated[Currency | None, Field(description="ISO 4217 code of the limit.")]
    account_status: Annotated[
        AccountStatus | None, Field(description="Whether the account may be charged.")
    ]
    risk_segment: Annotated[RiskSegment | None, Field(description="How the bank rates it.")]
    account_valid_from: Annotated[
        EventTime | None,
        Field(
            description=(
                "From when the account's version holds; after event_date_origin where a newer "
                "version came before the payment: then what it says is not judged."
            )
        ),
    ]
    late: Annotated[
        bool, Field(strict=True, description="The watermark had passed the payment when it came.")
    ]
    not_judged: Annotated[
        tuple[FactorName, ...],
        Field(description="Factors that could not be judged, for want of what they compare."),
    ]
    score: Annotated[Points, Field(description="The factors' points added up, at most 100.")]
    score_version: Annotated[
        Count | None,
        Field(
            description=(
                "The version of the rule high_score whose points these are; null where nothing "
                "speaks against the payment: that is 0 by any."
            )
        ),
    ]
    factors: Annotated[
        tuple[Factor, ...], Field(description="What speaks against it; nothing that does not.")
    ]
    detected_at: Annotated[EventTime, Field(description="Wall clock when it was judged.")]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        account = (
            self.account_name,
            self.holder_country,
            self.opened_at,
            self.credit_limit,
            self.account_currency,
            self.account_status,
            self.risk_segment,
            self.account_valid_from,
        )
        if any((value is None) == self.account_known for value in account):
            msg = "the account's fields must be there when it is known, and null otherwise"
            raise ValueError(msg)
        if self.score != min(HIGHEST_SCORE, sum(factor.points for factor in self.factors)):
            msg = "score must be the sum of the factors' points, at most 100"
            raise ValueError(msg)
        return self


def attributed_event_id(payment_id: str, card_token: str) -> str:
    """Give the event id, the same on every path and replay, and by whichever points.

    The detection builds it in SQL. The 1 is the version of the factors.
    """
    text = f"attributed|{payment_id}|{card_token}|1"
    return hashlib.sha256(text.encode()).hexdigest()
