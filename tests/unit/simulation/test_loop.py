"""The loop in simulated time: no gap, no tick twice, no invocation late or beside another.

Invocations run interleaved, step by step, each with its own clock, on one stream and one table.
"""

import heapq
import json
import logging
import random
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.paying_cards import CARDS, FIRST, START, make_cards

from cardwatch.ports import (
    NotKeptError,
    PutOutcome,
    StreamEntry,
    StreamUnavailableError,
    UndeliveredEntry,
)
from cardwatch.simulation.control import Control, ControlUnavailableError, Handover
from cardwatch.simulation.events import HEARTBEAT_HEAD, PAYMENT_HEAD, EventGenerator
from cardwatch.simulation.loop import Counts, End, SimulatorInvocation, SimulatorLoop

RUNS_FOR = 150.0
GENERATOR = EventGenerator(CARDS, seed=7)


@dataclass
class World:
    """Virtual time, the stream's arrivals, the table, and the invocations that are alive."""

    seed: int = 0
    put_seconds: float = 0.1
    """Each call takes up to this long."""
    table_seconds: float = 0.05
    generator: EventGenerator = field(default_factory=lambda: GENERATOR)
    rate: float = 5.0
    seconds: float = 0.0
    """Since START."""
    control: Control = field(default_factory=Control)
    arrivals: list[tuple[float, str, list[StreamEntry]]] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    ends: dict[str, End] = field(default_factory=dict)
    totals: dict[str, Counts] = field(default_factory=dict)
    reports: list[Counts] = field(default_factory=list)
    reads_fail: list[tuple[float, float, str]] = field(default_factory=list)
    """From, to, and for whom ("" for all)."""
    writes_fail_after_the_fact: bool = False
    stream_fails: list[tuple[float, float]] = field(default_factory=list)
    stalls: dict[float, float] = field(default_factory=dict)
    """A put from then on takes that long, once."""
    busy: float = 0.0
    queue: list[tuple[float, int, str, Generator[float, None, End]]] = field(default_factory=list)
    crashed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.pushes = 0

    def invoke(
        self,
        name: str,
        *,
        at: float,
        scheduled: float | None = None,
        skew: float = 0.0,
        full: bool = False,
        payments: bool = True,
        runs_for: float = RUNS_FOR,
    ) -> None:
        """Have an invocation delivered at a time; by default it is scheduled for then."""
        generation = START + timedelta(seconds=at if scheduled is None else scheduled)
        side = Side(self, name, skew)

        def start() -> Generator[float, None, End]:
            loop = SimulatorLoop(
                SimulatorInvocation(round(generation.timestamp() * 1000), name, runs_for, full),
                generator=self.generator,
                stream=side,
                control=side,
                dead_letters=side,
                clock=side,
                log=logging.getLogger("simulator"),
                report=self.reports.append,
                payments=payments,
                payments_per_second=self.rate,
            )
            try:
                return (yield from loop.steps())
            finally:
                self.totals[name] = loop.totals

        self.push(at, name, start())

    def push(self, at: float, name: str, steps: Generator[float, None, End]) -> None:
        self.pushes += 1
        heapq.heappush(self.queue, (at, self.pushes, name, steps))

    def run(self, until: float) -> None:
        while self.queue and self.queue[0][0] <= until:
            self.seconds, _, name, steps = heapq.heappop(self.queue)
            if name in self.crashed:
                continue
            self.busy = 0.0
            try:
                wait = next(steps)
            except StopIteration as stop:
                self.ends[name] = stop.value
            else:
                self.push(self.seconds + wait + self.busy, name, steps)
        self.seconds = until

    def take(self, up_to: float) -> None:
        self.busy += self.random.uniform(0, up_to)

    # What the tests ask for

    def ids(self, kind: str) -> list[str]:
        return [
            json.loads(entry.data)["event_id"]
            for _, _, entries in self.arrivals
            for entry in entries
            if f'"{kind}"'.encode() in entry.data[:40]
        ]

    def new_payments(self) -> int:
        """Count payments, not what became of them."""
        return sum(
            b'"AUTHORIZED"' in entry.data or b'"DECLINED"' in entry.data
            for _, _, entries in self.arrivals
            for entry in entries
        )

    def longest_gap(self, since: float = 0.0) -> float:
        times = [time for time, _, _ in self.arrivals if time >= since]
        return max(b - a for a, b in zip(times, [*times[1:], self.seconds], strict=True))

    def senders(self) -> list[str]:
        return list(dict.fromkeys(name for _, name, _ in self.arrivals))

    def assert_each_tick_once(self) -> None:
        """All that a single endless invocation would have sent is there, once."""
        heartbeats = self.ids("HEARTBEAT")
        payments = self.ids("PAYMENT_EVENT")
        assert not [i for i, n in Counter(payments + heartbeats).items() if n > 1]
        ticks = range(FIRST - 20, FIRST + int(self.seconds + 10) * 5)
        expected = [
            json.loads(e.data)["event_id"]
            for t in ticks
            for e in self.generator.payments(t, self.rate) + self.generator.followers(t, self.rate)
        ]
        first = expected.index(payments[0])
        assert sorted(payments) == sorted(expected[first : first + len(payments)])


