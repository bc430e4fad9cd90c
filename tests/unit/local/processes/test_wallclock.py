"""The clock that programs share: all of them see it move, and nothing that waits is misled."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from cardwatch.local.processes.wallclock import FILE, NoWallClockError, WallClock, build_shim

WATCHER = """
import datetime, sys, threading, time
began = time.time(), time.monotonic()
print("ready", flush=True)
sys.stdin.readline()
waited = threading.Event().wait(0.05)
print(round(time.time() - began[0], -1), time.monotonic() - began[1] < 60, waited)
print(round(datetime.datetime.now(datetime.UTC).timestamp() - began[0], -1))
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    try:
        return WallClock.build(tmp_path_factory.mktemp("clock"))
    except NoWallClockError as error:
        pytest.skip(str(error))


@contextmanager
def watcher(clock: WallClock) -> Iterator["subprocess.Popen[str]"]:
    """Start a program that says how far its clocks went once it is told to."""
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER],
        env=dict(clock.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def test_a_program_that_runs_sees_the_wall_clock_move_and_no_other(clock: WallClock) -> None:
    with watcher(clock) as first, watcher(clock) as second:
        clock.advance(timedelta(hours=3))
        told = [process.communicate("go on\n")[0].split() for process in (first, second)]
    assert told == [["10800.0", "True", "False", "10800.0"]] * 2


def test_a_program_that_starts_later_has_the_moved_clock_from_its_first_moment(
    clock: WallClock,
) -> None:
    clock.advance(timedelta(days=400))
    with watcher(clock) as process:
        assert process.communicate("go on\n")[0].split() == ["0.0", "True", "False", "0.0"]
    year = [sys.executable, "-c", "import time; print(time.time() - time.monotonic())"]
    moved, real = (
        float(subprocess.run(year, env=env, capture_output=True, check=True).stdout)
        for env in (dict(clock.environment), {})
    )
    assert moved - real == pytest.approx(clock.off_by.total_seconds(), abs=1)


def test_a_clock_that_is_opened_again_is_the_one_that_programs_have(clock: WallClock) -> None:
    again = WallClock(clock.shim, Path(clock.environment[FILE]))
    assert again.off_by == clock.off_by
    with watcher(clock) as process:
        again.advance(timedelta(hours=3))
        assert process.communicate("go on\n")[0].split() == ["10800.0", "True", "False", "10800.0"]
    assert again.off_by == clock.off_by


def test_the_clock_says_how_far_it_is_off(clock: WallClock) -> None:
    before = clock.off_by
    clock.advance(timedelta(hours=2, microseconds=7))
    assert clock.off_by - before == timedelta(hours=2, microseconds=7)


def test_without_a_compiler_it_is_said_what_brings_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoWallClockError, match="apt-get install gcc"):
        WallClock.build(tmp_path)


def test_on_another_system_it_is_said_that_the_clock_stays(tmp_path: Path) -> None:
    with pytest.raises(NoWallClockError, match="on Linux alone, and this is darwin"):
        build_shim(tmp_path / "clock", platform="darwin")
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_is_quoted_and_leaves_no_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cc").write_text("#!/bin/sh\necho 'dlfcn.h is missing' >&2\nexit 1\n")
    (programs / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(NoWallClockError, match=r"cannot be compiled here: dlfcn\.h is missing"):
        build_shim(tmp_path / "clock")
    assert list((tmp_path / "clock").iterdir()) == []
