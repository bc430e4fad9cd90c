"""A real Prometheus over a real run: the dashboard's queries find something, no rule fires."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.test_main_job import CARDWATCH, ROOT, ended_command, of_its_own, wait_until

from cardwatch.local.processes.ports import answers, free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not on this machine"),
]
OBSERVABILITY = ROOT / "observability"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[int]:
    """A stack with Prometheus over it; gives Prometheus' port."""
    port = free_port()
    environment = of_its_own(tmp_path / "var") | {"CARDWATCH_PROMETHEUS_PORT": str(port)}

    cardwatch = partial(ended_command, environment)
    try:
        started = cardwatch("up", "--detach")
        assert started.returncode == 0, started.stderr
        assert "not started" in cardwatch("ui").stdout
        monitor = subprocess.Popen([CARDWATCH, "monitor"], cwd=ROOT, env=environment)
        try:
            wait_until(lambda: answers(port), 30)
            assert f"http://127.0.0.1:{port}" in cardwatch("ui").stdout
            yield port
        finally:
            monitor.terminate()
            monitor.wait(30)
    finally:
        assert cardwatch("down").returncode == 0


def rows(port: int, query: str) -> list[dict[str, Any]]:
    address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(address) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def test_each_query_of_the_dashboard_finds_something_and_no_rule_fires(prometheus: int) -> None:
    dashboard = json.loads((OBSERVABILITY / "grafana/cardwatch.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    wait_until(lambda: all(rows(prometheus, query) for query in queries), 120)
    groups = yaml.safe_load((OBSERVABILITY / "rules.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        # What it compares is there: a misspelt metric would never fire.
        compared = rule["expr"].rpartition(" > ")[0] or rule["expr"].rpartition(" == ")[0]
        if "given_up" not in compared:  # nothing was given up
            wait_until(partial(rows, prometheus, compared), 60)  # an increase needs two scrapes
    assert rows(prometheus, 'ALERTS{alertstate="firing"}') == []


def test_the_rules_do_what_their_own_tests_say() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not on this machine")
    told = subprocess.run(
        [promtool, "test", "rules", "rules_test.yml"],
        cwd=OBSERVABILITY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
