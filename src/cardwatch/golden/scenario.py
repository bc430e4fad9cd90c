"""The scenario file: what people write, as YAML (docs/scenarios.md).

Times are milliseconds from the scenario's beginning.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, NoReturn, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cardwatch.contract.payment import PaymentStatus
from cardwatch.contract.streams import MAX_CLOCK_SKEW, RejectionReason
from cardwatch.yaml_lines import Place, YamlFileError, parse_model, read_model

MAX_TIMES: Final = 1_000
"""Of one payment that is made again and again."""
LONGEST_HOURS: Final = 3
"""How long a scenario may take: it has a heartbeat a second."""
MARGIN_MS: Final = 7_000
"""What the last event's window takes to close, by default."""

_SKEW_MS: Final = round(MAX_CLOCK_SKEW.total_seconds() * 1000)
_UNITS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART: Final = r"\d{1,9}(?:\.\d{1,3})? ?(?:ms|s|min|h|d)"
_DURATION: Final = re.compile(rf"(-?)({_PART}(?: {_PART})*)", re.ASCII)
_RANGE: Final = re.compile(r"([a-z0-9-]+)-(\d{1,4}) to (\d{1,4})", re.ASCII)
_MONEY: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,4})?) ([A-Z]{3})", re.ASCII)
FILE_NAME: Final = re.compile(r"[a-z0-9_]{1,60}", re.ASCII)


class Money(NamedTuple):
    """An amount as it is written, which keeps its zeros, and its currency."""

    amount: str
    currency: str

    def __str__(self) -> str:
        """Write it as the files do."""
        return f"{self.amount} {self.currency}"


def _milliseconds(value: object) -> object:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        msg = "must be a time like 4.999 s, 2 min or 1 h 10 s (ms, s, min, h or d)"
        raise ValueError(msg)
    total = Decimal(0)
    for number, unit in re.findall(r"([\d.]+) ?([a-z]+)", found[2]):
        total += Decimal(number) * _UNITS[unit]
    if total != int(total):
        msg = "must be whole milliseconds"
        raise ValueError(msg)
    return -int(total) if found[1] else int(total)


def _money(value: object) -> object:
    found = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        msg = "must be an amount and a currency, like 12.50 EUR"
        raise ValueError(msg)
    return Money(found[1], found[2])


def _digits(value: object) -> object:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        msg = "must be a whole number, in digits"
        raise ValueError(msg)
    return int(value[:9])


def _yes_or_no(value: object) -> object:
    if value not in {"yes", "no"}:
        msg = "must be yes or no"
        raise ValueError(msg)
    return value == "yes"


def written_out(names: Iterable[str]) -> list[str]:
    """Give each name, `tries-1 to 100` as the hundred that it stands for."""
    found: list[str] = []
    for name in names:
        many = _RANGE.fullmatch(name)
        found += (
            [f"{many[1]}-{n}" for n in range(int(many[2]), int(many[3]) + 1)] if many else [name]
        )
    return found


def _in_short(value: object) -> object:
    """Take a payment's name for an alert of which nothing more is said."""
    return {"payment": value} if isinstance(value, str) else value


