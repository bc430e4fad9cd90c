"""A warehouse in memory, and the day of a card that the audit's tests seed omissions into."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flink.scenarios import BASE, payment, status, token
from tests.unit.paging.support import alert_event

from cardwatch.audit.ports import (
    QuarantinedPayment,
    Staged,
    StagedAlert,
    StagedPage,
    StagedPayment,
    StagedStatus,
)
from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.page import TELLS_AGAIN, PageEvent
from cardwatch.contract.payment import Payment
from cardwatch.contract.quarantined import QuarantinedEvent
from cardwatch.contract.streams import Envelope, new_event_id, read_event

START = datetime.fromtimestamp(BASE / 1_000, UTC)
"""The time zero of tests.flink.scenarios."""
READ_AT = START + timedelta(days=30)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class FakeStagedEvents:
    """What was loaded, typed and each once, as the warehouse's refresh keeps it."""

    loads: list[tuple[datetime, Envelope]] = field(default_factory=list)
    as_of: datetime | None = None
    """By default when something was loaded last."""

    def load(self, loaded_at: datetime, *events: Envelope | str) -> None:
        """Load events, envelopes or lines."""
        for event in events:
            if isinstance(event, str):
                event = read_event(event.encode(), now=READ_AT)  # noqa: PLW2901
            self.loads.append((loaded_at, event))

    def read(self, since: datetime | None) -> Staged:
        loads = sorted(self.loads, key=lambda load: load[0])
        if not loads:
            return Staged(as_of=None)
        found: dict[object, Any] = {}
        pages: list[StagedPage] = []
        for loaded_at, event in loads:
            new = since is None or loaded_at >= since
            for key, fact in _facts(event, loaded_at, new=new):
                if isinstance(fact, StagedPage):
                    pages.append(fact)
                else:
                    found.setdefault(key, fact)

        def of(kind: type) -> list[Any]:
            return [fact for fact in found.values() if isinstance(fact, kind)]

        return Staged(
            self.as_of or loads[-1][0],
            of(StagedStatus),
            of(StagedPayment),
            of(StagedAlert),
            pages,
            of(QuarantinedPayment),
        )


def _facts(event: Envelope, loaded_at: datetime, *, new: bool) -> list[tuple[object, Any]]:
    said, origin = event.event_json_data, event.event_date_origin
    if isinstance(said, CardStatus):
        fact = StagedStatus(
            said.card_token, said.status, said.effective_from, origin, loaded_at, new=new
        )
        return [(event.event_id, fact)]
    if isinstance(said, Payment):
        record = StagedPayment(
            event_id=event.event_id,
            happened_at=origin,
            loaded_at=loaded_at,
            new=new,
            **{
                name: getattr(said, name)
                for name in (
                    *("payment_id", "card_token", "account_id", "user_id", "card_bin"),
                    *("card_last4", "amount", "currency", "merchant_id", "country", "city"),
                    "status",
                )
            },
        )
        return [((said.payment_id, said.card_token, said.status), record)]
    if isinstance(said, PaymentAlert):
        alert = StagedAlert(
            said.alert_id,
            said.payment_id,
            said.card_token,
            origin,
            loaded_at,
            new=new,
            late=said.late,
            found_by=said.found_by or "stream",
        )
        return [(event.event_id, alert)]
    if isinstance(said, PageEvent) and said.kind not in TELLS_AGAIN:
        return [
            (
                event.event_id,
                StagedPage(
                    alert_id,
                    said.page_id,
                    said.state,
                    said.reason,
                    repeat=said.repeat,
                    happened_at=origin,
                    loaded_at=loaded_at,
                    new=new,
                ),
            )
            for alert_id in said.alert_ids
        ]
    if isinstance(said, QuarantinedEvent) and said.kind == "PAYMENT":
        quarantined = QuarantinedPayment(
            event.event_id,
            said.card_token,
            said.payment_id,
            said.happened_at,
            origin,
            loaded_at,
            new=new,
        )
        return [(event.event_id, quarantined)]
    return []


def stolen(card: str, *, effective: float = -3_600, published: float = -60) -> str:
    """A report of a card's theft; times in seconds after START."""
    return status(card, "STOLEN", int(effective * 1_000), int(published * 1_000))


def cleared(card: str, *, effective: float, published: float) -> str:
    return status(card, "ACTIVE", int(effective * 1_000), int(published * 1_000))


def paid(name: str, card: str, seconds: float, **said: Any) -> str:  # noqa: ANN401  any field
    return payment(name, card, int(seconds * 1_000), **said)


def alert_of(name: str, card: str, seconds: float, **said: Any) -> Envelope:  # noqa: ANN401
    """The alert of a payment as the stream says it."""
    payment_id, card_token = f"pay_{name}", token(card)
    event = alert_event(at=at(seconds), card_token=card_token)
    data = event.event_json_data.model_dump(exclude_unset=True)
    made = new_id(payment_id, card_token)
    data |= {"payment_id": payment_id, "alert_id": made, **said}
    return event.model_copy(
        update={
            "event_id": data["alert_id"],
            "event_json_data": PaymentAlert.model_validate(data),
        }
    )


def new_id(payment_id: str, card_token: str) -> str:
    """An alert's id, apart from the code that makes it."""
    return hashlib.sha256(f"{payment_id}|{card_token}|stolen_card|1".encode()).hexdigest()


def page_of(page_id: str, seconds: float, *alerts: Envelope, **said: Any) -> Envelope:  # noqa: ANN401
    data = {
        "page_id": page_id,
        "state": "SENT",
        "alert_ids": [alert.event_id for alert in alerts],
        "channel": "sns",
        "repeat": False,
        **said,
    }
    return Envelope(
        type="PAGE_EVENT",
        event_id=f"{page_id}|{data['state']}",
        schema_version=1,
        event_date_origin=at(seconds),
        event_json_data=PageEvent.model_validate(data),
    )


def quarantined(name: str | None, card: str, seconds: float | None, arrived: float) -> Envelope:
    return Envelope(
        type="QUARANTINED_EVENT",
        event_id=new_event_id(name, card, seconds),
        schema_version=1,
        event_date_origin=at(arrived),
        event_json_data=QuarantinedEvent.model_validate(
            {
                "kind": "PAYMENT",
                "reason": "invalid_data",
                "card_token": token(card),
                "payment_id": None if name is None else f"pay_{name}",
                "status": None,
                "happened_at": None if seconds is None else at(seconds),
            }
        ),
    )