@dataclass
class Side:
    """The world as one invocation sees it: every port, with its own idea of the time."""

    world: World
    name: str
    skew: float

    def now(self) -> datetime:
        return START + timedelta(seconds=self.world.seconds + self.world.busy + self.skew)

    def monotonic(self) -> float:
        return self.world.seconds + self.world.busy

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        world = self.world
        stalled = [at for at in world.stalls if at <= world.seconds]
        for at in stalled:
            world.busy += world.stalls.pop(at)
        world.take(world.put_seconds)
        if any(start <= world.seconds < end for start, end in world.stream_fails):
            return PutOutcome(0, 0, tuple(UndeliveredEntry(e, "Throttled") for e in entries))
        world.arrivals.append((self.monotonic(), self.name, list(entries)))
        return PutOutcome(len(entries), 0)

    def shard_hash_keys(self) -> Sequence[str]:
        return ["0"]

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        assert (source, reason) == ("simulator", "Throttled")
        self.world.dead += records
        return "dead-letters/simulator/1"

    def read(self) -> Control:
        world = self.world
        world.take(world.table_seconds)
        if any(a <= world.seconds < b and who in {"", self.name} for a, b, who in world.reads_fail):
            msg = "down"
            raise ControlUnavailableError(msg)
        return world.control

    def write_handovers(self, handovers: tuple[Handover, ...], *, after: Handover | None) -> bool:
        world = self.world
        if any(a <= world.seconds < b and who in {"", self.name} for a, b, who in world.reads_fail):
            msg = "down"
            raise ControlUnavailableError(msg)
        if world.control.last != after:
            return False
        world.control = replace(world.control, handovers=handovers)
        world.take(world.table_seconds)
        if world.writes_fail_after_the_fact:
            msg = "timed out"
            raise ControlUnavailableError(msg)
        return True


def test_one_invocation_sends_every_tick_once_and_stops_when_its_time_is_up() -> None:
    world = World()
    world.invoke("a", at=0.3)
    world.run(200)
    assert world.ends == {"a": "time_up"}
    world.assert_each_tick_once()
    assert 149 < world.arrivals[-1][0] < 151


def test_a_tick_is_on_the_stream_within_half_a_second_of_its_events() -> None:
    world = World(put_seconds=0.05)
    world.invoke("a", at=0.3)
    world.run(60)
    for time, _, entries in world.arrivals[1:]:
        for entry in entries:
            origin = datetime.fromisoformat(json.loads(entry.data)["event_date_origin"])
            assert 0 <= time - (origin - START).total_seconds() < 0.5


def test_the_next_minutes_invocation_takes_over_at_one_tick() -> None:
    world = World()
    world.invoke("a", at=0.3)
    world.invoke("b", at=60.4, scheduled=60)
    world.run(120)
    assert world.ends == {"a": "handed_over"}
    assert world.senders() == ["a", "b"]
    assert world.longest_gap() < 1
    world.assert_each_tick_once()


schedules = st.lists(st.floats(0, 50), min_size=3, max_size=4)


@settings(max_examples=40)
@given(
    delays=schedules,
    skews=st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8),
    extras=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 200)), max_size=4),
    put_seconds=st.floats(0, 0.6),
    table_seconds=st.floats(0, 0.3),
    writes_fail_after_the_fact=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whatever_is_delivered_when_there_is_no_gap_and_no_tick_twice(
    *,
    delays: list[float],
    skews: list[float],
    extras: list[tuple[int, float]],
    put_seconds: float,
    table_seconds: float,
    writes_fail_after_the_fact: bool,
    seed: int,
) -> None:
    """Schedules up to 50 s late, delivered twice, retried late; clocks that differ."""
    world = World(
        seed,
        put_seconds,
        table_seconds,
        writes_fail_after_the_fact=writes_fail_after_the_fact,
    )
    for minute, delay in enumerate(delays):
        late = delay if minute else 0.5
        world.invoke(f"m{minute}", at=minute * 60 + late, scheduled=minute * 60, skew=skews[minute])
    for index, (minute, late) in enumerate(extras):
        delivered = minute * 60 + max(late, 0.5)
        world.invoke(f"x{index}", at=delivered, scheduled=minute * 60, skew=skews[4 + index])
    world.run(len(delays) * 60)
    world.assert_each_tick_once()
    assert world.longest_gap() <= 2


