"""The book of acts: what people did about a page, and one act more, wherever it comes from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from cardwatch.acts.records import MAX_ACTS, DoneAct, PageActs
from cardwatch.backoff import Backoff
from cardwatch.contract.act import FALSE_POSITIVE_REASONS, OF_THE_PAGE, Act, PageAct
from cardwatch.contract.streams import Envelope
from cardwatch.paging.alerts import PagedAlert, newest_first
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import LedgerItem, LedgerUnavailableError, PageLedger
from cardwatch.paging.records import MAX_SNOOZES, Group, Page, Resolution, Snoozes, Suppression
from cardwatch.ports import Clock, EventStream, StreamEntry

ACTS: Final[tuple[Act, ...]] = ("ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE", "RESOLVED")
"""What people can do about a page; what is snoozed is snoozed with a reason and an end."""
LONGEST_SNOOZE: Final = timedelta(days=7)
"""Shorter than the ledger remembers."""
ENDED: Final = "ended before its time"
"""The reason of an act that ends a snooze."""
_TRIES: Final = Backoff(tries=6, first_seconds=0.04, longest_seconds=0.3, patience_seconds=3.0)
"""How often an act is recorded beside others of the same moment."""
_NAME: Final = "Your name must be of at most 64 readable characters, and no card number."
_ITEMS_PER_WRITE: Final = 100
"""What one transaction takes."""


class NoSuchPageError(Exception):
    """The ledger does not know the page, or has forgotten it."""


class NoSuchSnoozeError(Exception):
    """Nobody has snoozed that, or it is over."""


class IncompleteActError(Exception):
    """Something is missing or wrong; the text tells the person what. Nothing was done."""


class NotTakenError(Exception):
    """The stream did not take the act: nothing was done. The text has its error code."""


class NotRecordedError(Exception):
    """The act is on the stream, and the ledger could not note it yet; to be sent once more."""


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page, and what was done about it."""

    page: Page
    alerts: tuple[PagedAlert, ...]
    """What it accounts for, the newest first."""
    acts: PageActs

    @property
    def scopes(self) -> dict[str, str]:
        """Give what can be snoozed of what it is about, and how people call it."""
        found: dict[str, str] = {}
        for alert in self.alerts:
            own = f"{alert.entity_kind}:{alert.entity_id}"
            for scope in alert.scopes:
                kind, _, name = scope.partition(":")
                if kind != "rule":
                    found.setdefault(scope, f"{kind} {alert.entity if scope == own else name}")
        return found


