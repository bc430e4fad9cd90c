"""What a run saw with its own eyes: facts read off the stream and pages as they were received.

The facts are kept as JSON lines in `var/receipts`, and the verdict is computed from them. They are
gathered apart from the Flink job, so that the job is judged by something that is not itself. A
payment is read leniently, as the detection reads it: one whose amount breaks the contract is
quarantined on its way to the warehouse, and still raises an alert when its card is stolen.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any, ClassVar, Final, Self, TypeVar

from cardwatch import files
from cardwatch.contract.canary import is_canary
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.contract.framing import first_documents
from cardwatch.contract.streams import (
    EARLIEST_EVENT_TIME,
    MAX_CLOCK_SKEW,
    RejectedRecord,
    read_event,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a receipts file; every time is UTC."""

    file: ClassVar[str]

    def to_line(self) -> str:
        """Give the fact as one JSON line, times in the contract's format."""
        plain = {
            name: format_time(value) if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }
        return json.dumps(plain, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` wrote."""
        plain = json.loads(line)
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = plain[field.name]
            if field.type is datetime:
                value = parse_time(value)
            elif isinstance(value, list):
                value = tuple(value)
            values[field.name] = value
        return cls(**values)


AnyFact = TypeVar("AnyFact", bound=Fact)


@dataclass(frozen=True, slots=True)
class EventSeen(Fact):
    """A record on the stream that keeps to the contract, so it belongs into the warehouse."""

    file: ClassVar[str] = "events.jsonl"
    arrived: datetime
    type: str
    event_id: str
    origin: datetime


@dataclass(frozen=True, slots=True)
class RejectedSeen(Fact):
    """A record on the stream that breaks the contract, so it belongs into quarantine."""

    file: ClassVar[str] = "rejected.jsonl"
    arrived: datetime
    shard: str
    sequence: str
    reason: str


@dataclass(frozen=True, slots=True)
class PaymentSeen(Fact):
    """A payment with a usable time, id and card token."""

    file: ClassVar[str] = "payments.jsonl"
    arrived: datetime
    payment_id: str
    card_token: str
    origin: datetime
    sequence: str
    """Its place in its shard."""


@dataclass(frozen=True, slots=True)
class StatusSeen(Fact):
    """A version of a card's status."""

    file: ClassVar[str] = "card_statuses.jsonl"
    arrived: datetime
    card_token: str
    status: str
    effective_from: datetime
    sequence: str
    """Its place in its shard."""


@dataclass(frozen=True, slots=True)
class AlertSeen(Fact):
    """A stolen card's alert as it arrived on the stream; `origin` is the payment's time."""

    file: ClassVar[str] = "alerts.jsonl"
    arrived: datetime
    alert_id: str
    payment_id: str
    card_token: str
    origin: datetime
    window_end: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class CanarySeen(Fact):
    """A canary's payment, or its alert, as it arrived: for all others neither of the two."""

    file: ClassVar[str] = "canaries.jsonl"
    arrived: datetime
    station: str
    """`stream` or `alert`."""
    payment_id: str
    origin: datetime


@dataclass(frozen=True, slots=True)
class RuleAlertSeen(Fact):
    """An alert of another rule as it arrived; `origin` is its first payment's time."""

    file: ClassVar[str] = "rule_alerts.jsonl"
    arrived: datetime
    alert_id: str
    rule: str
    origin: datetime
    pages: bool = True


@dataclass(frozen=True, slots=True)
class ScoreSeen(Fact):
    """A payment's score as it arrived on the stream of scores; `origin` is the payment's time."""

    file: ClassVar[str] = "scores.jsonl"
    arrived: datetime
    event_id: str
    payment_id: str
    origin: datetime
    score: int
    late: bool


@dataclass(frozen=True, slots=True)
class SummarySeen(Fact):
    """A summary as it arrived on the stream."""

    file: ClassVar[str] = "summaries.jsonl"
    arrived: datetime
    event_id: str
    window_end: datetime
    payment_count: int
    card_count: int


@dataclass(frozen=True, slots=True)
class PageEventSeen(Fact):
    """What the notifier says on the stream that became of alerts."""

    file: ClassVar[str] = "page_events.jsonl"
    arrived: datetime
    page_id: str
    state: str
    alert_ids: tuple[str, ...]
    repeat: bool
    reason: str | None = None
    """Of EXPIRED: why nobody was paged."""
    kind: str = "FIRST"


@dataclass(frozen=True, slots=True)
class PageReceived(Fact):
    """A page as a person would have received it."""

    file: ClassVar[str] = "pages.jsonl"
    received: datetime
    message_id: str
    page_id: str
    subject: str
    text: str
    alert_ids: tuple[str, ...]
    """Every alert it accounts for; the text lists 20 at most."""
    repeat: bool
    kind: str = "FIRST"


RECEIPTS_FILE_BYTES: Final = 16_000_000
"""How much of each kind of fact a run keeps that nobody judges; one that is judged keeps all."""

FACTS: tuple[type[Fact], ...] = (
    EventSeen,
    RejectedSeen,
    PaymentSeen,
    StatusSeen,
    AlertSeen,
    CanarySeen,
    RuleAlertSeen,
    ScoreSeen,
    SummarySeen,
    PageEventSeen,
    PageReceived,
)


def facts_of(raw: bytes, *, arrived: datetime, shard: str, sequence: str) -> Iterator[Fact]:
    """Give what one record on the stream tells; `arrived` is when the stream took it."""
    try:
        event = read_event(raw, now=arrived)
    except RejectedRecord as rejected:
        yield RejectedSeen(arrived, shard, sequence, str(rejected.reason))
    else:
        yield EventSeen(arrived, event.type, event.event_id, event.event_date_origin)
    # What the detection makes of it: of several events the first, of an array each.
    for envelope in first_documents(raw):
        try:
            tell = _TOLD_BY.get(envelope["type"])
            told = tell(envelope, envelope["event_json_data"], arrived, sequence) if tell else None
        except (ValueError, TypeError, KeyError):
            continue
        if told is not None:
            yield _as_canary(told)


def _as_canary(told: Fact) -> Fact:
    """Give what is told of a canary as that, so that nobody counts it as something else."""
    if isinstance(told, PaymentSeen | AlertSeen) and is_canary(told.card_token):
        station = "stream" if isinstance(told, PaymentSeen) else "alert"
        return CanarySeen(told.arrived, station, told.payment_id, told.origin)
    return told


def _payment(
    envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, sequence: str
) -> Fact | None:
    origin = parse_time(envelope["event_date_origin"])
    if not EARLIEST_EVENT_TIME <= origin <= arrived + MAX_CLOCK_SKEW:
        return None
    return PaymentSeen(
        arrived, _text(data["payment_id"]), _text(data["card_token"]), origin, sequence
    )


def _card_status(
    envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, sequence: str
) -> Fact | None:
    origin = parse_time(envelope["event_date_origin"])
    since = parse_time(data["effective_from"])
    if not EARLIEST_EVENT_TIME <= since <= origin <= arrived + MAX_CLOCK_SKEW:
        return None
    return StatusSeen(arrived, _text(data["card_token"]), _text(data["status"]), since, sequence)


def _alert(envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, _: str) -> Fact:
    return AlertSeen(
        arrived,
        alert_id=_text(data["alert_id"]),
        payment_id=_text(data["payment_id"]),
        card_token=_text(data["card_token"]),
        origin=parse_time(envelope["event_date_origin"]),
        window_end=parse_time(data["window_end"]),
        late=data["late"] is True,
    )


def _rule_alert(envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, _: str) -> Fact:
    return RuleAlertSeen(
        arrived,
        alert_id=_text(data["alert_id"]),
        rule=_text(data["rule"]),
        origin=parse_time(envelope["event_date_origin"]),
        pages=data.get("paging") not in {"off", "shadow"},
    )


def _score(envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, _: str) -> Fact:
    return ScoreSeen(
        arrived,
        event_id=_text(envelope["event_id"]),
        payment_id=_text(data["payment_id"]),
        origin=parse_time(envelope["event_date_origin"]),
        score=int(data["score"]),
        late=data["late"] is True,
    )


def _summary(envelope: dict[str, Any], data: dict[str, Any], arrived: datetime, _: str) -> Fact:
    return SummarySeen(
        arrived,
        event_id=_text(envelope["event_id"]),
        window_end=parse_time(data["window_end"]),
        payment_count=int(data["payment_count"]),
        card_count=int(data["card_count"]),
    )


def _page_event(_: dict[str, Any], data: dict[str, Any], arrived: datetime, __: str) -> Fact:
    return PageEventSeen(
        arrived,
        page_id=_text(data["page_id"]),
        state=_text(data["state"]),
        alert_ids=tuple(_text(alert) for alert in data["alert_ids"]),
        repeat=data["repeat"] is True,
        reason=_text(data["reason"]) if data.get("reason") else None,
        kind=_text(data.get("kind") or "FIRST"),
    )


_TOLD_BY: dict[str, Callable[[dict[str, Any], dict[str, Any], datetime, str], Fact | None]] = {
    "PAYMENT_EVENT": _payment,
    "CARD_STATUS": _card_status,
    "PAYMENT_ALERT": _alert,
    "RULE_ALERT": _rule_alert,
    "PAYMENT_ATTRIBUTED": _score,
    "PAYMENT_ALERT_SUMMARY": _summary,
    "PAGE_EVENT": _page_event,
}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        msg = "not a text"
        raise ValueError(msg)
    return value


class Receipts:
    """The receipts files of one run, open for writing."""

    def __init__(self, folder: Path, *, file_bytes: int | None = None) -> None:
        """Begin with empty files in `folder`; one that exceeds `file_bytes` loses its older half.

        None: all facts are kept.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.jsonl"):
            old.unlink()
        self._folder = folder
        self._file_bytes = file_bytes
        self._files: dict[str, IO[bytes]] = {
            fact.file: (folder / fact.file).open("ab") for fact in FACTS
        }
        self.dropped = 0
        """How many facts were dropped."""

    def write(self, fact: Fact) -> None:
        """Keep one fact."""
        file = self._files[fact.file]
        file.write(fact.to_line().encode())
        if self._file_bytes is not None and file.tell() > self._file_bytes:
            self._drop_older_half(fact.file)

    def flush(self) -> None:
        """Make what was written visible to readers."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Write no more."""
        for file in self._files.values():
            file.close()

    def _drop_older_half(self, name: str) -> None:
        path, full = self._folder / name, self._files[name]
        full.flush()
        lines = path.read_bytes().splitlines(keepends=True)
        gone = len(lines) // 2
        files.replace(path, b"".join(lines[gone:]))
        self._files[name] = path.open("ab")
        full.close()
        self.dropped += gone


def read_receipts(folder: Path, kind: type[AnyFact]) -> list[AnyFact]:
    """Give all facts of one kind, in the order they were kept."""
    path = folder / kind.file
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [kind.from_line(line) for line in lines if line.endswith("\n")]


def facts_after(last: AnyFact | None, facts: list[AnyFact]) -> list[AnyFact]:
    """Give the facts that were kept after `last`.

    All of them where it is not there: it was dropped as one of the oldest, or a new run began.
    """
    return facts[facts.index(last) + 1 :] if last in facts else facts
