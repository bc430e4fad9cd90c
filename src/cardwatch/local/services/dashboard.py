"""The dashboard of the one-machine stack: how it is started.

It lives in an environment of its own and imports nothing of cardwatch; what it has to know it is
told on its command line. Nobody's page waits for it, and a run goes on without it.
"""

from pathlib import Path
from typing import Final

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.supervisor import Program
from cardwatch.settings import LocalSettings

PYTHON: Final = Path(".venvs/dashboard/bin/python")
HOST: Final = "127.0.0.1"
NOT_SET_UP: Final = "not set up: `make setup` installs it"


def command(settings: LocalSettings, root: Path) -> list[str]:
    """Give the command that serves the dashboard, from the project's folder `root`.

    Raises LocalStackError where it is not installed, or its port is 0.
    """
    python = root.resolve() / PYTHON
    if not python.exists():
        msg = f"the dashboard is not installed ({python} is missing); run `make setup`"
        raise LocalStackError(msg)
    if not settings.dashboard_port:
        msg = "CARDWATCH_DASHBOARD_PORT is 0, which turns it off: set it to a port, or unset it"
        raise LocalStackError(msg)
    var = settings.var.resolve()
    return [
        str(python),
        *("-m", "streamlit", "run", "dashboard/app.py"),
        f"--server.address={HOST}",
        f"--server.port={settings.dashboard_port}",
        "--",
        f"--postgres={var / 'postgres'}",
        f"--status={var / 'run' / 'status.json'}",
        f"--page-objective-seconds={settings.page_objective_seconds:g}",
    ]


def program(settings: LocalSettings, root: Path) -> Program | None:
    """Give the dashboard as a program of the stack; None where it is off or not installed."""
    if not settings.dashboard_port or not (root / PYTHON).exists():
        return None
    return Program("dashboard", command(settings, root), folder=root, optional=True)


def addresses(settings: LocalSettings, root: Path) -> dict[str, str]:
    """Give where the dashboard is, or what keeps it; nothing where it is off."""
    if not settings.dashboard_port:
        return {}
    if not (root / PYTHON).exists():
        return {"dashboard": NOT_SET_UP}
    return {"dashboard": address(settings)}


def address(settings: LocalSettings) -> str:
    """Give the address that a browser opens."""
    return f"http://{HOST}:{settings.dashboard_port}"
