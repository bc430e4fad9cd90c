"""What people do about pages without a link is the same act, under the same promise."""

import pytest
from tests.unit.acts.support import Office

from cardwatch.acts.book import ActBook, IncompleteActError, NoSuchPageError, NotTakenError


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def book(office: Office) -> ActBook:
    return office.book


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        ("ACKNOWLEDGED", "", None),
        ("CONFIRMED", "OTHER", None),
        ("FALSE_POSITIVE", "LIMIT_TOO_LOW", "LIMIT_TOO_LOW"),
    ],
)
def test_an_act_from_a_terminal_is_on_the_stream_and_in_the_page_s_list(
    office: Office, book: ActBook, act: str, code: str, reason: str | None
) -> None:
    page = office.paged()
    done = book.act(page.page_id, act, " Ana  Vella ", code)
    assert [done] == office.on_stream() == office.recorded(page)
    assert done is not None
    assert (done.act, done.by, done.reason, done.link_id) == (act, "Ana Vella", reason, None)
    assert "link_id" not in office.events()[0].data_text()
    assert "Ana Vella (as typed)" in office.get(office.link(page)).html


def test_the_same_again_by_the_same_person_adds_nothing_and_anything_else_does(
    office: Office, book: ActBook
) -> None:
    page = office.paged()
    wanted = [("ACKNOWLEDGED", "Ana"), ("CONFIRMED", "Ana"), ("ACKNOWLEDGED", "Ana")]
    for act, by in (*wanted, ("ACKNOWLEDGED", "Ben")):
        assert book.act(page.page_id, act, by) is not None
        assert book.act(page.page_id, act, by) is None
    assert len({event.event_id for event in office.events()}) == 4
    assert [(act.act, act.by) for act in office.recorded(page)] == [
        *wanted,
        ("ACKNOWLEDGED", "Ben"),
    ]


@pytest.mark.parametrize(
    ("act", "by", "code"),
    [("ACKNOWLEDGED", " ", ""), ("FALSE_POSITIVE", "Ana", "BECAUSE"), ("SNOOZED", "Ana", "")],
)
def test_what_is_not_complete_does_nothing(
    office: Office, book: ActBook, act: str, by: str, code: str
) -> None:
    page = office.paged()
    with pytest.raises(IncompleteActError):
        book.act(page.page_id, act, by, code)
    assert office.stream.entries == []


def test_a_page_that_nobody_knows_is_named(book: ActBook) -> None:
    with pytest.raises(NoSuchPageError, match="page page_1 is not known"):
        book.act("page_1", "ACKNOWLEDGED", "Ana")


def test_what_the_stream_refuses_is_not_done(office: Office, book: ActBook) -> None:
    page = office.paged()
    office.stream.refuse = "Throttled"
    with pytest.raises(NotTakenError, match="a PAGE_ACT was not put: Throttled"):
        book.act(page.page_id, "CONFIRMED", "Ana")
    assert office.recorded(page) == []