def test_an_invocation_that_waited_too_long_sends_nothing() -> None:
    world = World()
    world.invoke("queued", at=95, scheduled=0)
    world.run(200)
    assert (world.ends, world.arrivals) == ({"queued": "stale"}, [])
    assert world.control == Control()


def test_an_invocation_from_the_future_sends_nothing_and_locks_nobody_out() -> None:
    world = World()
    world.invoke("wrong", at=0, scheduled=3600)
    world.invoke("right", at=1)
    world.run(10)
    assert world.ends == {"wrong": "from_the_future"}
    assert world.senders() == ["right"]


@pytest.mark.parametrize("scheduled", [0.0, 60.0])
def test_a_repeated_or_older_invocation_sends_nothing(scheduled: float) -> None:
    world = World()
    world.invoke("a", at=0.3, scheduled=0)
    world.invoke("b", at=60.3, scheduled=60)
    world.invoke("again", at=70, scheduled=scheduled)
    world.run(120)
    assert world.ends["again"] == "superseded"
    assert world.senders() == ["a", "b"]
    world.assert_each_tick_once()


@pytest.mark.parametrize("crash", [20.0, 59.9, 60.5, 63.0, 64.0])
def test_after_a_crash_the_next_schedule_goes_on_without_a_tick_twice(crash: float) -> None:
    world = World()
    for minute in range(3):
        world.invoke(f"m{minute}", at=minute * 60 + 0.4, scheduled=minute * 60)
    world.run(crash)
    world.crashed.add("m0")
    world.run(180)
    assert world.senders() == ["m0", "m1", "m2"]
    assert world.longest_gap() <= max(0.0, 65 - crash) + 1
    assert world.longest_gap(since=66) <= 2
    payments = world.ids("PAYMENT_EVENT")
    assert len(set(payments)) == len(payments)


def test_a_successor_that_crashed_before_its_turn_is_replaced_a_minute_later() -> None:
    world = World()
    for minute in range(3):
        world.invoke(f"m{minute}", at=minute * 60 + 0.4, scheduled=minute * 60)
    world.run(62)
    world.crashed.add("m1")
    world.run(180)
    assert world.senders() == ["m0", "m2"]
    assert world.longest_gap() < 65
    assert world.longest_gap(since=126) <= 2


def test_three_invocations_at_once_leave_one() -> None:
    world = World(table_seconds=0.3)
    for index in range(3):
        world.invoke(f"d{index}", at=0.1 * index, scheduled=index * 0.001)
    world.run(60)
    assert sorted(world.ends.values()) in (
        ["handed_over", "handed_over"],
        ["handed_over", "superseded"],
        ["superseded", "superseded"],
    )
    world.assert_each_tick_once()
    assert world.longest_gap() <= 2


@pytest.mark.parametrize("second", [60.1, 60.35, 60.6, 60.85])
def test_two_hand_overs_between_two_looks_at_the_table_leave_no_tick_twice(second: float) -> None:
    world = World(table_seconds=0.0)
    world.invoke("a", at=0.3)
    world.invoke("b", at=second, scheduled=60)
    world.invoke("c", at=second + 0.45, scheduled=60.1)
    world.run(90)
    assert world.senders() == ["a", "b", "c"]
    world.assert_each_tick_once()


def test_while_the_control_table_is_down_the_loop_goes_on_and_hands_over_when_it_is_back() -> None:
    world = World(reads_fail=[(30.0, 100.0, "")])
    world.invoke("a", at=0.3)
    world.invoke("b", at=60.4, scheduled=60)
    world.run(140)
    assert world.ends == {"a": "handed_over"}
    assert world.arrivals[-1][1] == "b"
    assert world.longest_gap() < 1
    world.assert_each_tick_once()


def test_who_gets_no_turn_in_all_its_time_says_so_and_sends_nothing() -> None:
    world = World(reads_fail=[(0.0, 1000.0, "")])
    world.invoke("a", at=0.3, runs_for=30)
    world.run(60)
    assert (world.ends, world.arrivals) == ({"a": "no_turn"}, [])


