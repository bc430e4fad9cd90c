"""Computes what a month on AWS costs, from tools/prices.yaml and the templates, into docs/cost.md.

    python tools/cost.py            write docs/cost.md
    python tools/cost.py --check    exit 1 when it is not up to date

What is deployed is read from template.yaml and those of infra/: shards, parallelism, buffers,
memory, alarms, the dashboard's task. What traffic makes of it is computed here, by the formulas
below. Why it is no table kept by hand: docs/decisions/0035.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import Any, Final, get_args

import yaml
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs

from cardwatch.observability import (
    ActsMetric,
    AuditMetric,
    BankingMetric,
    MetricName,
    WarehouseLoadMetric,
    WarehouseRefreshMetric,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cost.md"
SECONDS: Final = 3_600.0
GB: Final = 1e9
MILLION: Final = 1e6

# Measured: tests/unit/test_cost.py measures again and fails when they are off.
PAYMENT_BYTES: Final = 533
STATUS_BYTES: Final = 337
ACCOUNT_BYTES: Final = 475
HEARTBEAT_BYTES: Final = 173
CANARY_BYTES: Final = 1_500
"""A canary's report, payment and alert, once a minute."""
ALERT_BYTES: Final = 793
SUMMARY_BYTES: Final = 602
SCORE_BYTES: Final = 819
PAGE_EVENT_BYTES: Final = 330
GZIP_SHARE: Final = 0.17
"""What gzip leaves of a staged payment."""
CARDS: Final = 1_000
STOLEN_SHARE: Final = 0.1