@dataclass(frozen=True, slots=True)
class ActBook:
    """Reads pages, and writes acts: an act is on the stream before anybody is told it was done."""

    ledger: PageLedger
    stream: EventStream
    clock: Clock

    def open(self, page_id: str) -> OpenPage:
        """Give a page; raises NoSuchPageError or LedgerUnavailableError."""
        ledger = Ledger(self.ledger)
        page = ledger.pages([page_id]).get(page_id)
        if page is None:
            msg = f"page {page_id} is not known, or not any more"
            raise NoSuchPageError(msg)
        alerts = newest_first(page.alerts_of(ledger.entries(page.entry_ids).values()))
        return OpenPage(page, tuple(alerts), self._acts(page_id, page.since))

    def write(self, act: PageAct, opened: OpenPage) -> bool:
        """Write an act about a page; False when it is there already.

        Raises IncompleteActError, NotTakenError or NotRecordedError, and for a snooze
        LedgerUnavailableError.
        """
        if opened.acts.knows(act.act_id):
            return False
        if len(opened.acts.acts) >= MAX_ACTS:
            msg = "There are too many acts on this page already."
            raise IncompleteActError(msg)
        self._write(act, opened.alerts)
        return True

    def act(self, page_id: str, act: str, by: str, code: str = "") -> PageAct | None:
        """Do something about a page without a link; None when the same person just did the same.

        Raises what `open` and `write` raise.
        """
        opened = self.open(page_id)
        done = about_page(page_id, act, by, code, seen=opened.acts.newest)
        if opened.acts.ends_with(done):
            return None
        return done if self.write(done, opened) else None

    def snooze(
        self, scope: str, by: str, why: str, until: datetime, *, page: OpenPage | None = None
    ) -> PageAct:
        """Have nobody paged of a scope until then; `page` is where somebody read of it.

        It takes the place of what was snoozed of the scope before. Raises what `write` raises.
        """
        now = self.clock.now()
        page_id, seen = (page.page.page_id, page.acts.newest) if page else (None, "")
        act = snooze_of(scope, by, why, until, now=now, page_id=page_id, seen=seen)
        self._write(act, ())
        return act

    def done_about(self, page_ids: Sequence[str]) -> dict[str, tuple[DoneAct, ...]]:
        """Give what was done about pages, in order; raises LedgerUnavailableError."""
        items = self.ledger.read([PageActs.key(page_id) for page_id in page_ids])
        acts = [PageActs.of(item) for item in items.values()]
        return {each.page_id: each.acts for each in acts}

    def snoozes(self) -> list[Suppression]:
        """Give what is snoozed now, what ends first first; raises LedgerUnavailableError."""
        now = self.clock.now()
        return self._snoozes(now).holding(now)

    def end(self, scope: str, by: str) -> PageAct:
        """End a snooze now; raises NoSuchSnoozeError and what `snooze` raises."""
        if scope not in {snooze.act.scope for snooze in self.snoozes()}:
            msg = f"{scope} is not snoozed, or not any more"
            raise NoSuchSnoozeError(msg)
        act = _snooze(scope, by, ENDED, self.clock.now(), page_id=None, seen="", link_id=None)
        self._write(act, ())
        return act

    def _snoozes(self, now: datetime) -> Snoozes:
        return Ledger(self.ledger).standing((), now)[1]

    def _write(self, act: PageAct, alerts: Sequence[PagedAlert]) -> None:
        now = self.clock.now()
        if act.act == "SNOOZED" and len(self._snoozes(now).changed_by(act, now).snoozes) > (
            MAX_SNOOZES
        ):
            msg = f"There are {MAX_SNOOZES} snoozes already: end one first."
            raise IncompleteActError(msg)
        self._put(act, now)
        self._record(act, alerts, now)

    def _acts(self, page_id: str, since: datetime) -> PageActs:
        item = self.ledger.read([PageActs.key(page_id)]).get(PageActs.key(page_id))
        return PageActs.of(item) if item else PageActs(page_id=page_id, since=since)

    def _put(self, act: PageAct, now: datetime) -> None:
        event = Envelope(
            type="PAGE_ACT",
            event_id=act.act_id,
            schema_version=1,
            event_date_origin=now,
            event_json_data=act,
        )
        outcome = self.stream.put([StreamEntry(event.to_bytes(), act.page_id or act.scope)])
        for lost in outcome.undelivered:
            msg = f"a PAGE_ACT was not put: {lost.error_code}"
            raise NotTakenError(msg)

    def _record(self, act: PageAct, alerts: Sequence[PagedAlert], now: datetime) -> None:
        """Note an act and what it does to paging, in one write.

        A digest of more entities than one write takes has the others noted before, so an act that
        the page shows holds for all of them.
        """
        why = "others act at the same moment"
        try:
            for _ in _TRIES.attempts(self.clock):
                items = self._changed_by(act, alerts, now)
                starts = range(0, len(items), _ITEMS_PER_WRITE)
                if all(self.ledger.commit(items[n : n + _ITEMS_PER_WRITE]) for n in starts):
                    return
        except LedgerUnavailableError as error:
            why = str(error)
        msg = f"a PAGE_ACT is on the stream and not noted: {why}"
        raise NotRecordedError(msg)

    def _changed_by(
        self, act: PageAct, alerts: Sequence[PagedAlert], now: datetime
    ) -> list[LedgerItem]:
        """Give what an act changes, the page's acts last; nothing when they have it already."""
        if act.act == "SNOOZED":
            items = [self._snoozes(now).changed_by(act, now).item()]
        else:
            groups = Ledger(self.ledger).groups({Group.id_of(alert) for alert in alerts})
            items = [group.acted_on(act, now).item() for group in groups.values()]
            items += self._resolved_by(act, now)
        if act.page_id is None:
            return items
        acts = self._acts(act.page_id, now)
        return [] if acts.knows(act.act_id) else [*items, acts.plus(act, now).item()]

    def _resolved_by(self, act: PageAct, now: datetime) -> list[LedgerItem]:
        """Give what has the notifier tell of it, unless somebody has resolved it before."""
        if act.act != "RESOLVED" or act.page_id is None:
            return []
        known = Ledger(self.ledger).resolution(act.page_id)
        new = Resolution(page_id=act.page_id, by=act.by, since=now)
        return [] if known else [new.item()]


