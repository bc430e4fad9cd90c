import subprocess
import sys
from pathlib import Path

import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.run_folder import MARKER, RunFolder
from cardwatch.local.run.down import take_down
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.settings import program_environment
from cardwatch.warehouse.ports import WarehouseUnavailableError


class Stuck:
    """A database that does not stop."""

    def pid(self) -> int | None:
        return 1

    def stop(self) -> None:
        msg = "does not stop"
        raise WarehouseUnavailableError(msg)


def test_where_nothing_runs_nothing_is_done(tmp_path: Path) -> None:
    done = take_down(tmp_path, WarehouseServer(tmp_path / "postgres"))
    assert (done.stopped, done.removed, done.failures) == (False, [], [])


def test_what_is_left_is_removed_also_where_the_database_does_not_stop(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env=program_environment({MARKER: folder.marker}),
    ) as left:
        done = take_down(tmp_path, Stuck(), wait_seconds=1)
        assert [name for name in done.removed if str(left.pid) in name]
        assert left.wait(5) is not None
    assert done.failures == ["PostgreSQL: does not stop"]


def test_a_run_that_goes_on_is_seen_before_anything_of_it_is_touched(tmp_path: Path) -> None:
    RunFolder(tmp_path).check_free()
    running = RunFolder(tmp_path)
    running.acquire()
    try:
        with pytest.raises(LocalStackError, match="already going on"):
            RunFolder(tmp_path).check_free()
    finally:
        running.release()
    RunFolder(tmp_path).check_free()