# Estimated: nobody has measured these on AWS.
NOTIFIER_SECONDS: Final = 0.3
CANARY_SECONDS: Final = 0.2
STAGER_SECONDS: Final = 0.5
LOAD_SECONDS: Final = 10.0
REFRESH_SECONDS: Final = 20.0
AUDIT_SECONDS: Final = 10.0
LOG_BYTES_PER_INVOCATION: Final = 1_500
FLINK_LOG_GB: Final = 1.0
EVENTS_KEPT_DAYS: Final = 400
REGISTRY_PERIOD_SECONDS: Final = 900.0
SERVERLESS: Final = ((60.0, 1), (300.0, 1), (300.0, 5), (300.0, 0), (900.0, 15), (900.0, 0))
"""Deliveries and audits that Redshift Serverless is priced with: seconds, and minutes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to run it; what is None is the template's default."""

    name: str
    payments_per_second: float
    shards: int
    parallelism: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill."""

    group: str
    what: str
    price: str
    amount: float
    """In units of the price."""


class Prices:
    """The prices and their day."""

    def __init__(self, path: Path) -> None:
        """Read them; raises ValueError naming an entry that lacks something."""
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.date: date = content["date"]
        self.hours: float = content["hours_per_month"]
        self.entries: Mapping[str, Mapping[str, Any]] = content["prices"]
        for name, entry in self.entries.items():
            wrong = set(entry) != {"usd", "per", "checked", "source"}
            if wrong or entry["checked"] not in {"documented", "secondary", "unverified"}:
                msg = f"{path}: {name} needs usd, per, source, and checked as the file's head says"
                raise ValueError(msg)

    def usd(self, line: Line) -> float:
        return float(self.entries[line.price]["usd"]) * line.amount


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the templates deploy by default."""

    payments_per_second: float
    shards: int
    parallelism: int
    per_kpu: int
    risk_desk: bool
    buffer_seconds: float
    buffer_megabytes: float
    refresh_minutes: float
    audit_minutes: float
    pages_per_minute: float
    warehouse: str
    node_type: str
    rpus: float
    memory_gb: Mapping[str, float]
    alarm_metrics: int
    canaries: float
    """A second."""
    dashboard_cpus: float
    dashboard_gb: float
    dashboard_refresh_seconds: float

    @classmethod
    def read(cls) -> "Deployed":
        """Read the templates."""
        root = cfn_yaml.load(str(ROOT / "template.yaml"))
        watch = cfn_yaml.load(str(ROOT / "infra" / "observability.yaml"))
        looks = cfn_yaml.load(str(ROOT / "infra" / "dashboard.yaml"))
        task = looks["Resources"]["Task"]["Properties"]
        default = {name: p.get("Default") for name, p in root["Parameters"].items()}
        alarms = [
            resource["Properties"]
            for resource in watch["Resources"].values()
            if resource["Type"] == "AWS::CloudWatch::Alarm"
            # Off by default, as their metrics are.
            and resource.get("Condition") not in {"WithBanking", "WithPageLinks"}
        ]
        return cls(
            payments_per_second=float(default["PaymentsPerSecond"]),
            shards=int(default["StreamShards"]),
            parallelism=int(default["StreamShards"]),
            per_kpu=int(default["FlinkParallelismPerKpu"]),
            risk_desk=default["RiskDesk"] == "on",
            buffer_seconds=float(default["DeliveryBufferSeconds"]),
            buffer_megabytes=float(default["DeliveryBufferMegabytes"]),
            refresh_minutes=float(default["WarehouseRefreshMinutes"]),
            audit_minutes=float(default["AuditMinutes"]),
            pages_per_minute=float(default["PagesPerMinute"]),
            warehouse=default["Warehouse"],
            node_type=default["WarehouseNodeType"],
            rpus=float(default["WarehouseRpus"]),
            memory_gb={
                name: resource["Properties"]["MemorySize"] / 1024
                for template in (
                    *("template", "infra/paging", "infra/delivery", "infra/warehouse"),
                    "infra/audit",
                )
                for name, resource in cfn_yaml.load(str(ROOT / f"{template}.yaml"))[
                    "Resources"
                ].items()
                if resource["Type"] in {"AWS::Serverless::Function", "AWS::Lambda::Function"}
            },
            alarm_metrics=sum(
                sum("MetricStat" in query for query in alarm.get("Metrics", [])) or 1
                for alarm in alarms
            ),
            canaries=1 / 60 if default["Canary"] == "on" else 0.0,
            dashboard_cpus=float(task["Cpu"]) / 1024,
            dashboard_gb=float(task["Memory"]) / 1024,
            dashboard_refresh_seconds=float(looks["Parameters"]["RefreshSeconds"]["Default"]),
        )

    def scenarios(self) -> tuple[Scenario, ...]:
        """Give the default environment, the same without payments, and two rates."""
        return (
            Scenario(
                f"default environment ({self.payments_per_second:g}/s)",
                self.payments_per_second,
                self.shards,
                self.parallelism,
            ),
            Scenario("idle (payments off)", 0, self.shards, self.parallelism),
            Scenario("20 payments/s", 20, 1, 1),
            Scenario("1,000 payments/s", 1_000, 2, 2),
        )


