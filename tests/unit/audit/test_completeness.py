"""The audit finds each omission that is seeded, under its cause, and nothing else."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flink.oracle import detect_alerts
from tests.flink.scenarios import payment, status
from tests.unit.audit.support import (
    FakeStagedEvents,
    alert_of,
    at,
    cleared,
    new_id,
    page_of,
    paid,
    quarantined,
    stolen,
)

from cardwatch.audit.completeness import CAUSES, DEFECTS, SETTLE, AuditReport, audit
from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import read_event

KEPT = timedelta(days=90)


def look(staged: FakeStagedEvents, since: datetime | None = None) -> AuditReport:
    return audit(staged.read(since), kept=KEPT)


def found(report: AuditReport) -> set[tuple[str, str, str]]:
    return {(f.kind, f.cause, f.payment_id or f.alert_id or "") for f in report.findings}


def a_good_day() -> FakeStagedEvents:
    """Ten payments on a stolen card, each with its alert and page, and one on another card.

    People were reminded of one of them.
    """
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(0), stolen("good"))
    for number in range(10):
        alert = alert_of(f"good_{number}", "good", number)
        staged.load(at(10), paid(f"good_{number}", "good", number))
        staged.load(at(20), alert)
        staged.load(at(30), page_of(f"page_{number}", 15, alert))
    staged.load(at(930), page_of("reminder", 915, alert, kind="REMINDER"))
    staged.load(at(10), paid("honest", "honest", 1))
    return staged


def test_on_a_good_day_it_finds_nothing() -> None:
    report = look(a_good_day())
    assert report.findings == ()
    assert (report.owed, report.alerted, report.waiting, report.defects) == (10, 10, 0, 0)


def test_without_anything_loaded_there_is_nothing_to_say() -> None:
    report = look(FakeStagedEvents())
    assert (report.as_of, report.next_since, report.findings) == (None, None, ())


Seed = Callable[[FakeStagedEvents], None]


def lost(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("lost"))
    staged.load(at(10), paid("lost", "lost", 5))


def lost_by_its_second_record(staged: FakeStagedEvents) -> None:
    staged.load(at(5), paid("life", "life", 1))
    staged.load(at(10), stolen("life", published=7))
    staged.load(at(20), paid("life", "life", 15, copy=1, status="CAPTURED"))


def reported_later(staged: FakeStagedEvents) -> None:
    staged.load(at(10), paid("early", "early", 5))
    staged.load(at(300), stolen("early", published=200))


def before_look_back(staged: FakeStagedEvents) -> None:
    week = 7 * 86_400
    staged.load(at(-week), paid("ancient", "ancient", 60 - week))
    staged.load(at(300), stolen("ancient", effective=-week, published=61))


def stood_before_report(staged: FakeStagedEvents) -> None:
    staged.load(at(10), paid("swapped", "swapped", 5))
    staged.load(at(11), stolen("swapped", published=4))


def disorder(staged: FakeStagedEvents) -> None:
    staged.load(at(1), stolen("behind", effective=-300, published=-5))
    staged.load(at(1), cleared("behind", effective=-200, published=-5))
    staged.load(at(1), stolen("behind", effective=-100, published=-5))
    staged.load(at(10), paid("behind", "behind", -250))


def clock(staged: FakeStagedEvents) -> None:
    staged.load(at(1), stolen("ahead"))
    staged.load(at(10), paid("ahead", "ahead", 21))


def in_quarantine(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("broken"))
    staged.load(at(10), quarantined("broken", "broken", 5, 6))
    staged.load(at(10), quarantined("before the theft", "broken", -4_000, 6))


def two_ids(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("twice"))
    staged.load(at(10), paid("twice", "twice", 5))
    right = alert_of("twice", "twice", 5)
    wrong = alert_of("twice", "twice", 5, alert_id=new_id("pay_twice", "another"))
    staged.load(at(20), right, wrong, page_of("page_both", 20, right, wrong))


def two_unmarked_pages(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("loud"))
    staged.load(at(10), paid("loud", "loud", 5))
    alert = alert_of("loud", "loud", 5)
    staged.load(at(20), alert, page_of("one", 20, alert), page_of("two", 21, alert))


def a_marked_repeat(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("marked"))
    staged.load(at(10), paid("marked", "marked", 5))
    alert = alert_of("marked", "marked", 5)
    staged.load(at(20), alert, alert, page_of("first", 20, alert))
    staged.load(at(20), page_of("again", 21, alert, repeat=True))


def late(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("slow"))
    staged.load(at(100), paid("slow", "slow", 5))
    alert = alert_of("slow", "slow", 5, late=True)
    staged.load(at(110), alert, page_of("slow", 105, alert))


def late_by(path: str) -> Seed:
    def seed(staged: FakeStagedEvents) -> None:
        staged.load(at(10), paid(path, path, 5))
        staged.load(at(100), stolen(path, published=90))
        alert = alert_of(path, path, 5, late=True, found_by=path)
        staged.load(at(110), alert, page_of(path, 105, alert))

    return seed


def unpaged(staged: FakeStagedEvents) -> None:
    staged.load(at(0), stolen("silent"))
    staged.load(at(10), paid("silent", "silent", 5))
    staged.load(at(20), alert_of("silent", "silent", 5))


def expired(reason: str | None) -> Seed:
    def seed(staged: FakeStagedEvents) -> None:
        name = reason or "unsaid"
        alert = alert_of(name, name, 5)
        said = {} if reason is None else {"reason": reason}
        staged.load(at(0), stolen(name))
        staged.load(at(10), paid(name, name, 5))
        staged.load(at(20), alert, page_of(name, 20, alert, state="EXPIRED", **said))

    return seed


def unstaged_payment(staged: FakeStagedEvents) -> None:
    alert = alert_of("gone", "gone", 5)
    staged.load(at(0), stolen("gone"))
    staged.load(at(20), alert, page_of("gone", 20, alert))


def unstaged_for_quarantine(staged: FakeStagedEvents) -> None:
    alert = alert_of("wide", "wide", 5)
    staged.load(at(0), stolen("wide"))
    staged.load(at(10), quarantined("wide", "wide", 5, 6))
    staged.load(at(20), alert, page_of("wide", 20, alert))


def unstaged_alert(staged: FakeStagedEvents) -> None:
    staged.load(at(30), page_of("named", 20, alert_of("named", "named", 5)))


SEEDED: dict[str, tuple[Seed, set[tuple[str, str, str]]]] = {
    "lost": (lost, {("missing", "lost", "pay_lost")}),
    "lost by a later record": (lost_by_its_second_record, {("missing", "lost", "pay_life")}),
    "reported later": (reported_later, {("missing", "reported_later", "pay_early")}),
    "before look-back": (before_look_back, {("missing", "before_look_back", "pay_ancient")}),
    "stood before": (stood_before_report, {("missing", "stood_before_report", "pay_swapped")}),
    "disorder": (disorder, {("missing", "disorder", "pay_behind")}),
    "clock": (clock, {("missing", "clock", "pay_ahead")}),
    "quarantine": (in_quarantine, {("missing", "quarantined", "pay_broken")}),
    "two ids": (two_ids, {("doubled", "two_ids", "pay_twice")}),
    "two pages": (
        two_unmarked_pages,
        {("doubled", "two_unmarked_pages", alert_of("loud", "loud", 5).event_id)},
    ),
    "a marked repeat": (a_marked_repeat, set()),
    "late": (late, {("late", "behind_watermark", "pay_slow")}),
    "audit": (late_by("audit"), {("late", "found_by_audit", "pay_audit")}),
    "look-back": (late_by("look_back"), {("late", "found_by_look_back", "pay_look_back")}),
    "unpaged": (unpaged, {("unpaged", "lost", "pay_silent")}),
    "too old": (expired("too_old"), {("unpaged", "too_old", "pay_too_old")}),
    "expired": (expired(None), {("unpaged", "too_old", "pay_unsaid")}),
    "refused": (expired("refused"), {("unpaged", "refused", "pay_refused")}),
    "suppressed": (expired("suppressed"), {("unpaged", "suppressed", "pay_suppressed")}),
    "no payment": (unstaged_payment, {("unstaged", "payment_lost", "pay_gone")}),
    "no payment but quarantine": (
        unstaged_for_quarantine,
        {("unstaged", "quarantined", "pay_wide")},
    ),
    "no alert": (
        unstaged_alert,
        {("unstaged", "alert_lost", alert_of("named", "named", 5).event_id)},
    ),
}


@pytest.mark.parametrize("name", SEEDED)
def test_an_omission_is_found_under_its_cause_and_nothing_else_is(name: str) -> None:
    staged = a_good_day()
    seed, expected = SEEDED[name]
    seed(staged)
    assert found(look(staged)) == expected


def test_all_omissions_at_once_are_each_found_and_nothing_else_is() -> None:
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    report = look(staged)
    assert found(report) == set.union(*(expected for _, expected in SEEDED.values()))
    assert {(f.kind, f.cause) for f in report.findings} == set(CAUSES)
    assert report.defects == sum((kind, cause) in DEFECTS for kind, cause, _ in found(report))
    kinds = list(dict.fromkeys((f.kind, f.cause) for f in report.findings))
    assert kinds == list(CAUSES)


@pytest.mark.parametrize("seed", [lost, unpaged, unstaged_payment, unstaged_alert])
def test_what_may_still_be_on_its_way_is_no_finding_yet(seed: Seed) -> None:
    staged = FakeStagedEvents()
    seed(staged)
    newest = max(loaded for loaded, _ in staged.loads)
    staged.as_of = newest + SETTLE - timedelta(milliseconds=1)
    report = look(staged)
    assert (found(report), report.waiting) == (set(), 1)
    staged.as_of = newest + SETTLE
    report = look(staged)
    assert (len(report.findings), report.waiting) == (1, 0)


def test_what_the_stream_will_never_say_is_found_at_once() -> None:
    staged = FakeStagedEvents()
    reported_later(staged)
    assert {cause for _, cause, _ in found(look(staged))} == {"reported_later"}


@pytest.mark.parametrize(
    ("name", "seconds", "cause"),
    [
        ("sent at the same millisecond as its report", 5.0, "lost"),
        ("sent a millisecond before it", 4.999, "reported_later"),
    ],
)
def test_within_one_load_the_report_stands_before_what_was_not_sent_before_it(
    name: str, seconds: float, cause: str
) -> None:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(10), paid("one", "one", seconds), stolen("one", published=5))
    assert found(look(staged)) == {("missing", cause, "pay_one")}, name


@pytest.mark.parametrize(
    ("published", "cause"), [(5, "stood_before_report"), (5.001, "reported_later")]
)
def test_a_report_of_the_payments_own_millisecond_had_been_sent_by_then(
    published: float, cause: str
) -> None:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(10), paid("one", "one", 5))
    staged.load(at(11), stolen("one", published=published))
    assert found(look(staged)) == {("missing", cause, "pay_one")}


def test_of_a_report_and_a_clearing_of_the_same_instant_the_report_wins() -> None:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(1), stolen("one", effective=-9, published=-5))
    staged.load(at(1), cleared("one", effective=-9, published=-5))
    staged.load(at(10), paid("one", "one", 5))
    assert found(look(staged)) == {("missing", "lost", "pay_one")}


def test_a_time_within_the_skew_that_clocks_may_have_is_no_excuse() -> None:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(1), stolen("one"))
    staged.load(at(10), paid("one", "one", 20))
    assert found(look(staged)) == {("missing", "lost", "pay_one")}


def test_a_payment_that_came_as_a_valid_event_too_is_judged_by_that() -> None:
    staged = FakeStagedEvents(as_of=at(3_600))
    staged.load(at(1), stolen("one"))
    staged.load(at(10), quarantined("one", "one", 5, 6), paid("one", "one", 5))
    assert found(look(staged)) == {("missing", "lost", "pay_one")}


@pytest.mark.parametrize("name", [n for n in SEEDED if n != "before look-back"])
def test_since_after_everything_was_loaded_there_is_nothing(name: str) -> None:
    staged = FakeStagedEvents()
    SEEDED[name][0](staged)
    newest = max(loaded for loaded, _ in staged.loads)
    staged.as_of = at(3_600)
    assert found(look(staged, newest + timedelta(milliseconds=1))) == set()


def test_since_looks_at_what_was_loaded_since_and_judges_by_all() -> None:
    staged = a_good_day()
    lost(staged)
    staged.load(at(500), paid("second", "lost", 495))
    assert found(look(staged, at(100))) == {("missing", "lost", "pay_second")}
    reported_later(staged)  # its payment was loaded before, its report since
    assert found(look(staged, at(100))) == {
        ("missing", "lost", "pay_second"),
        ("missing", "reported_later", "pay_early"),
    }
    assert found(look(staged, at(501))) == set()


def test_audits_that_follow_on_each_other_leave_nothing_out() -> None:
    staged = FakeStagedEvents()
    for seed, _ in SEEDED.values():
        seed(staged)
    expected = found(look(a_copy(staged, at(3_600))))
    since: datetime | None = None
    seen: set[tuple[str, str, str]] = set()
    for minute in range(61):
        staged_by_then = FakeStagedEvents(
            [load for load in staged.loads if load[0] <= at(60 * minute)], at(60 * minute)
        )
        report = look(staged_by_then, since)
        since = report.next_since
        seen |= found(report)
    assert expected <= seen


def a_copy(staged: FakeStagedEvents, as_of: datetime) -> FakeStagedEvents:
    return FakeStagedEvents(list(staged.loads), as_of)


def test_an_alert_that_retention_may_have_removed_is_not_called_unstaged() -> None:
    staged = FakeStagedEvents()
    unstaged_alert(staged)
    staged.as_of = at(20) + KEPT
    assert found(look(staged)) == set()


times = st.integers(0, 20).map(lambda second: second * 1_000)


@st.composite
def streams(draw: st.DrawFn) -> list[str]:
    """Lines as they arrive: statuses and payments of two cards, in any disorder."""
    lines: list[str] = []
    for number in range(draw(st.integers(1, 12))):
        card = draw(st.sampled_from("ab"))
        time = draw(times)
        if draw(st.booleans()):
            word = draw(st.sampled_from(["STOLEN", "STOLEN", "ACTIVE"]))
            lines.append(status(card, word, time, time + draw(times)))
        else:
            name = str(draw(st.integers(0, 3)))
            word = draw(st.sampled_from(["AUTHORIZED", "CAPTURED"]))
            lines.append(payment(name, card, time, copy=number, status=word))
    return lines


def stolen_by_brute_force(lines: Iterable[str]) -> set[tuple[str, str]]:
    """The definition, slowly: go through a card's life for every payment."""
    events = [read_event(line.encode(), now=at(10**6)) for line in lines]
    life: dict[str, list[tuple[datetime, str]]] = {}
    payments: dict[tuple[str, str, str], datetime] = {}
    for event in events:
        said = event.event_json_data
        if isinstance(said, Payment):
            # The same status again is a copy.
            place = (said.payment_id, said.card_token, said.status)
            payments.setdefault(place, event.event_date_origin)
        elif isinstance(said, CardStatus):
            life.setdefault(said.card_token, []).append((said.effective_from, said.status))
    found = set()
    for (payment_id, card, _), time in payments.items():
        is_stolen = False
        for effective, word in sorted(life.get(card, [])):  # ACTIVE sorts before STOLEN
            if effective <= time:
                is_stolen = word == "STOLEN"
        if is_stolen:
            found.add((payment_id, card))
    return found


