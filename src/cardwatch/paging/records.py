"""What the page ledger remembers, and how it is written down.

- A marker per alert: which entry the alert came in. It is written once and makes an alert known.
- An entry: alerts that came in together, or that one follow-up is to tell of. RECEIVED (an attempt
  with a lease has them), HELD (no token; they wait for the next page or the schedule), GATHERED
  (they wait for their group's follow-up) or PENDING (its page says what happens).
- A group: what one rule found on one entity (a card, an account, …): when people were paged of it
  last or will be, which entry waits for its follow-up, and what came in the last hour.
- A page: PENDING with a lease, SENT, EXPIRED (its alerts were too old; nobody was paged), or
  SUPPRESSED (somebody had acted on what they are about; nobody was paged).
- The token bucket, and when rules were paged last.
- The snoozes: of which cards, accounts, users, merchants and rules nobody is paged until when.
- The silence: since when nobody is subscribed to pages, and how many alerts came meanwhile.

An alert's state is its entry's until that is PENDING, and its page's from then on, so a page with
any number of alerts becomes SENT in one write.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from cardwatch.contract.act import PageAct
from cardwatch.contract.fields import Amount, EventTime
from cardwatch.contract.page import PageKind
from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.rules import words_of
from cardwatch.paging.throttle import MAX_CLOCK_DIFFERENCE, TokenBucket

MAX_ALERTS_PER_ENTRY: Final = 90
"""An entry and its markers are one transaction of at most 100 items."""
RECENTLY: Final = timedelta(hours=1)
"""How far back a page says what came on a group; known to the minute."""
MAX_RECENT_CURRENCIES: Final = 20
"""So that alerts with made-up currencies cannot make a group's item large."""
BUCKET_KEY: Final = "bucket"
SILENCE_KEY: Final = "silence"
SNOOZES_KEY: Final = "snoozes"
MAX_SNOOZES: Final = 200
"""That hold at once; one takes about 600 bytes of the item's 300 KB."""
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When people were paged of a group that they were not paged of yet."""


class EntryState(StrEnum):
    """Where the alerts of an entry are."""

    RECEIVED = "RECEIVED"
    HELD = "HELD"
    GATHERED = "GATHERED"
    PENDING = "PENDING"


class PageState(StrEnum):
    """Where a page is."""

    PENDING = "PENDING"
    SENT = "SENT"
    EXPIRED = "EXPIRED"
    SUPPRESSED = "SUPPRESSED"


class Work(StrEnum):
    """What the schedule has to look after when nobody else does."""

    RECEIVED = "received"
    """An entry whose attempt may have died."""
    HELD = "held"
    """An entry that waits for a page, of an urgent rule."""
    HELD_OTHER = "held_other"
    """The same of another rule, so that however many wait, they hide no urgent one."""
    GATHERED = "gathered"
    """An entry that waits for its follow-up, of an urgent rule; the one due first is first."""
    GATHERED_OTHER = "gathered_other"
    """The same of another rule."""
    LOOK_BACK = "look_back"
    """An entry of what a look-back found on one card, which waits for its page."""
    PAGE = "page"
    """A page that is not sent yet, of an urgent rule."""
    PAGE_OTHER = "page_other"
    """The same of another rule."""
    REFUSED = "refused"
    """A page that the channel refuses for what it is; it is tried after everything else."""
    EVENT = "event"
    """A page whose PAGE_EVENT is not on the stream yet."""
    MENTION = "mention"
    """Expired alerts that no page has told of yet."""
    RESOLVED = "resolved"
    """What somebody resolved, and nobody was told of yet."""
    UNACTED = "unacted"
    """A page that was sent and that somebody is to act on, or people are reminded of it."""


class Record(BaseModel):
    """What every item is: versioned, and dated by when it was first written."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    version: Annotated[int, Field(exclude=True)] = 0
    since: EventTime

    @classmethod
    def of(cls, item: LedgerItem) -> Self:
        """Read what the ledger kept."""
        record = cls.model_validate_json(item.body)
        return record.model_copy(update={"version": item.version})

    def written(self) -> Self:
        """Give it as it is in the ledger after a commit that wrote it."""
        return self._next(version=self.version + 1)

    def _item(self, key: str, state: str, unfinished: Work | None) -> LedgerItem:
        return LedgerItem(
            key=key,
            version=self.version,
            state=state,
            body=self.model_dump_json(),
            unfinished=unfinished,
            since=self.since,
        )

    def _next(self, **changes: object) -> Self:
        return self.model_copy(update=changes)