@pytest.mark.parametrize("skew", [-8.0, 8.0])
def test_blind_or_badly_skewed_invocations_only_repeat_the_same_events(skew: float) -> None:
    world = World(reads_fail=[(50.0, 80.0, "a")])
    world.invoke("a", at=0.3, skew=skew)
    world.invoke("b", at=60.4, scheduled=60)
    world.run(120)
    ids = world.ids("PAYMENT_EVENT") + world.ids("HEARTBEAT")
    records = {
        entry.data
        for _, _, entries in world.arrivals
        for entry in entries
        if entry.data.startswith((PAYMENT_HEAD, HEARTBEAT_HEAD))
    }
    assert len(ids) > len(set(ids)) == len(records)


def test_the_first_invocation_ever_publishes_the_whole_registry_at_once() -> None:
    world = World()
    world.invoke("a", at=0.3)
    world.invoke("b", at=60.3)
    world.run(1.2)
    assert len(world.ids("CARD_STATUS")) == len(CARDS)
    world.run(90)
    assert len(world.ids("CARD_STATUS")) < len(CARDS) * 1.2


def test_the_whole_registry_is_published_again_when_asked_for() -> None:
    world = World()
    world.invoke("a", at=0.3)
    world.invoke("b", at=30.3, full=True)
    world.run(60)
    assert Counter(world.ids("CARD_STATUS")).most_common()[-1][1] >= 2


def test_a_large_registry_does_not_hold_up_the_heartbeats() -> None:
    world = World(generator=EventGenerator(make_cards(9_999, 10), seed=7), put_seconds=0.8)
    world.invoke("a", at=0.3)
    world.run(30)
    assert len(set(world.ids("CARD_STATUS"))) == 9_999
    assert max(len(entries) for _, _, entries in world.arrivals) < 1_100
    assert world.longest_gap() <= 2


def test_the_switch_in_the_table_overrides_the_settings_within_two_seconds() -> None:
    world = World(put_seconds=0.01)
    world.invoke("a", at=0.3)
    world.run(20)
    world.control = Control(world.control.handovers, payments=False)
    world.run(22)
    before = len(world.ids("PAYMENT_EVENT"))
    beats = len(world.ids("HEARTBEAT"))
    world.run(40)
    assert len(world.ids("PAYMENT_EVENT")) == before
    assert len(world.ids("HEARTBEAT")) == beats + 18
    world.control = Control(world.control.handovers, payments=True, payments_per_second=50.0)
    world.run(42)
    before = world.new_payments()
    world.run(52)
    assert 480 <= world.new_payments() - before <= 520


def test_payments_that_are_off_in_the_settings_can_be_switched_on() -> None:
    world = World()
    world.invoke("a", at=0.3, payments=False)
    world.run(10)
    assert not world.ids("PAYMENT_EVENT")
    world.control = Control(world.control.handovers, payments=True)
    world.run(20)
    assert world.ids("PAYMENT_EVENT")


def test_wrong_switches_are_left_to_the_settings_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.control = Control(problems=("payments must be the text on or off",))
    world.invoke("a", at=0.3)
    world.run(10)
    assert world.ids("PAYMENT_EVENT")
    assert caplog.text.count("wrong switches") == 1


def test_what_is_not_delivered_is_counted_kept_and_the_loop_goes_on() -> None:
    world = World(stream_fails=[(10.0, 12.0)])
    world.invoke("a", at=0.3)
    world.run(160)
    kept = {json.loads(data)["event_id"] for data in world.dead}
    sent = set(world.ids("PAYMENT_EVENT")) | set(world.ids("HEARTBEAT"))
    assert 10 <= len(kept) <= 16
    assert kept.isdisjoint(sent)
    assert world.totals["a"].undelivered == len(world.dead)
    assert world.totals["a"].sent == sum(len(entries) for _, _, entries in world.arrivals)
    assert sum((r.sent for r in world.reports), 0) == world.totals["a"].sent
    assert world.totals["a"].payments == len(world.ids("PAYMENT_EVENT"))
    assert world.totals["a"].heartbeats == len(world.ids("HEARTBEAT"))
    assert len(world.reports) > 10


def test_after_a_stall_up_to_five_seconds_are_sent_late_and_nothing_is_lost() -> None:
    world = World(stalls={20.0: 4.0})
    world.invoke("a", at=0.3)
    world.run(60)
    world.assert_each_tick_once()
    assert world.arrivals[-1][0] > 59


