"""What nobody is paged of, because somebody has acted on what it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Entry, Group, Page, Suppression


def suppressed_parts(
    alerts: Iterable[PagedAlert], *, groups: Mapping[str, Group], now: datetime, policy: Policy
) -> list[tuple[Suppression, list[PagedAlert]]]:
    """Find the alerts that nobody is paged of now, by the act because of which and by rule.

    What is too old expires instead.
    """
    found: dict[tuple[str, str], tuple[Suppression, list[PagedAlert]]] = {}
    for alert in alerts:
        by = policy.suppresses(groups.get(Group.id_of(alert)), now)
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
    entry: Entry, *, groups: Mapping[str, Group], now: datetime, policy: Policy
) -> Parting | None:
    """Take alerts out of an entry that waits, those of one act; None where none is suppressed."""
    for by, alerts in suppressed_parts(entry.alerts, groups=groups, now=now, policy=policy):
        part, rest = entry.parted(alerts, now)
        page = Page.suppressed(part, by, now=now, lease_until=now + policy.lease)
        touched = {Group.id_of(alert): groups[Group.id_of(alert)] for alert in alerts}
        return Parting(
            part.paged(page.page_id),
            rest,
            page,
            tuple(group.suppressing(alerts, by) for group in touched.values()),
        )
    return None
