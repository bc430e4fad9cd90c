"""People act on pages: looking changes nothing, an act is done once and on the stream first."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.card_numbers import NUMBERS, in_groups
from tests.fakes import NOON, FakeEventStream, FakePageLedger
from tests.unit.acts.support import Office, hidden_fields
from tests.unit.paging.support import TOKEN, alert_event

from cardwatch.acts.answers import MAX_FORM, Answer
from cardwatch.acts.html import HEADERS, MAX_LISTED
from cardwatch.acts.records import MAX_ACTS, PageActs
from cardwatch.contract.act import FALSE_POSITIVE_REASONS, OF_THE_PAGE, PageAct
from cardwatch.paging.ports import LedgerItem, LedgerUnavailableError
from cardwatch.paging.records import Page
from cardwatch.ports import PutOutcome, StreamEntry


def test_looking_writes_nothing_however_often() -> None:
    office = Office()
    link = office.link(office.paged())
    before = dict(office.ledger.items)
    for _ in range(3):
        assert office.get(link).status == 200
    assert office.ledger.items == before
    assert office.stream.entries == []


def test_a_page_shows_its_alerts_why_what_to_do_and_that_nobody_acted() -> None:
    office = Office()
    text = office.get(office.link(office.paged())).html
    assert "<h1>A payment on a stolen card</h1>" in text
    assert "<dt>Why</dt><dd>card reported stolen 2026-11-20T22:10:00.000Z</dd>" in text
    assert "<dd>424242******4242</dd>" in text
    assert "Call the account holder" in text
    assert "Nobody has done anything about this page yet." in text


def test_a_page_of_many_alerts_lists_twenty_and_counts_the_rest() -> None:
    office = Office()
    text = office.get(office.link(office.paged(*map(alert_event, range(1, 31))))).html
    assert text.count("<dt>Payment</dt>") == MAX_LISTED
    assert "And 10 more, not listed here: 125.00 EUR." in text


@pytest.mark.parametrize(
    ("act", "reason"), [("ACKNOWLEDGED", ""), ("CONFIRMED", ""), ("FALSE_POSITIVE", "OTHER")]
)
def test_an_act_is_on_the_stream_recorded_and_shown(act: str, reason: str) -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    answer = office.post(link, office.fill(link, act=act, by=" Ana \n Vella", reason=reason))
    assert (answer.status, answer.done) == (200, act)
    (event,) = office.events()
    (told,) = office.on_stream()
    assert (event.event_id, event.event_date_origin) == (told.act_id, NOON)
    assert office.stream.entries[0].partition_key == page.page_id
    assert office.recorded(page) == [told]
    assert told == PageAct(
        act_id=told.act_id,
        page_id=page.page_id,
        scope=OF_THE_PAGE,
        act=told.act,
        by="Ana Vella",
        claimed=True,
        reason=reason or None,
        until=None,
        link_id=told.link_id,
    )
    assert "2026-11-21 12:00:00 UTC: Ana Vella (as typed)" in answer.html
    assert "2026-11-21 12:00:00 UTC: Ana Vella (as typed)" in office.get(link).html


def test_a_form_that_is_sent_again_counts_once() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    assert office.post(link, form).done == "CONFIRMED"
    office.clock.advance(60)
    again = office.post(link, form)
    assert (again.status, again.done) == (200, None)
    assert "it counts once" in again.html
    assert len(office.stream.entries) == len(office.recorded(page)) == 1


def test_whoever_changes_the_mind_back_does_something_new() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    for act in ("CONFIRMED", "FALSE_POSITIVE", "CONFIRMED"):
        form = office.fill(link, act=act, by="Ana Vella", reason="OTHER")
        assert office.post(link, form).done == act
    assert [act.act for act in office.recorded(page)] == [
        "CONFIRMED",
        "FALSE_POSITIVE",
        "CONFIRMED",
    ]
    assert len({act.act_id for act in office.on_stream()}) == 3


def test_two_people_with_the_same_page_open_do_two_acts() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    first = office.fill(link, act="ACKNOWLEDGED", by="Ana Vella")
    second = office.fill(link, act="ACKNOWLEDGED", by="Ben Borg")
    assert office.post(link, first).done
    assert office.post(link, second).done
    assert [act.by for act in office.recorded(page)] == ["Ana Vella", "Ben Borg"]


def test_a_stream_that_refuses_shows_an_error_and_nothing_is_done() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    office.stream.refuse = "ProvisionedThroughputExceededException"
    answer = office.post(link, form)
    assert (answer.status, answer.done) == (503, None)
    assert "Nothing was done" in answer.html
    assert "ProvisionedThroughputExceededException" in (answer.problem or "")
    assert office.recorded(page) == []
    office.stream.refuse = None
    assert office.post(link, form).done == "CONFIRMED"


@dataclass
class BrokenLedger(FakePageLedger):
    """A ledger that takes no writes, reads nothing, or is always changed by somebody else."""

    writes: bool = True
    reads: bool = True
    changed: bool = False

    def read(self, keys: Collection[str]) -> Mapping[str, LedgerItem]:
        self._check(works=self.reads)
        return super().read(keys)

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        self._check(works=self.writes)
        return not self.changed and super().commit(items)

    def _check(self, *, works: bool) -> None:
        if not works:
            msg = "the page ledger cannot be used (Gone)"
            raise LedgerUnavailableError(msg)


@pytest.mark.parametrize("broken", [{"writes": False}, {"changed": True}])
def test_an_act_that_is_not_recorded_is_sent_again_under_the_same_id(
    broken: dict[str, bool],
) -> None:
    ledger = BrokenLedger()
    office = Office(ledger=ledger)
    page = office.paged()
    link = office.link(page)
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    for name, value in broken.items():
        setattr(ledger, name, value)
    answer = office.post(link, form)
    assert (answer.status, answer.done) == (503, None)
    assert "counts once" in answer.html
    ledger.writes, ledger.changed = True, False
    assert office.post(link, form).done == "CONFIRMED"
    assert len({event.event_id for event in office.events()}) == 1
    assert len(office.recorded(page)) == 1


def test_a_ledger_that_cannot_be_read_shows_an_error_and_takes_no_act() -> None:
    ledger = BrokenLedger()
    office = Office(ledger=ledger)
    link = office.link(office.paged())
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    ledger.reads = False
    assert office.get(link).status == office.post(link, form).status == 503
    assert office.stream.entries == []


def test_without_keys_nothing_is_shown_or_done() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    office.store.broken = True
    office.keyring = type(office.keyring)(office.store, office.clock)
    assert office.get(link).status == office.post(link, form).status == 503
    assert office.stream.entries == []


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"act": "CONFIRMED"}, "Say who you are."),
        ({"act": "CONFIRMED", "by": " "}, "Say who you are."),
        ({"act": "FALSE_POSITIVE", "by": "Ana"}, "Choose why"),
        ({"act": "FALSE_POSITIVE", "by": "Ana", "reason": "BECAUSE"}, "Choose why"),
        ({"by": "Ana"}, "Choose what to do."),
        ({"act": "ESCALATED", "by": "Ana"}, "Choose what to do."),
        ({"act": "CONFIRMED", "by": "A" * 65}, "Your name must be"),
        ({"act": "CONFIRMED", "by": in_groups(NUMBERS[0])}, "Your name must be"),
        ({"act": "CONFIRMED", "by": "Ana\u202eVella"}, "Your name must be"),
    ],
)
def test_a_form_that_is_not_complete_does_nothing_and_says_what_is_missing(
    typed: dict[str, str], problem: str
) -> None:
    office = Office()
    link = office.link(office.paged())
    answer = office.post(link, office.fill(link, **typed))
    assert answer.status == 422
    assert problem in answer.html
    assert office.stream.entries == []


def test_a_form_of_another_page_or_of_none_does_nothing() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    other = office.link(replace_since(page))
    form = office.fill(other, act="CONFIRMED", by="Mallory")
    for foreign in (form, {**form, "token": ""}, {"act": "CONFIRMED", "by": "Mallory"}):
        answer = office.post(link, foreign)
        assert (answer.status, answer.refused) == (403, "token")
    seen = office.fill(link, act="CONFIRMED", by="Mallory", seen="f" * 64)
    assert office.post(link, seen).refused == "token"
    assert office.stream.entries == []


def replace_since(page: Page) -> Page:
    return page.model_copy(update={"since": page.since + timedelta(seconds=1)})


def test_what_is_no_form_does_nothing() -> None:
    office = Office()
    link = office.link(office.paged())
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    assert office.post(link, form, "text/plain").status == 400
    assert office.post(link, form | {"more": "x" * MAX_FORM}).status == 400
    assert office.post(link, form | {f"more{n}": "x" for n in range(10)}).status == 400
    assert office.stream.entries == []


def test_a_link_that_is_none_or_over_shows_nothing_of_its_page() -> None:
    office = Office()
    link = office.link(office.paged())
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    for other in ("", "page_1", link[:-1], f"x{link}"):
        assert office.get(other).status == office.post(other, form).status == 403
    office.clock.advance(timedelta(hours=72).total_seconds())
    assert office.get(link).status == office.post(link, form).status == 410
    assert "4242" not in office.get(link).html
    assert office.stream.entries == []


def test_a_rotation_breaks_no_link_and_no_form_that_is_open() -> None:
    office = Office()
    link = office.link(office.paged())
    form = office.fill(link, act="CONFIRMED", by="Ana Vella")
    office.store.rotate()
    office.clock.advance(3600)
    assert office.get(link).status == 200
    assert office.post(link, form).done == "CONFIRMED"


def test_a_page_that_the_ledger_has_forgotten_is_told_as_unknown() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    del office.ledger.items[f"page#{page.page_id}"]
    assert office.get(link).status == 404


def test_a_page_takes_so_many_acts_and_no_more() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    assert office.post(link, office.fill(link, act="CONFIRMED", by="Ana")).done
    key = PageActs.key(page.page_id)
    acts = PageActs.of(office.ledger.items[key])
    many = acts.model_copy(update={"acts": acts.acts * MAX_ACTS})
    office.ledger.items[key] = replace(many.item(), version=1)
    assert len(many.item().body) < 300_000
    answer = office.post(link, office.fill(link, act="CONFIRMED", by="Ben"))
    assert (answer.status, answer.done) == (422, None)
    assert len(office.stream.entries) == 1


HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def test_nothing_that_came_from_outside_is_markup() -> None:
    office = Office()
    hostile = alert_event(reason=HOSTILE, city=HOSTILE[:64], merchant_id=HOSTILE[:64])
    link = office.link(office.paged(hostile))
    answer = office.post(link, office.fill(link, act="CONFIRMED", by=HOSTILE[:60]))
    assert answer.done == "CONFIRMED"
    wrong = office.post(link, office.fill(link, act="FALSE_POSITIVE", by=HOSTILE[:60]))
    for text in (answer.html, wrong.html, office.get(link).html):
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        assert "<img" not in text


class Tags(HTMLParser):
    """What a browser makes of a page: its tags, and the name that the form is filled with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.name: str | None = None
        self.feed(text)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"input", "meta"}
        self.handle_starttag(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(f"{tag} {sorted(given)}")
        if given.get("id") == "by":
            self.name = given["value"]


@given(st.text(st.one_of(st.sampled_from("<>&'\"/= ab;"), st.characters(codec="utf-8"))))
def test_no_name_breaks_out_of_its_place(name: str) -> None:
    office = Office()
    link = office.link(office.paged())
    plain = Tags(office.post(link, office.fill(link, act="FALSE_POSITIVE", by="Ana")).html)
    shown = Tags(office.post(link, office.fill(link, act="FALSE_POSITIVE", by=name)).html)
    assert shown.tags == plain.tags
    assert shown.name == " ".join(name.split())


def test_the_page_has_no_script_and_runs_none() -> None:
    policy = HEADERS["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert not [rule for rule in policy if "unsafe" in rule or rule.startswith("script")]
    office = Office()
    text = office.get(office.link(office.paged())).html
    assert not re.search(r"<script|\son[a-z]+=|style=|javascript:|https?://", text)


def test_every_reason_can_be_chosen() -> None:
    office = Office()
    text = office.get(office.link(office.paged())).html
    offered = re.findall(r'<option value="([A-Z_]+)">', text)
    assert offered == list(FALSE_POSITIVE_REASONS)


def test_the_stream_has_the_act_before_the_ledger_knows_it() -> None:
    office = Office()
    page = office.paged()
    link = office.link(page)
    known_when_put: list[int] = []

    class Watched(FakeEventStream):
        def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
            known_when_put.append(len(office.recorded(page)))
            return super().put(entries)

    office.stream = Watched()
    assert office.post(link, office.fill(link, act="CONFIRMED", by="Ana")).done
    assert known_when_put == [0]
    assert len(office.recorded(page)) == 1


def snoozed(office: Office, link: str, **typed: str) -> Answer:
    """Fill the form's part about snoozing in, as a browser does, and send it."""
    shown = office.get(link).html
    (scope, *_) = re.findall(r'<option value="([a-z]+:[^"]+)">', shown)
    (until, *_) = re.findall(r'<option value="(20[^"]+)">', shown)
    chosen = {"act": "SNOOZED", "by": "Ana", "scope": scope, "until": until, "why": "known"}
    return office.post(link, hidden_fields(shown) | chosen | typed)


def test_a_card_is_snoozed_from_its_page_for_an_hour_and_the_page_says_so() -> None:
    office = Office()
    page = office.paged()
    answer = snoozed(office, office.link(page))
    assert answer.done == "SNOOZED"
    (act,) = office.on_stream()
    assert (act.page_id, act.scope, act.reason) == (page.page_id, f"card:{TOKEN}", "known")
    assert act.until == office.clock.now() + timedelta(hours=1)
    assert [snooze.act for snooze in office.book.snoozes()] == [act] == office.recorded(page)
    assert "snoozed it until 2026-11-21 13:00:00 UTC: known" in answer.html


def test_what_can_be_snoozed_from_a_page_is_what_it_is_about_and_no_rule() -> None:
    office = Office()
    shown = office.get(office.link(office.paged())).html
    offered = dict(re.findall(r'<option value="([a-z]+:[^"]+)">([^<]+)</option>', shown))
    assert offered == {
        f"card:{TOKEN}": "card 424242******4242",
        "account:acc_00042": "account acc_00042",
        "user:usr_00017": "user usr_00017",
        "merchant:mer_0007": "merchant mer_0007",
    }


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"scope": "rule:stolen_card"}, "Choose what to snooze."),
        ({"scope": "account:acc_1"}, "Choose what to snooze."),
        ({"until": "tomorrow"}, "Choose for how long."),
        ({"until": "2026-11-21T11:59:59.000Z"}, "a time to come"),
        ({"until": "2026-11-22T12:00:01.000Z"}, "24 hours at most"),
        ({"why": " "}, "Say why it is snoozed."),
        ({"by": ""}, "Say who you are."),
    ],
)
def test_a_link_snoozes_nothing_else_and_for_no_longer(typed: dict[str, str], told: str) -> None:
    office = Office()
    answer = snoozed(office, office.link(office.paged()), **typed)
    assert answer.status == 422
    assert told in answer.html
    assert (office.on_stream(), office.book.snoozes()) == ([], [])


def test_the_same_snooze_sent_again_is_one() -> None:
    office = Office()
    link = office.link(office.paged())
    shown = office.get(link).html
    until = re.findall(r'<option value="(20[^"]+)">', shown)[0]
    form = hidden_fields(shown) | {
        "act": "SNOOZED", "by": "Ana", "scope": f"card:{TOKEN}", "until": until, "why": "known"
    }  # fmt: skip
    assert office.post(link, form).done == "SNOOZED"
    office.clock.advance(1)
    assert "it counts once" in office.post(link, form).html
    assert len(office.on_stream()) == 1
