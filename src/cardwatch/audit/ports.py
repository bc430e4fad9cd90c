"""What the audit asks of the warehouse: events as they are staged, typed, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from cardwatch.contract.alert import FoundBy
from cardwatch.contract.card_status import Status
from cardwatch.contract.page import ExpiredReason, PageState


@dataclass(frozen=True, slots=True)
class StagedStatus:
    """One status of a card; one that is published again is the same."""

    card_token: str
    status: Status
    effective_from: datetime
    published_at: datetime
    """event_date_origin of its first publication."""
    loaded_at: datetime
    """When its first publication was loaded."""
    new: bool
    """Loaded within what is audited; the others are there to judge by."""


@dataclass(frozen=True, slots=True)
class StagedPayment:
    """One record of a payment: one per payment_id, card_token and status, the first loaded."""

    event_id: str
    payment_id: str
    card_token: str
    happened_at: datetime
    """Its event_date_origin."""
    loaded_at: datetime
    new: bool
    account_id: str | None
    user_id: str | None
    card_bin: str | None
    card_last4: str | None
    amount: Decimal | None
    currency: str | None
    merchant_id: str | None
    country: str | None
    city: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class StagedAlert:
    """One PAYMENT_ALERT of the rule stolen_card."""

    alert_id: str
    payment_id: str
    card_token: str
    happened_at: datetime
    """The payment's event time, as the alert says it."""
    loaded_at: datetime
    new: bool
    late: bool
    found_by: FoundBy


@dataclass(frozen=True, slots=True)
class StagedPage:
    """One alert in one PAGE_EVENT; of alerts of other rules there is none."""

    alert_id: str
    page_id: str
    state: PageState
    reason: ExpiredReason | None
    """Of EXPIRED only."""
    repeat: bool
    happened_at: datetime
    loaded_at: datetime
    new: bool


@dataclass(frozen=True, slots=True)
class QuarantinedPayment:
    """One payment that names a stolen card and is in quarantine."""

    event_id: str
    card_token: str
    payment_id: str | None
    """None where it is not legible."""
    happened_at: datetime | None
    """None where it is not legible, or no time that an event of its arrival may have."""
    arrived_at: datetime
    loaded_at: datetime
    new: bool


@dataclass(frozen=True, slots=True)
class Staged:
    """What is audited, and all that it is judged by. Times are UTC."""

    as_of: datetime | None
    """The newest load that all of it is at least as new as; None where nothing is loaded."""
    statuses: Sequence[StagedStatus] = ()
    payments: Sequence[StagedPayment] = ()
    """Of each card, all or none."""
    alerts: Sequence[StagedAlert] = ()
    pages: Sequence[StagedPage] = ()
    quarantined: Sequence[QuarantinedPayment] = ()


class StagedEvents(Protocol):
    """The warehouse as the audit reads it."""

    def read(self, since: datetime | None) -> Staged:
        """Give what was loaded since then, or all, with what is needed to judge it.

        Raises WarehouseUnavailableError, StatementFailedError.
        """
        ...
