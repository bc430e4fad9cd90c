"""A scenario as the stream has it: its records in the order in which they arrive."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from cardwatch.contract.canary import (
    CANARY_TOKEN,
    REPORTED_AT,
    canary_payment,
    canary_report,
    is_canary,
)
from cardwatch.contract.card_status import CardStatus, Status, card_status_event_id
from cardwatch.contract.heartbeat import Heartbeat
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import EVENT_TYPES, Envelope, EventData, EventType, new_event_id
from cardwatch.golden.scenario import (
    Beat,
    CanarySent,
    CardCleared,
    CardReported,
    Happening,
    PaymentMade,
    PoisonPut,
    Scenario,
)

FIRST_BEGINNING: Final = datetime(2026, 1, 15, 10, tzinfo=UTC)
BEFORE_MS: Final = 10_000
"""So long before its beginning a scenario's first heartbeat comes: it settles what is late."""
WATERMARK_DELAY_MS: Final = 1_000
WATERMARK_STEP_MS: Final = 100
"""The job's, by its defaults (flink_app/sql/views/timed_events.sql)."""

_HOUR_MS: Final = 3_600_000
_POISON: Final = {
    "not JSON": b"{broken",
    "unknown type": b'{"type":"PAYMENT","schema_version":1}',
    "no time": b'{"type":"PAYMENT_EVENT","event_id":"e","schema_version":1,"event_json_data":{}}',
    "a list": b"[]",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record, and when the stream took it, in ms from the scenario's beginning."""

    arrival: int
    data: bytes
    row_time: int | None = None
    """What moves the job's watermark; None of what is no event."""
    payment: tuple[str, str] | None = None
    """A payment's name and its card's."""
    partition_key: str = "scenario"


@dataclass(frozen=True, slots=True)
class Script:
    """A scenario with a time and cards of its own."""

    name: str
    scenario: Scenario
    begins: datetime
    """A full hour."""
    records: tuple[Record, ...]
    card_by_token: Mapping[str, str]
    payment_by_id: Mapping[str, str] = field(default_factory=dict)
    canary_ids: frozenset[str] = frozenset()

    @property
    def over(self) -> datetime:
        """Give the full hour at which another may begin: no window has any of both."""
        hours = -(-(self.scenario.end + _HOUR_MS + 2 * BEFORE_MS) // _HOUR_MS)
        return self.begins + timedelta(milliseconds=hours * _HOUR_MS)

    def offset(self, time: datetime) -> int:
        """Give a time in ms from the beginning."""
        return round((time - self.begins) / timedelta(milliseconds=1))

    def closing(self, window_end: int, judged: int) -> int:
        """Give when the record arrives with which a window closes that the record `judged` is in.

        It is the first that moves the watermark to the window's last millisecond. Without one the
        window closes when the stream ends.
        """
        for record in self.records[judged:]:
            if record.row_time is not None:
                step = record.row_time // WATERMARK_STEP_MS * WATERMARK_STEP_MS
                if step - WATERMARK_DELAY_MS >= window_end - 1:
                    return record.arrival
        return self.scenario.end


def write_script(name: str, scenario: Scenario, begins: datetime, *, live: bool = False) -> Script:
    """Write a scenario's records; what happens at one instant stands in the file's order.

    One that is played `live` has ids of its own each time, and the stream's heartbeats.
    """
    writer = _Writer(f"{name}.{begins:%Y%m%dT%H%M%S}" if live else name, begins)
    happened = [
        record
        for number, each in enumerate(scenario.happenings())
        for record in writer.records(number, each)
    ]
    beats = [] if live else [writer.beat(-BEFORE_MS), writer.beat(scenario.end)]
    if scenario.heartbeats == "every second" and not live:
        beats += [writer.beat(at) for at in range(1_000 - BEFORE_MS, scenario.end, 1_000)]
    # A stable sort: at one instant what happens comes before the heartbeat.
    return Script(
        name=name,
        scenario=scenario,
        begins=begins,
        records=tuple(sorted([*happened, *beats], key=lambda record: record.arrival)),
        card_by_token={writer.token(card): card for card in scenario.cards},
        payment_by_id={
            writer.payment_id(each.payment): each.payment
            for each in scenario.happenings()
            if isinstance(each, PaymentMade)
        },
        canary_ids=frozenset(
            record.payment[0]
            for record in happened
            if record.payment is not None and is_canary(record.payment[1])
        ),
    )


def write_scripts(scenarios: Mapping[str, Scenario]) -> list[Script]:
    """Write scenarios one after the other, so that none is in a window of another."""
    scripts: list[Script] = []
    for name, scenario in scenarios.items():
        begins = scripts[-1].over if scripts else FIRST_BEGINNING
        scripts.append(write_script(name, scenario, begins))
    return scripts


class _Writer:
    """Writes one scenario's records."""

    def __init__(self, name: str, begins: datetime) -> None:
        self._name = name
        self._begins = begins

    def token(self, card: str) -> str:
        return hashlib.sha256(f"scenario|{self._name}|{card}".encode()).hexdigest()[:32]

    def payment_id(self, payment: str) -> str:
        return f"{self._name}.{payment}"

    def beat(self, at: int) -> Record:
        return self._heartbeat(at, at, "beat", at)

    def records(self, number: int, event: Happening) -> Sequence[Record]:
        match event:
            case PoisonPut():
                return [Record(event.arrival, _POISON[event.poison])]
            case Beat():
                return [self._heartbeat(event.at, event.arrival, "event", number)]
            case PaymentMade():
                return [self._payment(event)]
            case CardReported():
                return [self._status(event, event.reported, "STOLEN")]
            case CardCleared():
                return [self._status(event, event.cleared, "ACTIVE")]
            case CanarySent():
                return self._canary(event)

    def _canary(self, event: CanarySent) -> Sequence[Record]:
        now = self._time(event.at)
        payment = canary_payment(now, now)
        made = (payment.event_id, CANARY_TOKEN)
        return [
            Record(event.arrival, canary_report(now).to_bytes(), self._offset(REPORTED_AT)),
            Record(event.arrival, payment.to_bytes(), event.at, payment=made),
        ]

    def _payment(self, event: PaymentMade) -> Record:
        token = self.token(event.card)
        data = Payment(
            payment_id=self.payment_id(event.payment),
            account_id=f"acc_{event.card}",
            user_id=f"usr_{event.card}",
            card_token=token,
            card_bin="424242",
            card_last4=_last4(token),
            amount=Decimal(event.amount.amount),
            currency=event.amount.currency,
            merchant_id="mer_0007",
            country="MT",
            city="Valletta",
            status=event.status,
        )
        # A copy of a record has its id; another record of the same payment has one of its own.
        said = (event.payment, event.card, event.at, event.status, event.amount)
        event_id = new_event_id("scenario", self._name, *said)
        record = self._event("PAYMENT_EVENT", event.at, event.arrival, data, event_id=event_id)
        return replace(record, payment=(event.payment, event.card))

    def _status(self, event: CardReported | CardCleared, card: str, status: Status) -> Record:
        token = self.token(card)
        since = event.at if event.since is None else event.since
        data = CardStatus(
            card_token=token,
            card_last4=_last4(token),
            status=status,
            effective_from=self._time(since),
            reason="reported by holder" if status == "STOLEN" else "found again",
        )
        event_id = card_status_event_id(token, status, data.effective_from)
        record = self._event("CARD_STATUS", event.at, event.arrival, data, event_id=event_id)
        return replace(record, row_time=since)

    def _heartbeat(self, at: int, arrival: int, *which: object) -> Record:
        event_id = new_event_id("scenario", self._name, *which)
        beat = Heartbeat(source="scenario")
        return self._event("HEARTBEAT", at, arrival, beat, event_id=event_id)

    def _event(
        self,
        kind: EventType,
        at: int,
        arrival: int,
        data: EventData,
        *,
        event_id: str,
    ) -> Record:
        event = Envelope(
            type=kind,
            event_id=event_id,
            schema_version=1,
            event_date_origin=self._time(at),
            event_json_data=data,
        )
        key = getattr(data, EVENT_TYPES[kind].partition_key, "scenario")
        return Record(arrival, event.to_bytes(), at, partition_key=key)

    def _time(self, at: int) -> datetime:
        return self._begins + timedelta(milliseconds=at)

    def _offset(self, time: datetime) -> int:
        return round((time - self._begins) / timedelta(milliseconds=1))


def _last4(token: str) -> str:
    return f"{int(token, 16) % 10_000:04d}"
