"""Which alerts go into one page, which are too old, and when they have to wait."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from cardwatch.contract.page import PageKind
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import (
    Bucket,
    Entry,
    EntryState,
    Group,
    Page,
    PageState,
    Silence,
    Suppression,
    looks_back_on,
    page_id,
)
from cardwatch.paging.rules import words_of
from cardwatch.paging.throttle import MAX_CLOCK_DIFFERENCE, TokenBucket, reserved

MAX_ALERTS_PER_PAGE: Final = 900
"""So that the ids fit a PAGE_EVENT (65,535 bytes) and the channel's message (256 KB)."""
MAX_ENTRIES_PER_PAGE: Final = 76
MAX_MENTIONS: Final = 20
"""With these a page, its entries, what it mentions, bucket and silence are one transaction."""
LOOK_BACK_WAITS: Final = timedelta(seconds=10)
"""So long the first alert of a look-back waits for the others of its card, which the stream may
deliver in several batches."""
MAX_LOOK_BACKS: Final = 8
"""So many look-backs that are due are a page each; more of them are one digest."""
ASKING: Final[frozenset[PageKind]] = frozenset({"FIRST", "DIGEST", "LOOK_BACK"})
"""Pages that tell of something that nobody knew of; a follow-up's card has had one of them."""
DUE_TOGETHER: Final = timedelta(seconds=10)
"""Follow-ups are due on this grid, so that cards of a storm share entries and pages."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """How pages are sent."""

    max_age: timedelta = timedelta(days=1)
    """An older alert, by the payment's time, is recorded as EXPIRED and not paged."""
    lease: timedelta = timedelta(seconds=60)
    """How long one attempt owns an alert; longer than an attempt can run."""
    pages_per_minute: int = 30
    rule_interval: timedelta = timedelta(seconds=60)
    """Between two pages of a rule that is not urgent: what comes meanwhile waits for the next."""
    group_interval: timedelta = timedelta(seconds=300)
    """After a page of a card or another entity: what comes on it meanwhile waits for one
    follow-up."""
    digest_interval: timedelta = timedelta(seconds=60)
    """Between two pages of what an urgent rule had to hold for want of a token."""
    act_holds: timedelta = timedelta(hours=1)
    """So long after somebody acted on a page nobody is paged of what comes on the same groups."""
    snooze_floors: Mapping[str, Decimal] = field(default_factory=dict)
    """By currency: what is as large is paged although it is snoozed."""
    escalate_after: timedelta = timedelta(0)
    """So long after a page people are reminded of what nobody has acted on; 0: never."""

    def too_old(self, alert: PagedAlert, now: datetime) -> bool:
        """Say whether paging this alert helps nobody any more."""
        return now - alert.ages_from > self.max_age

    def is_over(self, lease_until: datetime, now: datetime) -> bool:
        """Say whether a lease has run out, or was given by a clock that is too far ahead."""
        return not now < lease_until <= now + self.lease + MAX_CLOCK_DIFFERENCE

    def gathers(self, group: Group | None, now: datetime) -> bool:
        """Say whether what comes on a group waits for its follow-up; else it pages at once.

        A time that is too far ahead is another clock's mistake and holds nobody up. Nothing waits
        once somebody has acted on a page: it is suppressed, or the first after that.
        """
        if group is None or self._was_acted_on(group):
            return False
        since = now - group.paged_at
        return -self.group_interval - MAX_CLOCK_DIFFERENCE <= since < self.group_interval

    def suppresses(self, group: Group | None, now: datetime) -> Suppression | None:
        """Give the act because of which nobody is paged of what comes on a group, if one holds."""
        if group is None or not self._was_acted_on(group) or group.suppression is None:
            return None
        since = now - group.suppression.at
        holds = -MAX_CLOCK_DIFFERENCE <= since < self.act_holds
        return group.suppression if holds else None

    def pages_although_snoozed(self, alert: PagedAlert) -> bool:
        """Say whether an alert is too large to be snoozed; an unknown amount may be."""
        floor = self.snooze_floors.get(alert.currency or "")
        return floor is not None and (alert.amount is None or abs(alert.amount) >= floor)

    def asks(self, kind: PageKind) -> bool:
        """Say whether somebody is to act on a page: not on more of what was told before."""
        return bool(self.escalate_after) and kind in ASKING

    def is_overdue(self, page: Page, now: datetime) -> bool:
        """Say whether somebody should have acted on a page by now."""
        if not self.escalate_after or page.ended_at is None:
            return False
        return now - page.ended_at >= self.escalate_after

    def _was_acted_on(self, group: Group) -> bool:
        """Say whether somebody acted on a page of it: of a snooze the snoozes know the end."""
        acted = group.suppression is not None and group.suppression.act.act != "SNOOZED"
        return acted and bool(self.act_holds)

    def due_for(self, group: Group, now: datetime) -> datetime:
        """Say when the follow-up of what comes now is due: the one that waits, or the next one."""
        if group.paged_at > now:
            return group.paged_at
        due = group.paged_at + self.group_interval
        return due - (due - _EPOCH) % DUE_TOGETHER

    def is_due(self, entry: Entry, now: datetime) -> bool:
        """Say whether an entry's follow-up is to be sent."""
        latest = now + self.group_interval + MAX_CLOCK_DIFFERENCE
        return not now < entry.since <= latest

    def may_page(self, rule: str, bucket: Bucket, now: datetime) -> bool:
        """Say whether a rule may page again; an urgent one always may, as far as tokens go."""
        return words_of(rule).urgent or bucket.may_page(rule, now, self.rule_interval)

    def may_digest(self, rule: str, bucket: Bucket, now: datetime) -> bool:
        """Say whether what a rule holds may go out: an urgent rule's digest has its interval."""
        urgent = words_of(rule).urgent
        return bucket.may_page(rule, now, self.digest_interval if urgent else self.rule_interval)

    @property
    def remembered(self) -> timedelta:
        """Give how long a rule's last page or digest matters."""
        return max(self.rule_interval, self.digest_interval)

    def take(self, bucket: Bucket, rule: str, now: datetime) -> TokenBucket | None:
        """Take a token for a page of a rule, which leaves urgent ones some; None: there is none."""
        kept = 0 if words_of(rule).urgent else reserved(self.pages_per_minute)
        return bucket.bucket.take(self.pages_per_minute, now, reserved=kept)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write in one transaction, and the page that then has to go out, if any."""

    page: Page | None
    entries: tuple[Entry, ...]
    mentioned: tuple[Page, ...] = ()
    bucket: Bucket | None = None
    silence: Silence | None = None

    def items(self) -> list[LedgerItem]:
        """Give everything that changes."""
        items = [entry.item() for entry in self.entries]
        items += [page.told().item() for page in self.mentioned]
        if self.page is not None:
            items.append(self.page.item())
        if self.bucket is not None:
            items.append(self.bucket.item())
        if self.silence is not None:
            items.append(self.silence.item())
        return items


def by_rule(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Part entries by their rules, urgent rules first."""
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        parts.setdefault(entry.rule, []).append(entry)
    return sorted(parts.values(), key=lambda part: not words_of(part[0].rule).urgent)


