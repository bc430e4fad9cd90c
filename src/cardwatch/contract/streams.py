"""The stream's events: every type with its data model, partition key and the clock it drives."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from cardwatch.contract.account import Account
from cardwatch.contract.act import PageAct
from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.attributed import AttributedPayment
from cardwatch.contract.card_numbers import holds_card_number, mask_card_numbers
from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.fields import (
    ID_LIKE_CARD_NUMBER,
    Contract,
    EventTime,
    Identifier,
    parse_time,
)
from cardwatch.contract.framing import BYTE_ORDER_MARK, holds_several, refuse_constant
from cardwatch.contract.heartbeat import Heartbeat
from cardwatch.contract.minute import MerchantMinute, UserMinute
from cardwatch.contract.page import PageEvent
from cardwatch.contract.payment import Payment
from cardwatch.contract.quarantined import QuarantinedEvent
from cardwatch.contract.rule import RuleVersion
from cardwatch.contract.rule_alert import RuleAlert
from cardwatch.contract.summary import AlertSummary

EventType = Literal[
    "PAYMENT_EVENT",
    "CARD_STATUS",
    "ACCOUNT",
    "RULE",
    "HEARTBEAT",
    "PAYMENT_ALERT",
    "PAYMENT_ALERT_SUMMARY",
    "RULE_ALERT",
    "PAYMENT_ATTRIBUTED",
    "MERCHANT_MINUTE",
    "USER_MINUTE",
    "PAGE_EVENT",
    "PAGE_ACT",
    "QUARANTINED_EVENT",
]
EventData = (
    Payment
    | CardStatus
    | Account
    | RuleVersion
    | Heartbeat
    | PaymentAlert
    | AlertSummary
    | RuleAlert
    | AttributedPayment
    | MerchantMinute
    | UserMinute
    | PageEvent
    | PageAct
    | QuarantinedEvent
)

MAX_CLOCK_SKEW: Final = timedelta(seconds=10)
"""How far ahead of its arrival on the stream an event's time may be."""
EARLIEST_EVENT_TIME: Final = datetime(2020, 1, 1, tzinfo=UTC)
MAX_DATA_BYTES: Final = 65_535
"""The compact text of event_json_data must fit Redshift's longest VARCHAR."""


StreamName = Literal["events", "scores"]
"""The streams by what goes on them: the events, and what is said once for every payment."""


@dataclass(frozen=True, slots=True)
class EventStreamType:
    """How one type of event travels."""

    name: EventType
    data: type[Contract]
    partition_key: str
    event_time: str
    """Which field is event time in the Flink job, or "none": it takes no part in windows."""
    written_by: Literal["producers", "cardwatch"] = "cardwatch"
    """Whose schema it is: what producers may write, or what cardwatch promises to readers."""
    stream: StreamName = "events"
    """Where it goes, also when it is put there again."""


EVENT_TYPES: Final[dict[EventType, EventStreamType]] = {
    t.name: t
    for t in (
        EventStreamType("PAYMENT_EVENT", Payment, "card_token", "event_date_origin", "producers"),
        EventStreamType("CARD_STATUS", CardStatus, "card_token", "effective_from", "producers"),
        EventStreamType("ACCOUNT", Account, "account_id", "valid_from", "producers"),
        EventStreamType("RULE", RuleVersion, "rule", "event_date_origin"),
        EventStreamType(
            "HEARTBEAT", Heartbeat, "explicit hash key", "event_date_origin", "producers"
        ),
        EventStreamType("PAYMENT_ALERT", PaymentAlert, "random", "none"),
        EventStreamType("PAYMENT_ALERT_SUMMARY", AlertSummary, "random", "none"),
        EventStreamType("RULE_ALERT", RuleAlert, "entity_id", "none"),
        EventStreamType(
            "PAYMENT_ATTRIBUTED", AttributedPayment, "card_token", "none", stream="scores"
        ),
        EventStreamType("MERCHANT_MINUTE", MerchantMinute, "merchant_id", "none", stream="scores"),
        EventStreamType("USER_MINUTE", UserMinute, "user_id", "none", stream="scores"),
        EventStreamType("PAGE_EVENT", PageEvent, "page_id", "none"),
        EventStreamType("PAGE_ACT", PageAct, "page_id or scope", "none"),
        EventStreamType("QUARANTINED_EVENT", QuarantinedEvent, "card_token", "none"),
    )
}


