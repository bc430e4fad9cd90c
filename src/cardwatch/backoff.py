"""When to try again, and when to stop: the one place that says how waits grow."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cardwatch.ports import Clock

_JITTER: Final = random.Random()  # noqa: S311  spreads retries, hides nothing


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits double, are capped and have full jitter, so that nobody tries in lock-step."""

    tries: int = 8
    """How often it is tried at most."""
    first_seconds: float = 0.05
    longest_seconds: float = 1.0
    patience_seconds: float = 20.0
    """How long it goes on at most, from the first try."""

    def longest_wait(self, failures: int) -> float:
        """Give the upper bound of the wait after so many failed tries, in seconds."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 60))

    def wait(self, failures: int, jitter: random.Random = _JITTER) -> float:
        """Give a wait after so many failed tries, in seconds."""
        return jitter.uniform(0, self.longest_wait(failures))

    def attempts(self, clock: Clock, jitter: random.Random = _JITTER) -> Iterator[int]:
        """Count tries from 1, waiting before each but the first; ends when it is time to stop."""
        deadline = clock.monotonic() + self.patience_seconds
        for attempt in range(1, self.tries + 1):
            if attempt > 1:
                pause = self.wait(attempt - 1, jitter)
                if clock.monotonic() + pause >= deadline:
                    return
                clock.sleep(pause)
            yield attempt
