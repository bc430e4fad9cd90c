"""What nobody is paged of, because somebody has acted on what it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Entry, Group, Page, Snoozes, Suppression


def suppressed_parts(
    alerts: Iterable[PagedAlert],
    *,
    groups: Mapping[str, Group],
    snoozes: Snoozes,
    now: datetime,
    policy: Policy,
) -> list[tuple[Suppression, list[PagedAlert]]]:
    """Find the alerts that nobody is paged of now, by the act because of which and by rule.

    What is too old expires instead, and what is too large is paged although it is snoozed.
    """
    found: dict[tuple[str, str], tuple[Suppression, list[PagedAlert]]] = {}
    for alert in alerts:
        by = policy.suppresses(groups.get(Group.id_of(alert)), now)
        if by is None and not policy.pages_although_snoozed(alert):
            by = snoozes.covering(alert, now)
        if by is not None and not policy.too_old(alert, now):
            _, same = found.setdefault((alert.rule, by.act.act_id), (by, []))
            same.append(alert)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Parting:
    """What one transaction takes out of an entry that waits, because an act suppresses it."""

    entry: Entry
    rest: Entry | None
    """What waits on; None where nothing is left."""
    page: Page
    groups: tuple[Group, ...]

    def items(self) -> list[LedgerItem]:
        """Give everything that changes."""
        items = [self.entry.item(), self.page.item(), *(group.item() for group in self.groups)]
        return items if self.rest is None else [*items, self.rest.item()]


def take_out(
    entry: Entry,
    *,
    groups: Mapping[str, Group],
    snoozes: Snoozes,
    now: datetime,
    policy: Policy,
) -> Parting | None:
    """Take alerts out of an entry that waits, those of one act; None where none is suppressed."""
    for by, alerts in suppressed_parts(
        entry.alerts, groups=groups, snoozes=snoozes, now=now, policy=policy
    ):
        part, rest = entry.parted(alerts, now)
        page = Page.suppressed(part, by, now=now, lease_until=now + policy.lease)
        of = {Group.id_of(alert) for alert in alerts}
        return Parting(
            part.paged(page.page_id),
            rest,
            page,
            tuple(groups[name].suppressing(alerts, by) for name in sorted(of) if name in groups),
        )
    return None
