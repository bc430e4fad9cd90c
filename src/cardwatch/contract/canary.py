"""What is a canary: a payment on a stolen card that no person holds, sent to see that all works.

It takes every payment's way and is counted nowhere (docs/decisions/0045). Its card alone tells it
apart, so whoever reads anything of a payment or an alert can tell.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from cardwatch.contract.card_status import CardStatus, card_status_event_id
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope

CANARY_TOKEN: Final = "ca" * 16
"""The reserved card. A tokenizer gives it to a number once in 2^128."""
REPORTED_AT: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Since when it is stolen: before every canary."""

_LAST4: Final = "0000"


def is_canary(card_token: str | None) -> bool:
    """Say whether what is said of this card is a canary's."""
    return card_token == CANARY_TOKEN


def canary_report(now: datetime) -> Envelope:
    """Give the report of the reserved card's theft, the same status whenever it is published."""
    return Envelope(
        type="CARD_STATUS",
        event_id=card_status_event_id(CANARY_TOKEN, "STOLEN", REPORTED_AT),
        schema_version=1,
        event_date_origin=now,
        event_json_data=CardStatus(
            card_token=CANARY_TOKEN,
            card_last4=_LAST4,
            status="STOLEN",
            effective_from=REPORTED_AT,
            reason="canary: this card is nobody's",
        ),
    )


def canary_payment(minute: datetime, now: datetime) -> Envelope:
    """Give the canary of a minute, made now; sent twice, it is one payment."""
    payment_id = f"canary_{minute.astimezone(UTC):%Y%m%dT%H%M}"
    return Envelope(
        type="PAYMENT_EVENT",
        event_id=payment_id,
        schema_version=1,
        event_date_origin=now,
        event_json_data=Payment(
            payment_id=payment_id,
            account_id="canary",
            user_id="canary",
            card_token=CANARY_TOKEN,
            card_bin=None,
            card_last4=_LAST4,
            amount=Decimal("1.00"),
            currency="EUR",
            merchant_id="canary",
            country="MT",
            city="Valletta",
            status="AUTHORIZED",
        ),
    )
