"""A canary at each station of its way."""

from datetime import datetime, timedelta

from tests.fakes import NOON
from tests.unit.paging.support import alert_event

from cardwatch.contract.alert import alert_id
from cardwatch.contract.canary import CANARY_TOKEN, canary_payment
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope


def canary_alert(sent_at: datetime = NOON) -> Envelope:
    """Give the alert that the detection makes of the canary sent then."""
    payment = canary_payment(sent_at, sent_at).event_json_data
    assert isinstance(payment, Payment)
    return alert_event(
        at=sent_at,
        alert_id=alert_id(payment.payment_id, CANARY_TOKEN),
        payment_id=payment.payment_id,
        card_token=CANARY_TOKEN,
        card_bin=None,
        card_last4=payment.card_last4,
        window_end=sent_at + timedelta(seconds=5),
        detected_at=sent_at + timedelta(seconds=6),
    )
