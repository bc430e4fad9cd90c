"""What a page says of one alert: cut to length, in one line each, and without a card number."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from cardwatch.contract.alert import FoundBy, PaymentAlert
from cardwatch.contract.card_numbers import holds_card_number, mask_card_numbers
from cardwatch.contract.fields import Amount, EventTime, Sha256
from cardwatch.contract.rule_alert import EntityKind, RuleAlert, Severity
from cardwatch.contract.streams import Envelope

MAX_TEXT: Final = 80
"""Characters of one field in a page; it also bounds what an alert takes in the ledger."""

_BIN: Final = re.compile(r"([0-9]{6})(?:[0-9]{2})?")
_LAST4: Final = re.compile(r"[0-9]{4}")


MAX_REASON: Final = 300
"""Characters of why; a rule's explanation is a sentence."""
MAX_PAYMENT_IDS: Final = 5
"""Payments that a page names of one alert; the rest is counted."""


class PagedAlert(BaseModel):
    """One alert as the ledger keeps it and the page shows it.

    The defaults and aliases read what a ledger holds from before there was more than one rule.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, validate_by_name=True)

    alert_id: Sha256
    rule: str = "stolen_card"
    """Which rule found it: it decides the page's words."""
    severity: Severity = "critical"
    entity_kind: EntityKind = "card"
    entity: Annotated[str, Field(validation_alias=AliasChoices("entity", "card"))]
    """For people; of a card the masked number, first six and last four digits at most."""
    entity_id: Annotated[str, Field(validation_alias=AliasChoices("entity_id", "card_token"))]
    """For programs; of a card its token."""
    amount: Amount | None
    """The payment's, or what the rule observed."""
    currency: str | None
    threshold: Amount | None = None
    """What the rule held it against."""
    merchant: str | None = None
    city: str | None = None
    country: str | None = None
    happened_at: EventTime
    detected_at: EventTime
    window_start: EventTime | None = None
    """The rule's window, for rules that have one to tell of."""
    window_end: EventTime | None = None
    reason: str | None
    payment_ids: Annotated[
        tuple[str, ...],
        Field(validation_alias=AliasChoices("payment_ids", "payment_id")),
        BeforeValidator(lambda ids: (ids,) if isinstance(ids, str) else ids or ()),
    ] = ()
    payment_count: int = 1
    account_id: str | None = None
    user_id: str | None = None
    status: str | None = None
    """The payment's."""
    found_by: FoundBy = "stream"

    @property
    def ages_from(self) -> datetime:
        """Say since when people could have been told: what was found late is not old by that.

        A rule over a window is breached at its end at the latest, its first payment long before.
        """
        if self.found_by != "stream":
            return self.detected_at
        return self.window_end or self.happened_at

    @property
    def scopes(self) -> tuple[str, ...]:
        """Give what a snooze that covers it may be about, as a PAGE_ACT writes it.

        Its entity, what a payment's alert names beside its card, and its rule. An id of more than
        80 characters is cut, so no snooze covers it.
        """
        own = {self.entity_kind: self.entity_id}
        named = {"account": self.account_id, "user": self.user_id, "merchant": self.merchant}
        ids = own | named | own | {"rule": self.rule}
        return tuple(f"{kind}:{name}" for kind, name in ids.items() if name)

    @classmethod
    def of(cls, event: Envelope) -> Self:
        """Take from an alert what a page needs; raises TypeError for another event."""
        alert = event.event_json_data
        if isinstance(alert, PaymentAlert):
            return cls(
                alert_id=alert.alert_id,
                rule=alert.rule,
                entity=_masked(alert.card_token, alert.card_bin, alert.card_last4),
                entity_id=alert.card_token,
                amount=_amount(alert.amount),
                currency=_line(alert.currency),
                merchant=_line(alert.merchant_id),
                city=_line(alert.city),
                country=_line(alert.country),
                happened_at=event.event_date_origin,
                detected_at=alert.detected_at,
                reason=_line(alert.reason, MAX_REASON),
                payment_ids=_lines((alert.payment_id,)),
                account_id=_line(alert.account_id),
                user_id=_line(alert.user_id),
                status=_line(alert.status),
                found_by=alert.found_by or "stream",
            )
        if isinstance(alert, RuleAlert):
            is_card = alert.entity_kind == "card"
            return cls(
                alert_id=alert.alert_id,
                rule=alert.rule,
                severity=alert.severity,
                entity_kind=alert.entity_kind,
                entity=_masked(alert.entity_id, None, alert.card_last4)
                if is_card
                else _line(alert.entity_id) or "unknown",
                entity_id=alert.entity_id if is_card else _line(alert.entity_id) or "unknown",
                amount=_amount(alert.observed),
                currency=_line(alert.currency),
                threshold=_amount(alert.threshold),
                happened_at=event.event_date_origin,
                detected_at=alert.detected_at,
                window_start=alert.window_start,
                window_end=alert.window_end,
                reason=_line(alert.explanation, MAX_REASON),
                payment_ids=_lines(alert.payment_ids[:MAX_PAYMENT_IDS]),
                payment_count=alert.payment_count,
            )
        msg = f"{event.type} is not an alert"
        raise TypeError(msg)


def newest_first(alerts: Iterable[PagedAlert]) -> list[PagedAlert]:
    """Give alerts in the order in which people see them."""
    return sorted(alerts, key=lambda alert: (alert.happened_at, alert.alert_id), reverse=True)


def _masked(token: str, card_bin: str | None, card_last4: str | None) -> str:
    """Mask the card; a field that is not what it should be might hold a whole number."""
    bank = _BIN.fullmatch(card_bin) if card_bin else None
    first = bank.group(1) if bank else None
    last = card_last4 if card_last4 and _LAST4.fullmatch(card_last4) else None
    if first and last:
        return f"{first}******{last}"
    if last:
        return f"******{last}"
    if first:
        return f"{first}******"
    return f"token {token[:12]}"


def _amount(amount: Decimal | None) -> Decimal | None:
    """Give the amount; one whose digits are a card number is none."""
    return None if amount is None or holds_card_number(f"{amount:f}") else amount


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for text in texts if (line := _line(text)))


def _line(text: str | None, longest: int = MAX_TEXT) -> str | None:
    """Make one line of a field that came as it was; None where nothing readable is left.

    Control and format characters could break the page's lines or turn its text around.
    """
    if text is None:
        return None
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return mask_card_numbers(" ".join(visible.split()))[:longest].strip() or None
