import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.logs import LOG_BYTES
from cardwatch.local.processes.ports import check_port, free_port
from cardwatch.local.processes.run_folder import MARKER, RunFolder, leftovers, sweep
from cardwatch.local.processes.supervisor import Program, Supervisor


def python(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(lines))


SLEEP = "import time; print('here', flush=True); time.sleep(600)"
SLEEPER = python(SLEEP)
STUBBORN = python("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", SLEEP)
PARENT = python(
    "import subprocess, sys",
    "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']",
    "subprocess.Popen(sleeper, start_new_session=True)",
    SLEEP,
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    folder = RunFolder(tmp_path / "var")
    folder.acquire()
    yield folder
    sweep(folder, wait_seconds=0.1)
    folder.release()


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def says_here(run: RunFolder, name: str) -> Callable[[], bool]:
    log = run.var / "log" / f"{name}.log"
    return lambda: log.exists() and "here" in log.read_text()


def test_a_program_that_dies_is_restarted_and_counted(run: RunFolder) -> None:
    with Supervisor(run) as supervisor:
        supervisor.start(Program("sleeper", SLEEPER))
        first = supervisor.pids()["sleeper"]
        os.kill(first, signal.SIGKILL)
        assert until(lambda: supervisor.pids().get("sleeper", first) != first)
        assert supervisor.restarts() == {"sleeper": 1}
        assert supervisor.failure is None


def test_a_program_that_keeps_dying_is_restarted_more_and_more_slowly(run: RunFolder) -> None:
    with Supervisor(run) as supervisor:
        supervisor.start(Program("crasher", (sys.executable, "-c", "raise SystemExit(3)")))
        assert until(lambda: supervisor.restarts()["crasher"] >= 1)
        time.sleep(1.2)
        assert supervisor.restarts()["crasher"] <= 3


def test_a_program_whose_state_dies_with_it_ends_the_run_with_the_reason(run: RunFolder) -> None:
    with Supervisor(run) as supervisor:
        supervisor.start(Program("stateful", SLEEPER, fatal="its streams were in memory"))
        assert until(says_here(run, "stateful"))
        os.kill(supervisor.pids()["stateful"], signal.SIGKILL)
        assert until(lambda: supervisor.failure is not None)
        assert supervisor.failure is not None
        assert "its streams were in memory" in supervisor.failure
        assert "stateful.log" in supervisor.failure
        assert supervisor.restarts() == {"stateful": 0}


@pytest.mark.parametrize("optional", [True, False])
def test_a_program_that_cannot_be_started_again_ends_the_run_unless_that_can_do_without(
    run: RunFolder, tmp_path: Path, *, optional: bool
) -> None:
    python_of_its_own = tmp_path / "python"
    python_of_its_own.symlink_to(sys.executable)
    with Supervisor(run) as supervisor:
        command = (str(python_of_its_own), *SLEEPER[1:])
        supervisor.start(Program("guest", command, optional=optional))
        python_of_its_own.unlink()
        os.kill(supervisor.pids()["guest"], signal.SIGKILL)
        assert until(lambda: supervisor.restarts()["guest"] == 1)
        assert until(lambda: supervisor.failure is not None, 2) is not optional


def test_stopping_leaves_no_process_behind_not_even_a_grandchild_in_its_own_session(
    run: RunFolder,
) -> None:
    with Supervisor(run) as supervisor:
        supervisor.start(Program("parent", PARENT))
        supervisor.start(Program("stubborn", STUBBORN, stop_seconds=0.2))
        assert until(says_here(run, "parent"))
        assert until(says_here(run, "stubborn"))
        assert until(lambda: len(leftovers(run)) == 3)
        processes = leftovers(run)
    assert [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert leftovers(run) == []


def test_programs_stop_in_the_reverse_order_of_their_start(run: RunFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('here', flush=True); time.sleep(600)"
    )
    with Supervisor(run) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(Program(name, (sys.executable, "-c", script, str(trace), name)))
            assert until(says_here(run, name))
    assert trace.read_text().split() == ["third", "second", "first"]


def test_a_program_that_ends_before_it_serves_is_one_error_with_its_last_words(
    run: RunFolder,
) -> None:
    command = (sys.executable, "-c", "print('no such thing as a free port'); raise SystemExit(7)")
    with Supervisor(run) as supervisor:
        supervisor.start(Program("server", command, ready=lambda: False, fatal="x"))
        with pytest.raises(LocalStackError, match="no such thing as a free port"):
            supervisor.wait_ready("server", timeout_seconds=5)


def test_a_program_that_never_serves_is_an_error_after_the_time_out(run: RunFolder) -> None:
    with Supervisor(run) as supervisor:
        supervisor.start(Program("slow", SLEEPER, ready=lambda: False))
        with pytest.raises(LocalStackError, match="did not answer within 0 s"):
            supervisor.wait_ready("slow", timeout_seconds=0.3)


def test_a_missing_program_is_one_error_with_the_remedy(run: RunFolder) -> None:
    with Supervisor(run) as supervisor, pytest.raises(LocalStackError, match="make setup"):
        supervisor.start(Program("ghost", ("/nowhere/ghost",)))


def test_programs_do_not_inherit_what_points_at_a_real_account(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    command = (sys.executable, "-c", "import os; print(dict(os.environ), 'here', flush=True)")
    with Supervisor(run) as supervisor:
        supervisor.start(Program("env", command, environment={"GIVEN": "yes"}))
        assert until(says_here(run, "env"))
    log = (run.var / "log" / "env.log").read_text()
    assert "production" not in log
    assert "'GIVEN': 'yes'" in log


def test_a_proxy_is_for_the_outside_and_programs_ask_this_machine_directly(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    asked = (
        "from urllib.request import getproxies, proxy_bypass as direct; print(getproxies()['http'],"
        " *map(direct, ('127.0.0.1', 'intranet.example', 'aws.example')), 'here')"
    )
    with Supervisor(run) as supervisor:
        supervisor.start(Program("env", (sys.executable, "-c", asked)))
        assert until(says_here(run, "env"))
    log = (run.var / "log" / "env.log").read_text()
    assert "http://proxy.example:3128 True True False here" in log


def test_a_program_whose_log_grew_too_long_goes_on_in_a_short_one(run: RunFolder) -> None:
    logs = run.var / "log"
    logs.mkdir(parents=True)
    for name in ("sleeper.log", "sleeper.log.1"):
        (logs / name).write_bytes(b"x" * (LOG_BYTES + 1))
    with Supervisor(run) as supervisor:
        supervisor.start(Program("sleeper", SLEEPER))
        assert until(lambda: supervisor.log_bytes_dropped == LOG_BYTES + 1)
        assert until(lambda: (logs / "sleeper.log").stat().st_size < 1000)
    assert (logs / "sleeper.log.1").stat().st_size >= LOG_BYTES


def test_a_second_supervisor_is_told_who_runs_and_how_to_stop_it(run: RunFolder) -> None:
    with pytest.raises(LocalStackError, match=rf"process {os.getpid()}.*cardwatch down"):
        RunFolder(run.var).acquire()


def test_leftovers_of_a_killed_supervisor_are_named_then_swept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "var")
    orphan = subprocess.Popen(SLEEPER, env={MARKER: folder.marker}, stdout=subprocess.DEVNULL)
    try:
        assert until(lambda: len(leftovers(folder)) == 1)
        with pytest.raises(LocalStackError, match=rf"\({orphan.pid}\).*cardwatch down"):
            folder.acquire()
        assert len(sweep(folder)) == 1
        assert orphan.wait(5) is not None
        folder.acquire()
        folder.release()
    finally:
        orphan.kill()


def test_a_process_that_was_given_an_old_process_id_is_never_touched(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "var")
    foreign = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    try:
        folder.note("flink", foreign.pid)
        note = folder.folder / "flink.pid.json"
        facts = json.loads(note.read_text())
        note.write_text(json.dumps({**facts, "created": facts["created"] - 3600}))
        assert sweep(folder) == []
        assert foreign.poll() is None
        assert not note.exists()
    finally:
        foreign.kill()
        foreign.wait()


def test_an_unreadable_note_does_not_stop_the_sweep(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "var")
    folder.folder.mkdir(parents=True)
    (folder.folder / "half.pid.json").write_text('{"name": "ha')
    assert sweep(folder) == []


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_taken_port_is_one_message_with_its_holder_and_the_remedy() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(LocalStackError) as caught:
            check_port(port, "Flink's web UI", "CARDWATCH_FLINK_PORT")
    text = str(caught.value)
    assert f"port {port} for Flink's web UI is taken" in text
    assert f"process {os.getpid()}" in text
    assert "CARDWATCH_FLINK_PORT=<port>" in text


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_free_port_is_fine() -> None:
    check_port(free_port(), "anything", "CARDWATCH_AWS_PORT")
