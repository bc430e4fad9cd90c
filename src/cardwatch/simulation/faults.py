"""Named faults that the simulator can put on the stream, seeded, off by default.

A profile is a list of names, as in `duplicates,late`; `none` is no fault and `all` is every one.
The payments of a run without faults are all there with faults too, with the same ids: a fault adds
records beside them, or (`out_of_order`, `late`) stamps some of them earlier. So every payment that
keeps the contract must still be handled as if there were no faults.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch.contract.streams import new_event_id
from cardwatch.ports import StreamEntry
from cardwatch.simulation.events import (
    TICK_MS,
    TICKS_PER_MINUTE,
    TICKS_PER_SECOND,
    Draft,
    EventGenerator,
    PaymentsToEntries,
    payment_entry,
    payment_text,
    seeded,
    time_text,
)
from cardwatch.simulation.profiles import parse_profile

OVERSIZED_BYTES: Final = 1_000_000
"""Below the 1 MiB that Kinesis takes by default, far above what the contract lets through."""
_TEN_YEARS_MS: Final = 3_650 * 86_400_000
_BURST_TICKS: Final = range(20 * TICKS_PER_SECOND, 25 * TICKS_PER_SECOND)
_BURST_PER_TICK: Final = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that hits every nth payment."""

    every: int
    """One payment in so many."""
    effect: str
    """What it does, for people."""
    shift_ms: Callable[[int], int] | None = None
    """By how much the nth hit is stamped earlier."""
    add: Callable[[Draft, int], bytes] | None = None
    """What record the nth hit adds behind the payment."""


def _copy(draft: Draft, turn: int) -> bytes:
    match turn % 3:
        case 0:
            return payment_entry(draft).data
        case 1:
            again = draft._replace(event_id=new_event_id("copy", draft.event_id))
        case _:
            again = draft._replace(
                event_id=new_event_id("copy", draft.event_id), origin_ms=draft.origin_ms - 150
            )
    return payment_entry(again).data


def _other(draft: Draft, fault: str) -> Draft:
    """Give the payment under ids of its own, so that it is no copy of the good one."""
    name = new_event_id(fault, draft.event_id)
    return draft._replace(event_id=name, payment_id=f"pay_{name[:24]}")


def _far_future(draft: Draft, turn: int) -> bytes:
    # Far enough to be the future for a replay of the same records next year, too.
    ahead = _TEN_YEARS_MS * (10 if turn % 2 else 1)
    other = _other(draft, "far_future")
    return payment_entry(other._replace(origin_ms=draft.origin_ms + ahead)).data


def _bad_time(draft: Draft, turn: int) -> bytes:
    good = f'"event_date_origin":"{time_text(draft.origin_ms)}",'
    bad = (
        "",
        '"event_date_origin":null,',
        '"event_date_origin":"",',
        f'"event_date_origin":{draft.origin_ms},',
        f'"event_date_origin":"{time_text(draft.origin_ms)[:-5].replace("T", " ")}",',
        '"event_date_origin":"1970-01-01T00:00:00.000Z",',
    )
    text = payment_text(_other(draft, "missing_timestamp"))
    return text.replace(good, bad[turn % len(bad)], 1).encode()


