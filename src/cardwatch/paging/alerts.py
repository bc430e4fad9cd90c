"""What a page says of one alert: cut to length, in one line each, and without a card number."""

import re
import unicodedata
from decimal import Decimal
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.card_numbers import holds_card_number, mask_card_numbers
from cardwatch.contract.fields import Amount, CardToken, EventTime, Sha256
from cardwatch.contract.streams import Envelope

MAX_TEXT: Final = 80
"""Characters of one field in a page; it also bounds what an alert takes in the ledger."""

_BIN: Final = re.compile(r"([0-9]{6})(?:[0-9]{2})?")
_LAST4: Final = re.compile(r"[0-9]{4}")


class PagedAlert(BaseModel):
    """One alert as the ledger keeps it and the page shows it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    alert_id: Sha256
    card: str
    """The masked number: first six and last four digits at most."""
    card_token: CardToken
    amount: Amount | None
    currency: str | None
    merchant: str | None
    city: str | None
    country: str | None
    happened_at: EventTime
    detected_at: EventTime
    reason: str | None
    payment_id: str | None
    account_id: str | None

    @classmethod
    def of(cls, event: Envelope) -> Self:
        """Take from a PAYMENT_ALERT what a page needs; raises TypeError for another event."""
        alert = event.event_json_data
        if not isinstance(alert, PaymentAlert):
            msg = f"{event.type} is not an alert"
            raise TypeError(msg)
        return cls(
            alert_id=alert.alert_id,
            card=_masked(alert),
            card_token=alert.card_token,
            amount=_amount(alert.amount),
            currency=_line(alert.currency),
            merchant=_line(alert.merchant_id),
            city=_line(alert.city),
            country=_line(alert.country),
            happened_at=event.event_date_origin,
            detected_at=alert.detected_at,
            reason=_line(alert.reason),
            payment_id=_line(alert.payment_id),
            account_id=_line(alert.account_id),
        )


def _masked(alert: PaymentAlert) -> str:
    """Mask the card; a field that is not what it should be might hold a whole number."""
    bank = _BIN.fullmatch(alert.card_bin) if alert.card_bin else None
    first = bank.group(1) if bank else None
    last = alert.card_last4 if alert.card_last4 and _LAST4.fullmatch(alert.card_last4) else None
    if first and last:
        return f"{first}******{last}"
    if last:
        return f"******{last}"
    if first:
        return f"{first}******"
    return f"token {alert.card_token[:12]}"


def _amount(amount: Decimal | None) -> Decimal | None:
    """Give the amount; one whose digits are a card number is none."""
    return None if amount is None or holds_card_number(f"{amount:f}") else amount


def _line(text: str | None) -> str | None:
    """Make one line of a field that came as it was; None where nothing readable is left.

    Control and format characters could break the page's lines or turn its text around.
    """
    if text is None:
        return None
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return mask_card_numbers(" ".join(visible.split()))[:MAX_TEXT].strip() or None
