from pathlib import Path

import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.dashboard import PYTHON, addresses, command, program
from cardwatch.settings import LocalSettings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder with the dashboard's environment."""
    python = tmp_path / PYTHON
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path


def test_it_serves_this_machine_alone_and_reads_the_runs_own_folder(root: Path) -> None:
    settings = LocalSettings(var=root / "var", dashboard_port=8600, page_objective_seconds=7.5)
    told = command(settings, root)
    assert {"--server.address=127.0.0.1", "--server.port=8600"} <= set(told)
    assert told[told.index("--") + 1 :] == [
        f"--postgres={root}/var/postgres",
        f"--status={root}/var/run/status.json",
        "--page-objective-seconds=7.5",
    ]
    assert addresses(settings, root) == {"dashboard": "http://127.0.0.1:8600"}


def test_a_run_does_without_it_and_restarts_it(root: Path) -> None:
    started = program(LocalSettings(var=root / "var"), root)
    assert started is not None
    assert started.optional
    assert started.fatal is None


def test_where_it_is_not_installed_a_run_goes_on_and_says_how_to_get_it(tmp_path: Path) -> None:
    settings = LocalSettings(var=tmp_path)
    assert program(settings, tmp_path) is None
    assert "make setup" in addresses(settings, tmp_path)["dashboard"]
    with pytest.raises(LocalStackError, match="make setup"):
        command(settings, tmp_path)


def test_port_0_turns_it_off(root: Path) -> None:
    settings = LocalSettings(var=root, dashboard_port=0)
    assert program(settings, root) is None
    assert addresses(settings, root) == {}
    with pytest.raises(LocalStackError, match="CARDWATCH_DASHBOARD_PORT is 0"):
        command(settings, root)
