"""A process's clock can be moved while it runs, and a small disk filled, for nobody else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from cardwatch.local.chaos.machine import Clocks, UntriedError

needs_a_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")

TELLS_THE_TIME = """\
import datetime, json, sys, threading, time
for line in sys.stdin:
    began = time.monotonic()
    threading.Event().wait(0.05)
    took = time.monotonic() - began
    print(json.dumps([time.time(), datetime.datetime.now().timestamp(), took]), flush=True)
"""
FILLS_A_DISK = """\
import errno, json, sys
from pathlib import Path
from cardwatch.local.chaos.machine import SmallDisk, UntriedError
try:
    disk = SmallDisk(Path(sys.argv[1]))
except UntriedError as error:
    print(json.dumps(str(error)))
    raise SystemExit
disk.fill()
try:
    (disk.folder / "more").write_bytes(b"x" * 100_000)
    full = None
except OSError as error:
    full = errno.errorcode[error.errno]
disk.empty()
written = (disk.folder / "later").write_bytes(b"x" * 100_000)
print(json.dumps([full, written]))
"""


def how_late(environment: Mapping[str, str], *moves: tuple[Clocks, timedelta]) -> list[float]:
    """Give how far a program's clock is from ours, in whole hours, after each move."""
    with subprocess.Popen(
        [sys.executable, "-c", TELLS_THE_TIME],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        found = []
        for clocks, by in moves:
            clocks.move("program", by)
            before = subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True)
            print("now", file=program.stdin, flush=True)
            told, also_told, waited = json.loads(program.stdout.readline())
            assert abs(told - also_told) < 60
            assert waited > 0.04
            found.append(round((told - float(before.stdout)) / 3600, 1))
        program.stdin.close()
    return found


@needs_a_compiler
def test_a_running_program_s_clock_jumps_and_its_waits_are_as_long_as_ever(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    environment = clocks.environment("program")
    hour = timedelta(hours=1)
    moves = [(clocks, timedelta()), (clocks, hour), (clocks, -hour), (clocks, timedelta())]
    assert how_late(environment, *moves) == [0.0, 1.0, -1.0, 0.0]


@needs_a_compiler
def test_of_the_emulator_s_functions_only_the_named_one_s_clock_is_moved(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    environment = clocks.environment("program", only="NotifierFunction")
    moved = [(clocks, timedelta(hours=1))]
    name = "AWS_LAMBDA_FUNCTION_NAME"
    assert how_late(environment, *moved) == [0.0]
    assert how_late({**environment, name: "stack-StagerFunction"}, *moved) == [0.0]
    assert how_late({**environment, name: "stack-NotifierFunction"}, *moved) == [1.0]


def test_without_a_compiler_the_clocks_are_said_to_be_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UntriedError, match="C compiler is needed"):
        Clocks(tmp_path / "clocks")


def test_a_small_disk_is_full_until_it_is_emptied_and_nobody_else_sees_it(tmp_path: Path) -> None:
    """Where nothing may be mounted, it says so."""
    folder = tmp_path / "disk"
    ended = subprocess.run(
        [sys.executable, "-c", FILLS_A_DISK, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(ended.stdout)
    assert told == ["ENOSPC", 100_000] or "may be mounted" in told
    assert list(folder.iterdir()) == []