@given(streams(), st.data())
def test_missing_is_what_the_definition_owes_and_lost_what_the_streams_oracle_says(
    lines: list[str], data: st.DataObject
) -> None:
    staged = FakeStagedEvents(as_of=at(10**5))
    for number, line in enumerate(lines):
        staged.load(at(1_000 + number), line)
    said = [
        (alert["event_json_data"]["payment_id"], alert["event_json_data"]["card_token"])
        for alert in detect_alerts(_each_once(lines))
    ]
    kept = {each for each in said if data.draw(st.booleans())}
    for payment_id, card_token in kept:
        made = alert_of("", "", 0, payment_id=payment_id, card_token=card_token)
        event = made.model_copy(update={"event_id": new_id(payment_id, card_token)})
        staged.load(at(2_000), event)
    report = look(staged)
    missing = {
        (f.payment_id, f.card_token): f.cause for f in report.findings if f.kind == "missing"
    }
    owed = stolen_by_brute_force(lines)
    assert missing.keys() == owed - kept
    lost_ones = {place for place, cause in missing.items() if cause == "lost"}
    assert lost_ones == (set(said) & owed) - kept


def _each_once(lines: list[str]) -> list[str]:
    """Leave out what the warehouse takes for a copy, which another time may come with."""
    seen, kept = set(), []
    for line in lines:
        said = read_event(line.encode(), now=at(10**6)).event_json_data
        place = (
            (said.payment_id, said.card_token, said.status) if isinstance(said, Payment) else line
        )
        if place not in seen:
            kept.append(line)
        seen.add(place)
    return kept
