""".devcontainer/devcontainer.json: what it forwards is what a run serves."""

import json
from pathlib import Path

from cardwatch.settings import LocalSettings

ROOT = Path(__file__).parents[2]


def test_every_page_of_a_run_is_forwarded_under_a_label_and_nothing_else() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    fields = LocalSettings.model_fields
    served = {
        fields[name].default
        for name in (
            "dashboard_port",
            "flink_port",
            "risk_desk_port",
            "metrics_port",
            "prometheus_port",
        )
    }
    assert set(container["forwardPorts"]) == served
    assert {int(port) for port in container["portsAttributes"]} == served
