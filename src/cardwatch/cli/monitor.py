"""Commands for those who watch the system: dashboard, Prometheus, and where its pages are."""
# ruff: noqa: PLC0415  commands import what they need when they run

import os
import webbrowser
from typing import Annotated

import typer

from cardwatch.cli.application import CommandError, app, examples, settings_and_root
from cardwatch.settings import LocalSettings, program_environment


@app.command(
    epilog=examples("cardwatch monitor", "CARDWATCH_PROMETHEUS_PORT=9091 cardwatch monitor")
)
def monitor() -> None:
    """Start Prometheus over what runs here, until Ctrl-C.

    It scrapes the run and Flink every 5 s and evaluates cardwatch's rules (observability/).
    A Grafana of yours reads it as a data source; observability/grafana/cardwatch.json is the
    dashboard to import.
    """
    from cardwatch.local.run.monitor import prometheus

    settings, root = settings_and_root()
    command = prometheus(settings, root)
    address = f"http://127.0.0.1:{settings.prometheus_port}"
    typer.echo(f"Prometheus: {address}/graph, what rings: {address}/alerts")
    typer.echo("Grafana: import observability/grafana/cardwatch.json; Ctrl-C stops Prometheus")
    os.execv(command[0], command)  # noqa: S606  its path is from PATH  # nosec B606


@app.command(
    epilog=examples("cardwatch dashboard", "CARDWATCH_DASHBOARD_PORT=8502 cardwatch dashboard")
)
def dashboard() -> None:
    """Serve the dashboard alone, until Ctrl-C.

    A run starts it by itself. It shows this project's warehouse, and says so while there is none.
    """
    from cardwatch.local.processes.ports import check_port
    from cardwatch.local.services.dashboard import address, command

    settings, root = settings_and_root()
    served = command(settings, root)
    check_port(settings.dashboard_port, "the dashboard", "CARDWATCH_DASHBOARD_PORT")
    typer.echo(f"dashboard: {address(settings)}; Ctrl-C stops it")
    os.execve(served[0], served, program_environment({}))  # noqa: S606  it is cardwatch's own  # nosec B606


@app.command(epilog=examples("cardwatch ui", "cardwatch ui --open"))
def ui(
    *,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the first one in a browser as well.")
    ] = False,
) -> None:
    """Print where the run's pages are, and which are not started."""
    from cardwatch.local.processes.ports import answers
    from cardwatch.local.processes.run_folder import RunFolder
    from cardwatch.local.run.status import read_status, status_path

    settings = LocalSettings.from_env()
    running = RunFolder(settings.var).supervisor() is not None
    facts = read_status(status_path(settings.var), running=running)
    if not running or facts is None or not facts.get("addresses"):
        msg = "nothing runs here yet; start it with `cardwatch up`"
        raise CommandError(msg)
    addresses = dict(facts["addresses"])
    if answers(settings.prometheus_port):
        addresses["Prometheus"] = f"http://127.0.0.1:{settings.prometheus_port}"
    else:
        addresses["Prometheus"] = "not started: `cardwatch monitor`"
    for name, address in addresses.items():
        typer.echo(f"{name:<11} {address}")
    if open_it:
        webbrowser.open(next(a for a in addresses.values() if a.startswith("http")))
