"""The cost page is up to date, and what it rests on is so."""

import gzip
import importlib.util
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from types import ModuleType

import pytest

from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
from cardwatch.contract.streams import read_event
from cardwatch.simulation.events import TICKS_PER_MINUTE, TICKS_PER_SECOND, EventGenerator
from cardwatch.staging.transform import copy_line

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost", ROOT / "tools/cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cost"] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


cost = load()
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("## On AWS")[2]
PRICES = cost.Prices(ROOT / "tools/prices.yaml")
DEPLOYED = cost.Deployed.read()


def monthly(rate: float, shards: int = 1) -> dict[str, float]:
    lines = list(cost.bill(cost.Scenario("", rate, shards, 1), DEPLOYED, PRICES.hours))
    return {f"{line.group}: {line.what}": PRICES.usd(line) for line in lines}


def test_the_page_is_up_to_date() -> None:
    assert cost.PAGE.read_text(encoding="utf-8") == cost.render(PRICES, DEPLOYED)


def test_every_price_is_used_and_every_one_that_is_used_is_there() -> None:
    used = {
        line.price
        for kind in ("cluster", "serverless")
        for line in [
            *cost.bill(cost.Scenario("", 20, 1, 1), DEPLOYED, PRICES.hours),
            *cost.warehouse(DEPLOYED, kind, 60, 1, PRICES.hours),
            *cost.dashboard(DEPLOYED, PRICES.hours),
        ]
    }
    unused = set(PRICES.entries) - used
    assert used <= set(PRICES.entries)
    assert unused == {"redshift_ra3_xlplus_hour"}  # the other node type that can be chosen


def test_the_known_bills_come_out() -> None:
    """Two KPUs are 160.60 USD, a shard 10.95; loads of Serverless at 900 s about 73."""
    month = monthly(0)
    assert month["Flink: KPUs, one of them orchestration"] == pytest.approx(160.60)
    assert month["stream: shards"] == pytest.approx(10.95)
    for refresh_minutes, usd in ((float("inf"), 73), (5, 292)):
        deployed = replace(DEPLOYED, refresh_minutes=refresh_minutes, audit_minutes=0)
        rpus = next(cost.warehouse(deployed, "serverless", 900, 0, PRICES.hours))
        assert PRICES.usd(rpus) == pytest.approx(usd, abs=0.5)


def test_an_audit_costs_a_cluster_its_function_and_metrics_and_keeps_serverless_awake() -> None:
    """43,800 rounds of 10 s at 512 MB are 3.65 USD; five metrics 1.50."""
    scenario = cost.Scenario("", 20, 1, 1)

    def month(audit_minutes: float) -> float:
        deployed = replace(DEPLOYED, audit_minutes=audit_minutes)
        return float(sum(map(PRICES.usd, cost.bill(scenario, deployed, PRICES.hours))))

    assert month(1) - month(0) == pytest.approx(3.65 + 1.50, abs=0.1)
    for minutes, usd in ((1, 1_095), (5, 657), (0, 438)):
        deployed = replace(DEPLOYED, audit_minutes=minutes)
        rpus = next(cost.warehouse(deployed, "serverless", 300, 0, PRICES.hours))
        assert PRICES.usd(rpus) == pytest.approx(usd, abs=0.5)


def test_the_dashboards_bill_is_its_task_and_its_load_balancer() -> None:
    """Half a CPU is 14.78 USD, 1 GB 3.24, a load balancer with one unit 22.27, a secret 0.40."""
    month = sum(PRICES.usd(line) for line in cost.dashboard(DEPLOYED, PRICES.hours))
    assert month == pytest.approx(14.78 + 3.24 + 22.27 + 0.80, abs=0.02)
    assert cost.open_page(DEPLOYED, 1) == 4
    seldom = replace(DEPLOYED, dashboard_refresh_seconds=600.0)
    assert cost.open_page(seldom, 1) == pytest.approx(0.4)


def test_more_traffic_never_costs_less() -> None:
    rates = [0, 0.17, 1, 20, 1_000, 10_000]
    sums = [sum(monthly(rate).values()) for rate in rates]
    assert sums == sorted(sums)


def test_a_price_without_its_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "date: 2026-11-21\nhours_per_month: 730\nprices:\n  a: {usd: 1, per: x, checked: sure}\n"
    )
    with pytest.raises(ValueError, match="a needs usd, per, source, and checked"):
        cost.Prices(path)


def test_the_sizes_are_those_of_the_events() -> None:
    cards = read_tokenized_cards(ROOT / "data/cards.txt", Tokenizer(b"k" * 32), now=NOW)
    assert len(cards) == cost.CARDS
    assert sum(card.status == "STOLEN" for card in cards) / len(cards) == cost.STOLEN_SHARE
    generator = EventGenerator(cards, seed=7)
    first = int(NOW.timestamp()) * TICKS_PER_SECOND
    ticks = range(first, first + TICKS_PER_MINUTE // 4)
    payments = [entry.data for tick in ticks for entry in generator.payments(tick, 200)]
    assert mean(map(len, payments)) == pytest.approx(cost.PAYMENT_BYTES, abs=2)
    published = [len(entry.data) for entry in generator.registry(first)]
    statuses, accounts = published[: cost.CARDS], published[cost.CARDS :]
    assert mean(statuses) == pytest.approx(cost.STATUS_BYTES, abs=2)
    assert mean(accounts) == pytest.approx(cost.ACCOUNT_BYTES, abs=2)
    (heartbeat,) = generator.heartbeats(first, ["0"])
    assert len(heartbeat.data) == cost.HEARTBEAT_BYTES
    later = NOW + timedelta(minutes=5)
    lines = b"".join(copy_line(read_event(data, now=later)) for data in payments)
    assert len(gzip.compress(lines)) / len(lines) == pytest.approx(cost.GZIP_SHARE, abs=0.02)
    for example, size in (
        ("payment_alert.v1/valid/stolen_card", cost.ALERT_BYTES),
        ("payment_alert_summary.v1/valid/two_currencies", cost.SUMMARY_BYTES),
        ("payment_attributed.v1/valid/nothing_speaks_against_it", cost.SCORE_BYTES),
        ("page_event.v1/valid/sent", cost.PAGE_EVENT_BYTES),
    ):
        raw = (ROOT / f"events/examples/{example}.json").read_bytes()
        assert len(read_event(raw, now=NOW).to_bytes()) == size


def test_the_figures_that_people_read_first_are_the_page_s() -> None:
    default, *_ = DEPLOYED.scenarios()
    for kind, words in (("none", "without a warehouse"), ("cluster", "with one")):
        lines = cost.bill(default, cost.replace(DEPLOYED, warehouse=kind), PRICES.hours)
        month = round(sum(PRICES.usd(line) for line in lines))
        [told] = re.findall(rf"(\d+)(?: USD a month)? {words}", README)
        assert int(told) == pytest.approx(month, abs=2), words