def bill(scenario: Scenario, deployed: Deployed, hours: float) -> Iterator[Line]:
    """Give the lines of one scenario's month, the warehouse's and delivery's included."""
    month = hours * SECONDS
    rate = scenario.payments_per_second
    alerts = rate * STOLEN_SHARE
    # A page holds the alerts of one batch; the token bucket caps how many there are.
    batches = min(alerts, scenario.shards * max(1.0, alerts * 5 / 100) / 5)
    pages = min(batches, deployed.pages_per_minute / 60)
    summaries = 0.1 if rate else 0.0
    records = {
        PAYMENT_BYTES: rate,
        STATUS_BYTES: CARDS / REGISTRY_PERIOD_SECONDS,
        ACCOUNT_BYTES: CARDS / REGISTRY_PERIOD_SECONDS,
        HEARTBEAT_BYTES: float(scenario.shards),
        ALERT_BYTES: alerts,
        SUMMARY_BYTES: summaries,
        PAGE_EVENT_BYTES: pages,
    }
    events = sum(records.values()) + 3 * deployed.canaries
    volume = sum(size * count for size, count in records.items())
    volume += CANARY_BYTES * deployed.canaries
    scores = rate if deployed.risk_desk else 0.0
    volumes = [volume, *([scores * SCORE_BYTES] if deployed.risk_desk else [])]

    yield Line("stream", "shards", "kinesis_shard_hour", scenario.shards * hours)
    yield Line("stream", "records put", "kinesis_put_million", events * month / MILLION)
    yield Line("stream", "notifier's fan-out", "kinesis_fan_out_hour", scenario.shards * hours)
    yield Line("stream", "read by fan-out", "kinesis_fan_out_gb", volume * month / GB)
    if deployed.risk_desk:
        yield Line("stream", "the scores' shards", "kinesis_shard_hour", scenario.shards * hours)
        yield Line("stream", "scores put", "kinesis_put_million", scores * month / MILLION)

    kpus = math.ceil(scenario.parallelism / deployed.per_kpu) + 1
    yield Line("Flink", "KPUs, one of them orchestration", "flink_kpu_hour", kpus * hours)
    if deployed.risk_desk:
        yield Line("Flink", "the risk desk's KPUs", "flink_kpu_hour", kpus * hours)

    yield from _functions(scenario, deployed, month, batches, volumes)
    yield from _ledger(alerts, pages, deployed.canaries, month)
    yield from _delivery(deployed, events, volume, hours)
    if deployed.risk_desk:
        for line in _delivery(deployed, scores, volumes[-1], hours):
            yield replace(line, what=f"the scores': {line.what}")
    yield from warehouse(deployed, deployed.warehouse, deployed.buffer_seconds, sum(volumes), hours)

    yield Line("paging", "e-mails", "sns_thousand_emails", pages * month / 1_000)
    yield Line("paging", "pages published", "sns_million_publishes", pages * month / MILLION)

    # No bank's database by default, no links, and nobody to escalate to.
    own = set(get_args(MetricName)) - {*get_args(BankingMetric), *get_args(ActsMetric)}
    own -= {"NobodyToEscalateTo"}
    if deployed.warehouse == "none":
        own -= {*get_args(WarehouseLoadMetric), *get_args(WarehouseRefreshMetric)}
    if not _audits(deployed):
        own -= {*get_args(AuditMetric)}
    yield Line("watching", "own metrics", "cloudwatch_metric", len(own))
    yield Line("watching", "metrics in alarms", "cloudwatch_alarm_metric", deployed.alarm_metrics)
    yield Line("watching", "dashboard", "cloudwatch_dashboard", 1)
    yield Line("watching", "key", "kms_key_month", 1)
    yield Line("watching", "secrets", "secret_month", 1 + 3 * (deployed.warehouse != "none"))


def _functions(
    scenario: Scenario,
    deployed: Deployed,
    month: float,
    batches: float,
    volumes: Sequence[float],
) -> Iterator[Line]:
    minutes = month / 60
    # Firehose hands over 1 MB or a minute of a shard's records at a time.
    stager = sum(max(minutes * scenario.shards, volume * month / 1e6) for volume in volumes)
    canaries = deployed.canaries * month
    notifier = minutes + batches * month + canaries
    memory = deployed.memory_gb
    loads = 0.0 if deployed.warehouse == "none" else month / max(60.0, deployed.buffer_seconds)
    refreshes = 0.0 if deployed.warehouse == "none" else minutes / deployed.refresh_minutes
    audits = minutes / deployed.audit_minutes if _audits(deployed) else 0.0
    gb_seconds = (
        # It runs all the time, and twice for the 4 s of a hand-over.
        minutes * 64 * memory["SimulatorFunction"]
        + canaries * CANARY_SECONDS * memory["CanaryFunction"]
        + notifier * NOTIFIER_SECONDS * memory["NotifierFunction"]
        + stager * STAGER_SECONDS * memory["StagerFunction"]
        + loads * LOAD_SECONDS * memory["WarehouseLoadFunction"]
        + refreshes * REFRESH_SECONDS * memory["WarehouseRefreshFunction"]
    )
    requests = minutes + canaries + notifier + stager + loads + refreshes + audits
    yield Line("functions", "time times memory", "lambda_gb_second", gb_seconds)
    if audits:
        audited = audits * AUDIT_SECONDS * memory["AuditFunction"]
        yield Line("functions", "the audit's time times memory", "lambda_gb_second", audited)
    yield Line("functions", "requests", "lambda_million_requests", requests / MILLION)
    logs = requests * LOG_BYTES_PER_INVOCATION / GB + FLINK_LOG_GB
    yield Line("watching", "logs, Flink's included", "cloudwatch_logs_gb", logs)