Offset = Annotated[int, BeforeValidator(_milliseconds)]
"""Milliseconds."""
Length = Annotated[Offset, Field(ge=0)]
Count = Annotated[int, BeforeValidator(_digits)]
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]
Amount = Annotated[Money, BeforeValidator(_money)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
NameOrRange = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*( to [0-9]{1,4})?$", max_length=40)]
Names = tuple[NameOrRange, ...]


class _Part(BaseModel):
    """A part of the file, closed to what nobody described."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )


class _Event(_Part):
    at: Offset
    """When it happened, by its producer's clock."""
    arrives: Offset | None = None
    """When the stream takes it; by default when it happened, or at the beginning."""

    @property
    def arrival(self) -> int:
        return self.at if self.arrives is None else self.arrives

    @model_validator(mode="after")
    def _not_of_the_future(self) -> Self:
        if self.at > self.arrival + _SKEW_MS:
            kind = "future"
            raise PydanticCustomError(
                kind,
                "must be at most 10 s after it arrives: what is stamped further ahead has no time "
                "on the stream, and a replay does not know when a record arrived",
                {"at": "at"},
            )
        return self


class PaymentMade(_Event):
    """A payment; the same name again is another record of the same payment."""

    payment: Name
    card: Name
    amount: Amount = Money("10.00", "EUR")
    status: PaymentStatus = "AUTHORIZED"
    times: Annotated[Count, Field(ge=1, le=MAX_TIMES)] | None = None
    """Made so often, as <name>-1, <name>-2, …"""
    every: Length = 1_000

    def each(self) -> Iterator["PaymentMade"]:
        """Give it once for each time that it is made."""
        if self.times is None:
            yield self
            return
        for number in range(self.times):
            moved = {"payment": f"{self.payment}-{number + 1}", "times": None}
            later = {
                "at": self.at + number * self.every,
                "arrives": self.arrival + number * self.every,
            }
            yield self.model_copy(update=moved | later)


class CardReported(_Event):
    """A card is reported stolen."""

    reported: Name
    since: Annotated[Offset | None, Field(alias="from")] = None
    """Since when it is; by default since it is reported."""


class CardCleared(_Event):
    """A card is not stolen any more."""

    cleared: Name
    since: Annotated[Offset | None, Field(alias="from")] = None


class Beat(_Event):
    """A heartbeat, for a stream that has none by itself."""

    heartbeat: YesOrNo


class CanarySent(_Event):
    """A payment on nobody's card, with its card's report before it, as one is sent every minute."""

    canary: YesOrNo


class PoisonPut(_Event):
    """A record that is no event."""

    poison: Literal["not JSON", "unknown type", "no time", "a list"]


_KINDS: Final = ("payment", "reported", "cleared", "heartbeat", "canary", "poison")
Happening = PaymentMade | CardReported | CardCleared | Beat | CanarySent | PoisonPut


def _kind(value: Any) -> str | None:  # noqa: ANN401  whatever the file says
    found = [kind for kind in _KINDS if isinstance(value, dict) and kind in value]
    return found[0] if len(found) == 1 else None


Event = Annotated[
    Annotated[PaymentMade, Tag("payment")]
    | Annotated[CardReported, Tag("reported")]
    | Annotated[CardCleared, Tag("cleared")]
    | Annotated[Beat, Tag("heartbeat")]
    | Annotated[CanarySent, Tag("canary")]
    | Annotated[PoisonPut, Tag("poison")],
    Discriminator(
        _kind,
        custom_error_type="no_kind",
        custom_error_message=f"must say what happens by one of {', '.join(_KINDS)}",
    ),
]


class Fault(_Part):
    """Something that is broken for a while."""

    fault: Literal["nobody is subscribed", "the channel refuses", "the channel does not answer"]
    since: Annotated[Offset, Field(alias="from")]
    until: Offset


class Disturbance(_Part):
    """Something that is done to a running stack; a replay has none."""

    at: Length
    disturbance: Literal["the TaskManager is killed", "a shard is split", "two shards are merged"]


class Paging(_Part):
    """The notifier's settings, by the names that they have there (docs/settings.md)."""

    page_max_age_seconds: Annotated[Count, Field(ge=60, le=604_800)] = 86_400
    pages_per_minute: Annotated[Count, Field(ge=1, le=300)] = 30
    group_seconds: Annotated[Count, Field(le=3_600)] = 300
    digest_seconds: Annotated[Count, Field(le=3_600)] = 60


class ExpectedAlert(_Part):
    """An alert; what is not said of it is not looked at, but for `late`."""

    payment: NameOrRange
    card: Name | None = None
    late: YesOrNo = False
    amount: Amount | None = None
    since: Offset | None = None
    """Since when its card counts as stolen."""


class ExpectedSummary(_Part):
    """What the summaries say from one on, until the next that is written down."""

    since: Annotated[Offset, Field(alias="from")]
    """The end of its hour, a multiple of 10 s."""
    payments: Count
    """0 where there is no summary any more."""
    declined: Count = 0
    refunded: Count = 0
    cards: Count | None = None
    totals: tuple[Amount, ...] = ()


class ExpectedPage(_Part):
    """A page, in the order in which they are sent."""

    kind: Literal["FIRST", "FOLLOW_UP", "DIGEST"]
    alerts: Annotated[Names, Field(min_length=1)]
    """The payments whose alerts it carries, in any order."""
    at: Offset | None = None
    repeat: YesOrNo = False
    """Whether it says that it may be a repeat."""


class Expected(_Part):
    """All alerts and pages there are, none besides; the summaries only where they are given."""

    alerts: tuple[Annotated[ExpectedAlert, BeforeValidator(_in_short)], ...]
    pages: tuple[ExpectedPage, ...]
    expired: Names = ()
    """Payments whose alerts were too old to page anybody of."""
    summaries: tuple[ExpectedSummary, ...] | None = None
    rejected: tuple[RejectionReason, ...] = ()
    """Why records break the contract, in the order of their arrival."""
    canaries: Count = 0
    """So many come to the notifier, which pages nobody of them."""
    look_back: Names = ()
    """Payments that the audit of a running stack finds; a replay has no audit."""

    def each_alert(self) -> list[ExpectedAlert]:
        """Give each alert for itself."""
        return [
            alert.model_copy(update={"payment": name})
            for alert in self.alerts
            for name in written_out([alert.payment])
        ]


class Scenario(_Part):
    """One file."""

    question: Annotated[str, Field(min_length=10, max_length=400)]
    cards: Annotated[tuple[Name, ...], Field(min_length=1)]
    events: Annotated[tuple[Event, ...], Field(min_length=1)]
    heartbeats: Literal["every second", "none"] = "every second"
    ends: Length | None = None
    """When the stream ends, with a last heartbeat; by default 7 s after the last event."""
    faults: tuple[Fault, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    """Where there are any, it is played on a running stack only."""
    not_live: Annotated[str, Field(min_length=10, max_length=200)] | None = None
    """Why it cannot be played on a running stack."""
    paging: Paging = Paging()
    expect: Expected

    @property
    def end(self) -> int:
        """Give when the stream ends."""
        if self.ends is not None:
            return self.ends
        last = max(max(each.at, each.arrival) for each in self.happenings())
        return max(0, -(-last // 1_000) * 1_000) + MARGIN_MS

    def happenings(self) -> list[Happening]:
        """Give each event for itself."""
        return [
            each
            for event in self.events
            for each in (event.each() if isinstance(event, PaymentMade) else [event])
        ]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        happenings = self.happenings()
        for number, event in enumerate(self.events):
            for key in ("card", "reported", "cleared"):
                card = getattr(event, key, None)
                if card is not None and card not in self.cards:
                    _refuse(f"{card} is none of the cards: add it there", "events", number, key)
        made = {each.payment for each in happenings if isinstance(each, PaymentMade)}
        for place, names in self._expected_names():
            for name in written_out(names):
                if name not in made:
                    _refuse(f"{name} is no payment of the events", "expect", *place)
        last = max(max(each.at, each.arrival) for each in happenings)
        if max(last, self.ends or 0) > LONGEST_HOURS * _UNITS["h"]:
            too_long = "ends" if self.ends and self.ends > last else "events"
            _refuse(f"must be over within {LONGEST_HOURS} h", too_long)
        if self.ends is not None and self.ends < last:
            _refuse("must not be before the last event", "ends")
        return self

    def _expected_names(self) -> Iterator[tuple[Place, Sequence[str]]]:
        for number, alert in enumerate(self.expect.alerts):
            yield ("alerts", number), [alert.payment]
        for number, page in enumerate(self.expect.pages):
            yield ("pages", number, "alerts"), page.alerts
        yield ("expired",), self.expect.expired
        yield ("look_back",), self.expect.look_back


def _refuse(problem: str, *at: str | int) -> NoReturn:
    kind = "together"
    raise PydanticCustomError(kind, "{problem}", {"problem": problem, "at": at})


def parse_scenario(text: str, name: str) -> Scenario:
    """Read a scenario's text; raises YamlFileError with each problem and its line."""
    return parse_model(text, name, Scenario, tags=_KINDS)


def read_scenarios(folder: Path, names: Collection[str] = ()) -> Mapping[str, Scenario]:
    """Read the scenarios of a folder, or those that are named; raises YamlFileError.

    A name is that of a file without `.yaml`.
    """
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not known:
        raise YamlFileError(str(folder), [(None, "has no scenario: give a folder of .yaml files")])
    for name in names:
        if name not in known:
            problem = f"has no scenario {name}; it has {', '.join(known)}"
            raise YamlFileError(str(folder), [(None, problem)])
    return {name: _read(path) for name, path in known.items() if not names or name in names}


def _read(path: Path) -> Scenario:
    if not FILE_NAME.fullmatch(path.stem):
        raise YamlFileError(str(path), [(None, "must be named in a-z, 0-9 and _, 60 at most")])
    return read_model(path, Scenario, tags=_KINDS)