class Marker(Record):
    """Says that an alert is known."""

    alert_id: str
    entry_id: str

    @staticmethod
    def key(alert_id: str) -> str:
        return f"alert#{alert_id}"

    def item(self) -> LedgerItem:
        return self._item(self.key(self.alert_id), "KNOWN", None)


class Recent(BaseModel):
    """What came on one group in some time: how many alerts, and their amounts by currency."""

    model_config = ConfigDict(frozen=True)

    alerts: int = 0
    totals: dict[str, Amount] = Field(default_factory=dict)
    """Of alerts whose amounts add up by their rule's words."""

    def plus(self, other: "Recent") -> "Recent":
        """Give both together."""
        totals = dict(self.totals)
        for currency, amount in other.totals.items():
            if currency in totals or len(totals) < MAX_RECENT_CURRENCIES:
                totals[currency] = totals.get(currency, Decimal(0)) + amount
        return Recent(alerts=self.alerts + other.alerts, totals=totals)

    @classmethod
    def of(cls, alerts: Sequence[PagedAlert]) -> "Recent":
        adding = [alert for alert in alerts if words_of(alert.rule).adds_up(alert)]
        return Recent(alerts=len(alerts)).plus(Recent(totals=phrases.sums(adding)))


class Minute(BaseModel):
    """What came on a group in one minute."""

    model_config = ConfigDict(frozen=True)

    at: EventTime
    came: Recent


class Suppression(BaseModel):
    """An act because of which nobody is paged of what comes on a group."""

    model_config = ConfigDict(frozen=True)

    at: EventTime
    """When somebody acted."""
    act: PageAct
    came: Recent = Recent()
    """What nobody was paged of, and no page has told of yet."""


class Group(Record):
    """What one rule found on one entity."""

    group_id: str
    paged_at: EventTime
    """When alerts came in that paged at once, or when the follow-up is due that was set up last."""
    entry_id: str | None = None
    """The entry that was set up last to wait for a follow-up."""
    minutes: tuple[Minute, ...] = ()
    suppression: Suppression | None = None
    """There from an act on, or the first alert that was suppressed, until the first page or
    follow-up afterwards."""
    acted_at: EventTime | None = None
    """When somebody last acted on a page of it; whatever came since, that stays known."""

    @staticmethod
    def id_of(alert: PagedAlert) -> str:
        """Give the id of an alert's group; what a look-back finds is a group of its own."""
        text = f"{alert.rule}|{alert.entity_kind}|{alert.entity_id}"
        if alert.found_by == "look_back":
            text += "|look_back"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @staticmethod
    def key(group_id: str) -> str:
        return f"group#{group_id}"

    @classmethod
    def opened_by(cls, alert: PagedAlert, now: datetime) -> Self:
        """Give the group of an alert that is its first."""
        return cls(group_id=cls.id_of(alert), paged_at=_NEVER, since=now)

    def opened(self, now: datetime) -> Self:
        """Record that a page of it is on its way."""
        return self._next(paged_at=now, suppression=None)

    def joined(self, entry_id: str, *, due: datetime) -> Self:
        """Have what came wait in an entry whose follow-up is due then."""
        return self._next(entry_id=entry_id, paged_at=due, suppression=None)

    def acted_on(self, act: PageAct, at: datetime) -> Self:
        """Have an act hold from now on; what came under an act before is still to be told of."""
        came = self.suppression.came if self.suppression else Recent()
        return self._next(suppression=Suppression(at=at, act=act, came=came), acted_at=at)

    def suppressing(self, alerts: Sequence[PagedAlert], by: Suppression) -> Self:
        """Record that nobody is paged of those of these alerts that are on it."""
        mine = [alert for alert in alerts if self.id_of(alert) == self.group_id]
        before = self.suppression.came if self.suppression else Recent()
        came = before.plus(Recent.of(mine))
        return self._next(suppression=by.model_copy(update={"came": came}))

    def counted(self, alerts: Sequence[PagedAlert], now: datetime) -> Self:
        """Count alerts that came now, and forget what is more than an hour ago."""
        minute = now.replace(second=0, microsecond=0)
        kept = {m.at: m.came for m in self.minutes if now - m.at < RECENTLY}
        kept[minute] = kept.get(minute, Recent()).plus(Recent.of(alerts))
        minutes = tuple(Minute(at=at, came=came) for at, came in sorted(kept.items()))
        return self._next(minutes=minutes)

    def recent(self) -> Recent:
        """Say what came in the hour before it was counted last."""
        total = Recent()
        for minute in self.minutes:
            total = total.plus(minute.came)
        return total

    def item(self) -> LedgerItem:
        return self._item(self.key(self.group_id), "GROUP", None)