def fitting(entries: Iterable[Entry], *, beside: Sequence[Entry] = ()) -> list[Entry]:
    """Take entries from the front as long as they fit into one page beside others."""
    taken: list[Entry] = []
    alerts = sum(len(entry.alerts) for entry in beside)
    for entry in entries:
        alerts += len(entry.alerts)
        if alerts > MAX_ALERTS_PER_PAGE or len(beside) + len(taken) == MAX_ENTRIES_PER_PAGE:
            break
        taken.append(entry)
    return taken


def plan(
    own: Sequence[Entry],
    held: Sequence[Entry],
    *,
    kind: PageKind = "FIRST",
    more_held: bool = False,
    expired: Sequence[Page],
    bucket: Bucket,
    silence: Silence,
    reached: bool,
    now: datetime,
    policy: Policy,
) -> Plan:
    """Decide what becomes of one's own entries, and of held ones that a page can carry along.

    All are of one rule, and there is at least one. Of alerts that a look-back found on one card or
    other entity it is a look-back; where what was held for a token is on several, a first page is
    a digest. `more_held` says that more wait, which may then follow at once.
    With a token, a rule that may page, and somebody whom a page would reach, or when all alerts are
    too old and nobody is paged, they make one page. Else they wait. `expired` are records of
    expired alerts that no page has told of yet.
    """
    entries = [*own, *held]
    alerts = [alert for entry in entries for alert in entry.alerts]
    stale = sorted(alert.alert_id for alert in alerts if policy.too_old(alert, now))
    fresh = sorted(alert.alert_id for alert in alerts if not policy.too_old(alert, now))
    identifier = page_id([*stale, *fresh])
    paged = tuple(entry.paged(identifier) for entry in entries)
    waited = _waited(entries, now, policy, unheard=False)
    several = len({Group.id_of(alert) for alert in alerts}) > 1
    if looks_back_on(alerts) is not None:
        kind = "LOOK_BACK"
    elif several and (entries[0].looks_back_on is not None or (kind == "FIRST" and waited)):
        kind = "DIGEST"
    page = Page(
        page_id=identifier,
        kind=kind,
        state=PageState.PENDING,
        entry_ids=tuple(entry.entry_id for entry in entries),
        alert_ids=tuple(fresh),
        expired_ids=tuple(stale),
        waited=waited,
        unheard=_waited(entries, now, policy, unheard=True),
        earlier_expired=sum(len(page.expired_ids) + page.earlier_expired for page in expired),
        since=now,
        lease_until=now + policy.lease,
        urgent=words_of(entries[0].rule).urgent,
        asks=policy.asks(kind),
    )
    if not fresh:
        # The records that nobody has told of stay as they are: this one is told of, not sent.
        return Plan(page.model_copy(update={"earlier_expired": 0}).expired(now), paged)
    if not reached:
        alerts_here = sum(len(entry.alerts) for entry in own)
        counted = silence.more(alerts_here, now) if own else None
        return Plan(None, tuple(entry.held(unheard=True) for entry in own), silence=counted)
    rest = policy.take(bucket, entries[0].rule, now)
    if rest is None or not policy.may_page(entries[0].rule, bucket, now):
        return Plan(None, tuple(entry.held() for entry in own))
    counts = not page.urgent or (kind == "DIGEST" and not more_held)
    rule = entries[0].rule if counts else None
    spent = bucket.spent(rest, rule=rule, now=now, interval=policy.remembered)
    heard = silence.told() if silence.began else None
    return Plan(page.telling_of(silence), paged, tuple(expired), spent, heard)


def _waited(entries: Iterable[Entry], now: datetime, policy: Policy, *, unheard: bool) -> int:
    """Count the alerts still to be paged that were held for a token, or that came `unheard`."""
    return sum(
        not policy.too_old(alert, now)
        for entry in entries
        if (entry.unheard if unheard else entry.state is EntryState.HELD and not entry.unheard)
        for alert in entry.alerts
    )
