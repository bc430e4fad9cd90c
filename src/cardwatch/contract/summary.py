"""PAYMENT_ALERT_SUMMARY: the last 60 minutes of stolen payments, every 10 s."""

from typing import Annotated

from pydantic import Field

from cardwatch.contract.alert import ShortText
from cardwatch.contract.fields import Amount, CardToken, Contract, Count, EventTime


class CurrencyTotal(Contract):
    """What the stolen payments in one currency add up to; currencies are never added together."""

    currency: Annotated[str, Field(max_length=128, description="ISO 4217 code.")]
    count: Annotated[Count, Field(description="Payments with a readable amount in this currency.")]
    amount: Annotated[Amount, Field(description="Their sum.")]


class TopCard(Contract):
    """One of the cards with the most stolen payments."""

    card_token: Annotated[CardToken, Field(description="The card.")]
    card_last4: Annotated[
        ShortText | None, Field(description="The card number's last four digits.")
    ]
    payment_count: Annotated[Count, Field(description="Its stolen payments in the window.")]


class AlertSummary(Contract):
    """One fire of the 60 min window; there is none while the window is empty."""

    window_start: Annotated[EventTime, Field(description="Start of the window.")]
    window_end: Annotated[
        EventTime, Field(description="End of the window, exclusive; a multiple of 10 s.")
    ]
    payment_count: Annotated[
        Count,
        Field(description="Stolen payments: also those declined, refunded or without an amount."),
    ]
    card_count: Annotated[Count, Field(description="Distinct stolen cards.")]
    totals: Annotated[
        tuple[CurrencyTotal, ...],
        Field(description="Per currency, sorted by it; without the declined and the refunded."),
    ]
    top_cards: Annotated[
        tuple[TopCard, ...],
        Field(max_length=5, description="At most five, by payment_count descending, then token."),
    ]
    declined: Annotated[
        Count | None, Field(description="Of payment_count, the declined ones; they cost nothing.")
    ] = None
    refunded: Annotated[
        Count | None, Field(description="Of payment_count, the refunds; they cost nothing.")
    ] = None
