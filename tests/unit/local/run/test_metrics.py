"""The run's metrics as Prometheus scrapes them, and the dashboard and rules that read them."""

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import check_port, free_port
from cardwatch.local.run.metrics import RunMetrics
from cardwatch.local.run.monitor import configuration, prometheus
from cardwatch.local.run.status import CanaryPassed, RunCounts, Status
from cardwatch.settings import LocalSettings

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ROOT = Path(__file__).parents[4]
OBSERVABILITY = ROOT / "observability"
BUSY = Status(
    state="running",
    doing="",
    updated_at="",
    uptime_seconds=9.0,
    counts=RunCounts(
        payments=20,
        stolen_payments=4,
        alerts=3,
        alerts_paged=2,
        rule_alerts={"large_amount": 1},
        scores=19,
        pages=2,
    ),
    staged_rows=31,
    quarantined={"not_json": 2},
    watermark_lag_seconds=1.5,
    job="RUNNING, 3 checkpoints",
    risk_desk="starting",
    programs={"delivery": 17},
    restarts={"delivery": 1},
    memory_mb=1700,
    given_up={"records": 1},
    canary={"notifier": CanaryPassed("2026-11-21T07:00:09.000Z", 8.2)},
    troubles=("Flink: it does not answer",),
)


class Scraped:
    """Metrics that answer on a port of this machine."""

    def __init__(self) -> None:
        self.status = BUSY
        self.metrics = RunMetrics(lambda: self.status)
        self.port = free_port()
        self.metrics.start(self.port)

    def values(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {
            sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def scraped() -> Iterator[Scraped]:
    made = Scraped()
    yield made
    made.metrics.stop()


def test_a_scrape_gives_the_status_of_that_moment(scraped: Scraped) -> None:
    values = scraped.values()
    assert values["cardwatch_payments_total"] == 20
    assert values["cardwatch_alerts_total"] - values["cardwatch_alerts_paged_total"] == 1
    assert values["cardwatch_quarantined_records/not_json"] == 2
    assert values["cardwatch_program_restarts_total/delivery"] == 1
    assert values["cardwatch_program_up/delivery"] == 1
    assert values["cardwatch_rule_alerts_total/large_amount"] == 1
    assert values["cardwatch_scores_total"] == 19
    assert values["cardwatch_job_running"] == 1
    assert values["cardwatch_risk_desk_running"] == 0
    assert values["cardwatch_memory_bytes"] == 1.7e9
    assert values["cardwatch_canary_arrived_timestamp_seconds/notifier"] == 1_795_244_409
    assert values["cardwatch_canary_seconds/notifier"] == 8.2
    scraped.status = replace(
        BUSY, job="RESTARTING, 3 checkpoints", risk_desk="RUNNING, 1 checkpoints", programs={}
    )
    values = scraped.values()
    assert values["cardwatch_risk_desk_running"] == 1
    assert values["cardwatch_job_running"] == 0
    assert "cardwatch_program_up/delivery" not in values


def test_what_is_not_known_yet_is_left_out(scraped: Scraped) -> None:
    scraped.status = replace(
        BUSY, staged_rows=None, watermark_lag_seconds=None, memory_mb=None, risk_desk="off"
    )
    known = {
        "cardwatch_staged_rows",
        "cardwatch_watermark_lag_seconds",
        "cardwatch_memory_bytes",
        "cardwatch_risk_desk_running",
    }
    assert not known & scraped.values().keys()


def test_latencies_are_counted_in_buckets(scraped: Scraped) -> None:
    for seconds in (3.5, 7.5):
        scraped.metrics.page_seconds.observe(seconds)
    values = scraped.values()
    assert values["cardwatch_page_latency_seconds_count"] == 2
    assert values["cardwatch_page_latency_seconds_bucket/4.0"] == 1
    assert values["cardwatch_page_latency_seconds_bucket/8.5"] == 2


def test_stopped_metrics_leave_their_port(scraped: Scraped) -> None:
    scraped.metrics.stop()
    check_port(scraped.port, "metrics", "CARDWATCH_METRICS_PORT")
    scraped.metrics.stop()


def expressions() -> list[str]:
    dashboard = json.loads((OBSERVABILITY / "grafana/cardwatch.json").read_text())
    rules = yaml.safe_load((OBSERVABILITY / "rules.yml").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return shown + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_dashboard_and_rules_ask_for_no_metric_of_the_run_that_there_is_not(
    scraped: Scraped,
) -> None:
    names = {name.partition("/")[0] for name in scraped.values()}
    asked = {n for each in expressions() for n in re.findall(r"\bcardwatch_\w+", each)}
    assert len(asked) > 10
    assert asked - names == set()


def test_prometheus_scrapes_the_ports_that_the_setting_gives() -> None:
    shipped = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    default = configuration(LocalSettings(), ROOT)
    assert default["scrape_configs"] == shipped["scrape_configs"]
    desk = ["127.0.0.1:7003"]
    for risk_desk, scraped_as_well in (("on", desk), ("off", [])):
        settings = LocalSettings.model_validate({"metrics_port": 7000, "risk_desk": risk_desk})
        moved = configuration(settings, ROOT)
        assert [job["static_configs"][0]["targets"] for job in moved["scrape_configs"]] == [
            ["127.0.0.1:7000"],
            ["127.0.0.1:7001", "127.0.0.1:7002", *scraped_as_well],
        ]
    assert [Path(path).is_file() for path in moved["rule_files"]] == [True]


def test_without_prometheus_or_metrics_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LocalStackError, match="CARDWATCH_METRICS_PORT is 0"):
        prometheus(LocalSettings(var=tmp_path, metrics_port=0), ROOT)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalStackError, match="apt install prometheus"):
        prometheus(LocalSettings(var=tmp_path), ROOT)
    assert not (tmp_path / "monitor").exists()
