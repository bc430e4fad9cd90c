"""One process that owns every long-lived program of the one-machine stack.

It starts them, restarts one that dies, and stops all of them, so that nothing is left behind. Every
program runs in a session of its own (Ctrl-C reaches the supervisor alone), logs to
`var/log/<name>.log` and is noted in `var/run/<name>.json` with its creation time, so that a process
id that the system gave to somebody else is never signalled. Whatever a program starts itself
inherits `run_folder.MARKER`, by which a later `cardwatch down` finds what a killed supervisor left.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cardwatch.backoff import Backoff
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.logs import cap_logs
from cardwatch.local.processes.run_folder import KILL_SECONDS, RunFolder, sweep
from cardwatch.local.processes.stopping import stop_held
from cardwatch.settings import program_environment

POLL_SECONDS: Final = 0.1
LOGS_SECONDS: Final = 5.0
"""How often the logs' lengths are looked at."""
WAITS: Final = Backoff(first_seconds=0.5, longest_seconds=15.0)
"""Before a program that ended is started again."""
HEALTHY_SECONDS: Final = 60.0
"""A program that ran this long starts again with the shortest wait."""
_TELLING = re.compile(r"\b(error|failed|cannot|caused by)\b|\w+(Error|Exception)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Program:
    """A long-lived program and how to treat it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment cardwatch was started in."""
    folder: Path | None = None
    """Working folder; None for the one cardwatch was started in."""
    ready: Callable[[], bool] | None = None
    """Says whether it serves yet; it may raise nothing. None: ready as soon as it runs."""
    fatal: str | None = None
    """Why a new process could not go on where this one died; None: it is restarted."""
    optional: bool = False
    """Whether a run goes on without it where it cannot be started again."""
    stop_seconds: float = 10.0
    """How long it may take to end after SIGTERM before it is killed."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0
    deaths: int = 0
    """Since it last ran for long."""
    restart_at: float | None = None
    stopping: bool = False


class Supervisor:
    """Starts programs, keeps them running, and stops them in the reverse order."""

    def __init__(self, run: RunFolder) -> None:
        """Own the programs of one run folder; the folder must have been acquired."""
        self._run = run
        self._logs = run.var / "log"
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._failure: str | None = None
        self.log_bytes_dropped = 0
        """How much of the logs was dropped, so that they stay short."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    @property
    def failure(self) -> str | None:
        """Say what ended the run, or None while all is well."""
        return self._failure

    def restarts(self) -> dict[str, int]:
        with self._lock:
            return {name: child.restarts for name, child in self._children.items()}

    def pids(self) -> dict[str, int]:
        with self._lock:
            return {
                name: child.process.pid
                for name, child in self._children.items()
                if child.process.poll() is None
            }

    def start(self, program: Program) -> None:
        """Start a program and watch it from now on; raises LocalStackError when it cannot run."""
        with self._lock, stop_held():
            self._children[program.name] = _Child(program, self._spawn(program), time.monotonic())

    def wait_ready(self, name: str, *, timeout_seconds: float) -> None:
        """Wait until a program serves; raises LocalStackError with its last words otherwise."""
        deadline = time.monotonic() + timeout_seconds
        child = self._children[name]
        ready = child.program.ready or (lambda: True)
        while True:
            code = child.process.poll()
            if code is not None:
                msg = f"{name} ended at once (status {code}): {self.last_words(name)}"
                raise LocalStackError(msg)
            if ready():
                return
            if self._ended.is_set():
                msg = f"stopped while waiting for {name}"
                raise LocalStackError(msg)
            if time.monotonic() > deadline:
                msg = (
                    f"{name} did not answer within {timeout_seconds:.0f} s: {self.last_words(name)}"
                )
                raise LocalStackError(msg)
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        """Give the last line of a program's log that says why, or else the last, and the log."""
        path = self._logs / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = [line.strip() for line in text.splitlines()[-200:] if line.strip()]
        telling = [line for line in lines if _TELLING.search(line)]
        return f"{(telling or lines or ['it said nothing'])[-1][:300]} (see {path})"

    def stop_program(self, name: str) -> None:
        """Stop one program and all that it started; one that does not run is left alone."""
        with self._lock:
            child = self._children.get(name)
            if child is None:
                return
            child.stopping = True
        self._end(child)
        self._run.forget(name)

    def stop(self) -> None:
        """Stop all programs, the last started first, and whatever they left behind."""
        self._ended.set()
        for name in reversed(list(self._children)):
            self.stop_program(name)
        sweep(self._run)

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = program_environment(program.environment)
        with (self._logs / f"{program.name}.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    list(program.command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=program.folder,
                    start_new_session=True,
                )
            except OSError as error:
                msg = (
                    f"{program.name} cannot be started: {program.command[0]}: {error.strerror}; "
                    "`make setup` creates the environments"
                )
                raise LocalStackError(msg) from None
        self._run.note(program.name, process.pid)
        return process

    def _watch(self) -> None:
        logs_due = 0.0
        while not self._ended.wait(POLL_SECONDS):
            with self._lock:
                for child in self._children.values():
                    self._look_after(child)
            if time.monotonic() >= logs_due:
                logs_due = time.monotonic() + LOGS_SECONDS
                # A full disk must not end the one that restarts what dies of it.
                with contextlib.suppress(OSError):
                    self.log_bytes_dropped += cap_logs(self._logs)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.stopping or self._ended.is_set():
            return
        if child.restart_at is not None:
            if now >= child.restart_at:
                child.restart_at = None
                try:
                    child.process = self._spawn(child.program)
                except LocalStackError as error:
                    if not child.program.optional:
                        self._failure = self._failure or str(error)
                    child.stopping = True
                child.started = now
            return
        code = child.process.poll()
        if code is None:
            return
        _kill_group(child.process.pid)
        if child.program.fatal is not None:
            child.stopping = True
            self._failure = self._failure or (
                f"{child.program.name} died (status {code}): {child.program.fatal}; "
                f"start a new run. Its last words: {self.last_words(child.program.name)}"
            )
            return
        if now - child.started > HEALTHY_SECONDS:
            child.deaths = 0
        child.restarts += 1
        child.deaths += 1
        child.restart_at = now + WAITS.longest_wait(child.deaths)

    def _end(self, child: _Child) -> None:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(child.program.stop_seconds)
        _kill_group(child.process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(KILL_SECONDS)


def _kill_group(leader: int) -> None:
    """Kill what is left of a program's session; its leader's id cannot be given away before."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
