"""What `cardwatch pages --acts` says of what was done about pages."""

from datetime import timedelta

from tests.fakes import NOON
from tests.unit.acts.support import Office
from tests.unit.paging.support import alert_event

from cardwatch.cli.run import lines_of_acts
from cardwatch.local.witness.receipts import PageReceived


def received(page_id: str, subject: str) -> PageReceived:
    return PageReceived(NOON, f"m_{page_id}", page_id, subject, "text", (), repeat=False)


def test_each_page_is_named_with_its_acts_in_order_and_by_whom() -> None:
    office = Office()
    acted_on = office.paged(alert_event(1)).page_id
    office.book.act(acted_on, "ACKNOWLEDGED", "Ana Vella")
    office.clock.advance(timedelta(minutes=2).total_seconds())
    office.book.act(acted_on, "RESOLVED", "Ben Borg")
    pages = [received(acted_on, "Stolen card"), received("page_2", "Another")]
    done = office.book.done_about([page.page_id for page in pages])
    assert list(lines_of_acts(pages, done)) == [
        f"2026-11-21 12:00:00 UTC  {acted_on}  Stolen card",
        "    2026-11-21 12:00:00 UTC: Ana Vella (as typed) acknowledged it",
        "    2026-11-21 12:02:00 UTC: Ben Borg (as typed) resolved it",
        "2026-11-21 12:00:00 UTC  page_2  Another",
        "    nobody has done anything about it",
    ]
