"""The desk at which people act on pages: a link in, what it shows out; a form in, an act done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast

from pydantic import ValidationError

from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import Link, verify
from cardwatch.acts.records import MAX_ACTS, DoneAct, PageActs
from cardwatch.backoff import Backoff
from cardwatch.contract.act import FALSE_POSITIVE_REASONS, OF_THE_PAGE, Act, PageAct
from cardwatch.contract.streams import Envelope
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import LedgerUnavailableError, PageLedger
from cardwatch.paging.records import Page
from cardwatch.ports import Clock, EventStream, StreamEntry

ACTS: Final[tuple[Act, ...]] = ("ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE")
"""What can be done at the desk."""
_TRIES: Final = Backoff(tries=6, first_seconds=0.04, longest_seconds=0.3, patience_seconds=3.0)
"""How often an act is recorded beside others of the same moment."""


class NoSuchPageError(Exception):
    """The ledger does not know the link's page, or has forgotten it."""


class ForeignFormError(Exception):
    """The form does not come from the page of this link."""


class NotTakenError(Exception):
    """The stream did not take the act: nothing was done. The text has its error code."""


class NotRecordedError(Exception):
    """The act is on the stream, and the ledger could not note it yet; to be sent once more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as its link shows it."""

    page: Page
    alerts: tuple[PagedAlert, ...]
    """What it accounts for, the newest first."""
    acts: tuple[DoneAct, ...]
    """What was done about it, in order."""
    expires_at: datetime
    """When the link does."""
    seen: str
    """The act that was recorded last when it was shown."""
    form_token: str
    by: str = ""
    """What the person typed as the own name."""
    said: str = ""
    """What became of the form."""
    problem: str = ""
    """What is wrong with the form; then nothing was done."""


@dataclass(frozen=True, slots=True)
class ActDesk:
    """Shows pages and takes acts; an act is on the stream before anybody is told it was done."""

    keyring: Keyring
    ledger: PageLedger
    stream: EventStream
    clock: Clock

    def show(self, link_text: str) -> Shown:
        """Give the page of a link; nothing is written, however often it is looked at.

        Raises BadLinkError, ExpiredLinkError, NoSuchPageError, LinkKeysUnavailableError or
        LedgerUnavailableError.
        """
        return self._shown(verify(link_text, self.keyring, self.clock.now()))

    def act(self, link_text: str, form: Mapping[str, str]) -> tuple[Shown, PageAct | None]:
        """Do what a form asks, once however often it comes; None when it was not done now.

        Raises what `show` raises, and ForeignFormError, NotTakenError or NotRecordedError.
        """
        now = self.clock.now()
        link = verify(link_text, self.keyring, now)
        seen = form.get("seen", "")
        if not link.is_form_token(form.get("token", ""), seen):
            msg = "the form does not come from this page"
            raise ForeignFormError(msg)
        shown = replace(self._shown(link), by=" ".join(form.get("by", "").split()))
        problem, act = _read(link, seen, shown.by, form)
        if act is None:
            return replace(shown, problem=problem), None
        if any(done.act.act_id == act.act_id for done in shown.acts):
            return replace(shown, said="This was done before; it counts once."), None
        if len(shown.acts) >= MAX_ACTS:
            return replace(shown, problem="There are too many acts on this page already."), None
        self._put(act, now)
        self._record(act, now)
        return replace(self._shown(link), by=shown.by, said="Done."), act

    def _shown(self, link: Link) -> Shown:
        ledger = Ledger(self.ledger)
        page = ledger.pages([link.page_id]).get(link.page_id)
        if page is None:
            msg = "the page is not known any more"
            raise NoSuchPageError(msg)
        told = set(page.alert_ids)
        entries = ledger.entries(page.entry_ids).values()
        alerts = [a for entry in entries for a in entry.alerts if a.alert_id in told]
        alerts.sort(key=lambda alert: (alert.happened_at, alert.alert_id), reverse=True)
        acts = self._acts(link.page_id, page.since)
        return Shown(
            page=page,
            alerts=tuple(alerts),
            acts=acts.acts,
            expires_at=link.expires_at,
            seen=acts.newest,
            form_token=link.form_token(acts.newest),
        )

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
            raise NotTakenError(lost.error_code)

    def _record(self, act: PageAct, now: datetime) -> None:
        page_id = cast("str", act.page_id)
        try:
            for _ in _TRIES.attempts(self.clock):
                acts = self._acts(page_id, now)
                if acts.knows(act.act_id) or self.ledger.commit([acts.plus(act, now).item()]):
                    return
        except LedgerUnavailableError as error:
            raise NotRecordedError(str(error)) from error
        msg = "others act on the page at the same moment"
        raise NotRecordedError(msg)


def _read(link: Link, seen: str, by: str, form: Mapping[str, str]) -> tuple[str, PageAct | None]:
    """Read a form: what is wrong with it, or the act."""
    act, code = form.get("act", ""), form.get("reason", "")
    if act not in ACTS:
        return "Choose what to do.", None
    if not by:
        return "Say who you are.", None
    if act == "FALSE_POSITIVE" and code not in FALSE_POSITIVE_REASONS:
        return "Choose why it is a false positive.", None
    reason = code if act == "FALSE_POSITIVE" else None
    try:
        return "", PageAct(
            act_id=act_id(link.link_id, seen, act, by, reason),
            page_id=link.page_id,
            scope=OF_THE_PAGE,
            act=act,
            by=by,
            claimed=True,
            reason=reason,
            until=None,
            link_id=link.link_id,
        )
    except ValidationError:
        return "Your name must be of at most 64 readable characters, and no card number.", None


def act_id(link_id: str, seen: str, act: str, by: str, reason: str | None) -> str:
    """Give an act's id: the same for the same form, sent however often.

    `seen` is the act that the page showed last, so whoever looks again and changes the mind back
    does something new.
    """
    return hashlib.sha256(json.dumps([link_id, seen, act, by, reason]).encode()).hexdigest()