class Entry(Record):
    """Alerts that came in together and go into one page together.

    Of a GATHERED one `since` is when its follow-up is due.
    """

    entry_id: str
    state: EntryState
    alerts: tuple[PagedAlert, ...]
    lease_until: EventTime
    page_id: str | None = None
    unheard: bool = False
    """It is held because nobody is subscribed to pages, or was gathered while nobody was."""
    recent: dict[str, Recent] = Field(default_factory=dict)
    """By group, what came on it in the last hour when these alerts did, they included."""
    suppressed: dict[str, Suppression] = Field(default_factory=dict)
    """By group, what nobody was paged of before these alerts came."""

    @staticmethod
    def key(entry_id: str) -> str:
        return f"entry#{entry_id}"

    @classmethod
    def received(
        cls,
        alerts: Sequence[PagedAlert],
        *,
        now: datetime,
        lease_until: datetime,
    ) -> Self:
        """Enter new alerts; the id is new on each try, the markers are what is unique."""
        ids = "|".join(sorted(alert.alert_id for alert in alerts))
        return cls(
            entry_id=hashlib.sha256(f"{ids}|{now.isoformat()}".encode()).hexdigest()[:32],
            state=EntryState.RECEIVED,
            alerts=tuple(alerts),
            since=now,
            lease_until=lease_until,
        )

    @classmethod
    def gathered(
        cls, alerts: Sequence[PagedAlert], *, now: datetime, due: datetime, unheard: bool
    ) -> Self:
        """Enter new alerts that wait for their follow-up; no attempt owns them."""
        entry = cls.received(alerts, now=now, lease_until=now)
        state = {"state": EntryState.GATHERED, "since": due, "unheard": unheard}
        return entry.model_copy(update=state)

    def gathering(self, alerts: Sequence[PagedAlert]) -> Self:
        """Have more alerts wait for the same follow-up."""
        return self._next(alerts=(*self.alerts, *alerts))

    def knowing(self, groups: Iterable[Group]) -> Self:
        """Note what came on groups lately, and of what on them nobody was paged."""
        known = list(groups)
        recent = {group.group_id: group.recent() for group in known}
        suppressed = {g.group_id: s for g in known if (s := g.suppression) and s.came.alerts}
        return self._next(recent=self.recent | recent, suppressed=self.suppressed | suppressed)

    def parted(self, alerts: Sequence[PagedAlert], now: datetime) -> tuple[Self, Self | None]:
        """Part some of its alerts from the rest, which waits on; None where nothing is left.

        The markers of what is parted name the entry that they came in, which is the rest's.
        """
        ids = {alert.alert_id for alert in alerts}
        rest = tuple(alert for alert in self.alerts if alert.alert_id not in ids)
        if not rest:
            return self, None
        return self.received(alerts, now=now, lease_until=now), self._next(alerts=rest)

    @property
    def rule(self) -> str:
        """Name the rule of its alerts; all of an entry's are of one."""
        return self.alerts[0].rule

    @property
    def looks_back_on(self) -> str | None:
        """Give the group on which a look-back found all of its alerts, if there is one."""
        return looks_back_on(self.alerts)

    def markers(self, alerts: Sequence[PagedAlert]) -> list[Marker]:
        """Give the markers of those of its alerts that are new."""
        return [
            Marker(alert_id=alert.alert_id, entry_id=self.entry_id, since=self.since)
            for alert in alerts
        ]

    def leased(self, until: datetime) -> Self:
        """Take it over from an attempt that died."""
        return self._next(lease_until=until)

    def held(self, *, unheard: bool = False) -> Self:
        """Let it wait for a page: for a token, or `unheard` for somebody to be subscribed."""
        return self._next(state=EntryState.HELD, unheard=unheard)

    def paged(self, page_id: str) -> Self:
        return self._next(state=EntryState.PENDING, page_id=page_id)

    def item(self) -> LedgerItem:
        urgent = words_of(self.rule).urgent
        work = {
            EntryState.RECEIVED: Work.RECEIVED,
            EntryState.HELD: Work.HELD if urgent else Work.HELD_OTHER,
            EntryState.GATHERED: Work.GATHERED if urgent else Work.GATHERED_OTHER,
        }
        if self.looks_back_on is not None:
            work[EntryState.GATHERED] = Work.LOOK_BACK
        return self._item(self.key(self.entry_id), self.state, work.get(self.state))


