"""How the pipeline is: what the run says of itself, behind a port.

On one machine the run writes its status twice a second (`var/run/status.json`). On AWS the same
questions are CloudWatch's to answer (`aws`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

STALE_AFTER: Final = timedelta(seconds=10)
"""A status older than this was left by a run that writes it no more."""


class PipelineAwayError(Exception):
    """Nothing is known of the pipeline; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The pipeline at a moment."""

    as_of: datetime
    """UTC, with a zone."""
    told_by: str
    """Who says all this."""
    state: str
    throughput: tuple[str, float]
    """What is counted, and how many of it there are a second."""
    lag_seconds: float | None
    """How far event time is behind the clock in the detection; None while nobody knows."""
    staged_rows: int | None
    job: str
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Records in quarantine by reason."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Records on the stream that break the contract, by reason."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """Starts after the first, by program."""
    troubles: Sequence[str] = ()

    def stale(self, now: datetime) -> bool:
        """Say whether nobody writes this any more, though it should be running."""
        return self.state not in {"stopped", "failed"} and now - self.as_of > STALE_AFTER


class PipelineHealth(Protocol):
    """Says how the pipeline is."""

    def now(self) -> Pipeline:
        """Give the newest picture; raises PipelineAwayError."""
        ...


class RunStatus:
    """The pipeline of a run on this machine, by its own status file."""

    def __init__(self, path: Path) -> None:
        """Take the file's place."""
        self._path = path

    def now(self) -> Pipeline:
        try:
            facts = json.loads(self._path.read_text("utf-8"))
            counts = facts["counts"]
            return Pipeline(
                as_of=datetime.fromisoformat(facts["updated_at"]).astimezone(UTC),
                told_by="the run itself",
                state=facts["state"],
                throughput=("Payments per second", counts["payments_per_second"]),
                lag_seconds=facts["watermark_lag_seconds"],
                staged_rows=facts["staged_rows"],
                job=facts["job"],
                quarantined=facts["quarantined"],
                rejected=counts["rejected"],
                restarts=facts["restarts"],
                troubles=tuple(facts["troubles"]),
            )
        except FileNotFoundError:
            msg = "Nothing has run here yet: start it with `make run` or `cardwatch up`."
            raise PipelineAwayError(msg) from None
        except (OSError, ValueError, KeyError, TypeError):
            msg = "The run's status cannot be read: `cardwatch down`, then `cardwatch up`."
            raise PipelineAwayError(msg) from None