class Envelope(Contract):
    """The five top-level fields of every record on the stream."""

    type: Annotated[EventType, Field(description="Which event this is.")]
    event_id: Annotated[
        Identifier,
        Field(description="Unique per event; a derived event's is deterministic, for replays."),
    ]
    schema_version: Annotated[Literal[1], Field(description="Version of the data's schema.")]
    event_date_origin: Annotated[
        EventTime,
        Field(description="When the thing happened, set by the producer; it is event time."),
    ]
    event_json_data: Annotated[EventData, Field(description="The type's own fields.")]

    def data_text(self) -> str:
        """Give `event_json_data` as compact JSON text, the form the warehouse keeps."""
        return self.event_json_data.model_dump_json(exclude_unset=True)

    def to_bytes(self) -> bytes:
        """Give the record's bytes on the stream: one compact JSON object, UTF-8.

        An optional field that nobody set is left out, as in a record from before it was added.
        """
        return self.model_dump_json(exclude_unset=True).encode()


class RejectionReason(StrEnum):
    """Why a record is quarantined."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    SEVERAL_EVENTS = "several_events"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    MISSING_TIME = "missing_time"
    BAD_TIME = "bad_time"
    TOO_OLD = "too_old"
    FUTURE_TIME = "future_time"
    FUTURE_EFFECTIVE_FROM = "future_effective_from"
    FUTURE_VALID_FROM = "future_valid_from"
    INVALID_DATA = "invalid_data"
    ID_LIKE_CARD_NUMBER = "id_like_card_number"
    TOO_LARGE = "too_large"


class RejectedRecord(ValueError):  # noqa: N818  a record is rejected; "RejectedRecordError" says no more
    """A record that breaks the contract.

    Its text names the place, never the value, which may hold a card number.
    """

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        """Keep why the record is rejected, and where it breaks the contract."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def new_event_id(*parts: object) -> str:
    """Give a deterministic event id: SHA-256 over the parts joined by `|`, first 128 bits, hex."""
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:32]


def read_event(raw: bytes, *, now: datetime) -> Envelope:
    """Read one record off the stream by the contract; `now` is when it arrived there.

    An event may be stamped MAX_CLOCK_SKEW ahead of its arrival and no more, however long the record
    then lies in a buffer; a reader that does not know the arrival asks its own clock. Raises
    RejectedRecord with the reason for anything else. The stager quarantines by it, `replay` reports
    by it, and whoever shows quarantine derives the reason again with it.

    What a detection copies from a payment comes as the payment said it, so a card number in it is
    masked here: the alert counts, and nobody behind this sees the number.
    """
    fields = _read_object(raw)
    event_type = fields.get("type")
    if not isinstance(event_type, str) or event_type not in EVENT_TYPES:
        raise RejectedRecord(RejectionReason.UNKNOWN_TYPE, "type is not one of the contract's")
    version = fields.get("schema_version")
    if type(version) is not int or version != 1:
        raise RejectedRecord(RejectionReason.UNSUPPORTED_VERSION, "schema_version must be 1")
    origin = _read_time(fields, now)
    model = EVENT_TYPES[event_type].data
    try:
        data = model.model_validate(fields.get("event_json_data"))
        if isinstance(data, PaymentAlert | RuleAlert | AlertSummary | AttributedPayment):
            data = _masked(data)
        event = Envelope.model_validate(
            {**fields, "event_date_origin": origin, "event_json_data": data}
        )
    except ValidationError as error:
        kinds = {item["type"] for item in error.errors(include_input=False, include_url=False)}
        only_ids = kinds == {ID_LIKE_CARD_NUMBER}
        reason = RejectionReason.ID_LIKE_CARD_NUMBER if only_ids else RejectionReason.INVALID_DATA
        raise RejectedRecord(reason, _places(error)) from None
    if isinstance(data, CardStatus):
        future = RejectionReason.FUTURE_EFFECTIVE_FROM
        _check_start("effective_from", data.effective_from, origin, future)
    if isinstance(data, Account):
        future = RejectionReason.FUTURE_VALID_FROM
        _check_start("valid_from", data.valid_from, origin, future)
    # Written by the contract, data is never longer than the record that it came in.
    if len(raw) > MAX_DATA_BYTES and len(event.data_text().encode()) > MAX_DATA_BYTES:
        detail = f"event_json_data is longer than {MAX_DATA_BYTES} bytes"
        raise RejectedRecord(RejectionReason.TOO_LARGE, detail)
    return event