class Page(Record):
    """One page: which alerts it accounts for and what became of it."""

    page_id: str
    kind: PageKind = "FIRST"
    state: PageState
    entry_ids: tuple[str, ...]
    alert_ids: tuple[str, ...]
    """The alerts it tells of."""
    expired_ids: tuple[str, ...] = ()
    """Alerts of its entries that were too old; nobody is paged of them."""
    suppressed_ids: tuple[str, ...] = ()
    """Of a SUPPRESSED one its alerts; nobody is paged of them."""
    act_id: str | None = None
    """Of a SUPPRESSED one the act because of which."""
    waited: int = 0
    """How many of its alerts were held before for want of a token."""
    unheard: int = 0
    """How many of its alerts were held before because nobody was subscribed."""
    silence_since: EventTime | None = None
    """Of the first page after a time in which nobody was subscribed: when that began."""
    silence_waited: int = 0
    """How many alerts came in that time."""
    earlier_expired: int = 0
    """How many alerts expired since the page before."""
    lease_until: EventTime
    urgent: bool = True
    """Whether its rule is."""
    refused: bool = False
    """The channel refused it for what it is."""
    may_be_sent: bool = True
    """Whether an attempt may have handed it to the channel; no only when the channel refused."""
    repeat: bool = False
    """Whether the message says that it may be a repeat."""
    ended_at: EventTime | None = None
    """When it became SENT, EXPIRED or SUPPRESSED."""
    announced: bool = False
    """Its PAGE_EVENT is on the stream."""
    mentioned: bool = False
    """EXPIRED only: a later page has told of it."""
    asks: bool = False
    """Somebody is to act on it, or people are reminded of it."""
    tells_of: tuple[str, ...] = ()
    """Of a REMINDER, an ESCALATION or a RESOLVED: the pages that it tells of again."""
    to_next: bool = False
    """It goes to those to whom pages are escalated."""
    escalated: bool = False
    """It was told of to them as well."""
    resolved_by: str | None = None
    """Of a RESOLVED: who resolved it."""
    resolved_at: EventTime | None = None

    @staticmethod
    def key(page_id: str) -> str:
        return f"page#{page_id}"

    @classmethod
    def suppressed(
        cls, entry: Entry, by: Suppression, *, now: datetime, lease_until: datetime
    ) -> Self:
        """Give the record of an entry that nobody is paged of, because somebody has acted."""
        ids = tuple(sorted(alert.alert_id for alert in entry.alerts))
        return cls(
            page_id=page_id(ids),
            state=PageState.SUPPRESSED,
            entry_ids=(entry.entry_id,),
            alert_ids=(),
            suppressed_ids=ids,
            act_id=by.act.act_id,
            since=now,
            lease_until=lease_until,
            ended_at=now,
        )

    @classmethod
    def telling_again(
        cls,
        kind: PageKind,
        pages: Sequence["Page"],
        alert_ids: Iterable[str],
        *,
        now: datetime,
        to_next: bool = False,
        escalated: bool = False,
        resolution: "Resolution | None" = None,
    ) -> Self:
        """Give a page that tells of others once more; nobody owns it yet, and nobody has sent it.

        It is the page of no alert: that stays the first one.
        """
        ids = tuple(sorted(alert_ids))
        return cls(
            page_id=page_id(ids, kind, *(["next"] if to_next else [])),
            kind=kind,
            state=PageState.PENDING,
            entry_ids=tuple(dict.fromkeys(i for page in pages for i in page.entry_ids)),
            alert_ids=ids,
            since=now,
            lease_until=now,
            urgent=False,
            may_be_sent=False,
            tells_of=tuple(page.page_id for page in pages),
            to_next=to_next,
            escalated=escalated,
            resolved_by=resolution.by if resolution else None,
            resolved_at=resolution.since if resolution else None,
        )

    def told_again(self, *, escalated: bool = False) -> Self:
        """Record that nobody needs to be reminded of it any more."""
        return self._next(asks=False, escalated=escalated)

    def withdrawn(self, now: datetime) -> Self:
        """Record that nobody is told again: somebody has acted before it could be sent."""
        return self._next(state=PageState.SUPPRESSED, alert_ids=(), ended_at=now)

    @property
    def acts_on(self) -> str:
        """Name the page that an act on this one is about: of one told of again, that one."""
        return self.tells_of[0] if len(self.tells_of) == 1 else self.page_id

    def retried(self, lease_until: datetime) -> Self:
        """Take over a page that is not known to be sent: the same ids, marked if need be."""
        return self._next(
            lease_until=lease_until, repeat=self.repeat or self.may_be_sent, may_be_sent=True
        )

    def telling_of(self, silence: "Silence") -> Self:
        """Let it say how many alerts waited for somebody to be subscribed."""
        if silence.began is None:
            return self
        return self._next(silence_since=silence.began, silence_waited=silence.waited)

    def alerts_of(self, entries: Iterable[Entry]) -> list[PagedAlert]:
        """Give those alerts of its entries that it tells of."""
        told = set(self.alert_ids)
        return [a for entry in entries for a in entry.alerts if a.alert_id in told]

    @property
    def may_be_out(self) -> bool:
        """Say whether some attempt may have handed it to the channel; then it never expires."""
        return self.may_be_sent or self.repeat

    def set_aside(self, now: datetime) -> Self:
        """Give up the lease of a page that the channel refuses; the schedule tries it again."""
        return self._next(lease_until=now, may_be_sent=False, refused=True)

    def released(self, now: datetime, *, may_be_sent: bool) -> Self:
        """Give up the lease after the channel failed."""
        return self._next(lease_until=now, may_be_sent=may_be_sent)

    def sent(self, now: datetime) -> Self:
        """Record that the channel took it."""
        return self._next(state=PageState.SENT, ended_at=now)

    def expired(self, now: datetime) -> Self:
        """Record that its alerts became too old before the channel took it, or took it at all."""
        return self._next(
            state=PageState.EXPIRED,
            alert_ids=(),
            expired_ids=tuple(sorted((*self.alert_ids, *self.expired_ids))),
            ended_at=now,
        )

    def with_event_announced(self) -> Self:
        """Record that its PAGE_EVENT is on the stream."""
        return self._next(announced=True)

    def told(self) -> Self:
        """Record that a later page tells of its expired alerts."""
        return self._next(mentioned=True)

    def item(self) -> LedgerItem:
        return self._item(self.key(self.page_id), self.state, self._work())

    def _work(self) -> Work | None:
        if self.state is PageState.PENDING:
            if self.refused:
                return Work.REFUSED
            return Work.PAGE if self.urgent else Work.PAGE_OTHER
        if not self.announced:
            return Work.EVENT
        if self.state is PageState.EXPIRED and not self.mentioned and not self.tells_of:
            return Work.MENTION
        return Work.UNACTED if self.state is PageState.SENT and self.asks else None


