"""Events as they are delivered become the same facts as typed ones."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

from tests.unit.audit.support import (
    FakeStagedEvents,
    alert_of,
    at,
    page_of,
    paid,
    quarantined,
    stolen,
)
from tests.unit.audit.test_completeness import SEEDED, a_good_day
from tests.unit.paging.support import rule_alert_event

from cardwatch.audit.delivered import Gathered
from cardwatch.audit.ports import Staged


def delivered(staged: FakeStagedEvents, since: float) -> Gathered:
    gathered = Gathered(at(since))
    for loaded_at, event in staged.loads:
        data: dict[str, Any] = json.loads(event.to_bytes())["event_json_data"]
        gathered.deliver(
            event.event_id, event.type, event.event_date_origin, loaded_at, json.dumps(data)
        )
    return gathered


def parts(staged: Staged) -> tuple[object, ...]:
    of = staged.statuses, staged.payments, staged.alerts, staged.pages, staged.quarantined
    return tuple(map(Counter, of))


def test_every_event_is_the_fact_that_the_typed_tables_would_have() -> None:
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    assert parts(delivered(staged, 15).staged(at(3_600))) == parts(staged.read(at(15)))


def test_of_copies_the_first_load_counts_whatever_comes_first() -> None:
    staged = FakeStagedEvents()
    staged.load(at(100), paid("one", "card", 5), stolen("card"))
    staged.load(at(20), paid("one", "card", 5), stolen("card"))
    found = delivered(staged, 50).staged(at(100))
    assert [(p.loaded_at, p.new) for p in found.payments] == [(at(20), False)]
    assert [(s.loaded_at, s.new) for s in found.statuses] == [(at(20), False)]


def test_the_cards_are_those_of_which_something_is_new() -> None:
    staged = FakeStagedEvents()
    staged.load(at(10), paid("old", "old", 5), stolen("old"))
    staged.load(at(60), paid("new", "paid", 55), stolen("reported", published=55))
    staged.load(at(60), alert_of("other", "alerted", 50), quarantined("q", "broken", 50, 51))
    found = delivered(staged, 50)
    assert len(found.cards) == 4
    assert {p.card_token for p in found.staged(at(60)).payments if not p.new}.isdisjoint(
        found.cards
    )


def test_pages_of_other_rules_are_left_out() -> None:
    other = rule_alert_event(at=at(12))
    alert = alert_of("one", "card", 5)
    staged = FakeStagedEvents()
    staged.load(at(20), page_of("page_other", 20, other), other)
    staged.load(at(20), page_of("page", 20, alert))
    assert [page.page_id for page in delivered(staged, 0).staged(at(20)).pages] == ["page"]


def test_what_tells_of_an_alert_again_is_left_out() -> None:
    alert = alert_of("one", "card", 5)
    staged = FakeStagedEvents()
    staged.load(at(20), alert, page_of("page", 20, alert))
    staged.load(at(960), page_of("reminder", 950, alert, kind="REMINDER"))
    assert [page.page_id for page in delivered(staged, 0).staged(at(960)).pages] == ["page"]


def test_an_old_payment_s_alert_says_how_far_back_payments_are_needed() -> None:
    staged = FakeStagedEvents()
    month = timedelta(days=30).total_seconds()
    staged.load(at(20), alert_of("old", "card", -month))
    assert delivered(staged, 0).judged_payment_times == [at(-month)]
    assert delivered(staged, 30).judged_payment_times == []