def _audits(deployed: Deployed) -> bool:
    return deployed.warehouse != "none" and deployed.audit_minutes > 0


def _ledger(alerts: float, pages: float, canaries: float, month: float) -> Iterator[Line]:
    """Count DynamoDB's units; every write of the ledger is a transaction, which counts twice."""
    # Its marker and its group; its part of an entry, written twice, as when one more joins it.
    per_alert = 2 * (1 + 1 + 2 * ALERT_BYTES / 1024)
    per_page = 2 * 4 + 2 * 3  # four states of a page, three of the token bucket
    writes = alerts * per_alert + pages * per_page + 2 * canaries + 1 / 60
    # The simulator looks at two items a second, the schedule at ten kinds of work a minute.
    reads = 2 + 10 / 60 + alerts * 2 + pages * 5 + canaries
    kept = alerts * 14 * 86_400 * (ALERT_BYTES + 200) / GB
    yield Line("tables", "writes", "dynamodb_write_million", writes * month / MILLION)
    yield Line("tables", "reads", "dynamodb_read_million", reads * month / MILLION)
    yield Line("tables", "kept 14 days", "dynamodb_storage_gb", kept)
    yield Line("tables", "its backup", "dynamodb_backup_gb", kept)


def _delivery(deployed: Deployed, events: float, volume: float, hours: float) -> Iterator[Line]:
    month = hours * SECONDS
    per_second = max(1 / deployed.buffer_seconds, volume / (deployed.buffer_megabytes * 1e6))
    objects = per_second * month
    kept = volume * GZIP_SHARE * EVENTS_KEPT_DAYS * 86_400 / GB
    yield Line("delivery", "records of 5 KB", "firehose_gb", events * 5_120 * month / GB)
    yield Line("delivery", "objects written", "s3_thousand_puts", objects / 1_000)
    yield Line("delivery", "objects, told to EventBridge", "events_million", objects / MILLION)
    yield Line("delivery", f"kept {EVENTS_KEPT_DAYS} days, once that long", "s3_gb", kept)


def warehouse(
    deployed: Deployed, kind: str, buffer_seconds: float, volume: float, hours: float
) -> Iterator[Line]:
    """Give the warehouse's lines.

    Serverless bills a load, a refresh and an audit with a minute at least.
    """
    if kind == "none":
        return
    if kind == "cluster":
        node = deployed.node_type.replace(".", "_")
        yield Line("warehouse", f"one {deployed.node_type}", f"redshift_{node}_hour", hours)
    else:
        an_hour = SECONDS / max(60.0, buffer_seconds) + 60 / deployed.refresh_minutes
        an_hour += 60 / deployed.audit_minutes if deployed.audit_minutes else 0
        awake = hours * min(1.0, an_hour / 60)
        yield Line("warehouse", "RPUs", "redshift_rpu_hour", awake * deployed.rpus)
    stored = volume * hours * SECONDS / GB
    yield Line("warehouse", "rows of a month, uncompressed", "redshift_storage_gb", stored)


def dashboard(deployed: Deployed, hours: float) -> Iterator[Line]:
    """Give the lines of the dashboard's stack, which is deployed apart, with no page open."""
    yield Line("dashboard", "its task's CPU", "fargate_vcpu_hour", deployed.dashboard_cpus * hours)
    yield Line("dashboard", "its memory", "fargate_gb_hour", deployed.dashboard_gb * hours)
    yield Line("dashboard", "load balancer", "balancer_hour", hours)
    yield Line("dashboard", "what it carries, one unit", "balancer_unit_hour", hours)
    yield Line("dashboard", "secrets, the client's included", "secret_month", 2)


