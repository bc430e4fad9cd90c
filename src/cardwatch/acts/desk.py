"""The desk at which people act on pages: a link in, what it shows out; a form in, an act done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cardwatch.acts.book import ActBook, IncompleteActError, OpenPage, about_page, snooze_of
from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import Link, verify
from cardwatch.acts.records import DoneAct
from cardwatch.contract.act import PageAct
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.records import Page

SNOOZES: Final = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
"""For how long a link's page offers to snooze; it takes no longer one."""


class ForeignFormError(Exception):
    """The form does not come from the page of this link."""


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
    scopes: Mapping[str, str]
    """What can be snoozed, and how people call it: what the page is about, never a whole rule."""
    untils: Mapping[str, timedelta]
    """Until when, as the form says it back, and how long that is."""
    by: str = ""
    """What the person typed as the own name."""
    said: str = ""
    """What became of the form."""
    problem: str = ""
    """What is wrong with the form; then nothing was done."""


@dataclass(frozen=True, slots=True)
class ActDesk:
    """Shows pages by their links and takes forms."""

    keyring: Keyring
    book: ActBook

    def show(self, link_text: str) -> Shown:
        """Give the page of a link; nothing is written, however often it is looked at.

        Raises BadLinkError, ExpiredLinkError, NoSuchPageError, LinkKeysUnavailableError or
        LedgerUnavailableError.
        """
        return self._shown(self._verified(link_text))

    def act(self, link_text: str, form: Mapping[str, str]) -> tuple[Shown, PageAct | None]:
        """Do what a form asks, once however often it comes; None when it was not done now.

        Raises what `show` raises, and ForeignFormError, NotTakenError or NotRecordedError.
        """
        link = self._verified(link_text)
        seen = form.get("seen", "")
        if not link.is_form_token(form.get("token", ""), seen):
            msg = "the form does not come from this page"
            raise ForeignFormError(msg)
        by = " ".join(form.get("by", "").split())
        opened = self.book.open(link.page_id)
        try:
            act = self._asked(link, opened, form, seen)
            done = self.book.write(act, opened)
        except IncompleteActError as error:
            return replace(self._shown(link), by=by, problem=str(error)), None
        said = "Done." if done else "This was done before; it counts once."
        return replace(self._shown(link), by=by, said=said), act if done else None

    def _verified(self, link_text: str) -> Link:
        return verify(link_text, self.keyring, self.book.clock.now())

    def _asked(self, link: Link, opened: OpenPage, form: Mapping[str, str], seen: str) -> PageAct:
        asked, by = form.get("act", ""), form.get("by", "")
        if asked != "SNOOZED":
            code = form.get("reason", "")
            return about_page(link.page_id, asked, by, code, seen=seen, link_id=link.link_id)
        if form.get("scope", "") not in opened.scopes:
            msg = "Choose what to snooze."
            raise IncompleteActError(msg)
        try:
            until = parse_time(form.get("until", ""))
        except ValueError:
            msg = "Choose for how long."
            raise IncompleteActError(msg) from None
        return snooze_of(
            form["scope"],
            by,
            form.get("why", ""),
            until,
            now=self.book.clock.now(),
            longest=SNOOZES[-1],
            page_id=link.page_id,
            seen=seen,
            link_id=link.link_id,
        )

    def _shown(self, link: Link) -> Shown:
        opened = self.book.open(link.page_id)
        now = self.book.clock.now()
        return Shown(
            page=opened.page,
            alerts=opened.alerts,
            acts=opened.acts.acts,
            expires_at=link.expires_at,
            seen=opened.acts.newest,
            form_token=link.form_token(opened.acts.newest),
            scopes=opened.scopes,
            untils={format_time(now + length): length for length in SNOOZES},
        )
