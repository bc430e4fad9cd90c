"""A job whose JobManager died is submitted again, from the newest checkpoint that can be used."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.flink import Edge
from cardwatch.local.services.flink_rest import FlinkHealth
from cardwatch.local.services.job_recovery import JobRecovery, retained_checkpoints


def checkpoint(folder: Path, name: str, *, age: int) -> Path:
    path = folder / "job" / name
    path.mkdir(parents=True)
    (path / "_metadata").touch()
    os.utime(path / "_metadata", (1_000_000 - age, 1_000_000 - age))
    return path


@dataclass
class FakeCluster:
    """A cluster that takes jobs from some checkpoints, and runs those of some of them."""

    checkpoints: Path
    unreadable: set[Path | None] = field(default_factory=set)
    unusable: set[Path | None] = field(default_factory=set)
    deaths: int = 0
    dies_at: Path | None = None
    """When it is submitted from there the JobManager dies once more."""
    asked: list[Path | None] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)

    @property
    def rest(self) -> "FakeCluster":
        return self

    def begin_submission(self, edge: Edge, *, checkpoint: Path | None) -> "FakeSubmission":
        assert edge == "local"
        self.asked.append(checkpoint)
        return FakeSubmission(self, checkpoint)

    def tasks_run(self, job_id: str) -> bool:
        return job_id in self.running

    def health(self, job_id: str) -> FlinkHealth:
        restarts = 0 if job_id in self.running else 3
        return FlinkHealth(job_id, "RESTARTING", restarts, 0, 0, None, None)

    def exception(self, job_id: str) -> str:
        return f"{job_id} cannot be restored"

    def cancel(self, job_id: str) -> None:
        self.canceled.append(job_id)


@dataclass
class FakeSubmission:
    cluster: FakeCluster
    checkpoint: Path | None

    def finish(self, groups: Mapping[str, Mapping[str, str]], *, timeout_seconds: float) -> str:
        assert timeout_seconds > 0
        assert groups == {"group": {}}
        cluster = self.cluster
        if self.checkpoint is not None and self.checkpoint == cluster.dies_at:
            cluster.dies_at = None
            cluster.deaths += 1
            msg = "the JobManager does not answer"
            raise LocalStackError(msg)
        if self.checkpoint in cluster.unreadable:
            msg = "no checkpoint"
            raise LocalStackError(msg)
        job = f"job-{len(cluster.asked)}"
        if self.checkpoint not in cluster.unusable:
            cluster.running.append(job)
        return job

    def stop(self) -> None:
        pass


def recovered(cluster: FakeCluster) -> list[str]:
    """Let the JobManager die, and give the ids of the jobs that were submitted."""
    jobs: list[str] = []
    recovery = JobRecovery(
        cluster, "local", {"group": {}}, deaths=lambda: cluster.deaths, submitted=jobs.append
    )
    cluster.deaths += 1
    recovery.start()
    deadline = time.monotonic() + 10
    while not recovery.recoveries and time.monotonic() < deadline:
        time.sleep(0.01)
    recovery.stop()
    assert recovery.recoveries == 1
    assert recovery.trouble is None
    return jobs


def test_finished_checkpoints_are_given_the_newest_first(tmp_path: Path) -> None:
    older = checkpoint(tmp_path, "chk-9", age=20)
    newer = checkpoint(tmp_path, "chk-10", age=10)
    (tmp_path / "job" / "chk-11").mkdir()
    assert retained_checkpoints(tmp_path) == [newer, older]


def test_the_job_goes_on_from_the_newest_checkpoint(tmp_path: Path) -> None:
    checkpoint(tmp_path, "chk-1", age=20)
    newest = checkpoint(tmp_path, "chk-2", age=10)
    cluster = FakeCluster(tmp_path)
    assert recovered(cluster) == ["job-1"]
    assert cluster.asked == [newest]


def test_what_cannot_be_read_or_restored_from_is_passed_over_for_the_one_before(
    tmp_path: Path,
) -> None:
    oldest, older, newest = (checkpoint(tmp_path, f"chk-{n}", age=-n) for n in range(3))
    cluster = FakeCluster(tmp_path, unreadable={newest}, unusable={older})
    assert recovered(cluster) == ["job-2", "job-3"]
    assert cluster.asked == [newest, older, oldest]
    assert cluster.canceled == ["job-2"]


def test_without_a_checkpoint_the_job_begins_anew(tmp_path: Path) -> None:
    damaged = checkpoint(tmp_path, "chk-1", age=0)
    cluster = FakeCluster(tmp_path, unreadable={damaged})
    assert recovered(cluster) == ["job-2"]
    assert cluster.asked == [damaged, None]


def test_a_job_manager_that_dies_once_more_gets_its_newest_checkpoint_again(tmp_path: Path) -> None:
    checkpoint(tmp_path, "chk-1", age=20)
    newest = checkpoint(tmp_path, "chk-2", age=10)
    cluster = FakeCluster(tmp_path, dies_at=newest)
    assert recovered(cluster) == ["job-2"]
    assert cluster.asked == [newest, newest]
