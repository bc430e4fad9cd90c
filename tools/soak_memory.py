"""How much the memory of a run's processes grows, by samples that are taken while it runs."""

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import psutil

from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.services import ministack

MEGABYTE: Final = 1_000_000
LEAST_SAMPLES: Final = 8
"""Fewer say nothing of a slope."""
OWN_NAME: Final = "the run itself"


@dataclass(frozen=True, slots=True)
class Sample:
    """A process's resident memory at a moment of the simulated time."""

    hours: float
    seconds: float
    """Of real time."""
    megabytes: float


@dataclass(frozen=True, slots=True)
class Growth:
    """How a process's memory went, once it was warm."""

    name: str
    pid: int
    first_mb: float
    last_mb: float
    mb_per_hour: float
    """Of simulated time; the median of the slopes between all pairs of samples."""
    mb_per_real_hour: float
    samples: int


class Memory:
    """Takes samples of all processes of a run, this one included."""

    def __init__(self, run: RunFolder) -> None:
        """Watch the run of a folder."""
        self._run = run
        self._names: dict[int, str] = {}
        self._samples: dict[int, list[Sample]] = {}

    def take(self, *, hours: float, seconds: float) -> None:
        """Note how much memory each process has now."""
        noted = {n.pid: n.name for n in self._run.noted()} | {os.getpid(): OWN_NAME}
        for process in [psutil.Process(), *leftovers(self._run)]:
            with suppress(psutil.Error):
                megabytes = process.memory_info().rss / MEGABYTE
                if process.pid not in self._names:
                    self._names[process.pid] = name_of(process, noted)
                taken = self._samples.setdefault(process.pid, [])
                taken.append(Sample(hours, seconds, megabytes))

    def growth(self, *, since_hours: float, until_hours: float) -> list[Growth]:
        """Give what those did that were there for at least half of that time, the worst first."""
        found = []
        for pid, all_of_it in self._samples.items():
            samples = [s for s in all_of_it if since_hours <= s.hours <= until_hours]
            if len(samples) < LEAST_SAMPLES:
                continue
            if samples[-1].hours - samples[0].hours < (until_hours - since_hours) / 2:
                continue
            found.append(growth_of(self._names[pid], pid, samples))
        return sorted(found, key=lambda growth: growth.mb_per_hour, reverse=True)

    def seen(self) -> int:
        """Give how many processes there were, those that came and went included."""
        return len(self._samples)


def growth_of(name: str, pid: int, samples: Sequence[Sample]) -> Growth:
    """Sum up a process's samples, which are in the order of time."""
    return Growth(
        name,
        pid,
        first_mb=samples[0].megabytes,
        last_mb=samples[-1].megabytes,
        mb_per_hour=median_slope((s.hours, s.megabytes) for s in samples),
        mb_per_real_hour=median_slope((s.seconds / 3600, s.megabytes) for s in samples),
        samples=len(samples),
    )


def median_slope(points: Iterable[tuple[float, float]]) -> float:
    """Give the median of the slopes between all pairs of points (Theil and Sen).

    A few values that stick out, such as before a garbage collection, do not move it. Raises
    ValueError where no two points differ in their first value.
    """
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2]
    if not slopes:
        msg = "no slope without two moments"
        raise ValueError(msg)
    return statistics.median(slopes)


def name_of(process: psutil.Process, noted: Mapping[int, str]) -> str:
    """Call a process by what it was started as, or else by what it does and for whom."""
    if process.pid in noted:
        return noted[process.pid]
    if function := ministack.function_of(process):
        return f"function {function}"
    if process.name() == "postgres":
        command = " ".join(process.cmdline())
        return command if command.startswith("postgres:") else "postgres"
    owner = next((noted[p.pid] for p in process.parents() if p.pid in noted), OWN_NAME)
    return f"{process.name()} of {owner}"
