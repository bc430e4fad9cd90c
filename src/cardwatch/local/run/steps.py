"""The steps of a start, each from when to when, so that it can be seen where the time goes."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One step; some go side by side. Seconds count from the command."""

    name: str
    began_s: float
    ended_s: float

    def __str__(self) -> str:
        """Give it as people read it."""
        return f"{self.name} {self.began_s:.1f}-{self.ended_s:.1f} s"


class Steps:
    """Takes the steps as they end; safe to use from several threads."""

    def __init__(self, command_given: datetime, done: Iterable[Step] = ()) -> None:
        """Count from the moment the command was given; `done` are steps that ended already."""
        self._zero = command_given.timestamp()
        self._done = list(done)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside; a step that fails is none."""
        began = time.time()
        yield
        self.add(name, began, time.time())

    def add(self, name: str, began: float, ended: float) -> None:
        """Add a step by its instants, in seconds since the epoch."""
        self._done.append(Step(name, round(began - self._zero, 1), round(ended - self._zero, 1)))

    def done(self) -> tuple[Step, ...]:
        """Give the steps, in the order in which they began."""
        return tuple(sorted(self._done, key=lambda step: (step.began_s, step.ended_s)))
