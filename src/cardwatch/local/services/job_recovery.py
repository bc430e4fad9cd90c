"""Brings the job back after its JobManager died, which takes the job with it.

On Managed Flink that is the service's own work, with the JobManager's metadata kept outside it.
Here the supervisor starts the JobManager again, and the job is submitted once more from the newest
checkpoint that the dead one finished. One that cannot be read, or that the job cannot be restored
from, is passed over for the one before it; without any the job reads the stream from its start. In
each case alerts may be said again, under the same ids, and none is lost.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.flink import JOB_MANAGER, Edge
from cardwatch.local.services.flink_rest import FlinkHealth

POLL_SECONDS: Final = 0.2
SUBMIT_SECONDS: Final = 240.0
RESTORE_SECONDS: Final = 240.0
"""How long a job may take to run after it was submitted; then another checkpoint is tried."""
RETRY_SECONDS: Final = 5.0
"""Before all of it is tried again, where nothing helped."""
MOST_RESTARTS: Final = 3
"""A job that failed so often before all of it ran cannot be restored from its checkpoint."""


class Submission(Protocol):
    """A submission that was begun."""

    def finish(self, groups: Mapping[str, Mapping[str, str]], /, *, timeout_seconds: float) -> str:
        """Submit with these property groups; gives the job's id, or raises LocalStackError."""
        ...

    def stop(self) -> None: ...


class Jobs(Protocol):
    """What the JobManager says of jobs."""

    def tasks_run(self, job_id: str, /) -> bool: ...

    def health(self, job_id: str, /) -> FlinkHealth | None: ...

    def exception(self, job_id: str, /) -> str | None: ...

    def cancel(self, job_id: str, /) -> None: ...


class Cluster(Protocol):
    """A cluster whose JobManager is started again by somebody else."""

    @property
    def rest(self) -> Jobs: ...

    @property
    def checkpoints(self) -> Path:
        """Give the folder below which jobs keep their checkpoints."""
        ...

    def begin_submission(self, edge: Edge, *, checkpoint: Path | None) -> Submission: ...


def retained_checkpoints(folder: Path) -> list[Path]:
    """Give the checkpoints below a folder that were finished, the newest first."""
    written = [(path.stat().st_mtime_ns, path.parent) for path in folder.glob("*/chk-*/_metadata")]
    return [path for _, path in sorted(written, reverse=True)]


class JobRecovery(threading.Thread):
    """Submits the job again after each death of the JobManager, until it is stopped."""

    def __init__(
        self,
        cluster: Cluster,
        edge: Edge,
        groups: Mapping[str, Mapping[str, str]],
        *,
        deaths: Callable[[], int],
        submitted: Callable[[str], object],
    ) -> None:
        """Watch the JobManager of `cluster`, whose restarts so far `deaths` gives.

        `groups` are the job's property groups; `submitted` is told each new job's id.
        """
        super().__init__(name="job recovery", daemon=True)
        self._cluster = cluster
        self._edge = edge
        self._groups = groups
        self._deaths = deaths
        self._submitted = submitted
        self._seen = deaths()
        self._submission: Submission | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.recoveries = 0
        """How often the job runs again."""
        self.trouble: str | None = None
        """What is done about a JobManager that died, or why that failed; None while all runs."""

    def run(self) -> None:
        """Watch until stopped."""
        while not self._ended.wait(POLL_SECONDS):
            if self._deaths() != self._seen:
                self._recover()

    def stop(self) -> None:
        """Submit nothing more, and end what is being submitted."""
        with self._lock:
            self._ended.set()
            if self._submission is not None:
                self._submission.stop()
        if self.is_alive():
            self.join()

    def _recover(self) -> None:
        """Try until the job runs or the JobManager dies again."""
        self._seen = self._deaths()
        self.trouble = f"{JOB_MANAGER} died; the job is submitted again"
        while not self._tried() and not self._is_over():
            self._ended.wait(RETRY_SECONDS)

    def _tried(self) -> bool:
        """Try each checkpoint, then none; say whether the job runs."""
        for checkpoint in (*retained_checkpoints(self._cluster.checkpoints), None):
            try:
                job = self._submit(checkpoint)
            except LocalStackError as error:
                if self._is_over():
                    return False
                self.trouble = str(error)
                continue
            self._submitted(job)
            if self._runs(job):
                self.recoveries += 1
                self.trouble = None
                return True
            if self._is_over():
                return False
            self.trouble = (
                f"the job cannot go on from {checkpoint}: {self._cluster.rest.exception(job)}"
            )
            self._cluster.rest.cancel(job)
        return False

    def _submit(self, checkpoint: Path | None) -> str:
        with self._lock:
            if self._ended.is_set():
                msg = "stopped"
                raise LocalStackError(msg)
            self._submission = self._cluster.begin_submission(self._edge, checkpoint=checkpoint)
        return self._submission.finish(self._groups, timeout_seconds=SUBMIT_SECONDS)

    def _runs(self, job: str) -> bool:
        """Wait for all of a job's tasks; say whether they run."""
        deadline = time.monotonic() + RESTORE_SECONDS
        while time.monotonic() < deadline and not self._is_over():
            if self._cluster.rest.tasks_run(job):
                return True
            health = self._cluster.rest.health(job)
            if health is not None and (
                health.state in {"FAILED", "CANCELED"} or health.restarts >= MOST_RESTARTS
            ):
                return False
            self._ended.wait(POLL_SECONDS)
        return False

    def _is_over(self) -> bool:
        """Say whether it was stopped, or the JobManager died once more: that begins anew."""
        return self._ended.is_set() or self._deaths() != self._seen
