"""The Firehose transform: every record of one batch is staged or quarantined by the contract."""

import base64
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.streams import Envelope, RejectedRecord, RejectionReason, read_event
from cardwatch.staging.quarantined import QuarantinedRecord

MAX_RESPONSE_BYTES: Final = 6_000_000
"""What the answer may hold; Lambda's limit is 6 MB (6,291,456 bytes)."""
NO_ROOM: Final = "no_room_in_response"
"""Counted for a valid record that did not fit the answer and was quarantined whole."""

_ENTRY_OVERHEAD = len('{"recordId": "", "result": "ProcessingFailed", "data": ""}, ')


@dataclass(frozen=True, slots=True)
class TransformedBatch:
    """The answer to Firehose, and what it says in numbers."""

    response: dict[str, Any]
    staged: int
    quarantined: Counter[str]
    """Records per reason: a RejectionReason's value or NO_ROOM."""
    quarantined_records: tuple[QuarantinedRecord, ...] = ()
    """The same records themselves."""
    statuses: tuple[CardStatus, ...] = ()
    """What the batch's CARD_STATUS events say, those that were staged."""


def transform(event: Mapping[str, Any], *, now: datetime) -> TransformedBatch:
    """Answer one invocation of Firehose's data transformation.

    An event's time is bounded by the record's arrival on the stream, which Firehose hands over: so
    the answer does not depend on how long it lay in a buffer, and is the one that the Flink job
    gave. `now` stands in for an arrival that is not there.

    Firehose takes the Kinesis Producer Library's aggregated records apart before it asks; the Flink
    connector does not, so what came out of one was not judged and is not staged (`several_events`).

    A record is `Ok` with one line for COPY, or `ProcessingFailed` with its own data, so that the
    error output holds it whole. The answer never exceeds MAX_RESPONSE_BYTES: Firehose's batches
    (1 MB) stay far below it, and should one not, the records that do not fit are quarantined
    rather than the whole batch failed.
    """
    records = event["records"]
    aggregated = _aggregated(records)
    room = MAX_RESPONSE_BYTES - sum(len(r["recordId"]) + _ENTRY_OVERHEAD for r in records)
    answers = []
    staged = 0
    quarantined: list[QuarantinedRecord] = []
    statuses: list[CardStatus] = []
    for record in records:
        result, data = "ProcessingFailed", record["data"]
        raw = base64.b64decode(data)
        try:
            envelope = _read(record, raw, aggregated, now)
        except RejectedRecord as rejected:
            quarantined.append(_quarantined(record, raw, rejected.reason.value, now))
        else:
            encoded = base64.b64encode(copy_line(envelope)).decode()
            if len(encoded) <= room:
                result, data = "Ok", encoded
                staged += 1
                if isinstance(envelope.event_json_data, CardStatus):
                    statuses.append(envelope.event_json_data)
            else:
                quarantined.append(_quarantined(record, raw, NO_ROOM, now))
        if len(data) > room:
            data = ""  # Firehose keeps the record it sent
        room -= len(data)
        answers.append({"recordId": record["recordId"], "result": result, "data": data})
    reasons = Counter(record.reason for record in quarantined)
    return TransformedBatch(
        {"records": answers}, staged, reasons, tuple(quarantined), tuple(statuses)
    )


def _quarantined(
    record: Mapping[str, Any], raw: bytes, reason: str, now: datetime
) -> QuarantinedRecord:
    shard, sequence = _place(record) or ("", record["recordId"])
    place = f"{shard}|{sequence}|{_subsequence(record)}"
    return QuarantinedRecord(raw, reason, _arrival(record) or now, place)


def _read(
    record: Mapping[str, Any], raw: bytes, aggregated: Collection[object], now: datetime
) -> Envelope:
    envelope = read_event(raw, now=_arrival(record) or now)
    if _place(record) in aggregated:
        raise RejectedRecord(RejectionReason.SEVERAL_EVENTS, "it came in one record with others")
    return envelope


_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_METADATA: Final = "kinesisRecordMetadata"


def _arrival(record: Mapping[str, Any]) -> datetime | None:
    """Give when the stream took a record, by Firehose's words: epoch milliseconds."""
    for where in (record.get(_METADATA), record):
        said = where.get("approximateArrivalTimestamp") if isinstance(where, Mapping) else None
        if not said:
            continue
        try:
            return _EPOCH + timedelta(milliseconds=int(said))
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _place(record: Mapping[str, Any]) -> tuple[object, object] | None:
    """Give the shard and sequence number of a record, which those of an aggregated one share."""
    metadata = record.get(_METADATA)
    if not isinstance(metadata, Mapping) or "sequenceNumber" not in metadata:
        return None
    return metadata.get("shardId"), metadata["sequenceNumber"]


def _aggregated(records: Sequence[Mapping[str, Any]]) -> frozenset[tuple[object, object] | None]:
    """Give the places of records that were aggregated ones.

    Of one whose first event stands alone in its batch nothing can be told.
    """
    places = Counter(map(_place, records))
    del places[None]
    counted_up = {_place(r) for r in records if _place(r) and _subsequence(r)}
    return frozenset(counted_up | {place for place, count in places.items() if count > 1})


def _subsequence(record: Mapping[str, Any]) -> int:
    try:
        return int(record[_METADATA].get("subsequenceNumber") or 0)
    except (KeyError, ValueError, TypeError):
        return 0


def copy_line(event: Envelope) -> bytes:
    """Give an event as one line of a COPY object: the columns of staging.events by name.

    `COPY … FORMAT AS JSON 'auto' TIMEFORMAT 'auto'` reads it; the time is UTC without a zone,
    because the column is a TIMESTAMP. event_dw_regdate is left to the column's default.
    """
    origin = event.event_date_origin.astimezone(UTC).replace(tzinfo=None)
    columns = {
        "event_id": event.event_id,
        "event_type": event.type,
        "event_date_origin": origin.isoformat(sep=" ", timespec="milliseconds"),
        "event_json_data": event.data_text(),
    }
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
