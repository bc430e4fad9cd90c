"""A job whose JobManager died is submitted again, from the newest checkpoint that can be used."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.flink import Edge
from cardwatch.local.services.flink_rest import FlinkHealth
from cardwatch.local.services.job_recovery import (
    POLL_SECONDS,
    JobRecovery,
    retained_checkpoints,
)


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
    ended: set[Path | None] = field(default_factory=set)
    """The jobs from there are FAILED for good."""
    stuck: bool = False
    """Its jobs neither run nor fail."""
    slow: bool = False
    """Submissions last until they are ended."""
    dies_at: Path | None = None
    """When it is submitted from there the JobManager dies once more."""
    asked: list[Path | None] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    interrupted: list[Path | None] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    """A submission was."""

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
        if job_id in self.failed:
            return FlinkHealth(job_id, "FAILED", 0, 0, 0, None, None)
        restarts = 0 if self.stuck or job_id in self.running else 3
        return FlinkHealth(job_id, "RESTARTING", restarts, 0, 0, None, None)

    def exception(self, job_id: str) -> str:
        return f"{job_id} cannot be restored"

    def cancel(self, job_id: str) -> None:
        self.canceled.append(job_id)


@dataclass
class FakeSubmission:
    cluster: FakeCluster
    checkpoint: Path | None
    ended: threading.Event = field(default_factory=threading.Event)

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
        cluster.begun.set()
        if cluster.slow and self.ended.wait(10):
            cluster.interrupted.append(self.checkpoint)
            msg = "the submission was ended"
            raise LocalStackError(msg)
        job = f"job-{len(cluster.asked)}"
        if self.checkpoint in cluster.ended:
            cluster.failed.append(job)
        elif self.checkpoint not in cluster.unusable and not cluster.stuck:
            cluster.running.append(job)
        return job

    def stop(self) -> None:
        self.ended.set()


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


def test_a_job_that_fails_for_good_is_passed_over_for_the_checkpoint_before(tmp_path: Path) -> None:
    older = checkpoint(tmp_path, "chk-1", age=20)
    newest = checkpoint(tmp_path, "chk-2", age=10)
    cluster = FakeCluster(tmp_path, ended={newest})
    assert recovered(cluster) == ["job-1", "job-2"]
    assert cluster.asked == [newest, older]
    assert cluster.canceled == ["job-1"]


def watching(cluster: FakeCluster) -> JobRecovery:
    """Give one that watches a JobManager which has not died yet."""
    recovery = JobRecovery(
        cluster, "local", {"group": {}}, deaths=lambda: cluster.deaths, submitted=lambda _: None
    )
    recovery.start()
    return recovery


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not seen() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen()


def test_while_the_job_manager_lives_nothing_is_submitted(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    recovery = watching(cluster)
    time.sleep(2 * POLL_SECONDS)
    recovery.stop()
    assert not recovery.is_alive()
    assert (cluster.asked, recovery.recoveries, recovery.trouble) == ([], 0, None)


def test_what_helps_at_no_checkpoint_is_told_as_trouble_until_it_is_stopped(tmp_path: Path) -> None:
    damaged = checkpoint(tmp_path, "chk-1", age=20)
    cluster = FakeCluster(tmp_path, unreadable={damaged, None})
    recovery = watching(cluster)
    cluster.deaths += 1
    wait_until(lambda: recovery.trouble == "no checkpoint" and len(cluster.asked) == 2)
    recovery.stop()
    assert not recovery.is_alive()
    assert (cluster.asked, recovery.recoveries) == ([damaged, None], 0)


def test_a_job_that_was_begun_and_does_not_run_yet_is_left_when_all_is_stopped(
    tmp_path: Path,
) -> None:
    cluster = FakeCluster(tmp_path, stuck=True)
    recovery = watching(cluster)
    cluster.deaths += 1
    assert cluster.begun.wait(10)
    recovery.stop()
    assert not recovery.is_alive()
    assert (cluster.asked, cluster.canceled, recovery.recoveries) == ([None], [], 0)


def test_whoever_stops_it_ends_the_submission_that_goes_on_and_none_follows(tmp_path: Path) -> None:
    newest = checkpoint(tmp_path, "chk-1", age=20)
    cluster = FakeCluster(tmp_path, slow=True)
    recovery = watching(cluster)
    cluster.deaths += 1
    assert cluster.begun.wait(10)
    recovery.stop()
    assert not recovery.is_alive()
    assert (cluster.asked, cluster.interrupted) == ([newest], [newest])
    assert recovery.recoveries == 0


def test_one_that_was_never_begun_is_stopped_all_the_same(tmp_path: Path) -> None:
    """A signal may come between making it and starting it."""
    cluster = FakeCluster(tmp_path)
    recovery = JobRecovery(
        cluster, "local", {"group": {}}, deaths=lambda: cluster.deaths, submitted=lambda _: None
    )
    recovery.stop()
    assert not recovery.is_alive()
