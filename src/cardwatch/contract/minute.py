"""MERCHANT_MINUTE and USER_MINUTE: what a merchant took, or a user paid, in one minute."""

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from cardwatch.contract.alert import ShortText
from cardwatch.contract.fields import Amount, Contract, Count, EventTime

MINUTE: Final = timedelta(minutes=1)

# Copied from the payments as they came, like an alert's.
Payer = Annotated[str, Field(min_length=1, max_length=128)]


class _Minute(Contract):
    """The payments of one minute in one currency, each once per outcome."""

    currency: Annotated[
        ShortText | None,
        Field(description="ISO 4217 code as the payments say it; currencies are never added."),
    ]
    window_start: Annotated[EventTime, Field(description="Start of the minute.")]
    window_end: Annotated[
        EventTime,
        Field(description="End of the minute, exclusive; the event's event_date_origin."),
    ]
    payment_count: Annotated[
        Count, Field(description="Payments: charged, declined and refunded ones.")
    ]
    declined: Annotated[Count, Field(description="Of payment_count, the declined ones.")]
    refunded: Annotated[Count, Field(description="Of payment_count, the refunds.")]
    amount: Annotated[
        Amount | None,
        Field(description="Sum of what was charged and readable; null beyond 15 digits."),
    ]
    refunded_amount: Annotated[
        Amount | None,
        Field(description="Sum of the refunds, as they say it; null beyond 15 digits."),
    ]
    card_count: Annotated[Count, Field(description="Distinct cards among the payments.")]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.window_end - self.window_start != MINUTE or self.window_start.second:
            msg = "window_start and window_end must be a whole minute's"
            raise ValueError(msg)
        if self.declined + self.refunded > self.payment_count:
            msg = "declined and refunded must not be more than payment_count"
            raise ValueError(msg)
        if not 1 <= self.card_count <= self.payment_count:
            msg = "card_count must be 1 to payment_count"
            raise ValueError(msg)
        return self


class MerchantMinute(_Minute):
    """What one merchant took in one minute and one currency."""

    merchant_id: Annotated[Payer, Field(description="The merchant.")]


class UserMinute(_Minute):
    """What one user paid in one minute and one currency."""

    user_id: Annotated[Payer, Field(description="The user.")]