def open_page(deployed: Deployed, hours: float) -> float:
    """Give the RPU hours that a page takes which is open all the time, on Redshift Serverless."""
    an_hour = min(60.0, SECONDS / deployed.dashboard_refresh_seconds)
    return hours * an_hour / 60 * deployed.rpus


def render(prices: Prices, deployed: Deployed) -> str:
    """Write the page."""
    without = replace(deployed, warehouse="none")
    desk = replace(deployed, risk_desk=True)
    default, *others = deployed.scenarios()
    busy = others[-1]
    bills = [
        (default, list(bill(default, deployed, prices.hours))),
        (
            replace(default, name="the same with `Warehouse=none`"),
            list(bill(default, without, prices.hours)),
        ),
        (
            replace(default, name="the default with `RiskDesk=on`"),
            list(bill(default, desk, prices.hours)),
        ),
        *((s, list(bill(s, deployed, prices.hours))) for s in others),
        (
            replace(busy, name=f"{busy.name} with `RiskDesk=on`"),
            list(bill(busy, desk, prices.hours)),
        ),
    ]
    groups = list(dict.fromkeys(line.group for _, lines in bills for line in lines))
    out = [
        "# What it costs",
        "",
        *_prose(
            f"Generated by `make cost` from `tools/prices.yaml` ({prices.date}) and the templates.",
            f"USD a month of {prices.hours:g} hours in us-east-1, without free tiers, discounts,",
            "taxes and data transfer. Nobody has compared it with a bill.",
        ),
        "",
        *_prose(
            f"The warehouse is the default's: {deployed.warehouse}, {deployed.node_type}, a",
            f"delivery every {deployed.buffer_seconds:g} s.",
        ),
        "",
        "| | " + " | ".join(groups) + " | **a month** |",
        "|---|" + "---:|" * (len(groups) + 1),
    ]
    for scenario, lines in bills:
        sums = {g: sum(prices.usd(x) for x in lines if x.group == g) for g in groups}
        cells = " | ".join(_usd(sums[group]) for group in groups)
        out.append(f"| {scenario.name} | {cells} | **{_usd(sum(sums.values()))}** |")
    out += ["", "## Line by line", "", *_lines(prices, bills)]
    out += ["", "## The warehouse is the biggest choice", "", *_warehouses(prices, deployed)]
    out += ["", "## The dashboard", "", *_dashboard(prices, deployed)]
    out += ["", "## What the figures rest on", "", *_grounds(prices)]
    return "\n".join(out) + "\n"


def _lines(prices: Prices, bills: list[tuple[Scenario, list[Line]]]) -> list[str]:
    names = " | ".join(scenario.name for scenario, _ in bills)
    out = [f"| | | {names} |", "|---|---|" + "---:|" * len(bills)]
    found = [{(x.group, x.what): x for x in lines} for _, lines in bills]
    for key in sorted({k for lines in found for k in lines}):
        cells = " | ".join(_usd(prices.usd(lines[key])) if key in lines else "" for lines in found)
        out.append(f"| {key[0]} | {key[1]} | {cells} |")
    return out


def _warehouses(prices: Prices, deployed: Deployed) -> list[str]:
    out = [
        *_prose(
            f"A delivery is a load; marts are refreshed every {deployed.refresh_minutes:g} min.",
            "Rows cost the same in both kinds and are left out here. Events",
            "are delivered to S3 without a warehouse too; one that comes later loads them.",
            "The audit (`AuditMinutes`; 0: none) costs a cluster nothing; its function is in the",
            "lines above.",
        ),
        "",
        "| `Warehouse` | `DeliveryBufferSeconds` | `AuditMinutes` | USD a month |",
        "|---|---:|---:|---:|",
    ]
    kinds: list[tuple[str, float | None, float]] = [
        ("none", None, 0),
        ("cluster", deployed.buffer_seconds, deployed.audit_minutes),
        *(("serverless", seconds, minutes) for seconds, minutes in SERVERLESS),
    ]
    for kind, seconds, minutes in kinds:
        audited = replace(deployed, audit_minutes=minutes)
        lines = list(warehouse(audited, kind, seconds or 0, 0, prices.hours))
        cost = sum(prices.usd(line) for line in lines)
        buffer = "" if seconds is None else f"{seconds:g}"
        out.append(
            f"| {kind} | {buffer} | {'' if kind == 'none' else f'{minutes:g}'} | {_usd(cost)} |"
        )
    return out


