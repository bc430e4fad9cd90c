"""Rounds of the audit: each goes on where the one before ended, and none pages twice."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import FakeClock, FakeEventStream
from tests.unit.audit.support import FakeStagedEvents, alert_of, at, page_of, paid, stolen
from tests.unit.audit.test_completeness import SEEDED, a_good_day
from tests.unit.banking.support import CrashError, FakeCursors

from cardwatch.audit.completeness import CAUSES, DEFECTS, SETTLE
from cardwatch.audit.ports import Staged
from cardwatch.audit.rounds import CURSOR, FIRST, AuditRounds, Terms
from cardwatch.audit.telemetry import MeasuredAudit
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.observability import get_logger
from cardwatch.warehouse.refresh import REACH

TERMS = Terms(kept=timedelta(days=90), look_back=timedelta(days=7))


class World:
    """A warehouse that is loaded by and by, and rounds over it."""

    def __init__(self, staged: FakeStagedEvents | None = None, terms: Terms = TERMS) -> None:
        self.staged = staged or FakeStagedEvents()
        self.stream = FakeEventStream()
        self.cursors = FakeCursors()
        self.clock = FakeClock(at(0))
        self.asked: list[datetime | None] = []
        self.rounds = AuditRounds(self, self.stream, self.cursors, self.clock, terms)

    def read(self, since: datetime | None) -> Staged:
        self.asked.append(since)
        return self.staged.read(since)

    def put_ids(self) -> list[str]:
        return [entry.partition_key for entry in self.stream.entries]

    def events(self) -> list[Envelope]:
        return [read_event(entry.data, now=self.clock.now()) for entry in self.stream.entries]

    def load_what_was_put(self, loaded_at: datetime) -> None:
        self.staged.load(loaded_at, *self.events())


def early_and_its_report() -> FakeStagedEvents:
    staged = FakeStagedEvents()
    staged.load(at(10), paid("early", "card", 5))
    staged.load(at(60), stolen("card", published=50))
    return staged


def test_a_theft_that_began_before_its_report_is_put_by_the_first_round_that_sees_the_report() -> (
    None
):
    world = World(early_and_its_report())
    world.clock.time = at(90)
    done = world.rounds.run()
    assert done.repaired.put == 1
    assert done.reached == at(60)
    [event] = world.events()
    assert event.event_id == alert_of("early", "card", 5).event_id


def test_a_round_looks_again_at_what_the_one_before_may_have_missed() -> None:
    world = World(early_and_its_report())
    world.rounds.run()
    world.staged.load(at(120), paid("honest", "honest", 100))
    world.rounds.run()
    assert world.asked == [at(0) - FIRST, at(60) - TERMS.overlap]
    assert TERMS.overlap >= REACH


def test_until_an_alert_is_staged_rounds_put_the_same_id_and_then_nothing() -> None:
    world = World(early_and_its_report())
    for _ in range(3):
        world.rounds.run()
    assert len(world.put_ids()) == 3
    assert len(set(world.put_ids())) == 1
    world.load_what_was_put(at(180))
    assert world.rounds.run().repaired.put == 0


@pytest.mark.parametrize("crash", ["before", "after"])
def test_a_crash_between_put_and_cursor_repeats_the_same_ids(crash: str) -> None:
    world = World(early_and_its_report())
    world.cursors.crash = crash
    with pytest.raises(CrashError):
        world.rounds.run()
    world.cursors.crash = None
    world.rounds.run()
    assert len(set(world.put_ids())) == 1
    assert world.cursors.kept[CURSOR].text == "2026-01-15T10:01:00.000Z"


def test_what_the_stream_did_not_take_keeps_the_cursor_where_it_was() -> None:
    world = World(early_and_its_report())
    world.stream.refuse = "ProvisionedThroughputExceededException"
    done = world.rounds.run()
    assert (done.reached, world.cursors.kept) == (None, {})
    world.stream.refuse = None
    assert world.rounds.run().repaired.put == 1
    assert world.cursors.kept[CURSOR].version == 1


def test_a_round_that_was_overtaken_says_so_and_put_nothing_else() -> None:
    world = World(early_and_its_report())

    class Raced(FakeCursors):
        def save(self, *_: object, **__: object) -> None:
            return None

    other = Raced()
    rounds = AuditRounds(world, world.stream, other, world.clock, TERMS)
    world.rounds.run()
    assert rounds.run().overtaken
    assert len(set(world.put_ids())) == 1


def test_without_a_load_since_the_cursor_stays() -> None:
    world = World(early_and_its_report())
    world.rounds.run()
    done = world.rounds.run()
    assert (done.reached, world.cursors.kept[CURSOR].version) == (at(60), 1)


def test_an_empty_warehouse_is_audited_when_something_is_loaded() -> None:
    world = World()
    assert world.rounds.run().reached is None
    world.staged = early_and_its_report()
    assert world.rounds.run().repaired.put == 1


def test_an_alert_that_waits_for_its_follow_up_is_not_unpaged_before_it_is_due() -> None:
    grouped = Terms(TERMS.kept, TERMS.look_back, timedelta(minutes=5), timedelta(minutes=1))
    staged = FakeStagedEvents()
    staged.load(at(0), stolen("card"))
    alert = alert_of("one", "card", 5)
    staged.load(at(10), paid("one", "card", 5))
    staged.load(at(70), alert)
    # A little before it is overdue.
    follow_up = 69 + grouped.paged_within.total_seconds()
    staged.as_of = at(follow_up)
    world = World(staged, grouped)
    world.clock.time = at(follow_up)
    assert world.rounds.run().report.defects == 0
    staged.as_of = at(follow_up + 60)
    [finding] = [f for f in world.rounds.run().report.findings if f.is_defect]
    assert (finding.kind, finding.cause) == ("unpaged", "lost")
    staged.load(at(follow_up + 61), page_of("page", 400, alert, kind="FOLLOW_UP"))
    assert world.rounds.run().report.defects == 0
    assert grouped.overlap >= grouped.paged_within > SETTLE


def test_a_theft_is_looked_back_to_for_as_long_as_it_is_said() -> None:
    day = 86_400
    staged = FakeStagedEvents()
    staged.load(at(10), paid("day_3", "card", 10 - 3 * day), paid("day_1", "card", 10 - day))
    staged.load(at(60), stolen("card", effective=-5 * day, published=50))
    two_days = World(staged, Terms(TERMS.kept, timedelta(days=2)))
    assert two_days.rounds.run().repaired.put == 1
    [event] = two_days.events()
    assert event.event_id == alert_of("day_1", "card", 10 - day).event_id
    assert World(staged).rounds.run().repaired.put == 2


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 1_500), max_size=6))
def test_rounds_find_what_one_look_at_the_whole_finds(pauses: list[int]) -> None:
    """However far apart they come, as long as loads are visible in their order."""
    day = a_good_day()
    for name, (seed, _) in SEEDED.items():
        if name != "before_look_back":
            seed(day)
    loads = sorted(day.loads, key=lambda load: load[0])
    end = loads[-1][0] + timedelta(minutes=10)
    world = World()
    world.clock.time = at(0)
    while world.clock.now() < end:
        world.clock.time += timedelta(seconds=pauses.pop() if pauses else 60)
        world.staged.loads = [load for load in loads if load[0] <= world.clock.now()]
        # Heartbeats are loaded all the time.
        world.staged.as_of = world.clock.now()
        world.rounds.run()
    put = set(world.put_ids())
    whole = World(day)
    day.as_of = end
    whole.cursors.save(CURSOR, "2020-01-01T00:00:00.000Z", after=None)
    whole.rounds.run()
    assert put >= set(whole.put_ids()) != set()


# ---------- what a round says ----------


def measured(world: World, printed: Callable[[], str]) -> dict[str, list[float]]:
    audit = MeasuredAudit(
        world.rounds,
        get_logger("audit"),
        # Its own: Powertools' others share what they hold.
        cast("Metrics", EphemeralMetrics(namespace="cardwatch", service="audit")),
    )
    audit.run()
    audit.metrics.flush_metrics()
    found: dict[str, list[float]] = {}
    for line in printed().splitlines():
        if '"_aws"' not in line:
            continue
        said = json.loads(line)
        [directive] = said["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]:
            name = metric["Name"]
            found["/".join(filter(None, (name, said.get("reason"))))] = said[name]
    return found


def test_a_round_counts_each_cause_and_the_defects_among_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    world = World(staged)
    world.clock.time = at(3_700)
    world.cursors.save(CURSOR, "2026-01-08T00:00:00.000Z", after=None)
    counted = measured(world, lambda: capsys.readouterr().out)
    expected = set.union(*(each for _, each in SEEDED.values()))
    causes = {f"AuditFindings/{kind}.{cause}" for kind, cause, _ in expected}
    assert {name for name in counted if name.startswith("AuditFindings")} == causes
    assert len(causes) == len(CAUSES)
    defects = [each for each in expected if each[:2] in DEFECTS]
    assert counted["AuditDefects"] == [float(len(defects))]
    assert counted["AlertsRepaired"] == [float(len(world.stream.entries))]
    assert counted["AlertsNotRepaired"] == [0.0]
    assert counted["AuditBehindSeconds"] == [100.0]


def test_a_round_over_nothing_counts_no_lag_so_that_silence_is_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted = measured(World(), lambda: capsys.readouterr().out)
    assert "AuditBehindSeconds" not in counted
    assert counted["AuditDefects"] == [0.0]


def test_alerts_that_stay_off_the_stream_are_counted_and_the_lag_grows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = World(early_and_its_report())
    world.rounds.run()
    world.clock.time = at(2_000)
    world.staged.as_of = at(1_990)
    world.stream.refuse = "InternalFailure"
    counted = measured(world, lambda: capsys.readouterr().out)
    assert counted["AlertsNotRepaired"] == [1.0]
    assert counted["AuditBehindSeconds"] == [1_940.0]
