"""The notifier: batches of alerts in, pages out; each alert is accounted for, whatever breaks.

docs/paging.md lists what happens for a crash at each step; tests/unit/paging crashes at each.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cardwatch.backoff import Backoff
from cardwatch.contract.act import OF_THE_PAGE, PageAct
from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.canary import is_canary
from cardwatch.contract.page import ExpiredReason, PageEvent, PageKind
from cardwatch.contract.page import PageState as PageEventState
from cardwatch.contract.rule_alert import RuleAlert
from cardwatch.contract.streams import Envelope, RejectedRecord, read_event
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.canary import CanaryArrival
from cardwatch.paging.entering import enter
from cardwatch.paging.grouping import (
    MAX_LOOK_BACKS,
    MAX_MENTIONS,
    Plan,
    Policy,
    by_rule,
    fitting,
    plan,
)
from cardwatch.paging.ledger import Known, Ledger
from cardwatch.paging.message import compose, compose_short
from cardwatch.paging.ports import (
    LinkUnavailableError,
    PageLedger,
    PageLinks,
    PageMayBeSentError,
    PageNotSentError,
    Pager,
    PageRefusedError,
)
from cardwatch.paging.records import (
    Bucket,
    Entry,
    EntryState,
    Group,
    Page,
    PageState,
    Recent,
    Silence,
    Suppression,
    Work,
)
from cardwatch.paging.reminding import Told, fitting_pages, remind, resolved, unacted
from cardwatch.paging.subscriptions import Audience, SubscriptionsUnavailableError
from cardwatch.paging.suppressing import take_out
from cardwatch.ports import Clock, DeadLetters, EventStream, NotKeptError, StreamEntry

SOURCE: Final = "notifier"
"""Under which name poison is kept."""
NOT_AN_ALERT: Final = "not_an_alert"

_TRIES: Final = Backoff(tries=10, first_seconds=0.04, longest_seconds=0.5, patience_seconds=4.0)
"""How often a write is tried when concurrent attempts change the same items: the bucket is one for
all shards, and attempts that waited equally long would meet there again and again."""
_LOOK_AHEAD: Final = 100
"""How many waiting items one look brings."""
_CLOCK_TOLERANCE: Final = timedelta(days=1)
"""The detection has judged the payment's time; this host's clock must not lose the alert."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """A list of people, by the channel that reaches them."""

    pager: Pager
    audience: Audience


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One record as the stream delivers it."""

    sequence_number: str
    data: bytes


@dataclass(slots=True)
class Outcome:
    """What one run did."""

    failed: set[str] = field(default_factory=set)
    """Sequence numbers of records that have to be delivered again."""
    received: int = 0
    unpaged: int = 0
    """Alerts that nobody is paged of: of a rule whose paging is off, or of a version in shadow."""
    canaries: list[CanaryArrival] = field(default_factory=list)
    """Alerts that are nobody's: they have come this far, and go no further."""
    paged: int = 0
    held: int = 0
    gathered: int = 0
    """Alerts that wait for the follow-up of their card or other entity."""
    suppressed: int = 0
    """Alerts that nobody is paged of, because somebody has acted on what they are about."""
    expired: int = 0
    pages_sent: int = 0
    told_again: Counter[PageKind] = field(default_factory=Counter)
    """Of these, what tells of alerts that were paged before, by kind."""
    pages_repeated: int = 0
    pages_refused: int = 0
    """Pages that the channel refuses for what they are, each time that it does."""
    poison: Counter[str] = field(default_factory=Counter)
    """Poison records by reason."""
    detection_lags_ms: list[float] = field(default_factory=list)
    """Per alert of a payment that was on time: from the end of its window to its detection."""
    latencies_ms: list[float] = field(default_factory=list)
    """Per alert of a first page: from the payment to the page."""
    follow_up_latencies_ms: list[float] = field(default_factory=list)
    """The same per alert of a follow-up, which waits by design."""
    problems: list[str] = field(default_factory=list)
    """What the channel, the dead letters or the stream refused."""
    channel_down: bool = False
    ended: list[Page] = field(default_factory=list)
    """Pages whose PAGE_EVENT is to be put."""


