"""QUARANTINED_EVENTs: what the stager says of what it quarantines, so that marts see it.

Of payments on stolen cards and of card statuses, nothing else: what breaks the contract may be all
that a producer sends, and must not double what the stream of alerts carries.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cardwatch.contract.fields import format_time
from cardwatch.contract.framing import split_record
from cardwatch.contract.quarantined import QuarantinedEvent
from cardwatch.contract.streams import (
    EARLIEST_EVENT_TIME,
    MAX_CLOCK_SKEW,
    Envelope,
    new_event_id,
)
from cardwatch.ports import StreamEntry
from cardwatch.staging.legible import (
    legible_payment_id,
    legible_status,
    legible_status_tokens,
    legible_time,
    legible_tokens,
)


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """One record of a batch that went to quarantine."""

    raw: bytes
    """It may hold anything, a card number too: never log it."""
    reason: str
    """A RejectionReason's value or NO_ROOM."""
    arrived_at: datetime
    """When the stream took it."""
    place: str
    """Where it is on the stream: the same however often Firehose asks."""


def quarantined_events(
    records: Sequence[QuarantinedRecord], stolen_cards: Collection[str]
) -> list[StreamEntry]:
    """Give the events that say what is to be said of quarantined records, each event once.

    Each event of a record with several is looked at by itself. An id is made of what the event
    says, so a copy of a payment and a status that is published again are the same event; where no
    payment id is legible, of the record's place. No id is made of the record's own bytes: a hash
    of a card number gives it away.
    """
    return list(dict(entry for record in records for entry in _of(record, stolen_cards)).values())


def _of(
    record: QuarantinedRecord, stolen_cards: Collection[str]
) -> Iterator[tuple[str, StreamEntry]]:
    for number, raw in enumerate(split_record(record.raw)):
        for token in sorted(legible_tokens(raw).intersection(stolen_cards)):
            payment = QuarantinedEvent(
                kind="PAYMENT",
                reason=record.reason,
                card_token=token,
                payment_id=legible_payment_id(raw),
                status=None,
                happened_at=_believed(legible_time(raw, "event_date_origin"), record.arrived_at),
            )
            yield _entry(record, payment, payment.payment_id or f"{record.place}|{number}")
        for token in sorted(legible_status_tokens(raw)):
            status = QuarantinedEvent(
                kind="CARD_STATUS",
                reason=record.reason,
                card_token=token,
                payment_id=None,
                status=legible_status(raw),
                happened_at=legible_time(raw, "effective_from"),
            )
            since = status.happened_at and format_time(status.happened_at)
            yield _entry(record, status, f"{status.status}|{since}")


def _believed(origin: datetime | None, arrived_at: datetime) -> datetime | None:
    """Give a payment's time where the contract allows it, so that a wrong one clears no card."""
    allowed = origin and EARLIEST_EVENT_TIME <= origin <= arrived_at + MAX_CLOCK_SKEW
    return origin if allowed else None


def _entry(
    record: QuarantinedRecord, data: QuarantinedEvent, known_by: str
) -> tuple[str, StreamEntry]:
    """Give an event under its id."""
    event = Envelope(
        type="QUARANTINED_EVENT",
        event_id=new_event_id(
            "QUARANTINED_EVENT", data.kind, data.reason, data.card_token, known_by
        ),
        schema_version=1,
        event_date_origin=record.arrived_at,
        event_json_data=data,
    )
    return event.event_id, StreamEntry(event.to_bytes(), data.card_token)
