"""How each act on a running stack is done, and undone."""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import psutil

from cardwatch.aws.failures import FAILURES, reason
from cardwatch.local.chaos.machine import NOTIFIER, Clocks, SmallDisk
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.run.stack import LocalStack
from cardwatch.local.services import ministack
from cardwatch.local.services.flink import JOB_MANAGER, TASK_MANAGER
from cardwatch.local.services.job_recovery import retained_checkpoints

EMULATOR: Final = "ministack"
DELIVERY: Final = "delivery"
EVENT_SOURCE: Final = "event-source"
SIMULATOR: Final = "SimulatorFunction"
HOUR: Final = timedelta(hours=1)
FEWEST_SHARDS: Final = 2
MOST_SHARDS: Final = 4

Undo = Callable[[], None]
Deed = Callable[[], tuple[str, Undo | None]]
"""Does it; gives what exactly it was done to, and what undoes it."""


class NotNowError(Exception):
    """It cannot be done at this moment; the text says why."""


class Injectors:
    """The acts on one stack, by the names in `schedule`."""

    def __init__(self, stack: LocalStack, disk: SmallDisk | None, clocks: Clocks | None) -> None:
        """Act on `stack`; without a disk or clocks what needs them is not among the acts."""
        self._stack = stack
        self._kinesis = stack.witness.kinesis()
        deeds: dict[str, Deed] = {
            "TaskManager killed": lambda: self._kill(TASK_MANAGER),
            "TaskManager stopped 12 s": lambda: self._stop(self._program(TASK_MANAGER)),
            "JobManager killed": lambda: self._kill(JOB_MANAGER),
            "JobManager killed, newest checkpoint damaged": self._damage_checkpoint,
            "JobManager killed, newest checkpoint gone": self._remove_checkpoint,
            "JobManager and TaskManager killed": self._kill_flink,
            "notifier killed": lambda: self._kill_function(NOTIFIER),
            "notifier stopped 5 s": self._stop_notifier,
            "delivery killed": lambda: self._kill(DELIVERY),
            "event source killed": lambda: self._kill(EVENT_SOURCE),
            "event source stopped 5 s": lambda: self._stop(self._program(EVENT_SOURCE)),
            "PostgreSQL killed": self._kill_postgres,
            "simulator killed": lambda: self._kill_function(SIMULATOR),
            "twice as many shards": lambda: self._reshard(MOST_SHARDS),
            "half as many shards": lambda: self._reshard(FEWEST_SHARDS),
        }
        if disk is not None:
            deeds["checkpoints' disk full"] = lambda: _fill(disk)
            deeds["checkpoints' disk full, TaskManager killed"] = lambda: self._fill_and_kill(disk)
        if clocks is not None:
            for whose, program in (("notifier", EMULATOR), ("TaskManager", TASK_MANAGER)):
                for word, by in (("ahead", HOUR), ("behind", -HOUR)):
                    deeds[f"{whose}'s clock an hour {word}"] = _jump(clocks, program, by)
            deeds["delivery's clock an hour ahead"] = _jump(clocks, DELIVERY, HOUR)
        self.deeds: Mapping[str, Deed] = deeds

    # ---------- programs ----------

    def _program(self, name: str) -> list[psutil.Process]:
        pid = self._stack.supervisor.pids().get(name)
        if pid is None:
            msg = f"{name} does not run at this moment"
            raise NotNowError(msg)
        return [psutil.Process(pid)]

    def _functions(self, name: str) -> list[psutil.Process]:
        run = RunFolder(self._stack.settings.var)
        found = [each for each in leftovers(run) if name in ministack.function_of(each)]
        if not found:
            msg = f"no {name} runs at this moment"
            raise NotNowError(msg)
        return found

    def _kill(self, name: str) -> tuple[str, None]:
        return self._kill_all(name, self._program(name))

    def _kill_function(self, name: str) -> tuple[str, None]:
        return self._kill_all(name, self._functions(name))

    def _kill_all(self, name: str, processes: list[psutil.Process]) -> tuple[str, None]:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return f"{name} {', '.join(str(process.pid) for process in processes)}", None

    def _stop(self, processes: list[psutil.Process]) -> tuple[str, Undo]:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

        def go_on() -> None:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

        return ", ".join(str(process.pid) for process in processes), go_on

    def _stop_notifier(self) -> tuple[str, Undo]:
        return self._stop(self._functions(NOTIFIER))

    def _kill_postgres(self) -> tuple[str, None]:
        pid = self._stack.server.pid()
        if pid is None:
            msg = "PostgreSQL does not run at this moment"
            raise NotNowError(msg)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"postgres {pid}", None

    # ---------- Flink ----------

    def _kill_flink(self) -> tuple[str, None]:
        both = self._program(JOB_MANAGER) + self._program(TASK_MANAGER)
        return self._kill_all("both", both)

    def _damage_checkpoint(self) -> tuple[str, None]:
        killed, _ = self._kill(JOB_MANAGER)
        for checkpoint in retained_checkpoints(self._stack.cluster.checkpoints)[:1]:
            metadata = checkpoint / "_metadata"
            metadata.write_bytes(metadata.read_bytes()[: metadata.stat().st_size // 2])
            return f"{killed}; {checkpoint.name} cut in half", None
        return f"{killed}; there was no checkpoint", None

    def _remove_checkpoint(self) -> tuple[str, None]:
        killed, _ = self._kill(JOB_MANAGER)
        kept = retained_checkpoints(self._stack.cluster.checkpoints)
        if len(kept) > 1:
            # An older one is what is left where the newest write did not come to its end.
            (kept[0] / "_metadata").unlink()
            return f"{killed}; {kept[1].name} is the newest", None
        return f"{killed}; there was no other checkpoint", None

    def _fill_and_kill(self, disk: SmallDisk) -> tuple[str, Undo]:
        target, undo = _fill(disk)
        with contextlib.suppress(NotNowError):
            target += f"; {self._kill(TASK_MANAGER)[0]}"
        return target, undo

    # ---------- the rest ----------

    def _reshard(self, shards: int) -> tuple[str, None]:
        name = self._stack.outputs.stream_name
        try:
            self._kinesis.update_shard_count(
                StreamName=name, TargetShardCount=shards, ScalingType="UNIFORM_SCALING"
            )
        except FAILURES as error:
            raise NotNowError(reason(error)) from None
        return f"{name} has {shards} open shards", None


def _fill(disk: SmallDisk) -> tuple[str, Undo]:
    disk.fill()
    return disk.folder.name, disk.empty


def _jump(clocks: Clocks, program: str, by: timedelta) -> Deed:
    def jump() -> tuple[str, Undo]:
        clocks.move(program, by)
        return f"{program} by {by.total_seconds():+.0f} s", lambda: clocks.move(
            program, timedelta()
        )

    return jump