class Notifier:
    """Turns alerts into pages by the ledger's word, so that concurrent runs agree."""

    def __init__(
        self,
        *,
        ledger: PageLedger,
        pager: Pager,
        audience: Audience,
        stream: EventStream,
        dead_letters: DeadLetters,
        clock: Clock,
        policy: Policy,
        links: PageLinks | None = None,
        next_recipients: Recipients | None = None,
    ) -> None:
        """Page through `pager`, and `next_recipients` of what nobody acts on."""
        self._ledger = Ledger(ledger)
        self._recipients = Recipients(pager, audience)
        self._next = next_recipients
        self._stream = stream
        self._dead_letters = dead_letters
        self._clock = clock
        self._policy = policy
        self._links = links

    def page_batch(self, records: Sequence[AlertRecord]) -> Outcome:
        """Page a batch of alerts: new ones as one page, with what waits as far as it fits.

        A record counts as done when its alert is sent, held, gathered, suppressed or expired by the
        ledger or not to be paged, and poison when it is kept. While another attempt may still be at
        an alert, its record fails.
        """
        run = Outcome()
        alerts: dict[str, PagedAlert] = {}
        sequences: dict[str, list[str]] = {}
        poison: dict[str, list[AlertRecord]] = {}
        for record in records:
            alert = self._read(record, poison, run)
            if alert is not None:
                alerts.setdefault(alert.alert_id, alert)
                sequences.setdefault(alert.alert_id, []).append(record.sequence_number)
        for alert_id in self._settle(alerts, run) if alerts else ():
            run.failed.update(sequences.get(alert_id, ()))
        # Follow-ups are the schedule's. A look-back waited for the batches that it came in.
        if alerts and self._ledger.waiting_entries(Work.LOOK_BACK, limit=1):
            while not run.channel_down and self._follow_up(run, look_backs=True):
                pass
        # Poison comes after the pages, so that it delays none.
        self._keep(poison, run)
        self._announce(run)
        self._note(run.canaries)
        return run

    def page_waiting(self, *, close_groups: bool = False) -> Outcome:
        """Do what no batch comes to do: send what waits, finish what a crash left behind.

        With `close_groups` follow-ups and digests that are not due yet go out as well.
        """
        run = Outcome()
        now = self._clock.now()
        late = self._ledger.waiting_pages(Work.EVENT, limit=_LOOK_AHEAD)
        run.ended += [page for page in late if self._policy.is_over(page.lease_until, now)]
        for work in (Work.PAGE, Work.PAGE_OTHER):
            for page in self._ledger.waiting_pages(work, limit=_LOOK_AHEAD):
                if self._policy.is_over(page.lease_until, now):
                    self._retry(page, run)
        orphans = self._ledger.waiting_entries(Work.RECEIVED, limit=_LOOK_AHEAD)
        taken = [mine for entry in orphans if (mine := self._take_over(entry))]
        self._page_all(taken, run)
        while not run.channel_down and self._page((), run, closing=close_groups):
            pass
        while not run.channel_down and self._follow_up(run, closing=close_groups):
            pass
        while not run.channel_down and self._remind(run):
            pass
        if not run.channel_down:
            self._tell_resolved(run)
        self._retry_refused(run)
        self._announce(run)
        return run

    def _read(
        self, record: AlertRecord, poison: dict[str, list[AlertRecord]], run: Outcome
    ) -> PagedAlert | None:
        try:
            event = read_event(record.data, now=self._clock.now() + _CLOCK_TOLERANCE)
        except RejectedRecord as rejected:
            poison.setdefault(rejected.reason, []).append(record)
            return None
        alert = event.event_json_data
        if not isinstance(alert, PaymentAlert | RuleAlert):
            poison.setdefault(NOT_AN_ALERT, []).append(record)
            return None
        if isinstance(alert, RuleAlert) and not alert.pages:
            run.unpaged += 1
            return None
        if isinstance(alert, PaymentAlert) and is_canary(alert.card_token):
            now = self._clock.now()
            run.canaries.append(CanaryArrival.of_alert(alert, event.event_date_origin, now))
            return None
        paged = PagedAlert.of(event)
        if isinstance(alert, PaymentAlert) and not alert.late and paged.found_by == "stream":
            run.detection_lags_ms.append(_milliseconds(alert.window_end, alert.detected_at))
        return paged

    def _settle(self, alerts: Mapping[str, PagedAlert], run: Outcome) -> set[str]:
        """Bring these alerts to a durable end; give the ids of those that are not there yet."""
        known = self._ledger.known(list(alerts))
        new = {i: alert for i, alert in alerts.items() if i not in known.entry_by_alert}
        mine, unsettled = self._resolve(known, run)
        for _ in _TRIES.attempts(self._clock) if new else ():
            if run.channel_down:
                break
            collided = self._enter(new, mine, run)
            known = self._ledger.known(list(collided)) if collided else Known({}, {})
            new = {i: alert for i, alert in collided.items() if i not in known.entry_by_alert}
            more, busy = self._resolve(known, run)
            mine += more
            unsettled |= busy
            if not new:
                break
        unsettled |= set(new)
        return unsettled | self._page_all(mine, run)

    def _enter(
        self, new: Mapping[str, PagedAlert], mine: list[Entry], run: Outcome
    ) -> dict[str, PagedAlert]:
        """Enter new alerts; give those of which another attempt has just entered one."""
        collided: dict[str, PagedAlert] = {}
        now = self._clock.now()
        groups, snoozes = self._ledger.standing({Group.id_of(a) for a in new.values()}, now)
        gathering = [group for group in groups.values() if self._policy.gathers(group, now)]
        waiting = {group.entry_id for group in gathering if group.entry_id}
        waits = bool(gathering) or any(alert.found_by == "look_back" for alert in new.values())
        silent = waits and not self._reached(run)
        for step in enter(
            list(new.values()),
            groups=groups,
            snoozes=snoozes,
            entries=self._ledger.entries(waiting),
            silence=self._shared(now)[1] if silent else None,
            now=now,
            policy=self._policy,
        ):
            if not self._ledger.commit(step.items()):
                collided.update({alert.alert_id: alert for alert in step.alerts})
                continue
            run.received += len(step.alerts)
            if step.page is not None:
                self._end(step.page.written(), run)
            elif step.entry.state is EntryState.RECEIVED:
                mine.append(step.entry.written())
            else:
                run.gathered += len(step.alerts)
        return collided

    def _resolve(self, known: Known, run: Outcome) -> tuple[list[Entry], set[str]]:
        """Look after alerts that were known before.

        Gives the entries taken over from an attempt that died, and the ids of alerts that another
        attempt may still be at.
        """
        taken: list[Entry] = []
        unsettled: set[str] = set()
        retried: dict[str, bool] = {}
        for entry in {entry.entry_id: entry for entry in known.entry_by_alert.values()}.values():
            settled = True
            if entry.state is EntryState.RECEIVED:
                mine = self._take_over(entry)
                taken += [mine] if mine else []
                settled = mine is not None
            elif entry.state is EntryState.PENDING:
                page = known.page(entry)
                # One that the channel refuses is the schedule's, or it would stop the shard.
                if page is not None and page.state is PageState.PENDING and not page.refused:
                    if page.page_id not in retried:
                        expired = self._policy.is_over(page.lease_until, self._clock.now())
                        retried[page.page_id] = expired and self._retry(page, run)
                    settled = retried[page.page_id]
            if not settled:
                unsettled.update(alert.alert_id for alert in entry.alerts)
        return taken, unsettled

    def _take_over(self, entry: Entry) -> Entry | None:
        now = self._clock.now()
        if not self._policy.is_over(entry.lease_until, now):
            return None
        leased = entry.leased(now + self._policy.lease)
        return leased.written() if self._ledger.commit([leased.item()]) else None

    def _page_all(self, entries: Sequence[Entry], run: Outcome) -> set[str]:
        """Page one's own entries; give the ids of the alerts that are not settled by it."""
        unsettled: set[str] = set()
        for left in by_rule(entries):
            while left:
                group = fitting(left)
                left = left[len(group) :]  # noqa: PLW2901  what is left of this rule's
                settled = self._hold(group, run) if run.channel_down else self._page(group, run)
                if not settled:
                    unsettled.update(alert.alert_id for entry in group for alert in entry.alerts)
        return unsettled

    def _page(self, own: Sequence[Entry], run: Outcome, *, closing: bool = False) -> bool:
        """Make one page of one's own entries and what waits; say whether it came to an end.

        One's own are of one rule, and what waits of the same; it waits for the rule's next digest,
        unless `closing`.
        Without entries of one's own, it also says no when there is nothing to do or no token.
        """
        for attempt in _TRIES.attempts(self._clock):
            now = self._clock.now()
            # Another attempt may be carrying the same ones: then one's own go alone.
            carry = attempt == 1 or not own
            bucket, silence = self._shared(now)
            held, more = self._carried(own, bucket, now, closing, run) if carry else ([], False)
            if not own and not held:
                return False
            expired = self._ledger.waiting_pages(Work.MENTION, limit=MAX_MENTIONS) if carry else []
            decided = plan(
                own,
                held,
                more_held=more,
                expired=expired,
                bucket=bucket,
                silence=silence,
                reached=self._reached(run),
                now=now,
                policy=self._policy,
            )
            if (end := self._carry_out(decided, run)) is not None:
                return end
        return self._hold(own, run) if own else False

    def _follow_up(self, run: Outcome, *, closing: bool = False, look_backs: bool = False) -> bool:
        """Make one page of follow-ups of one rule, or a look-back; say whether it came to an end.

        With `look_backs` no other. It also says no when there is nothing to do, no token, or nobody
        to be reached.
        """
        for _ in _TRIES.attempts(self._clock):
            now = self._clock.now()
            bucket, silence = self._shared(now)
            entries = self._due(bucket, now, closing=closing, look_backs=look_backs)
            if not entries:
                return False
            settled = self._suppress(entries, run)
            if settled is None:
                continue
            if settled:
                return True
            decided = plan(
                (),
                entries,
                kind="FOLLOW_UP",
                expired=self._ledger.waiting_pages(Work.MENTION, limit=MAX_MENTIONS),
                bucket=bucket,
                silence=silence,
                reached=self._reached(run),
                now=now,
                policy=self._policy,
            )
            if (end := self._carry_out(decided, run)) is not None:
                return end
        return False

    def _due(
        self, bucket: Bucket, now: datetime, *, closing: bool, look_backs: bool
    ) -> list[Entry]:
        """Find what one page of follow-ups takes, of one rule; an urgent one comes first.

        A look-back is a page of its own, as long as there are few.
        """
        follow_ups = () if look_backs else (Work.GATHERED, Work.GATHERED_OTHER)
        for work in (*follow_ups, Work.LOOK_BACK):
            due = [
                entry
                for entry in self._ledger.waiting_entries(work, limit=_LOOK_AHEAD)
                if (closing or self._policy.is_due(entry, now))
                and self._policy.may_page(entry.rule, bucket, now)
            ]
            same = [entry for entry in due if entry.rule == due[0].rule]
            if work is Work.LOOK_BACK and len({e.looks_back_on for e in same}) <= MAX_LOOK_BACKS:
                same = [entry for entry in same if entry.looks_back_on == due[0].looks_back_on]
            if same:
                return fitting(same)
        return []

    def _carry_out(self, decided: Plan, run: Outcome) -> bool | None:
        """Write what was decided and send its page; None when something has changed meanwhile."""
        if not decided.entries:
            return False
        if not self._ledger.commit(decided.items()):
            return None
        if decided.page is None:
            run.held += sum(len(entry.alerts) for entry in decided.entries)
            return True
        page = decided.page.written()
        if page.state is PageState.EXPIRED:
            return self._end(page, run)
        return self._publish(page, decided.entries, run)

    def _suppress(self, entries: Sequence[Entry], run: Outcome) -> bool | None:
        """Settle what waits on groups that somebody has acted on since; say whether there was any.

        None when something has changed meanwhile. What is left of the entries waits on.
        """
        now = self._clock.now()
        of = {Group.id_of(alert) for entry in entries for alert in entry.alerts}
        groups, snoozes = self._ledger.standing(of, now)
        found = False
        for entry in entries:
            left: Entry | None = entry
            while left:
                out = take_out(left, groups=groups, snoozes=snoozes, now=now, policy=self._policy)
                if out is None:
                    break
                if not self._ledger.commit(out.items()):
                    return None
                found = self._end(out.page.written(), run)
                groups |= {group.group_id: group.written() for group in out.groups}
                left = out.rest.written() if out.rest else None
        return found

    def _carried(
        self,
        own: Sequence[Entry],
        bucket: Bucket,
        now: datetime,
        closing: bool,  # noqa: FBT001  as below
        run: Outcome,
    ) -> tuple[list[Entry], bool]:
        """Find held entries to go with one's own, without what is suppressed meanwhile."""
        while True:
            held, more = self._waiting_beside(own, bucket, now, closing)
            settled = self._suppress(held, run) if held else False
            if settled is None:
                return [], False
            if not settled:
                return held, more

    def _waiting_beside(
        self,
        own: Sequence[Entry],
        bucket: Bucket,
        now: datetime,
        closing: bool,  # noqa: FBT001  one of four that it is called with
    ) -> tuple[list[Entry], bool]:
        """Find held entries of one's own rule, or without any of one rule that may page.

        An urgent one comes first. Says too whether more of it wait than fit.
        """
        for work in (Work.HELD, Work.HELD_OTHER):
            held = self._ledger.waiting_entries(work, limit=_LOOK_AHEAD)
            free = [e for e in held if self._may_carry(e, bucket, now, closing=closing)]
            rule = own[0].rule if own else next((e.rule for e in free), None)
            if same := [entry for entry in free if entry.rule == rule]:
                carried = fitting(same, beside=own)
                return carried, len(carried) < len(same) or len(held) == _LOOK_AHEAD
        return [], False

    def _may_carry(self, entry: Entry, bucket: Bucket, now: datetime, *, closing: bool) -> bool:
        may = self._policy.may_page if closing or entry.unheard else self._policy.may_digest
        return may(entry.rule, bucket, now)

    def _shared(self, now: datetime) -> tuple[Bucket, Silence]:
        return self._ledger.shared(pages_per_minute=self._policy.pages_per_minute, now=now)

    def _remind(self, run: Outcome) -> bool:
        """Tell again of pages of one rule that nobody acted on; say whether there were any.

        It also says no without a token, or anybody to be reached: so what waits goes together. The
        pages that tell of it are nobody's when they are written, and sent as what was left behind.
        """
        for _ in _TRIES.attempts(self._clock):
            now = self._clock.now()
            pages = self._ledger.waiting_pages(Work.UNACTED, limit=_LOOK_AHEAD)
            if not any(self._policy.is_overdue(page, now) for page in pages):
                return False
            waiting = self._told(fitting_pages(pages))
            of = {Group.id_of(alert) for told in waiting for alert in told.alerts}
            groups, snoozes = self._ledger.standing(of, now)
            decided = remind(
                waiting,
                groups=groups,
                snoozes=snoozes,
                now=now,
                policy=self._policy,
                escalates=self._next is not None,
            )
            if decided is None or (decided.again and not self._may_send(decided.rule, run)):
                return False
            if self._ledger.commit(decided.items()):
                for page in decided.again:
                    self._retry(page.written(), run)
                return True
        return False

    def _tell_resolved(self, run: Outcome) -> None:
        """Tell those who were paged that somebody resolved it; no page is told of twice."""
        for resolution in self._ledger.waiting_resolutions(limit=_LOOK_AHEAD):
            now = self._clock.now()
            page = self._ledger.pages([resolution.page_id]).get(resolution.page_id)
            told = resolved(page, resolution, now) if page else []
            there = self._ledger.pages([page.page_id for page in told])
            new = [page for page in told if page.page_id not in there]
            items = [resolution.with_pages().item(), *(page.item() for page in new)]
            if self._ledger.commit(items):
                for page in new:
                    self._retry(page.written(), run)

    def _told(self, pages: Sequence[Page]) -> list[Told]:
        entries = self._ledger.entries({i for page in pages for i in page.entry_ids})
        return [
            Told(page, tuple(page.alerts_of(entries[i] for i in page.entry_ids if i in entries)))
            for page in pages
        ]

    def _may_send(self, rule: str, run: Outcome) -> bool:
        bucket, _ = self._shared(now := self._clock.now())
        return self._policy.take(bucket, rule, now) is not None and self._reached(run)

    def _given_up(self, page: Page, alerts: Sequence[PagedAlert], now: datetime) -> Page | None:
        """End a page that helps nobody any more; None when it is to be sent.

        Its alerts are too old, or somebody has acted on all that it would tell of again.
        """
        if not alerts:
            return page.expired(now)
        # What may have reached people is not to be recorded as never paged: it is sent again,
        # marked, until the channel answers.
        if page.may_be_out:
            return None
        if page.kind == "RESOLVED":
            return page.expired(now) if now - page.since > self._policy.max_age else None
        if all(self._policy.too_old(alert, now) for alert in alerts):
            return page.expired(now)
        if not page.tells_of:
            return None
        groups, snoozes = self._ledger.standing({Group.id_of(alert) for alert in alerts}, now)
        told = Told(page, tuple(alerts))
        left = unacted(told, groups=groups, snoozes=snoozes, now=now, policy=self._policy)
        return None if left else page.withdrawn(now)

    def _to(self, page: Page | None) -> Recipients:
        return self._next if self._next and page and page.to_next else self._recipients

    def _reached(self, run: Outcome, page: Page | None = None) -> bool:
        """Say whether a page would reach anybody; when nobody knows, it is sent."""
        try:
            return self._to(page).audience.is_there()
        except SubscriptionsUnavailableError as error:
            run.problems.append(f"{error}; pages go out as if somebody were subscribed")
            return True

    def _hold(self, entries: Sequence[Entry], run: Outcome) -> bool:
        if not self._ledger.commit([entry.held().item() for entry in entries]):
            return False
        run.held += sum(len(entry.alerts) for entry in entries)
        return True

    def _retry(self, page: Page, run: Outcome) -> bool:
        """Send a page again that is not known to be sent; say whether it came to an end.

        Without a token, or anybody whom it would reach, it stays in the ledger as the schedule's
        work, which is an end here.
        """
        if run.channel_down:
            return False
        entries = list(self._ledger.entries(page.entry_ids).values())
        alerts = page.alerts_of(entries)
        for _ in _TRIES.attempts(self._clock):
            now = self._clock.now()
            if (ended := self._given_up(page, alerts, now)) is not None:
                return self._ledger.commit([ended.item()]) and self._end(ended.written(), run)
            bucket, silence = self._shared(now)
            rest = self._policy.take(bucket, alerts[0].rule, now)
            if rest is None or not self._reached(run, page):
                return True
            retried = page.retried(now + self._policy.lease)
            spent = bucket.spent(rest, now=now, interval=self._policy.remembered)
            changed = [spent.item()]
            # What may be out already says the same again and nothing else.
            if silence.began and not page.may_be_out and not page.tells_of:
                retried = retried.telling_of(silence)
                changed.append(silence.told().item())
            if self._ledger.commit([retried.item(), *changed]):
                return self._publish(retried.written(), entries, run)
            if (end := self._end_by_another(page)) is not None:
                return end
        return False

    def _publish(self, page: Page, entries: Iterable[Entry], run: Outcome) -> bool:
        if self._clock.now() >= page.lease_until:
            # Too slow: another attempt may have taken over, and it would send it as a repeat.
            return False
        alerts = page.alerts_of(entries)
        try:
            self._send(page, alerts, list(entries), run)
        except PageRefusedError as error:
            run.problems.append(str(error))
            return self._ledger.commit([page.set_aside(self._clock.now()).item()])
        except (PageNotSentError, PageMayBeSentError) as error:
            run.channel_down = True
            run.problems.append(str(error))
            uncertain = isinstance(error, PageMayBeSentError)
            released = page.released(self._clock.now(), may_be_sent=uncertain)
            self._ledger.commit([released.item()])
            return False
        return self._record_sent(page, alerts, run)

    def _send(
        self,
        page: Page,
        alerts: Sequence[PagedAlert],
        entries: Sequence[Entry],
        run: Outcome,
    ) -> None:
        link = self._link(page, run)
        try:
            recent, suppressed = _known_by_entries(entries)
            text = compose(page, alerts, self._policy, recent, suppressed=suppressed, link=link)
            self._to(page).pager.send(text)
        except PageRefusedError as error:
            run.pages_refused += 1
            run.problems.append(f"{error}; the short one goes instead of page {page.page_id}")
            self._to(page).pager.send(compose_short(page, alerts, link=link))

    def _link(self, page: Page, run: Outcome) -> str | None:
        """Give where the page can be acted on; it goes out without one rather than late."""
        if self._links is None:
            return None
        try:
            return self._links.link(page.acts_on, page.since)
        except LinkUnavailableError as error:
            run.problems.append(f"{error}; page {page.page_id} goes out without its link")
            return None

    def _retry_refused(self, run: Outcome) -> None:
        """Try what the channel refused: one page, and as long as it takes them the next ones."""
        refused = run.pages_refused
        now = self._clock.now()
        for page in self._ledger.waiting_pages(Work.REFUSED, limit=_LOOK_AHEAD):
            if self._policy.is_over(page.lease_until, now):
                self._retry(page, run)
            if run.channel_down or run.pages_refused > refused:
                break

    def _record_sent(self, page: Page, alerts: Sequence[PagedAlert], run: Outcome) -> bool:
        for _ in _TRIES.attempts(self._clock):
            now = self._clock.now()
            sent = page.sent(now)
            if self._ledger.commit([sent.item()]):
                run.paged += 0 if page.tells_of else len(alerts)
                run.told_again.update([page.kind] if page.tells_of else [])
                run.pages_sent += 1
                run.pages_repeated += sent.repeat
                # The promise is the urgent rules'; and what another path found later says nothing
                # of how fast this one is.
                live = [alert for alert in alerts if page.urgent and alert.found_by == "stream"]
                took = [_milliseconds(alert.happened_at, now) for alert in live]
                follows = page.kind == "FOLLOW_UP"
                (run.follow_up_latencies_ms if follows else run.latencies_ms).extend(took)
                return self._end(sent.written(), run)
            if (end := self._end_by_another(page)) is not None:
                return end
        return False

    def _end_by_another(self, page: Page) -> bool | None:
        """Say whether another attempt ended the page; None when nobody has touched it."""
        newer = self._ledger.pages([page.page_id]).get(page.page_id)
        if newer is not None and newer.version == page.version:
            return None
        return newer is None or newer.state is not PageState.PENDING

    def _end(self, page: Page, run: Outcome) -> bool:
        run.expired += 0 if page.tells_of else len(page.expired_ids)
        run.suppressed += len(page.suppressed_ids)
        run.ended.append(page)
        return True

    def _announce(self, run: Outcome) -> None:
        """Put the PAGE_EVENTs of pages that ended; what the stream refuses, the schedule puts."""
        if not run.ended:
            return
        outcome = self._stream.put(
            [
                StreamEntry(event.to_bytes(), page.page_id)
                for page in run.ended
                for event in page_events(page, self._to(page).pager.channel)
            ]
        )
        refused = {lost.entry.partition_key: lost.error_code for lost in outcome.undelivered}
        run.problems += [f"PAGE_EVENT not put: {code}" for code in refused.values()]
        for page in run.ended:
            if page.page_id not in refused:
                self._ledger.commit([page.with_event_announced().item()])

    def _note(self, canaries: Sequence[CanaryArrival]) -> None:
        """Keep the newest canary in the ledger: so its way ends where an alert's page begins."""
        newest = max(canaries, key=lambda canary: canary.sent_at, default=None)
        if newest is not None:
            # Whoever else has just written one says the same.
            self._ledger.commit([newest.in_place_of(self._ledger.canary()).item()])

    def _keep(self, poison: Mapping[str, Sequence[AlertRecord]], run: Outcome) -> None:
        for reason, records in poison.items():
            try:
                self._dead_letters.keep(SOURCE, [r.data for r in records], reason=reason)
            except NotKeptError as error:
                run.problems.append(str(error))
                run.failed.update(record.sequence_number for record in records)
            else:
                run.poison[reason] += len(records)


