"""One invocation of the simulator: takes its turn, sends tick after tick, hands over.

The hand-over is described in `control`. Between invocations the stream has no gap, and no tick is
sent twice, as long as the control table answers and the clocks differ by less than a second.
While it does not answer, the invocation that sends goes on, because windows close only while
heartbeats flow; a tick that two invocations send then carries the same event ids twice.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, Final, Literal, Protocol, Self

from cardwatch.ports import (
    Clock,
    DeadLetters,
    EventStream,
    NotKeptError,
    StreamEntry,
    StreamUnavailableError,
    UndeliveredEntry,
)
from cardwatch.simulation.control import (
    Control,
    ControlUnavailableError,
    Handover,
    SimulatorControl,
)
from cardwatch.simulation.events import (
    HEARTBEAT_HEAD,
    PAYMENT_HEAD,
    TICK_MS,
    TICKS_PER_SECOND,
    EventGenerator,
)

MAX_EVENT_AGE_MS: Final = 90_000
"""An invocation whose schedule is older does nothing. EventBridge Scheduler is precise to 60 s."""
MAX_EVENT_AHEAD_MS: Final = 60_000
"""Nor does one from the future, which would lock out every later one."""
HANDOVER_LEAD_TICKS: Final = 4 * TICKS_PER_SECOND
"""How far ahead a hand-over is set: a write of up to 1 s, the running one's next look after up to
1 s, a read of up to 1 s, and a second for clocks that differ."""
CONTROL_EVERY_SECONDS: Final = 1.0
HASH_KEYS_EVERY_SECONDS: Final = 60.0
HASH_KEYS_RETRY_SECONDS: Final = 5.0
MAX_BACKLOG_TICKS: Final = 5 * TICKS_PER_SECOND
"""After a stall the last 5 s are sent, in order and with their own event times; what is older is
skipped and counted."""
MAX_TICKS_PER_PUT: Final = TICKS_PER_SECOND
REGISTRY_PER_PUT: Final = 1_000
MAX_RUN_SECONDS: Final = 300.0
HANDOVERS_KEPT_MS: Final = 600_000
"""From its schedule on, no invocation can live longer than this."""
REPORT_EVERY_SECONDS: Final = 10.0
_NEVER: Final = 1 << 62

End = Literal["handed_over", "time_up", "stale", "from_the_future", "superseded", "no_turn"]


class Log(Protocol):
    """What the loop needs of a logger; the standard one and Powertools' both have it."""

    def info(self, msg: object, *, extra: Mapping[str, object] | None = None) -> None:
        """Say what happened."""
        ...

    def warning(self, msg: object, *, extra: Mapping[str, object] | None = None) -> None:
        """Say what went wrong and was handled."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records; each report holds what came since the one before."""

    sent: int = 0
    retried: int = 0
    undelivered: int = 0
    skipped_ticks: int = 0
    payments: int = 0
    """Of those sent; faulty ones count as long as they begin like a payment."""
    heartbeats: int = 0
    """Of those sent."""

    def __add__(self, other: "Counts") -> "Counts":
        """Add up."""
        return Counts(
            self.sent + other.sent,
            self.retried + other.retried,
            self.undelivered + other.undelivered,
            self.skipped_ticks + other.skipped_ticks,
            self.payments + other.payments,
            self.heartbeats + other.heartbeats,
        )


@dataclass(frozen=True, slots=True)
class SimulatorInvocation:
    """One call of the simulator."""

    generation: int
    """The time it was scheduled for, in milliseconds since the epoch."""
    holder: str
    """Unique to this call."""
    seconds: float
    """How long it may send; some time before the platform would stop it."""
    full_registry: bool = False
    """Publish the whole card file at the start, as the first invocation ever does anyway."""

    @classmethod
    def from_event(cls, event: Mapping[str, Any], *, holder: str, seconds: float) -> Self:
        """Read a schedule's event, or a direct call's: `{"time": …, "registry": "full"}`.

        `time` is when it was scheduled (EventBridge sets it). Raises ValueError without it.
        """
        try:
            time = datetime.fromisoformat(event["time"])
        except (KeyError, TypeError, ValueError):
            time = None
        if time is None or time.tzinfo is None:
            msg = "the simulator's event needs time, an instant like 2026-11-21T07:00:00Z"
            raise ValueError(msg)
        registry = event.get("registry")
        if registry not in {None, "full"}:
            msg = "registry in the simulator's event may only be full"
            raise ValueError(msg)
        return cls(round(time.timestamp() * 1000), holder, seconds, registry == "full")


