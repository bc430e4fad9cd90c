"""How new alerts come into the ledger: at once on their way to a page, or gathered by their group.

The first alert on a card (or another entity) pages at once. What comes on it until the group's
interval is over waits for one follow-up. When that is due is known from the first that waits on, so
who sends it need not look at the groups. Where somebody has acted on a page of it, or snoozed it,
nobody is paged of what comes as long as that holds: it is SUPPRESSED in the write that enters it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import LOOK_BACK_WAITS, Policy
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import (
    MAX_ALERTS_PER_ENTRY,
    Entry,
    EntryState,
    Group,
    Page,
    Silence,
    Snoozes,
    Suppression,
    looks_back_on,
)
from cardwatch.paging.suppressing import suppressed_parts

MAX_ALERTS_AND_GROUPS: Final = 98
"""With its entry, and the silence or a page, that is what one transaction takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction enters."""

    entry: Entry
    alerts: tuple[PagedAlert, ...]
    """Those of the entry that are new."""
    groups: tuple[Group, ...]
    silence: Silence | None = None
    page: Page | None = None
    """Of what is suppressed: the record of it."""

    def items(self) -> list[LedgerItem]:
        """Give everything that changes."""
        items = [self.entry.item(), *(m.item() for m in self.entry.markers(self.alerts))]
        items += [group.item() for group in self.groups]
        items += [shared.item() for shared in (self.silence, self.page) if shared is not None]
        return items


def enter(
    alerts: Sequence[PagedAlert],
    *,
    groups: Mapping[str, Group],
    snoozes: Snoozes,
    entries: Mapping[str, Entry],
    silence: Silence | None,
    now: datetime,
    policy: Policy,
) -> Iterator[Step]:
    """Enter new alerts, an entry's of one rule; each step builds on those before it.

    What a look-back found on a card waits for a moment, in entries of its own.

    `groups` are those of the alerts that the ledger knows, `entries` those that wait in them, and
    `snoozes` what nobody is to be paged of.
    `silence` is given while nobody is subscribed. What is too old to be paged opens no group, waits
    for none, and no act suppresses it.
    """
    known = dict(groups)
    parts = suppressed_parts(alerts, groups=known, snoozes=snoozes, now=now, policy=policy)
    yield from _unpaged(parts, known, now, policy)
    unpaged = {alert.alert_id for _, same in parts for alert in same}
    at_once: dict[str, list[PagedAlert]] = {}
    waiting: dict[tuple[str, datetime, str | None], list[PagedAlert]] = {}
    for alert in alerts:
        if alert.alert_id in unpaged:
            continue
        group = known.get(Group.id_of(alert))
        looks_back = looks_back_on([alert])
        due = None
        if group and policy.gathers(group, now):
            due = policy.due_for(group, now)
        elif looks_back is not None:
            due = now + LOOK_BACK_WAITS
        if due and not policy.too_old(alert, now):
            waiting.setdefault((alert.rule, due, looks_back), []).append(alert)
        else:
            at_once.setdefault(alert.rule, []).append(alert)
    yield from _at_once(at_once.values(), known, now, policy)
    for (_, due, _), same in waiting.items():
        for step in _waiting(
            same, known, due=due, entries=entries, silence=silence, now=now, policy=policy
        ):
            yield step
            silence = step.silence.written() if step.silence else None


def _unpaged(
    parts: Iterable[tuple[Suppression, Sequence[PagedAlert]]],
    known: dict[str, Group],
    now: datetime,
    policy: Policy,
) -> Iterator[Step]:
    for by, same in parts:
        for part in _parts(same, MAX_ALERTS_PER_ENTRY):
            counted = _counted(part, known, now, policy)
            touched = [group.suppressing(part, by) for group in counted]
            entry = Entry.received(part, now=now, lease_until=now)
            page = Page.suppressed(entry, by, now=now, lease_until=now + policy.lease)
            yield Step(entry.paged(page.page_id), tuple(part), tuple(touched), page=page)
            known |= {group.group_id: group.written() for group in touched}


def _at_once(
    by_rule: Iterable[Sequence[PagedAlert]],
    known: dict[str, Group],
    now: datetime,
    policy: Policy,
) -> Iterator[Step]:
    for same in by_rule:
        for part in _parts(same, MAX_ALERTS_PER_ENTRY):
            counted = _counted(part, known, now, policy)
            touched = [group.opened(now) for group in counted]
            entry = Entry.received(part, now=now, lease_until=now + policy.lease)
            yield Step(entry.knowing(counted), tuple(part), tuple(touched))
            known |= {group.group_id: group.written() for group in touched}


def _waiting(
    alerts: Sequence[PagedAlert],
    known: dict[str, Group],
    *,
    due: datetime,
    entries: Mapping[str, Entry],
    silence: Silence | None,
    now: datetime,
    policy: Policy,
) -> Iterator[Step]:
    unheard = silence is not None
    groups_there = [known.get(Group.id_of(alert)) for alert in alerts]
    names = [group.entry_id for group in groups_there if group]
    found = (entries[name] for name in names if name and name in entries)
    open_entry = next((e for e in found if _takes_more(e, due, unheard=unheard)), None)
    room = MAX_ALERTS_PER_ENTRY - len(open_entry.alerts) if open_entry else 0
    for part in _parts(alerts, room):
        if open_entry:
            entry, open_entry = open_entry.gathering(part), None
        else:
            entry = Entry.gathered(part, now=now, due=due, unheard=unheard)
        counted = _counted(part, known, now, policy)
        touched = [group.joined(entry.entry_id, due=due) for group in counted]
        silence = silence.more(len(part), now) if silence else None
        yield Step(entry.knowing(counted), tuple(part), tuple(touched), silence)
        known |= {group.group_id: group.written() for group in touched}
        silence = silence.written() if silence else None


def _takes_more(entry: Entry, due: datetime, *, unheard: bool) -> bool:
    waits = entry.state is EntryState.GATHERED and entry.since == due
    return waits and entry.unheard is unheard and len(entry.alerts) < MAX_ALERTS_PER_ENTRY


def _parts(alerts: Sequence[PagedAlert], room: int) -> Iterator[list[PagedAlert]]:
    """Part alerts so that each part, with its groups, is one transaction and fits an entry.

    The first one's entry has so much room, or none if it is to be a new one.
    """
    room = room or MAX_ALERTS_PER_ENTRY
    part: list[PagedAlert] = []
    groups: set[str] = set()
    for alert in alerts:
        with_it = groups | {Group.id_of(alert)}
        if len(part) == room or len(part) + 1 + len(with_it) > MAX_ALERTS_AND_GROUPS:
            yield part
            part, with_it, room = [], {Group.id_of(alert)}, MAX_ALERTS_PER_ENTRY
        part.append(alert)
        groups = with_it
    if part:
        yield part


def _counted(
    alerts: Sequence[PagedAlert], known: Mapping[str, Group], now: datetime, policy: Policy
) -> list[Group]:
    """Count alerts in their groups; what is too old is in none."""
    by_group: dict[str, list[PagedAlert]] = {}
    for alert in alerts:
        if not policy.too_old(alert, now):
            by_group.setdefault(Group.id_of(alert), []).append(alert)
    return [
        (known.get(group_id) or Group.opened_by(same[0], now)).counted(same, now)
        for group_id, same in by_group.items()
    ]
