"""Who runs: `var/run`, its lock, and what an earlier run left behind."""

import contextlib
import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil

from cardwatch.local.errors import LocalStackError

MARKER: Final = "CARDWATCH_RUN_FOLDER"
"""Environment variable that every process of a run inherits; its value is the run's folder."""


KILL_SECONDS: Final = 5.0


LOCK_NAME: Final = "supervisor"


@dataclass(frozen=True, slots=True)
class Noted:
    """A process as noted in `var/run`."""

    name: str
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """Give the live process, or None when it is gone or the id is somebody else's by now."""
        try:
            process = psutil.Process(self.pid)
            alive = (
                abs(process.create_time() - self.created) < 1.0
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return None
        return process if alive else None


class RunFolder:
    """`var/run`: who runs, and the lock that lets one supervisor run at a time."""

    def __init__(self, var: Path) -> None:
        """Use `var`, the folder for state."""
        self.var = var.resolve()
        self.folder = self.var / "run"
        self._lock: IO[str] | None = None

    @property
    def marker(self) -> str:
        """Give the value of MARKER for this folder's processes."""
        return str(self.var)

    def note(self, name: str, pid: int) -> None:
        """Note a process that was just started; one that is already gone is not noted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(pid).create_time()
            text = json.dumps({"name": name, "pid": pid, "created": created})
            (self.folder / f"{name}.pid.json").write_text(text + "\n")

    def forget(self, name: str) -> None:
        """Take back a note."""
        (self.folder / f"{name}.pid.json").unlink(missing_ok=True)

    def noted(self) -> list[Noted]:
        """Give all notes; one that cannot be read (half-written) is left out."""
        notes = []
        for path in sorted(self.folder.glob("*.pid.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                facts = json.loads(path.read_text())
                notes.append(Noted(str(facts["name"]), int(facts["pid"]), float(facts["created"])))
        return notes

    def name_of(self, process: psutil.Process) -> str:
        """Call a process by the name it was noted under, or else its own."""
        names = {noted.pid: noted.name for noted in self.noted()}
        try:
            name = names.get(process.pid) or process.name()
        except psutil.Error:
            name = "process"
        return f"{name} ({process.pid})"

    def supervisor(self) -> Noted | None:
        """Give the live supervisor of this folder, or None."""
        for noted in self.noted():
            if noted.name == LOCK_NAME and noted.process() is not None:
                return noted
        return None

    def check_free(self) -> None:
        """Raise LocalStackError where a run is going on."""
        self._take_lock().close()

    def _take_lock(self) -> IO[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            running = self.supervisor()
            who = f" (process {running.pid})" if running else ""
            msg = (
                f"a run is already going on{who}, with its state in {self.var}; "
                "`cardwatch status` shows it, `cardwatch down` stops it"
            )
            raise LocalStackError(msg) from None
        return lock

    def acquire(self) -> None:
        """Become the only supervisor; raises LocalStackError when there is one or its leftovers."""
        lock = self._take_lock()
        left = leftovers(self)
        if left:
            lock.close()
            names = ", ".join(self.name_of(process) for process in left)
            msg = (
                f"an earlier run ended badly and left processes behind: {names}; "
                "`cardwatch down` (or `make down`) removes them"
            )
            raise LocalStackError(msg)
        self._lock = lock
        # Inherited by whatever this process starts from now on, directly or through a library.
        os.environ[MARKER] = self.marker
        self.note(LOCK_NAME, os.getpid())

    def release(self) -> None:
        """Let another supervisor run."""
        self.forget(LOCK_NAME)
        os.environ.pop(MARKER, None)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def status_path(var: Path, program: str) -> Path:
    """Give the file in which a program says how it is."""
    return var / "run" / f"{program}-status.json"


def leftovers(run: RunFolder) -> list[psutil.Process]:
    """Give the live processes of a run, those it noted and those that carry its marker.

    This process, its ancestors and the noted supervisor are not among them.
    """
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for noted in run.noted():
        process = noted.process()
        if process is not None and noted.name != LOCK_NAME:
            found[process.pid] = process
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.environ().get(MARKER) == run.marker
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found[process.pid] = process
    return [process for pid, process in sorted(found.items()) if pid not in own]


def end_processes(processes: Sequence[psutil.Process], *, wait_seconds: float = 10.0) -> None:
    """Ask processes to end, and kill those that do not within the time."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=wait_seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=KILL_SECONDS)


def sweep(run: RunFolder, *, wait_seconds: float = 10.0) -> list[str]:
    """End everything an earlier run left, its supervisor excepted; gives what was ended."""
    processes = leftovers(run)
    names = [run.name_of(process) for process in processes]
    end_processes(processes, wait_seconds=wait_seconds)
    for noted in run.noted():
        if noted.process() is None:
            run.forget(noted.name)
    return names


def stop_supervisor(run: RunFolder, *, wait_seconds: float) -> bool:
    """Ask the running supervisor to stop everything and wait for it; False when there is none.

    One that does not end in time is killed; what it leaves is for `sweep`.
    """
    noted = run.supervisor()
    process = noted.process() if noted else None
    if process is None:
        return False
    end_processes([process], wait_seconds=wait_seconds)
    return True
