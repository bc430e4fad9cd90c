"""What the rows of both tables share on their way to becoming events."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardwatch.banking.ports import BankRow, BankTable
from cardwatch.contract.card_numbers import mask_card_numbers
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import (
    EVENT_TYPES,
    Envelope,
    EventType,
    RejectedRecord,
    RejectionReason,
    read_event,
)
from cardwatch.ports import StreamEntry

_LONGEST_SHOWN: Final = 128
"""Characters of a key; the contract's ids have no more."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A table, and what its rows become."""

    name: str
    """Of its cursors."""
    table: BankTable
    event: Callable[[BankRow, datetime], StreamEntry]
    """Gives a row's record as published at an instant; raises RejectedRecord."""
    shown: Callable[[BankRow], str]
    """Gives a row's key as people and the cursor store may see it."""


def shown_key(row: BankRow) -> str:
    """Give a row's key with what looks like a card number in it masked."""
    return mask_card_numbers(row.key)[:_LONGEST_SHOWN]


def instant(name: str, text: str | None) -> str | None:
    """Give a column's time the contract's way; raises RejectedRecord for what is no instant."""
    if text is None:
        return None
    try:
        return format_time(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        detail = f"{name} must be a timestamp with time zone that exists"
        raise RejectedRecord(RejectionReason.BAD_TIME, detail) from None


def entry_of(
    kind: EventType, event_id: str, origin: str | None, data: Mapping[str, object], now: datetime
) -> StreamEntry:
    """Give an event's record, read as whoever reads the stream does; raises RejectedRecord."""
    record = {
        "type": kind,
        "event_id": event_id,
        "schema_version": 1,
        "event_date_origin": origin,
        "event_json_data": data,
    }
    event: Envelope = read_event(json.dumps(record, ensure_ascii=False).encode(), now=now)
    key = getattr(event.event_json_data, EVENT_TYPES[kind].partition_key)
    return StreamEntry(event.to_bytes(), key)
