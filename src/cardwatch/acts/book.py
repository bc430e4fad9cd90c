"""The book of acts: what people did about a page, and one act more, wherever it comes from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from pydantic import ValidationError

from cardwatch.acts.records import MAX_ACTS, PageActs
from cardwatch.backoff import Backoff
from cardwatch.contract.act import FALSE_POSITIVE_REASONS, OF_THE_PAGE, Act, PageAct
from cardwatch.contract.streams import Envelope
from cardwatch.paging.alerts import PagedAlert, newest_first
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import LedgerUnavailableError, PageLedger
from cardwatch.paging.records import Group, Page
from cardwatch.ports import Clock, EventStream, StreamEntry

ACTS: Final[tuple[Act, ...]] = ("ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE")
"""What can be done so far."""
_TRIES: Final = Backoff(tries=6, first_seconds=0.04, longest_seconds=0.3, patience_seconds=3.0)
"""How often an act is recorded beside others of the same moment."""
_ITEMS_PER_WRITE: Final = 100
"""What one transaction takes."""


class NoSuchPageError(Exception):
    """The ledger does not know the page, or has forgotten it."""


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

        Raises IncompleteActError, NotTakenError or NotRecordedError.
        """
        if opened.acts.knows(act.act_id):
            return False
        if len(opened.acts.acts) >= MAX_ACTS:
            msg = "There are too many acts on this page already."
            raise IncompleteActError(msg)
        now = self.clock.now()
        self._put(act, now)
        self._record(act, opened.alerts, now)
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
        """Note an act with the page and with the groups of its alerts, in one write.

        A digest of more entities than one write takes has the others noted before, so an act that
        the page shows holds for all of them.
        """
        page_id = cast("str", act.page_id)
        ledger = Ledger(self.ledger)
        of = {Group.id_of(alert) for alert in alerts}
        why = "others act on the page at the same moment"
        try:
            for _ in _TRIES.attempts(self.clock):
                acts = self._acts(page_id, now)
                if acts.knows(act.act_id):
                    return
                items = [group.acted_on(act, now).item() for group in ledger.groups(of).values()]
                items.append(acts.plus(act, now).item())
                starts = range(0, len(items), _ITEMS_PER_WRITE)
                if all(self.ledger.commit(items[n : n + _ITEMS_PER_WRITE]) for n in starts):
                    return
        except LedgerUnavailableError as error:
            why = str(error)
        msg = f"a PAGE_ACT is on the stream and not noted: {why}"
        raise NotRecordedError(msg)


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
        msg = "Your name must be of at most 64 readable characters, and no card number."
        raise IncompleteActError(msg) from None
