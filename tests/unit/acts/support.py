"""A desk over the ledger of a notifier that has paged, with everything around it in memory."""

import html
import re
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlencode

from tests.fakes import FakeClock, FakeEventStream, FakeLinkKeys, FakePageLedger
from tests.unit.paging.support import World, alert_event, records

from cardwatch.acts.answers import FORM_TYPE, Answer, answer_get, answer_post
from cardwatch.acts.book import ActBook
from cardwatch.acts.desk import ActDesk
from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import LinkMaker
from cardwatch.acts.records import PageActs
from cardwatch.contract.act import PageAct
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.paging.records import Page, PageState


@dataclass
class Office:
    """People at a desk: `get` a link, `fill` its form, `post` it."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeLinkKeys = field(default_factory=FakeLinkKeys)
    ledger: FakePageLedger = field(default_factory=FakePageLedger)
    stream: FakeEventStream = field(default_factory=FakeEventStream)

    def __post_init__(self) -> None:
        self.keyring = Keyring(self.store, self.clock)

    @property
    def desk(self) -> ActDesk:
        return ActDesk(self.keyring, self.book)

    @property
    def book(self) -> ActBook:
        return ActBook(self.ledger, self.stream, self.clock)

    def paged(self, *events: Envelope) -> Page:
        """Have the notifier page alerts (one, if none are given), and give their page."""
        world = World(clock=self.clock, ledger=self.ledger)
        world.settle(records(*(events or (alert_event(),))))
        (page,) = world.pages(PageState.SENT)
        return page

    def link(self, page: Page) -> str:
        return LinkMaker(self.keyring, "https://x").link(page.page_id, page.since)[16:]

    def get(self, link: str) -> Answer:
        return answer_get(self.desk, link)

    def fill(self, link: str, **typed: str) -> dict[str, str]:
        """Open a link and fill its form in."""
        shown = self.get(link)
        assert shown.status == 200
        return hidden_fields(shown.html) | typed

    def post(self, link: str, form: dict[str, str], content_type: str = FORM_TYPE) -> Answer:
        return answer_post(self.desk, link, urlencode(form).encode(), content_type)

    def events(self) -> list[Envelope]:
        return [read_event(entry.data, now=self.clock.now()) for entry in self.stream.entries]

    def on_stream(self) -> list[PageAct]:
        return [cast("PageAct", event.event_json_data) for event in self.events()]

    def recorded(self, page: Page) -> list[PageAct]:
        item = self.ledger.items.get(PageActs.key(page.page_id))
        return [done.act for done in PageActs.of(item).acts] if item else []


def hidden_fields(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)" />', text)
    return {name: html.unescape(value) for name, value in found}
