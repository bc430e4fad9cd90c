"""Writes what the simulator would have sent to a file, for replays, tests and benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count as count_from
from pathlib import Path
from typing import Final

from cardwatch.contract.fields import format_time
from cardwatch.files import whole_file
from cardwatch.simulation.events import (
    TICK_MS,
    TICKS_PER_SECOND,
    EventGenerator,
    payments_before,
)
from cardwatch.simulation.faults import fault_profile
from cardwatch.simulation.population import PayingCard

DEFAULT_START: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""After the last effective_from of generated cards, so that every status holds from the start."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was written."""

    lines: int
    """All records: registry, payments, heartbeats, and what faults added."""
    payments: int
    """Each once, whatever became of it; without what faults added."""
    seconds: float
    """Of event time, from the start to the end of the last tick."""


def write_events(
    path: Path,
    cards: Sequence[PayingCard],
    *,
    count: int,
    payments_per_second: float = 20.0,
    seed: int = 7,
    faults: Sequence[str] = (),
    start: datetime = DEFAULT_START,
    shards: int = 1,
) -> Recording:
    """Write a run with exactly `count` payments, one record a line, in stream order.

    First the status of every card, then tick after tick what the simulator sends: slices of the
    registry, payments (a share on stolen cards as in `cards`) with the faults asked for, what
    became of the recording's earlier ones, and each second a heartbeat per shard. The same
    arguments give the same bytes; the file takes its name when all are written. A name ending in
    `.gz` is compressed. `start` is cut to whole seconds. Raises ValueError for a count or a rate
    below what makes sense or a card whose status begins after the start; OSError.
    """
    if count < 1 or payments_per_second * 1000 < 1:
        msg = "a recording needs at least 1 payment and a rate of at least 0.001 payments/s"
        raise ValueError(msg)
    last = max(card.effective_from for card in cards)
    if last > start:
        msg = f"start must not be before the last effective_from of the cards, {format_time(last)}"
        raise ValueError(msg)
    generator = EventGenerator(cards, seed=seed, faults=fault_profile(faults))
    first_tick = int(start.timestamp()) * TICKS_PER_SECOND
    hash_keys = [str(2**128 // shards * shard) for shard in range(shards)]
    before = payments_before(first_tick * TICK_MS, payments_per_second)
    lines = 0
    with whole_file(path) as file:
        for entry in generator.registry(first_tick):
            file.write(entry.data + b"\n")
            lines += 1
        for tick in count_from(first_tick):
            left = count - (payments_before(tick * TICK_MS, payments_per_second) - before)
            if left <= 0:
                break
            entries = generator.tick(
                tick, payments_per_second, hash_keys, limit=left, since_tick=first_tick
            )
            file.writelines(entry.data + b"\n" for entry in entries)
            lines += len(entries)
    return Recording(lines, count, (tick - first_tick) / TICKS_PER_SECOND)