def _malformed(draft: Draft, turn: int) -> bytes:
    text = payment_text(_other(draft, "malformed_json"))
    bad = (text[: len(text) // 2], text.replace('"', "'"), text[:-1], "upstream timed out", "")
    # An empty record is no record to Kinesis, so one blank stands for it.
    return (bad[turn % len(bad)] or " ").encode()


def _non_utf8(draft: Draft, _turn: int) -> bytes:
    data = payment_entry(_other(draft, "non_utf8")).data
    return data.replace(b'"merchant_id":"', b'"merchant_id":"\xff\xfe\xe9')


def _unknown_type(draft: Draft, turn: int) -> bytes:
    name = ("PAYMENT_REVERSED", "payment_event", "")[turn % 3]
    text = payment_text(_other(draft, "unknown_type"))
    return text.replace('"PAYMENT_EVENT"', f'"{name}"', 1).encode()


def _wrong_types(draft: Draft, turn: int) -> bytes:
    text = payment_text(_other(draft, "wrong_types"))
    head, data = text[:-1].split(',"event_json_data":', 1)
    token = f'"card_token":"{draft.token}"'
    bad = (
        f'{head},"event_json_data":"a string"}}',
        f'{head},"event_json_data":null}}',
        f"[{text}]",
        text.replace(token, '"card_token":7', 1),
        text.replace('"schema_version":1', '"schema_version":"1"', 1),
        f'{head},"event_json_data":{data[:-1]},"note":{{}}}}}}',
    )
    return bad[turn % len(bad)].encode()


FAULTS: Final[dict[str, Fault]] = {
    "duplicates": Fault(
        20,
        "sends a payment twice: the same record, another event_id, or another event_id and time",
        add=_copy,
    ),
    "out_of_order": Fault(
        10,
        "stamps a payment 50 to 800 ms earlier, within the watermark delay",
        shift_ms=lambda turn: 50 + turn * 377 % 751,
    ),
    "late": Fault(
        50,
        "stamps a payment 8 to 40 s earlier, after its 5 s window has closed",
        shift_ms=lambda turn: 8_000 + turn * 7_919 % 32_001,
    ),
    "far_future": Fault(100, "adds a payment ten or a hundred years ahead", add=_far_future),
    "missing_timestamp": Fault(100, "adds a payment without a usable time", add=_bad_time),
    "malformed_json": Fault(100, "adds a record that is no JSON", add=_malformed),
    "non_utf8": Fault(200, "adds a record with bytes that are not UTF-8", add=_non_utf8),
    "unknown_type": Fault(100, "adds a record of a type the contract lacks", add=_unknown_type),
    "wrong_types": Fault(
        100, "adds a payment with a field of the wrong type or nobody described", add=_wrong_types
    ),
}
TICK_FAULTS: Final[dict[str, str]] = {
    "oversized": "adds one record of 1,000,000 bytes a minute",
    "burst": "adds 100 payments on one stolen card within 5 s, once a minute",
}
NAMES: Final = (*FAULTS, *TICK_FAULTS)


def parse_fault_profile(text: str) -> tuple[str, ...]:
    """Read a profile into faults in a fixed order; raises UnknownNameError."""
    return parse_profile(text, NAMES, "fault")


def fault_profile(
    names: Sequence[str],
) -> Callable[[EventGenerator], PaymentsToEntries] | None:
    """Give what puts these faults on the stream (for EventGenerator), or None for no fault."""
    if not names:
        return None

    def build(generator: EventGenerator) -> PaymentsToEntries:
        return _FaultProfile(names, generator).apply

    return build


class _FaultProfile:
    def __init__(self, names: Sequence[str], generator: EventGenerator) -> None:
        # Where in its cycle each fault hits depends on the seed and its name.
        self._faults = [
            (FAULTS[name], int(seeded(f"{generator.seed}|{name}").random() * FAULTS[name].every))
            for name in names
            if name in FAULTS
        ]
        self._oversized = "oversized" in names
        self._burst = "burst" in names
        self._generator = generator

    def apply(self, tick: int, drafts: list[Draft]) -> list[StreamEntry]:
        entries = [entry for draft in drafts for entry in self._payment(draft)]
        place = tick % TICKS_PER_MINUTE
        if self._burst and place in _BURST_TICKS:
            entries += self._burst_payments(tick)
        if self._oversized and place == _BURST_TICKS.start:
            entries.append(self._oversized_record(tick))
        return entries

    def _payment(self, draft: Draft) -> Iterator[StreamEntry]:
        hits = [
            (fault, draft.ordinal // fault.every)
            for fault, place in self._faults
            if draft.ordinal % fault.every == place
        ]
        for fault, turn in hits:
            if fault.shift_ms:
                draft = draft._replace(origin_ms=draft.origin_ms - fault.shift_ms(turn))
        yield payment_entry(draft)
        for fault, turn in hits:
            if fault.add:
                yield StreamEntry(fault.add(draft, turn), draft.token)

    def _burst_payments(self, tick: int) -> Iterable[StreamEntry]:
        stolen = self._generator.population.stolen
        if not stolen:
            return
        seed = self._generator.seed
        minute = tick // TICKS_PER_MINUTE
        card = stolen[int(seeded(f"{seed}|burst|{minute}").random() * len(stolen))]
        draw = seeded(f"{seed}|burst|{tick}")
        for index in range(_BURST_PER_TICK):
            origin_ms = tick * TICK_MS + index * TICK_MS // _BURST_PER_TICK
            name = f"{seed}|burst|{tick}|{index}"
            ids = new_event_id(name) + new_event_id(name, "payment")
            yield payment_entry(self._generator.draft(card, origin_ms, ids, draw))

    def _oversized_record(self, tick: int) -> StreamEntry:
        name = f"{self._generator.seed}|oversized|{tick}"
        ids = new_event_id(name) + new_event_id(name, "payment")
        draft = self._generator.draft(0, tick * TICK_MS, ids, seeded(name))
        text = payment_text(draft)
        padding = "x" * (OVERSIZED_BYTES - len(text.encode()))
        return StreamEntry(
            text.replace('"merchant_id":"', f'"merchant_id":"{padding}', 1).encode(), draft.token
        )
