"""Acts on a stack hit what they name, and say so where it is not there."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from cardwatch.local.chaos.injectors import EMULATOR, Injectors, NotNowError
from cardwatch.local.chaos.machine import Clocks, SmallDisk
from cardwatch.local.chaos.schedule import ACTS
from cardwatch.local.processes.run_folder import MARKER, RunFolder
from cardwatch.local.run.stack import LocalStack

SLEEPS = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]


@dataclass
class FakeStack:
    """A stack whose programs are processes that sleep."""

    var: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    shards: list[int] = field(default_factory=list)
    postgres: int | None = None
    busy: bool = False
    """Its stream is being resharded."""

    def start(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            SLEEPS, env={**os.environ, **environment}, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()  # it runs, and its environment can be read
        self.running[name] = process
        return process

    def update_shard_count(self, **asked: Any) -> None:  # noqa: ANN401  boto3's
        if self.busy:
            error: Any = {"Error": {"Code": "ResourceInUseException", "Message": "busy"}}
            raise ClientError(error, "UpdateShardCount")
        self.shards.append(asked["TargetShardCount"])

    def as_stack(self) -> LocalStack:
        kinesis = SimpleNamespace(update_shard_count=self.update_shard_count)
        return cast(
            "LocalStack",
            SimpleNamespace(
                settings=SimpleNamespace(var=self.var),
                witness=SimpleNamespace(kinesis=lambda: kinesis),
                supervisor=SimpleNamespace(
                    pids=lambda: {name: process.pid for name, process in self.running.items()}
                ),
                server=SimpleNamespace(pid=lambda: self.postgres),
                outputs=SimpleNamespace(stream_name="events"),
                cluster=SimpleNamespace(checkpoints=self.var / "checkpoints"),
            ),
        )


@dataclass
class FakeDisk:
    folder: Path = Path("disk")
    full: bool = False

    def fill(self) -> None:
        self.full = True

    def empty(self) -> None:
        self.full = False


@dataclass
class FakeClocks:
    moved: dict[str, timedelta] = field(default_factory=dict)

    def move(self, program: str, by: timedelta) -> None:
        self.moved[program] = by


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[FakeStack]:
    stack = FakeStack(tmp_path)
    yield stack
    for process in stack.running.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def injectors(stack: FakeStack, disk: Any = None, clocks: Any = None) -> Injectors:  # noqa: ANN401
    return Injectors(
        stack.as_stack(), cast("SmallDisk | None", disk), cast("Clocks | None", clocks)
    )


def test_every_act_of_the_schedule_can_be_done(stack: FakeStack) -> None:
    assert set(injectors(stack, FakeDisk(), FakeClocks()).deeds) == set(ACTS)


def test_without_a_disk_and_clocks_what_needs_them_is_not_there(stack: FakeStack) -> None:
    left_out = {kind for kind in ACTS if "disk" in kind or "clock" in kind}
    assert set(injectors(stack).deeds) == set(ACTS) - left_out


def test_a_program_is_killed_and_one_that_does_not_run_is_not_now(stack: FakeStack) -> None:
    delivery = stack.start("delivery")
    deeds = injectors(stack).deeds
    target, undo = deeds["delivery killed"]()
    assert (target, undo) == (f"delivery {delivery.pid}", None)
    assert delivery.wait(10) == -signal.SIGKILL
    with pytest.raises(NotNowError, match="event-source does not run"):
        deeds["event source killed"]()
    with pytest.raises(NotNowError, match="PostgreSQL does not run"):
        deeds["PostgreSQL killed"]()


def test_a_program_that_is_stopped_goes_on_again(stack: FakeStack) -> None:
    process = stack.start("event-source")
    _, undo = injectors(stack).deeds["event source stopped 5 s"]()
    assert os.waitid(os.P_PID, process.pid, os.WSTOPPED) is not None
    assert undo is not None
    undo()
    assert os.waitid(os.P_PID, process.pid, os.WCONTINUED) is not None
    assert process.poll() is None


def test_only_this_run_s_workers_of_the_function_are_killed(stack: FakeStack) -> None:
    mine = RunFolder(stack.var).marker
    name = "AWS_LAMBDA_FUNCTION_NAME"
    worker = stack.start("a", **{MARKER: mine, name: "stack-NotifierFunction-1"})
    others = [
        stack.start("b", **{MARKER: f"{mine}-other", name: "stack-NotifierFunction-1"}),
        stack.start("c", **{MARKER: mine, name: "stack-StagerFunction-1"}),
    ]
    target, _ = injectors(stack).deeds["notifier killed"]()
    assert target == f"NotifierFunction {worker.pid}"
    assert worker.wait(10) == -signal.SIGKILL
    assert [process.poll() for process in others] == [None, None]


@pytest.mark.parametrize(
    ("kind", "left"), [("damaged", [b"half", b"whole!!!"]), ("gone", [None, b"whole!!!"])]
)
def test_the_newest_checkpoint_is_damaged_or_gone_and_the_one_before_is_left(
    stack: FakeStack, kind: str, left: list[bytes | None]
) -> None:
    written = []
    for age, name in enumerate(("chk-2", "chk-1")):
        metadata = stack.var / "checkpoints" / "job" / name / "_metadata"
        metadata.parent.mkdir(parents=True)
        metadata.write_bytes(b"halfhalf" if age == 0 else b"whole!!!")
        os.utime(metadata, (1_000_000 - age, 1_000_000 - age))
        written.append(metadata)
    job_manager = stack.start("flink-jobmanager")
    injectors(stack).deeds[f"JobManager killed, newest checkpoint {kind}"]()
    assert job_manager.wait(10) == -signal.SIGKILL
    assert [path.read_bytes() if path.exists() else None for path in written] == left


def test_the_disk_is_full_until_it_is_undone(stack: FakeStack) -> None:
    disk = FakeDisk()
    task_manager = stack.start("flink-taskmanager")
    _, undo = injectors(stack, disk).deeds["checkpoints' disk full, TaskManager killed"]()
    assert disk.full
    assert task_manager.wait(10) == -signal.SIGKILL
    assert undo is not None
    undo()
    assert not disk.full


def test_a_clock_jumps_and_comes_back(stack: FakeStack) -> None:
    clocks = FakeClocks()
    _, undo = injectors(stack, clocks=clocks).deeds["notifier's clock an hour behind"]()
    assert clocks.moved == {EMULATOR: timedelta(hours=-1)}
    assert undo is not None
    undo()
    assert clocks.moved == {EMULATOR: timedelta()}


def test_shards_are_doubled_and_halved(stack: FakeStack) -> None:
    deeds = injectors(stack).deeds
    deeds["twice as many shards"]()
    deeds["half as many shards"]()
    assert stack.shards == [4, 2]


def test_shards_that_cannot_be_changed_at_this_moment_are_left(stack: FakeStack) -> None:
    stack.busy = True
    with pytest.raises(NotNowError, match="ResourceInUseException"):
        injectors(stack).deeds["twice as many shards"]()


def test_both_of_flink_s_programs_are_killed_or_none(stack: FakeStack) -> None:
    job_manager = stack.start("flink-jobmanager")
    act = injectors(stack).deeds["JobManager and TaskManager killed"]
    with pytest.raises(NotNowError, match="flink-taskmanager does not run"):
        act()
    assert job_manager.poll() is None
    task_manager = stack.start("flink-taskmanager")
    target, _ = act()
    assert target == f"both {job_manager.pid}, {task_manager.pid}"
    assert job_manager.wait(10) == task_manager.wait(10) == -signal.SIGKILL


def test_postgresql_is_killed_and_one_that_is_gone_already_is_no_error(stack: FakeStack) -> None:
    server = stack.start("postgres")
    stack.postgres = server.pid
    kill = injectors(stack).deeds["PostgreSQL killed"]
    assert kill() == (f"postgres {server.pid}", None)
    assert server.wait(10) == -signal.SIGKILL
    assert kill() == (f"postgres {server.pid}", None)


def test_a_notifier_is_stopped_for_a_while_and_one_that_does_not_run_is_not_now(
    stack: FakeStack,
) -> None:
    stop = injectors(stack).deeds["notifier stopped 5 s"]
    with pytest.raises(NotNowError, match="no NotifierFunction runs"):
        stop()
    environment = {MARKER: RunFolder(stack.var).marker}
    worker = stack.start("a", **environment, AWS_LAMBDA_FUNCTION_NAME="stack-NotifierFunction-1")
    target, undo = stop()
    assert target == str(worker.pid)
    assert os.waitid(os.P_PID, worker.pid, os.WSTOPPED) is not None
    assert undo is not None
    undo()
    assert os.waitid(os.P_PID, worker.pid, os.WCONTINUED) is not None


@pytest.mark.parametrize(
    ("kind", "said"),
    [("damaged", "there was no checkpoint"), ("gone", "there was no other checkpoint")],
)
def test_without_a_checkpoint_the_job_manager_alone_is_killed(
    stack: FakeStack, kind: str, said: str
) -> None:
    job_manager = stack.start("flink-jobmanager")
    target, _ = injectors(stack).deeds[f"JobManager killed, newest checkpoint {kind}"]()
    assert target == f"flink-jobmanager {job_manager.pid}; {said}"
    assert job_manager.wait(10) == -signal.SIGKILL


def test_a_full_disk_without_a_task_manager_to_kill_is_full_all_the_same(stack: FakeStack) -> None:
    disk = FakeDisk()
    injectors(stack, disk).deeds["checkpoints' disk full, TaskManager killed"]()
    assert disk.full
    disk.empty()
    target, _ = injectors(stack, disk).deeds["checkpoints' disk full"]()
    assert (target, disk.full) == ("disk", True)
