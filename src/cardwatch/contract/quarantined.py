"""QUARANTINED_EVENT: what the stager put aside that somebody should have judged."""

from typing import Annotated, Literal

from pydantic import Field

from cardwatch.contract.card_status import Status
from cardwatch.contract.fields import CardToken, Contract, EventTime, Identifier, LegibleId

QuarantinedKind = Literal["PAYMENT", "CARD_STATUS"]


class QuarantinedEvent(Contract):
    """One payment on a stolen card, or one card status, that breaks the contract.

    Payment, status and time are what could be read of a record that is broken somewhere else, so
    each may be null. Nothing in it is taken over that could hold a card number.
    """

    kind: Annotated[
        QuarantinedKind,
        Field(description="CARD_STATUS where it says that it is one, else PAYMENT."),
    ]
    reason: Annotated[Identifier, Field(description="Why its record is in quarantine.")]
    card_token: Annotated[
        CardToken,
        Field(description="The card; of a payment one whose newest status said STOLEN then."),
    ]
    payment_id: Annotated[
        LegibleId | None,
        Field(description="The payment; null when unreadable or holding a card number."),
    ]
    status: Annotated[
        Status | None,
        Field(description="Of a card status what it says; null when unreadable, and of a payment."),
    ]
    happened_at: Annotated[
        EventTime | None,
        Field(
            description="Its event time, a payment's event_date_origin or a status's "
            "effective_from; null when unreadable, and a payment's when no event may have it."
        ),
    ]
