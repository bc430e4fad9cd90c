"""What is published of the rules: one version of all of them at a time, none ever changed.

A version is RULE events, one per rule, and kept as the very records that were put on the stream: so
whoever publishes them again puts the same bytes, and the job sees nothing new.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol, Self

from cardwatch.contract.rule import RuleSettings, RuleVersion, rule_event_id
from cardwatch.contract.streams import EVENT_TYPES, Envelope, RejectedRecord, read_event
from cardwatch.ports import EventStream, PutOutcome, StreamEntry
from cardwatch.rules.errors import PublicationError

NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Publication:
    """One version of all rules."""

    version: int
    published_at: datetime
    settings: Mapping[str, RuleSettings]
    """Of each rule by its name."""
    note: str | None = None

    @property
    def shadow(self) -> bool:
        """Say whether it only counts, beside the version in force."""
        return any(settings.paging == "shadow" for settings in self.settings.values())

    def events(self) -> Iterator[Envelope]:
        """Give its RULE events, the same ones every time."""
        for rule, settings in self.settings.items():
            noted = {} if self.note is None else {"note": self.note}
            yield Envelope(
                type="RULE",
                event_id=rule_event_id(rule, self.version, self.published_at),
                schema_version=1,
                event_date_origin=self.published_at,
                event_json_data=RuleVersion(
                    rule=rule, rule_version=self.version, settings=settings, **noted
                ),
            )

    def entries(self) -> list[StreamEntry]:
        """Give it as records of the stream."""
        key = EVENT_TYPES["RULE"].partition_key
        return [
            StreamEntry(event.to_bytes(), getattr(event.event_json_data, key))
            for event in self.events()
        ]

    def to_bytes(self) -> bytes:
        """Give it as it is kept: a record a line."""
        return b"".join(entry.data + b"\n" for entry in self.entries())

    @classmethod
    def from_bytes(cls, raw: bytes, *, now: datetime) -> Self:
        """Read what is kept of it; raises PublicationError for anything else."""
        try:
            events = [read_event(line, now=now) for line in raw.splitlines()]
        except RejectedRecord as rejected:
            msg = f"is no version of the rules: {rejected}"
            raise PublicationError(msg) from None
        versions = [event.event_json_data for event in events]
        rules = [version for version in versions if isinstance(version, RuleVersion)]
        if not rules or len(rules) != len(versions) or len({r.rule_version for r in rules}) > 1:
            msg = "is no version of the rules: it must have the RULE events of one"
            raise PublicationError(msg)
        return cls(
            version=rules[0].rule_version,
            published_at=events[0].event_date_origin,
            settings={rule.rule: rule.settings for rule in rules},
            note=rules[0].note,
        )


class RuleHistory(Protocol):
    """Every version that was published; each method raises RuleHistoryUnavailableError."""

    def versions(self) -> Sequence[int]:
        """Give their numbers, the newest last."""
        ...

    def read(self, version: int) -> Publication:
        """Give one of them; raises PublicationError where it cannot be understood."""
        ...

    def add(self, publication: Publication) -> bool:
        """Keep a version; False when its number is taken, whoever took it."""
        ...


def newest_first(history: RuleHistory) -> Iterator[Publication]:
    """Give the versions, each read when it is asked for."""
    for version in reversed(history.versions()):
        yield history.read(version)


def in_use(publications: Iterable[Publication]) -> list[Publication]:
    """Give of some, the newest first, the version in force and the newest in shadow behind it.

    Oldest first; what is before the version in force is not looked at.
    """
    found: list[Publication] = []
    for publication in publications:
        if not publication.shadow:
            return [publication, *found]
        if not found:
            found.append(publication)
    return found


def in_force(publications: Iterable[Publication]) -> Publication | None:
    """Give the version in force of some, the newest first."""
    return next((each for each in publications if not each.shadow), None)


def publish(publication: Publication, history: RuleHistory, stream: EventStream) -> PutOutcome:
    """Keep a version and put it on the stream; what the stream does not take comes with the slices.

    The same one again is put again. Raises PublicationError when its number is not the next one.
    """
    newest = next(newest_first(history), None)
    if newest is not None and newest.version == publication.version:
        again = replace(publication, published_at=newest.published_at)
        if again == newest:
            return stream.put(newest.entries())
    if newest is not None and publication.version <= newest.version:
        raise PublicationError(_taken(publication.version, newest.version))
    if newest is not None and publication.published_at <= newest.published_at:
        msg = (
            f"version {newest.version} was published at {newest.published_at:%Y-%m-%d %H:%M:%S} "
            "UTC, which this machine's clock has not reached: set the clock right"
        )
        raise PublicationError(msg)
    if not history.add(publication):
        raise PublicationError(_taken(publication.version, max(history.versions())))
    return stream.put(publication.entries())


def _taken(version: int, newest: int) -> str:
    return (
        f"version {newest} is published already: look at it with `cardwatch rules diff`, and make "
        f"version {newest + 1} of this file's {version}"
    )


def rolled_back(history: RuleHistory, version: int | None, *, now: datetime) -> Publication:
    """Give the next version, with the settings of an earlier one that was in force.

    Without a version, of the one before the version in force. Raises PublicationError when there is
    none.
    """
    versions = history.versions()
    if version is None:
        earlier = [each for each in newest_first(history) if not each.shadow][1:]
        if not earlier:
            msg = "there is no version in force before this one: name one, or publish a file"
            raise PublicationError(msg)
        found = earlier[0]
    elif version not in versions:
        known = ", ".join(map(str, versions)) or NOTHING
        msg = f"version {version} was never published: {known} was"
        raise PublicationError(msg)
    else:
        found = history.read(version)
    if found.shadow:
        msg = f"version {found.version} was in shadow and never in force: publish its file instead"
        raise PublicationError(msg)
    note = f"rolled back to version {found.version}"
    return Publication(versions[-1] + 1, now, found.settings, note)


def differences(
    before: Mapping[str, RuleSettings], after: Mapping[str, RuleSettings]
) -> Iterator[str]:
    """Give a line for each setting that differs: its place, what it was and what it is."""
    old, new = _flat(before), _flat(after)
    for place in sorted(old.keys() | new.keys()):
        if old.get(place) != new.get(place):
            yield f"{place}: {old.get(place, NOTHING)} -> {new.get(place, NOTHING)}"


def _flat(rules: Mapping[str, RuleSettings]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, settings in rules.items():
        for field, value in settings:
            if field == "amounts":
                found |= {f"{name}.{each.currency}": f"{each.amount:f}" for each in value}
            elif field == "points":
                found |= {f"{name}.{factor}": str(points) for factor, points in value or ()}
            elif value is not None:
                found[f"{name}.{field}"] = str(value)
    return found
