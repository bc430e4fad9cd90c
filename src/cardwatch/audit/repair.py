"""Puts missing alerts on the stream: those that the stream would have, under the same ids."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from cardwatch.audit.completeness import Finding
from cardwatch.contract.alert import PaymentAlert, alert_id
from cardwatch.contract.currencies import MINOR_UNITS
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import Envelope
from cardwatch.ports import Clock, EventStream, StreamEntry

WINDOW: Final = timedelta(seconds=5)
"""The detection's window, aligned to the epoch."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOO_LONG: Final = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did."""

    put: int
    """Alerts on the stream now."""
    unmade: int
    """Missing payments of which no alert can be made: what is in quarantine breaks the contract."""
    undelivered: Mapping[str, int]
    """Alerts that the stream did not take, by error code."""

    @property
    def complete(self) -> bool:
        """Say whether every missing alert is on the stream."""
        return not (self.unmade or self.undelivered)


def repair(missing: Iterable[Finding], stream: EventStream, clock: Clock) -> RepairReport:
    """Put the alerts of missing payments on the stream, the oldest payment first.

    Whoever runs it twice before the first alerts are staged puts the same ids again, which the
    notifier and the warehouse know by then.
    """
    findings = list(missing)
    alerts = [made for finding in findings if (made := missing_alert(finding, clock.now()))]
    alerts.sort(key=lambda alert: (alert.event_date_origin, alert.event_id))
    outcome = stream.put([StreamEntry(alert.to_bytes(), alert.event_id) for alert in alerts])
    return RepairReport(
        outcome.delivered,
        len(findings) - len(alerts),
        Counter(lost.error_code for lost in outcome.undelivered),
    )


def missing_alert(finding: Finding, now: datetime) -> Envelope | None:
    """Make the alert that is missing; None where nothing is staged that it could be made of.

    It says what the stream's would: rule, reason, the payment's own 5 s window. It is `late`, for
    no summary has it, and says by which path it was found.
    """
    if finding.owed is None:
        return None
    record, report = finding.owed.record, finding.owed.report
    start = _EPOCH + (record.happened_at - _EPOCH) // WINDOW * WINDOW
    made = alert_id(record.payment_id, record.card_token)
    return Envelope(
        type="PAYMENT_ALERT",
        event_id=made,
        schema_version=1,
        event_date_origin=record.happened_at,
        event_json_data=PaymentAlert(
            alert_id=made,
            rule="stolen_card",
            rule_version=1,
            reason=f"card reported stolen {format_time(report.effective_from)}",
            reported_at=report.effective_from,
            window_start=start,
            window_end=start + WINDOW,
            late=True,
            detected_at=now,
            payment_id=record.payment_id,
            account_id=record.account_id,
            user_id=record.user_id,
            card_token=record.card_token,
            card_bin=record.card_bin,
            card_last4=record.card_last4,
            amount=_rounded(record.amount, record.currency),
            currency=record.currency,
            merchant_id=record.merchant_id,
            country=record.country,
            city=record.city,
            status=record.status,
            found_by="look_back" if finding.cause == "reported_later" else "audit",
        ),
    )


def _rounded(amount: Decimal | None, currency: str | None) -> Decimal | None:
    """Round to the currency's decimals, as the detection does; None for what is too long then.

    What has no minor unit gets two decimals where that loses nothing, else four.
    """
    if amount is None:
        return None
    places = MINOR_UNITS.get(currency or "", 2 if amount == round(amount, 2) else 4)
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if abs(rounded) >= _TOO_LONG:
        return None
    return abs(rounded) if rounded == 0 else rounded