_Data = TypeVar("_Data", bound=BaseModel)


def _masked(data: _Data) -> _Data:
    """Mask the card numbers in a model's texts; an amount whose digits are one becomes null."""
    changed = {name: hidden for name, value in data if (hidden := _hidden(value)) != value}
    for name, value in data:
        if isinstance(value, Decimal) and name in _COPIED_AMOUNTS:
            changed |= {name: None} if holds_card_number(format(value, "f")) else {}
    return data.model_copy(update=changed) if changed else data


def _hidden(value: object) -> object:
    if isinstance(value, str):
        return mask_card_numbers(value)
    if isinstance(value, tuple):
        return tuple(map(_hidden, value))
    return _masked(value) if isinstance(value, BaseModel) else value


_COPIED_AMOUNTS: Final = ("amount", "observed")
"""Amounts of an alert that a payment may have given; both may be null."""


_JSON: Final = json.JSONDecoder(parse_constant=refuse_constant)


def _read_object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        if holds_several(raw):
            raise RejectedRecord(RejectionReason.SEVERAL_EVENTS, _ONE_EVENT) from None
        raise RejectedRecord(RejectionReason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    try:
        value = _JSON.decode(text)
    except RecursionError:
        raise RejectedRecord(RejectionReason.NOT_JSON, "nested too deeply") from None
    except ValueError as error:
        if holds_several(raw):
            raise RejectedRecord(RejectionReason.SEVERAL_EVENTS, _ONE_EVENT) from None
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise RejectedRecord(RejectionReason.NOT_JSON, f"not a JSON document{place}") from None
    if isinstance(value, list) and holds_several(raw):
        raise RejectedRecord(RejectionReason.SEVERAL_EVENTS, _ONE_EVENT)
    if not isinstance(value, dict):
        raise RejectedRecord(RejectionReason.NOT_AN_OBJECT, "the document is not an object")
    return value


_ONE_EVENT: Final = "a record must hold one event: send each by itself"


def _read_time(fields: dict[str, Any], now: datetime) -> datetime:
    if fields.get("event_date_origin") is None:
        raise RejectedRecord(RejectionReason.MISSING_TIME, "event_date_origin is missing")
    try:
        origin = parse_time(fields["event_date_origin"])
    except ValueError as error:
        raise RejectedRecord(RejectionReason.BAD_TIME, f"event_date_origin {error}") from None
    if origin < EARLIEST_EVENT_TIME:
        raise RejectedRecord(RejectionReason.TOO_OLD, "event_date_origin is before 2020")
    if origin > now + MAX_CLOCK_SKEW:
        seconds = int(MAX_CLOCK_SKEW.total_seconds())
        detail = f"event_date_origin is more than {seconds} s ahead of the record's arrival"
        raise RejectedRecord(RejectionReason.FUTURE_TIME, detail)
    return origin


def _check_start(name: str, start: datetime, origin: datetime, future: RejectionReason) -> None:
    """Hold what says from when it holds to its publication; raises RejectedRecord."""
    if start > origin:
        raise RejectedRecord(future, f"{name} is after event_date_origin")
    if start < EARLIEST_EVENT_TIME:
        raise RejectedRecord(RejectionReason.TOO_OLD, f"{name} is before 2020")


def _places(error: ValidationError) -> str:
    """Say which fields are wrong and how; a field nobody described keeps its name to itself."""
    known = {name for t in EVENT_TYPES.values() for name in t.data.model_fields} | set(
        Envelope.model_fields
    )
    places = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        path = ".".join(
            str(p) if p in known or isinstance(p, int) else "(unknown)" for p in item["loc"]
        )
        places.append(f"{path or 'event_json_data'}: {item['msg']}")
    return "; ".join(places)