def _known_by_entries(
    entries: Iterable[Entry],
) -> tuple[dict[str, Recent], dict[str, Suppression]]:
    """Say by group what came on it lately, by the entry that came last, and what was suppressed."""
    recent: dict[str, Recent] = {}
    suppressed: dict[str, Suppression] = {}
    for entry in sorted(entries, key=lambda entry: entry.since):
        recent |= entry.recent
        suppressed |= entry.suppressed
    return recent, suppressed


def page_events(page: Page, channel: str) -> Iterator[Envelope]:
    """Give the PAGE_EVENTs of a page that ended, and the acts that it is; the same on every try."""
    if page.ended_at is None:
        return
    why: ExpiredReason = "refused" if page.refused else "too_old"
    steps: list[tuple[PageEventState, tuple[str, ...], dict[str, Any]]] = [
        ("SENT", page.alert_ids, {}),
        ("EXPIRED", page.expired_ids, {"reason": why}),
        # Nobody was paged, as the released contract says it; the reason tells why.
        ("EXPIRED", page.suppressed_ids, {"reason": "suppressed", "act_id": page.act_id}),
    ]
    for state, alert_ids, more in steps:
        if alert_ids:
            yield Envelope(
                type="PAGE_EVENT",
                event_id=f"{page.page_id}|{state}",
                schema_version=1,
                event_date_origin=page.ended_at,
                event_json_data=PageEvent(
                    page_id=page.page_id,
                    state=state,
                    alert_ids=alert_ids,
                    channel=channel,
                    repeat=page.repeat and state == "SENT",
                    kind=page.kind,
                    **more,
                ),
            )

    if page.kind == "ESCALATION" and page.state is PageState.SENT:
        yield from _escalations(page, page.ended_at)


def _escalations(page: Page, at: datetime) -> Iterator[Envelope]:
    """Give the acts by which the notifier escalated pages, one for each."""
    for page_id in page.tells_of:
        act_id = hashlib.sha256(f"ESCALATED|{page_id}".encode()).hexdigest()
        yield Envelope(
            type="PAGE_ACT",
            event_id=act_id,
            schema_version=1,
            event_date_origin=at,
            event_json_data=PageAct(
                act_id=act_id,
                page_id=page_id,
                scope=OF_THE_PAGE,
                act="ESCALATED",
                by=SOURCE,
                claimed=False,
                reason=None,
                until=None,
            ),
        )


def _milliseconds(start: datetime, end: datetime) -> float:
    return (end - start) / timedelta(milliseconds=1)