def about_page(
    page_id: str, act: str, by: str, code: str, *, seen: str, link_id: str | None = None
) -> PageAct:
    """Give an act about a whole page; raises IncompleteActError.

    `code` is why it is a false positive, for others it counts nothing. `seen` is the act that the
    person saw last, so whoever looks again and changes the mind back does something new; all else
    being equal, the act is the same one.
    """
    by = " ".join(by.split())
    if act not in ACTS:
        msg = "Choose what to do."
        raise IncompleteActError(msg)
    if not by:
        msg = "Say who you are."
        raise IncompleteActError(msg)
    if act == "FALSE_POSITIVE" and code not in FALSE_POSITIVE_REASONS:
        msg = "Choose why it is a false positive."
        raise IncompleteActError(msg)
    reason = code if act == "FALSE_POSITIVE" else None
    parts = json.dumps([link_id, page_id, seen, act, by, reason])
    try:
        return PageAct(
            act_id=hashlib.sha256(parts.encode()).hexdigest(),
            page_id=page_id,
            scope=OF_THE_PAGE,
            act=act,
            by=by,
            claimed=True,
            reason=reason,
            until=None,
            **({"link_id": link_id} if link_id else {}),
        )
    except ValidationError:
        raise IncompleteActError(_NAME) from None


def snooze_of(
    scope: str,
    by: str,
    why: str,
    until: datetime,
    *,
    now: datetime,
    longest: timedelta = LONGEST_SNOOZE,
    page_id: str | None = None,
    seen: str = "",
    link_id: str | None = None,
) -> PageAct:
    """Give an act that snoozes a scope, like `card:<token>`; raises IncompleteActError.

    `page_id`, `seen` and `link_id` are as `about_page` has them.
    """
    if until <= now:
        msg = "Choose a time to come until which it is snoozed."
        raise IncompleteActError(msg)
    if until > now + longest:
        msg = f"It can be snoozed for {longest / timedelta(hours=1):g} hours at most."
        raise IncompleteActError(msg)
    return _snooze(scope, by, why, until, page_id=page_id, seen=seen, link_id=link_id)


def _snooze(
    scope: str,
    by: str,
    why: str,
    until: datetime,
    *,
    page_id: str | None,
    seen: str,
    link_id: str | None,
) -> PageAct:
    by, why = " ".join(by.split()), " ".join(why.split())
    if not by:
        msg = "Say who you are."
        raise IncompleteActError(msg)
    if not why:
        msg = "Say why it is snoozed."
        raise IncompleteActError(msg)
    if scope == OF_THE_PAGE:
        msg = "Choose what to snooze."
        raise IncompleteActError(msg)
    parts = json.dumps([link_id, page_id, seen, "SNOOZED", scope, by, why, until.isoformat()])
    try:
        return PageAct(
            act_id=hashlib.sha256(parts.encode()).hexdigest(),
            page_id=page_id,
            scope=scope,
            act="SNOOZED",
            by=by,
            claimed=True,
            reason=why,
            until=until,
            **({"link_id": link_id} if link_id else {}),
        )
    except ValidationError as error:
        told = {
            "scope": "What is snoozed is card:<token>, account:<id>, user:<id>, merchant:<id> or "
            "rule:<name>.",
            "reason": "The reason must be of at most 200 readable characters, and no card number.",
        }
        raise IncompleteActError(told.get(str(error.errors()[0]["loc"][0]), _NAME)) from None