def _dashboard(prices: Prices, deployed: Deployed) -> list[str]:
    lines = list(dashboard(deployed, prices.hours))
    awake = Line("dashboard", "", "redshift_rpu_hour", open_page(deployed, 1))
    return [
        *_prose(
            "It is a stack of its own (`infra/dashboard.yaml`), off unless somebody deploys it,",
            "and in none of the bills above:",
            f"{_usd(sum(map(prices.usd, lines)))} USD a month. On a cluster its questions cost",
            "nothing more. Redshift Serverless is awake while a page is open: with",
            f"`RefreshSeconds` of {deployed.dashboard_refresh_seconds:g} or less an hour of it is",
            f"{_usd(prices.usd(awake))} USD at {deployed.rpus:g} RPU, whoever else keeps it awake.",
            "Left out: the way to AWS that its subnets need (a NAT gateway or endpoints).",
        ),
        "",
        "| | USD a month |",
        "|---|---:|",
        *(f"| {line.what} | {_usd(prices.usd(line))} |" for line in lines),
    ]


def _grounds(prices: Prices) -> list[str]:
    measured = (
        ("a payment", PAYMENT_BYTES),
        ("a card status", STATUS_BYTES),
        ("an account", ACCOUNT_BYTES),
        ("a heartbeat", HEARTBEAT_BYTES),
        ("an alert", ALERT_BYTES),
        ("a summary", SUMMARY_BYTES),
        ("a score", SCORE_BYTES),
        ("a PAGE_EVENT", PAGE_EVENT_BYTES),
    )
    sizes = ", ".join(f"{what} {size}" for what, size in measured)
    out = [
        *_prose(
            f"Measured (a test measures again): bytes of {sizes}; gzip leaves {GZIP_SHARE:.0%} of",
            "staged payments.",
        ),
        "",
        *_prose(
            f"Estimated, not measured on AWS: {NOTIFIER_SECONDS} s for a batch of alerts,",
            f"{STAGER_SECONDS} s for a batch of records, {LOAD_SECONDS:g} s for a load,",
            f"{REFRESH_SECONDS:g} s for a refresh, {AUDIT_SECONDS:g} s for an audit,",
            f"{LOG_BYTES_PER_INVOCATION:,} bytes of logs an invocation, {FLINK_LOG_GB:g} GB of",
            "Flink's logs. One payment in ten is on a",
            "stolen card, as in `data/cards.txt`; real traffic has far fewer alerts, so its tables",
            "cost less.",
        ),
        "",
        *_prose(
            "Left out: Flink's running storage (some examples of AWS bill 50 GB a KPU at 0.10 USD,",
            "newer text says that it is included), calls to KMS, SQS and Slack, backups of the",
            "warehouse, queries that people run, the metric per reason of quarantine and per cause",
            "of the audit.",
        ),
        "",
        "| Price | USD | Per | Checked | Source |",
        "|---|---:|---|---|---|",
    ]
    for name, entry in prices.entries.items():
        cells = (
            f"`{name}`",
            f"{entry['usd']:.10g}",
            entry["per"],
            entry["checked"],
            entry["source"],
        )
        out.append(f"| {' | '.join(cells)} |")
    return out


def _prose(*parts: str) -> list[str]:
    return wrap(" ".join(parts), 110)


def _usd(value: float) -> str:
    return f"{value:,.2f}"


def main() -> int:
    """Write the page, or compare it; the exit status is 1 when it differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    text = render(Prices(ROOT / "tools" / "prices.yaml"), Deployed.read())
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print(
            "docs/cost.md differs from tools/prices.yaml and the templates: run `make cost` and "
            "commit the result",
            file=sys.stderr,
        )
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print("wrote docs/cost.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