def test_a_longer_stall_loses_its_oldest_part_and_says_how_much() -> None:
    world = World(stalls={20.0: 12.0})
    world.invoke("a", at=0.3)
    world.run(160)
    payments = world.ids("PAYMENT_EVENT")
    assert len(set(payments)) == len(payments)
    assert 30 <= world.totals["a"].skipped_ticks <= 40
    by_second = Counter(int(time) for time, _, _ in world.arrivals)
    assert max(by_second.values()) <= 12


def test_who_stalls_through_the_hand_over_sends_its_ticks_and_no_others() -> None:
    world = World(stalls={62.0: 4.5})
    world.invoke("a", at=0.3)
    world.invoke("b", at=60.4, scheduled=60)
    world.run(120)
    world.assert_each_tick_once()
    assert world.ends == {"a": "handed_over"}


def test_hand_overs_do_not_pile_up_in_the_table() -> None:
    world = World(rate=0.5)
    for minute in range(30):
        world.invoke(f"m{minute}", at=minute * 60 + 0.3, scheduled=minute * 60)
    world.run(1800)
    assert len(world.control.handovers) <= 11


def test_a_stack_that_slept_for_long_starts_at_once() -> None:
    world = World()
    old = Handover(round((START - timedelta(hours=1)).timestamp() * 1000), "old", FIRST - 18_000)
    world.control = Control((old,))
    world.invoke("a", at=0.3)
    world.run(5)
    assert world.arrivals[0][0] < 1


class Unkept(Side):
    """Dead letters that cannot be written either."""

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        msg = f"{len(records)} records of the {source} ({reason})"
        raise NotKeptError(msg)


class Gone(Side):
    """A stream that is not there: it takes nothing and says nothing of itself."""

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        lost = tuple(UndeliveredEntry(entry, "ResourceNotFoundException") for entry in entries)
        return PutOutcome(0, 0, lost)

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        assert (source, reason) == ("simulator", "ResourceNotFoundException")
        self.world.dead += records
        return "dead-letters/simulator/1"

    def shard_hash_keys(self) -> Sequence[str]:
        msg = "the shards of events cannot be listed (ResourceNotFoundException)"
        raise StreamUnavailableError(msg)


@pytest.mark.parametrize("side", [Unkept, Gone])
def test_no_failure_of_the_stream_or_the_dead_letters_ends_the_loop(
    side: type[Side], caplog: pytest.LogCaptureFixture
) -> None:
    world = World(stream_fails=[(0.0, 1000.0)])
    ports = side(world, "a", 0.0)
    loop = SimulatorLoop(
        SimulatorInvocation(round(START.timestamp() * 1000), "a", 20.0),
        generator=GENERATOR,
        stream=ports,
        control=ports,
        dead_letters=ports,
        clock=ports,
        log=logging.getLogger("simulator"),
        report=world.reports.append,
        payments=True,
        payments_per_second=20.0,
    )
    world.push(0, "a", loop.steps())
    world.run(30)
    assert world.ends == {"a": "time_up"}
    assert loop.totals.sent == 0
    assert loop.totals.undelivered > 390
    assert "records not delivered" in caplog.text
    assert all(card.token not in caplog.text for card in CARDS)


@pytest.mark.parametrize(
    ("event", "generation", "full"),
    [
        ({"time": "2026-11-21T07:00:00Z"}, 1_795_244_400_000, False),
        ({"time": "2026-11-21T07:00:00.250+00:00", "registry": "full"}, 1_795_244_400_250, True),
        ({"time": "2026-11-21T08:00:00+01:00", "source": "aws.events"}, 1_795_244_400_000, False),
    ],
)
def test_an_invocation_is_known_by_the_time_it_was_scheduled_for(
    event: dict[str, Any], generation: int, *, full: bool
) -> None:
    invocation = SimulatorInvocation.from_event(event, holder="h", seconds=9)
    assert invocation == SimulatorInvocation(generation, "h", 9, full)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"time": None},
        {"time": 7},
        {"time": "<aws.scheduler.scheduled-time>"},
        {"time": "2026"},
        {"time": "2026-11-21T07:00:00"},
    ],
)
def test_an_event_without_a_usable_time_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs time"):
        SimulatorInvocation.from_event(event, holder="h", seconds=9)


def test_an_unknown_wish_for_the_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="registry"):
        SimulatorInvocation.from_event(
            {"time": datetime.now(UTC).isoformat(), "registry": "half"}, holder="h", seconds=9
        )