class Resolution(Record):
    """Says that somebody resolved what a page is about: who was paged of it is told once.

    `since` is when it was resolved.
    """

    page_id: str
    by: str
    told: bool = False
    """The pages that tell of it are in the ledger."""

    @staticmethod
    def key(page_id: str) -> str:
        return f"resolution#{page_id}"

    def with_pages(self) -> Self:
        """Record that the pages that tell of it are in the ledger."""
        return self._next(told=True)

    def item(self) -> LedgerItem:
        work = None if self.told else Work.RESOLVED
        return self._item(self.key(self.page_id), "RESOLVED", work)


class Bucket(Record):
    """The token bucket's item, and when each rule that is not urgent was paged last.

    Of an urgent rule, when its last digest went out.
    """

    bucket: TokenBucket
    paged_at: dict[str, EventTime] = Field(default_factory=dict)
    """Of the last interval; who was paged before that may be paged anyhow."""

    def may_page(self, rule: str, now: datetime, interval: timedelta) -> bool:
        """Say whether the rule's last page is long enough ago.

        A time that is too far ahead is another clock's mistake and holds nobody up.
        """
        last = self.paged_at.get(rule)
        return last is None or not -MAX_CLOCK_DIFFERENCE <= now - last < interval

    def spent(
        self, rest: TokenBucket, *, now: datetime, interval: timedelta, rule: str | None = None
    ) -> Self:
        """Give it with `rest` left, and a page of `rule` gone out, if that counts."""
        recent = {name: at for name, at in self.paged_at.items() if now - at < interval}
        paged_at = recent | ({rule: now} if rule is not None else {})
        return self.model_copy(update={"bucket": rest, "paged_at": paged_at})

    def item(self) -> LedgerItem:
        return self._item(BUCKET_KEY, "BUCKET", None)


