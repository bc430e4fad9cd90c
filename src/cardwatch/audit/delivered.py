"""Events as they are delivered, and typed ones beside them, become what is judged: each once."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from cardwatch.audit.ports import (
    QuarantinedPayment,
    Staged,
    StagedAlert,
    StagedPage,
    StagedPayment,
    StagedStatus,
)
from cardwatch.contract.fields import parse_time
from cardwatch.contract.page import TELLS_AGAIN

Fact = StagedStatus | StagedPayment | StagedAlert | StagedPage | QuarantinedPayment
_SAID_OF_A_PAYMENT: Final = (
    *("account_id", "user_id", "card_bin", "card_last4", "currency", "merchant_id", "country"),
    *("city", "status"),
)


class Gathered:
    """What was read so far. Of copies, and of what several reads find, the first load counts."""

    def __init__(self, since: datetime) -> None:
        """Audit what was loaded since then."""
        self._since = since
        self._facts: dict[tuple[object, ...], Fact] = {}
        self._of_other_rules: set[str] = set()

    def deliver(
        self, event_id: str, kind: str, happened_at: datetime, loaded_at: datetime, data: str
    ) -> None:
        """Take a row of staging.events in; one of a type that is not judged by changes nothing.

        Times are UTC, `data` is the event's own JSON.
        """
        if kind == "RULE_ALERT":
            self.leave_out(event_id)
            return
        said: Mapping[str, Any] = json.loads(data)
        new = loaded_at >= self._since
        match kind:
            case "CARD_STATUS":
                since = parse_time(said["effective_from"])
                token, status = said["card_token"], said["status"]
                self.add(StagedStatus(token, status, since, happened_at, loaded_at, new=new))
            case "PAYMENT_EVENT":
                self.add(_payment(event_id, happened_at, loaded_at, said, new=new))
            case "PAYMENT_ALERT":
                alert = StagedAlert(
                    *(said["alert_id"], said["payment_id"], said["card_token"]),
                    *(happened_at, loaded_at),
                    new=new,
                    late=said["late"],
                    found_by=said.get("found_by") or "stream",
                )
                self.add(alert)
            case "PAGE_EVENT" if said.get("kind") not in TELLS_AGAIN:
                for alert_id in said["alert_ids"]:
                    page = StagedPage(
                        *(alert_id, said["page_id"], said["state"], said.get("reason")),
                        repeat=said["repeat"],
                        happened_at=happened_at,
                        loaded_at=loaded_at,
                        new=new,
                    )
                    self.add(page)
            case "QUARANTINED_EVENT" if said["kind"] == "PAYMENT":
                at = said.get("happened_at")
                record = QuarantinedPayment(
                    *(event_id, said["card_token"], said.get("payment_id")),
                    *(None if at is None else parse_time(at), happened_at, loaded_at),
                    new=new,
                )
                self.add(record)
            case _:
                pass

    def add(self, fact: Fact) -> None:
        """Take in what may be known; the first load of it counts."""
        key = _key(fact)
        known = self._facts.get(key)
        if known is None or _order(fact) < _order(known):
            self._facts[key] = fact

    def leave_out(self, alert_id: str) -> None:
        """Judge no page of that alert: it is another rule's."""
        self._of_other_rules.add(alert_id)

    @property
    def cards(self) -> Collection[str]:
        """Give the cards that something is judged of."""
        return {
            fact.card_token
            for fact in self._facts.values()
            if fact.new and not isinstance(fact, StagedPage)
        }

    @property
    def turned_cards(self) -> Collection[str]:
        """Give the cards with a new status, of which every payment is judged."""
        facts = self._facts.values()
        return {fact.card_token for fact in facts if isinstance(fact, StagedStatus) and fact.new}

    @property
    def named_payments(self) -> Collection[tuple[str, str]]:
        """Give card and payment_id of each payment of which a record or an alert is new."""
        return {
            (fact.card_token, fact.payment_id)
            for fact in self._facts.values()
            if isinstance(fact, StagedPayment | StagedAlert) and fact.new
        }

    @property
    def judged_payment_times(self) -> Collection[datetime]:
        """Give the times of the payments whose alerts are judged."""
        return [f.happened_at for f in self._facts.values() if isinstance(f, StagedAlert) and f.new]

    @property
    def judged_alert_ids(self) -> Collection[str]:
        """Give the alerts that are judged themselves, or by a page that is."""
        return {
            fact.alert_id
            for fact in self._facts.values()
            if fact.new and isinstance(fact, StagedAlert | StagedPage)
        }

    def staged(self, as_of: datetime) -> Staged:
        """Give all of it; `as_of` is the newest load that it is at least as new as."""
        facts = self._facts.values()
        reported = {f.card_token for f in facts if isinstance(f, StagedStatus) and _stolen(f)}
        return Staged(
            as_of,
            [f for f in facts if isinstance(f, StagedStatus) and f.card_token in reported],
            [f for f in facts if isinstance(f, StagedPayment)],
            [f for f in facts if isinstance(f, StagedAlert)],
            [
                f
                for f in facts
                if isinstance(f, StagedPage) and f.alert_id not in self._of_other_rules
            ],
            [f for f in facts if isinstance(f, QuarantinedPayment)],
        )


def _stolen(status: StagedStatus) -> bool:
    return status.status == "STOLEN"


def _payment(
    event_id: str, happened_at: datetime, loaded_at: datetime, said: Mapping[str, Any], *, new: bool
) -> StagedPayment:
    amount = said.get("amount")
    return StagedPayment(
        event_id,
        said["payment_id"],
        said["card_token"],
        happened_at,
        loaded_at,
        new=new,
        amount=None if amount is None else Decimal(amount),
        **{name: said.get(name) for name in _SAID_OF_A_PAYMENT},
    )


def _key(fact: Fact) -> tuple[object, ...]:
    """Say what makes two of them the same."""
    match fact:
        case StagedStatus():
            return ("status", fact.card_token, fact.status, fact.effective_from)
        case StagedPayment():
            return ("payment", fact.payment_id, fact.card_token, fact.status)
        case StagedAlert():
            return ("alert", fact.alert_id)
        case StagedPage():
            return ("page", fact.page_id, fact.state, fact.alert_id)
        case QuarantinedPayment():
            return ("quarantined", fact.event_id)


def _order(fact: Fact) -> tuple[datetime, ...]:
    happened = fact.published_at if isinstance(fact, StagedStatus) else _happened(fact)
    return (fact.loaded_at, happened)


def _happened(fact: StagedPayment | StagedAlert | StagedPage | QuarantinedPayment) -> datetime:
    return fact.arrived_at if isinstance(fact, QuarantinedPayment) else fact.happened_at
