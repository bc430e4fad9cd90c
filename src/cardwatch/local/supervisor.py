"""One process that owns every long-lived program of the one-machine stack.

It starts them, restarts one that dies, and stops all of them, so that nothing is left behind. Every
program runs in a session of its own (Ctrl-C reaches the supervisor alone), logs to
`var/log/<name>.log` and is noted in `var/run/<name>.json` with its creation time, so that a process
id that the system gave to somebody else is never signalled. Whatever a program starts itself
inherits MARKER, by which a later `cardwatch down` finds what a killed supervisor left.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

import psutil

from cardwatch.local.logs import cap_logs
from cardwatch.settings import program_environment

MARKER: Final = "CARDWATCH_RUN_FOLDER"
"""Environment variable that every process of a run inherits; its value is the run's folder."""

POLL_SECONDS: Final = 0.1
LOGS_SECONDS: Final = 5.0
"""How often the logs' lengths are looked at."""
FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 15.0
HEALTHY_SECONDS: Final = 60.0
"""A program that ran this long starts again with the shortest wait."""
KILL_SECONDS: Final = 5.0
LOCK_NAME: Final = "supervisor"

_TELLING = re.compile(r"\b(error|failed|cannot|caused by)\b|\w+(Error|Exception)\b", re.IGNORECASE)


class LocalStackError(Exception):
    """The one-machine stack cannot go on; the text says what, where and how to mend it."""


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
    stop_seconds: float = 10.0
    """How long it may take to end after SIGTERM before it is killed."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0
    backoff: float = FIRST_BACKOFF_SECONDS
    restart_at: float | None = None
    stopping: bool = False


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

    def acquire(self) -> None:
        """Become the only supervisor; raises LocalStackError when there is one or its leftovers."""
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


def check_port(port: int, what: str, setting: str) -> None:
    """Raise LocalStackError, with who holds it if that can be told, when a port is taken."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            pass
        else:
            return
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    msg = (
        f"port {port} for {what} is taken{by}; end that process, or choose another port "
        f"with {setting}=<port>"
    )
    raise LocalStackError(msg)


def free_port() -> int:
    """Find a port that nobody listens on; somebody else may take it until it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_holder(port: int) -> str | None:
    """Say who listens on a port, or None when the system does not tell."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.name()} (process {process.pid})"
    return None


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
        """Give how often each program was restarted."""
        with self._lock:
            return {name: child.restarts for name, child in self._children.items()}

    def pids(self) -> dict[str, int]:
        """Give the process id of each program that runs."""
        with self._lock:
            return {
                name: child.process.pid
                for name, child in self._children.items()
                if child.process.poll() is None
            }

    def start(self, program: Program) -> None:
        """Start a program and watch it from now on; raises LocalStackError when it cannot run."""
        with self._lock:
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
            child.backoff = FIRST_BACKOFF_SECONDS
        child.restarts += 1
        child.restart_at = now + child.backoff
        child.backoff = min(child.backoff * 2, LONGEST_BACKOFF_SECONDS)

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