class Silence(Record):
    """The time in which nobody is subscribed to pages; there is none while `began` is None."""

    began: EventTime | None = None
    waited: int = 0
    """How many alerts came since it began."""

    def more(self, alerts: int, now: datetime) -> Self:
        """Count alerts that wait for somebody to be subscribed."""
        return self._next(began=self.began or now, waited=self.waited + alerts)

    def told(self) -> Self:
        """End it: a page says how many waited."""
        return self._next(began=None, waited=0)

    def item(self) -> LedgerItem:
        return self._item(SILENCE_KEY, "SILENCE", None)


class Snoozes(Record):
    """What nobody is paged of until when, one item for all attempts."""

    snoozes: tuple[Suppression, ...] = ()

    def holding(self, now: datetime) -> list[Suppression]:
        """Give those that hold now, the one that ends first first."""
        held = [snooze for snooze in self.snoozes if _until(snooze) > now]
        return sorted(held, key=lambda snooze: (_until(snooze), snooze.act.scope))

    def covering(self, alert: PagedAlert, now: datetime) -> Suppression | None:
        """Give one because of which nobody is paged of an alert; None where there is none."""
        if not self.snoozes:
            return None
        scopes = alert.scopes
        return next((s for s in self.holding(now) if s.act.scope in scopes), None)

    def changed_by(self, act: PageAct, now: datetime) -> Self:
        """Have an act take the place of the one about the same scope, and forget what is over.

        One that is over by now ends that one and leaves nothing.
        """
        others = [snooze for snooze in self.holding(now) if snooze.act.scope != act.scope]
        own = Suppression(at=now, act=act)
        return self._next(snoozes=(*others, *([own] if _until(own) > now else [])))

    def item(self) -> LedgerItem:
        return self._item(SNOOZES_KEY, "SNOOZES", None)


def _until(snooze: Suppression) -> datetime:
    return snooze.act.until or snooze.at


def looks_back_on(alerts: Iterable[PagedAlert]) -> str | None:
    """Give the one group on which a look-back found all these alerts; None where there is none."""
    groups = {Group.id_of(a) if a.found_by == "look_back" else None for a in alerts}
    return groups.pop() if len(groups) == 1 else None


def page_id(alert_ids: Sequence[str], *of: str) -> str:
    """Give a page's id: the same for the same alerts, in whatever order they came.

    `of` tells apart what is said of the same alerts again.
    """
    text = "|".join([*of, *sorted(alert_ids)])
    return f"page_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
