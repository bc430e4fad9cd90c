"""CARD_STATUS: what the stolen-card registry says of one card from a moment on."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from cardwatch.contract.fields import CardLast4, CardToken, Contract, EventTime, Reason, format_time

Status = Literal["ACTIVE", "STOLEN"]


class CardStatus(Contract):
    """One version of one card's status; `effective_from` is its event time."""

    card_token: Annotated[CardToken, Field(description="The card.")]
    card_last4: Annotated[
        CardLast4, Field(description="The card number's last four digits, for people.")
    ]
    status: Annotated[
        Status, Field(description="STOLEN: payments from effective_from on raise alerts.")
    ]
    effective_from: Annotated[
        EventTime,
        Field(description="From when the status holds; not after the event's event_date_origin."),
    ]
    reason: Annotated[Reason, Field(description="Why, for people; no card number.")]


def card_status_event_id(card_token: str, status: Status, effective_from: datetime) -> str:
    """Give the event id of a status; publishing the registry again makes the same ids."""
    text = f"{card_token}|{status}|{format_time(effective_from)}"
    return hashlib.sha256(text.encode()).hexdigest()