class SimulatorLoop:
    """Runs one invocation. Used once."""

    def __init__(
        self,
        invocation: SimulatorInvocation,
        *,
        generator: EventGenerator,
        stream: EventStream,
        control: SimulatorControl,
        dead_letters: DeadLetters,
        clock: Clock,
        log: Log,
        report: Callable[[Counts], None],
        payments: bool,
        payments_per_second: float,
        rules: Callable[[], Sequence[StreamEntry]] = tuple,
    ) -> None:
        """Take the ports, what the settings say about payments, and the rules in use."""
        self._invocation = invocation
        self._generator = generator
        self._stream = stream
        self._table = control
        self._dead_letters = dead_letters
        self._clock = clock
        self._log = log
        self._report = report
        self._payments = payments
        self._rate = payments_per_second
        self._rules = rules
        self._started = clock.monotonic()
        self._control = Control()
        self._control_read_at = float("-inf")
        self._control_answers = True
        self._hash_keys: Sequence[str] = ()
        self._hash_keys_read_at = float("-inf")
        self._since_report = Counts()
        self._reported_at = self._started
        self.totals = Counts()

    def run(self) -> End:
        """Send until somebody newer takes over or the time is up, and say which."""
        steps = self.steps()
        while True:
            try:
                self._clock.sleep(next(steps))
            except StopIteration as stop:
                end: End = stop.value
                return end

    def steps(self) -> Generator[float, None, End]:
        """Do what `run` does; each item is a wait in seconds, and other invocations may act then.

        The generator returns the End.
        """
        try:
            turn = yield from self._take_turn()
            end = (yield from self._send(turn)) if isinstance(turn, _Turn) else turn
        finally:
            self._send_report()
        generation = self._invocation.generation
        totals = asdict(self.totals)
        self._log.info("simulator ends", extra={"end": end, "generation": generation} | totals)
        return end

    def _take_turn(self) -> Generator[float, None, "_Turn | End"]:
        """Write this invocation behind the last hand-over, unless it is too old for that."""
        age_ms = self._now_ms() - self._invocation.generation
        if age_ms > MAX_EVENT_AGE_MS:
            return "stale"
        if age_ms < -MAX_EVENT_AHEAD_MS:
            return "from_the_future"
        first_ever = False
        while not self._time_is_up():
            wait = CONTROL_EVERY_SECONDS
            try:
                control = self._table.read()
                last = control.last
                if last and last.holder == self._invocation.holder:
                    # An earlier write was reported as failed but took place.
                    return _Turn(last.from_tick, first_ever)
                if last and last.generation >= self._invocation.generation:
                    return "superseded"
                first_ever = last is None
                yield 0.0
                mine = self._next_handover(last)
                if self._table.write_handovers((*self._kept(control), mine), after=last):
                    return _Turn(mine.from_tick, first_ever)
                wait = 0.0  # somebody else was faster: look again
            except ControlUnavailableError as error:
                self._control_failed(error)
            yield wait
        return "no_turn"

    def _next_handover(self, last: Handover | None) -> Handover:
        now_ms = self._now_ms()
        from_tick = now_ms // TICK_MS
        if last and last.generation > now_ms - HANDOVERS_KEPT_MS:  # it may still be sending
            from_tick += HANDOVER_LEAD_TICKS
        return Handover(self._invocation.generation, self._invocation.holder, from_tick)

    def _kept(self, control: Control) -> tuple[Handover, ...]:
        oldest = (self._now_ms() - HANDOVERS_KEPT_MS) // TICK_MS
        return tuple(handover for handover in control.handovers if handover.from_tick > oldest)

    def _send(self, turn: "_Turn") -> Generator[float, None, End]:
        """Send tick after tick, each when it is over, until the turn ends."""
        tick = turn.from_tick
        registry: Iterator[StreamEntry] = iter(())
        if turn.first_ever or self._invocation.full_registry:
            registry = self._generator.registry(tick)
        # All of them, once an invocation: so a job without state knows them within a minute.
        registry = chain(self._rules(), registry)
        while not self._time_is_up():
            if self._clock.monotonic() - self._control_read_at >= CONTROL_EVERY_SECONDS:
                self._read_control()
                self._read_hash_keys()
                yield 0.0
            stop = self._stop_tick()
            if tick >= stop:
                return "handed_over"
            now_ms = self._now_ms()
            over = now_ms // TICK_MS  # ticks before this one are over
            if tick >= over:
                wait = ((tick + 1) * TICK_MS - now_ms) / 1000
                yield min(wait, CONTROL_EVERY_SECONDS)
                continue
            tick = self._skip_backlog(tick, min(over - MAX_BACKLOG_TICKS, stop))
            end = min(over, stop, tick + MAX_TICKS_PER_PUT)
            entries = list(islice(registry, REGISTRY_PER_PUT))
            for each in range(tick, end):
                entries += self._generator.tick(each, self._payments_per_second(), self._hash_keys)
            self._put(entries)
            tick = end
            yield 0.0
        return "time_up"

    def _skip_backlog(self, tick: int, first_kept: int) -> int:
        if tick >= first_kept:
            return tick
        skipped = first_kept - tick
        self._count(Counts(skipped_ticks=skipped))
        seconds = skipped / TICKS_PER_SECOND
        self._log.warning("stalled; skipped the oldest backlog", extra={"skipped_seconds": seconds})
        return first_kept

    def _put(self, entries: Sequence[StreamEntry]) -> None:
        if not entries:
            return
        outcome = self._stream.put(entries)
        if outcome.undelivered:
            self._keep(outcome.undelivered)
        lost = [item.entry for item in outcome.undelivered]
        self._count(
            Counts(
                sent=outcome.delivered,
                retried=outcome.retried,
                undelivered=len(lost),
                payments=_beginning(PAYMENT_HEAD, entries) - _beginning(PAYMENT_HEAD, lost),
                heartbeats=_beginning(HEARTBEAT_HEAD, entries) - _beginning(HEARTBEAT_HEAD, lost),
            )
        )
        if self._clock.monotonic() - self._reported_at >= REPORT_EVERY_SECONDS:
            self._send_report()

    def _keep(self, undelivered: Sequence[UndeliveredEntry]) -> None:
        codes = ", ".join(sorted({item.error_code for item in undelivered}))
        extra: dict[str, object] = {"records": len(undelivered), "error_codes": codes}
        try:
            extra["kept_in"] = self._dead_letters.keep(
                "simulator", [item.entry.data for item in undelivered], reason=codes
            )
        except NotKeptError as error:
            extra["not_kept_because"] = str(error)
        self._log.warning("records not delivered", extra=extra)

    def _read_control(self) -> None:
        self._control_read_at = self._clock.monotonic()
        try:
            control = self._table.read()
        except ControlUnavailableError as error:
            self._control_failed(error)
            return
        if not self._control_answers:
            self._control_answers = True
            self._log.info("the control table answers again")
        if control.problems != self._control.problems and control.problems:
            self._log.warning("wrong switches", extra={"problems": "; ".join(control.problems)})
        before = self._payments_per_second()
        self._control = control
        if self._payments_per_second() != before:
            rate = self._payments_per_second() or 0
            self._log.info("payments switched", extra={"payments_per_second": rate})

    def _control_failed(self, error: ControlUnavailableError) -> None:
        if self._control_answers:  # once per outage
            self._log.warning("the control table does not answer", extra={"error": str(error)})
        self._control_answers = False

    def _read_hash_keys(self) -> None:
        every = HASH_KEYS_EVERY_SECONDS if self._hash_keys else HASH_KEYS_RETRY_SECONDS
        if self._clock.monotonic() - self._hash_keys_read_at < every:
            return
        self._hash_keys_read_at = self._clock.monotonic()
        try:
            self._hash_keys = tuple(self._stream.shard_hash_keys())
        except StreamUnavailableError as error:  # payments go on, and it is tried again
            self._log.warning("no heartbeats for new shards", extra={"error": str(error)})

    def _payments_per_second(self) -> float | None:
        switch = self._control.payments
        rate = self._control.payments_per_second
        on = self._payments if switch is None else switch
        return (self._rate if rate is None else rate) if on else None

    def _stop_tick(self) -> int:
        # Not the last hand-over's only: two may have been written since the last look.
        mine = self._invocation.generation
        later = [h.from_tick for h in self._control.handovers if h.generation > mine]
        return min(later, default=_NEVER)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _time_is_up(self) -> bool:
        seconds = min(self._invocation.seconds, MAX_RUN_SECONDS)
        return self._clock.monotonic() - self._started >= seconds

    def _count(self, counts: Counts) -> None:
        self.totals += counts
        self._since_report += counts

    def _send_report(self) -> None:
        self._reported_at = self._clock.monotonic()
        self._report(self._since_report)
        self._since_report = Counts()


def _beginning(head: bytes, entries: Sequence[StreamEntry]) -> int:
    return sum(entry.data.startswith(head) for entry in entries)


@dataclass(frozen=True, slots=True)
class _Turn:
    from_tick: int
    first_ever: bool
    """There was no hand-over before: the stream knows no card yet."""
