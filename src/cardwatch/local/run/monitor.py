"""Prometheus beside a run: its configuration with the run's ports, and what starts it."""

import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import check_port
from cardwatch.local.services.flink import metrics_ports
from cardwatch.settings import LocalSettings

CONFIGURATION: Final = Path("observability/prometheus.yml")
"""From the project's folder; its targets are those of the default port."""
RULES: Final = Path("observability/rules.yml")
KEPT: Final = "1d"
HOST: Final = "127.0.0.1"


def prometheus(settings: LocalSettings, root: Path) -> list[str]:
    """Write Prometheus' configuration for this stack and give the command that starts it.

    Raises LocalStackError when Prometheus is not on this machine, its port is taken, or the run
    gives no metrics.
    """
    if not settings.metrics_port:
        msg = (
            "CARDWATCH_METRICS_PORT is 0, so a run gives no metrics: set it to a port, or unset it"
        )
        raise LocalStackError(msg)
    program = shutil.which("prometheus")
    if program is None:
        msg = (
            "prometheus is not on this machine: `apt install prometheus` (Debian, Ubuntu) or `brew "
            f"install prometheus` (macOS), or point one that runs elsewhere at {CONFIGURATION}"
        )
        raise LocalStackError(msg)
    check_port(settings.prometheus_port, "Prometheus", "CARDWATCH_PROMETHEUS_PORT")
    folder = settings.var.resolve() / "monitor"
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(configuration(settings, root), sort_keys=False))
    return [
        program,
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={KEPT}",
        f"--web.listen-address={HOST}:{settings.prometheus_port}",
        "--log.level=warn",
    ]


def configuration(settings: LocalSettings, root: Path) -> dict[str, Any]:
    """Give observability/prometheus.yml with the ports of `settings` and the rules' whole path."""
    found: dict[str, Any] = yaml.safe_load((root / CONFIGURATION).read_text("utf-8"))
    found["rule_files"] = [str((root / RULES).resolve())]
    ports = {"cardwatch": (settings.metrics_port,), "flink": metrics_ports(settings)}
    for job in found["scrape_configs"]:
        targets = [f"{HOST}:{port}" for port in ports[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
    return found
