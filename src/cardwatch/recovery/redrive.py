"""Redrive: sends what lies among the dead letters again, by way of the streams.

An alert goes through the notifier like any other, so one that was paged meanwhile adds no page.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cardwatch.contract.streams import (
    EVENT_TYPES,
    Envelope,
    EventType,
    RejectedRecord,
    StreamName,
    read_event,
)
from cardwatch.ports import Clock, EventStream, NotKeptError, StreamEntry
from cardwatch.recovery.ports import (
    BucketUnavailableError,
    DeadLetter,
    DeadLetterStore,
    UnreadableObjectError,
)

LEFTOVERS: Final = "leftovers"
"""The source under which the rest of an object is kept when part of it was sent."""


@dataclass(slots=True)
class RedriveReport:
    """What a redrive did, or in a dry run would do."""

    objects: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """Records on their streams again, by event type."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Records that still break the contract, by reason; they stay."""
    undelivered: Counter[str] = field(default_factory=Counter)
    """Records that the stream did not take, by error code; they stay."""
    outdated: int = 0
    """Heartbeats: they were the clock of a moment that has passed, and are dropped."""
    removed: int = 0
    """Objects that are dealt with and gone."""
    problems: list[str] = field(default_factory=list)
    """Objects that could not be read or rewritten; they stay."""

    @property
    def complete(self) -> bool:
        """Say whether nothing was left behind."""
        return not (self.rejected or self.undelivered or self.problems)


def redrive(
    dead_letters: DeadLetterStore,
    streams: Mapping[StreamName, EventStream],
    clock: Clock,
    *,
    sources: Collection[str] | None = None,
    dry_run: bool = False,
) -> RedriveReport:
    """Put the valid events among the dead letters on the streams again; None means all sources.

    Each goes on the stream of its type. An object is removed only after all of its records are
    there. What is left of one that
    was sent in part is kept anew, under `leftovers`, before the object is removed; so a crash at
    any moment sends something twice at worst, which every reader tells by its event_id.
    """
    report = RedriveReport()
    wanted = dead_letters.sources() if sources is None else sources
    for name in [name for source in wanted for name in dead_letters.objects(source)]:
        report.objects += 1
        try:
            letters = dead_letters.letters_in(name)
        except (UnreadableObjectError, BucketUnavailableError) as error:
            report.problems.append(str(error))
            continue
        ready, left = _sort(letters, clock.now(), report)
        if dry_run:
            report.sent.update(event_type for event_type, _ in ready)
            continue
        left += _send(streams, ready, report)
        if len(left) < len(letters):
            _replace(dead_letters, name, left, report)
    return report


def _sort(
    letters: Sequence[DeadLetter], now: datetime, report: RedriveReport
) -> tuple[list[tuple[EventType, StreamEntry]], list[DeadLetter]]:
    """Tell what can be sent, with its type, from what still breaks the contract."""
    ready: list[tuple[EventType, StreamEntry]] = []
    left: list[DeadLetter] = []
    for letter in letters:
        try:
            event = read_event(letter.raw, now=now)
        except RejectedRecord as rejected:
            report.rejected[rejected.reason] += 1
            left.append(letter)
            continue
        if event.type == "HEARTBEAT":
            report.outdated += 1
            continue
        key = letter.partition_key or _partition_key(event)
        ready.append((event.type, StreamEntry(letter.raw, key)))
    return ready, left


def _send(
    streams: Mapping[StreamName, EventStream],
    ready: Sequence[tuple[EventType, StreamEntry]],
    report: RedriveReport,
) -> list[DeadLetter]:
    """Put entries on their streams; give back what those did not take."""
    left: list[DeadLetter] = []
    for name in sorted({EVENT_TYPES[kind].stream for kind, _ in ready}):
        of_it = [(kind, entry) for kind, entry in ready if EVENT_TYPES[kind].stream == name]
        outcome = streams[name].put([entry for _, entry in of_it])
        report.undelivered.update(lost.error_code for lost in outcome.undelivered)
        lost_entries = Counter(lost.entry for lost in outcome.undelivered)
        for event_type, entry in of_it:
            if lost_entries[entry]:
                lost_entries[entry] -= 1
            else:
                report.sent[event_type] += 1
        left += [
            DeadLetter(lost.entry.data, lost.error_code, lost.entry.partition_key)
            for lost in outcome.undelivered
        ]
    return left


def _replace(
    dead_letters: DeadLetterStore, name: str, left: Sequence[DeadLetter], report: RedriveReport
) -> None:
    """Keep what is left of an object anew, then remove it."""
    try:
        for reason in sorted({letter.reason for letter in left}):
            rest = [letter.raw for letter in left if letter.reason == reason]
            dead_letters.keep(LEFTOVERS, rest, reason=reason)
    except NotKeptError as error:
        report.problems.append(str(error))
        return
    try:
        dead_letters.remove(name)
    except BucketUnavailableError as error:
        report.problems.append(f"{name} was sent and is still there: {error}")
        return
    report.removed += 1


def _partition_key(event: Envelope) -> str:
    """Give the key the contract asks for; an event with a random one gets its own id."""
    place = EVENT_TYPES[event.type].partition_key
    return str(getattr(event.event_json_data, place, event.event_id))
