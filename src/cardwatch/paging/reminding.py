"""What is told again: what nobody acted on, to the same people and to the next ones, each once.

And what somebody resolved, to those who were paged of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import MAX_ALERTS_PER_PAGE, Policy
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Group, Page, Resolution, Snoozes
from cardwatch.paging.rules import words_of

MAX_PAGES_AGAIN: Final = 50
"""So many pages are told of again by one; with it they are one transaction."""


@dataclass(frozen=True, slots=True)
class Told:
    """A page that was sent, and what it told of."""

    page: Page
    alerts: tuple[PagedAlert, ...]


@dataclass(frozen=True, slots=True)
class Reminding:
    """What one transaction settles of pages that nobody acted on, or that somebody did."""

    settled: tuple[Page, ...]
    """Pages that nobody is reminded of any more."""
    rule: str = ""
    again: tuple[Page, ...] = ()
    """What then has to go out; nothing where somebody has acted on all of it."""

    def items(self) -> list[LedgerItem]:
        """Give everything that changes."""
        return [page.item() for page in (*self.settled, *self.again)]


def fitting_pages(pages: Iterable[Page]) -> list[Page]:
    """Take pages from the front as long as one page can tell of them all."""
    taken: list[Page] = []
    alerts = 0
    for page in pages:
        alerts += len(page.alert_ids)
        if alerts > MAX_ALERTS_PER_PAGE or len(taken) == MAX_PAGES_AGAIN:
            break
        taken.append(page)
    return taken


def unacted(
    told: Told,
    *,
    groups: Mapping[str, Group],
    snoozes: Snoozes,
    now: datetime,
    policy: Policy,
) -> list[PagedAlert]:
    """Find what nobody has acted on since a page was written, and nobody has snoozed.

    What is too old to be paged is too old to be told of again.
    """
    return [
        alert
        for alert in told.alerts
        if not _acted(groups.get(Group.id_of(alert)), told.page.since)
        and (policy.pages_although_snoozed(alert) or snoozes.covering(alert, now) is None)
        and not policy.too_old(alert, now)
    ]


def remind(
    waiting: Sequence[Told],
    *,
    groups: Mapping[str, Group],
    snoozes: Snoozes,
    now: datetime,
    policy: Policy,
    escalates: bool,
) -> Reminding | None:
    """Decide what people are reminded of, pages of one rule together; None when nothing is due.

    Pages that are not due yet come along when they are about the same cards or other entities, so
    of one entity people are reminded once in `policy.escalate_after`. `escalates` says that there
    are next ones to be told.
    """
    left = {
        told.page.page_id: unacted(told, groups=groups, snoozes=snoozes, now=now, policy=policy)
        for told in waiting
    }
    due = [told for told in waiting if policy.is_overdue(told.page, now)]
    if settled := tuple(told.page.told_again() for told in due if not left[told.page.page_id]):
        return Reminding(settled)
    if not due:
        return None
    rule = min((told.alerts[0].rule for told in due), key=lambda rule: not words_of(rule).urgent)
    overdue = {Group.id_of(a) for told in due if _is_of(told, rule) for a in told.alerts}
    same = [
        told
        for told in waiting
        if _is_of(told, rule)
        and left[told.page.page_id]
        and {Group.id_of(alert) for alert in left[told.page.page_id]} <= overdue
    ]
    pages = [told.page for told in same]
    ids = [alert.alert_id for told in same for alert in left[told.page.page_id]]
    again = [Page.telling_again("REMINDER", pages, ids, now=now, escalated=escalates)]
    if escalates:
        again.append(Page.telling_again("ESCALATION", pages, ids, now=now, to_next=True))
    settled = tuple(page.told_again(escalated=escalates) for page in pages)
    return Reminding(settled, rule, tuple(again))


def resolved(page: Page, resolution: Resolution, now: datetime) -> list[Page]:
    """Give what tells that a page is resolved: one page to each list that was paged of it."""
    lists = [False, True] if page.escalated or page.to_next else [False]
    return [
        Page.telling_again(
            "RESOLVED", [page], page.alert_ids, now=now, to_next=to_next, resolution=resolution
        )
        for to_next in lists
        if page.alert_ids
    ]


def _is_of(told: Told, rule: str) -> bool:
    return bool(told.alerts) and told.alerts[0].rule == rule


def _acted(group: Group | None, since: datetime) -> bool:
    return group is not None and group.acted_at is not None and group.acted_at >= since
