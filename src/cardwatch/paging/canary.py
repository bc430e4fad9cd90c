"""What the arrival of a canary's alert tells: that the way works, and how long each part took."""

from datetime import datetime, timedelta
from typing import Final, Self

from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.fields import EventTime
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Record

CANARY_KEY: Final = "canary"
SIGN_OF_LIFE: Final = timedelta(minutes=5)
"""How old a canary may be that says that the way works: one that comes later was stuck, or is
played again."""


class CanaryArrival(Record):
    """One canary at the notifier, the last station before people; the ledger keeps the newest."""

    sent_at: EventTime
    """The payment's time."""
    window_end: EventTime
    detected_at: EventTime
    arrived_at: EventTime

    @classmethod
    def of_alert(cls, alert: PaymentAlert, sent_at: datetime, now: datetime) -> Self:
        """Take the times from a canary's alert that came now."""
        return cls(
            since=now,
            sent_at=sent_at,
            window_end=alert.window_end,
            detected_at=alert.detected_at,
            arrived_at=now,
        )

    @property
    def is_sign_of_life(self) -> bool:
        return self.took <= SIGN_OF_LIFE

    @property
    def took(self) -> timedelta:
        """Say how long it took from the payment to here."""
        return self.arrived_at - self.sent_at

    @property
    def detection(self) -> timedelta:
        """Say how long it took from its window's end to its alert; the wait before is by design."""
        return self.detected_at - self.window_end

    @property
    def delivery(self) -> timedelta:
        """Say how long it took from the alert to here."""
        return self.arrived_at - self.detected_at

    def in_place_of(self, known: Self | None) -> Self:
        """Give it as the next version of the one that the ledger has."""
        return self._next(version=known.version) if known else self

    def item(self) -> LedgerItem:
        return self._item(CANARY_KEY, "ARRIVED", None)
