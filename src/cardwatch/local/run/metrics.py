"""The run's own metrics for Prometheus: what the status says, and how long alerts and pages took.

They stand beside those of Flink's reporter; observability/ has the rules and the dashboard over
both. Names and units follow Prometheus' conventions: counters end in `_total`, times are seconds.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cardwatch.contract.fields import parse_time
from cardwatch.local.run.status import OFF, Status

HOST: Final = "127.0.0.1"
_ALERT_BUCKETS: Final = (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 30, 60)
_PAGE_BUCKETS: Final = (1, 2, 3, 4, 5, 6, 7, 8.5, 10, 15, 30, 60)
_JOB_RUNS: Final = "RUNNING"


class RunMetrics(Collector):
    """Answers a scrape with the run's status of that moment."""

    def __init__(self, status: Callable[[], Status]) -> None:
        """Ask `status` at each scrape."""
        self._status = status
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._server: tuple[WSGIServer, Thread] | None = None
        self.alert_seconds: Final = Histogram(
            "cardwatch_alert_latency_seconds",
            "From the end of its window to an alert's arrival on the stream; late ones left out.",
            buckets=_ALERT_BUCKETS,
            registry=self._registry,
        )
        self.page_seconds: Final = Histogram(
            "cardwatch_page_latency_seconds",
            "From the oldest of its payments to a page that is no repeat and no follow-up.",
            buckets=_PAGE_BUCKETS,
            registry=self._registry,
        )

    def start(self, port: int) -> None:
        """Answer scrapes on that port of this machine; raises OSError when it is taken."""
        self._server = start_http_server(port, addr=HOST, registry=self._registry)

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()
            self._server = None

    def describe(self) -> Iterable[Metric]:
        """Give nothing: registering must not ask for a status."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Give the status as metrics; what is not known yet is left out."""
        status = self._status()
        counts = status.counts
        yield _total("payments", "Payments seen on the stream, each once.", counts.payments)
        stolen = counts.stolen_payments
        yield _total("stolen_payments", "Of them on cards known to be stolen.", stolen)
        yield _total("alerts", "Alerts of stolen cards seen on the stream.", counts.alerts)
        yield _total("alerts_paged", "Alerts that stand in a received page.", counts.alerts_paged)
        rules = "Alerts of every other rule seen on the stream."
        yield _totals("rule_alerts", rules, "rule", counts.rule_alerts)
        scores = "Scores seen on their stream, those that a restored job says again included."
        yield _total("scores", scores, counts.scores)
        yield _total("summaries", "Summaries seen on the stream.", counts.summaries)
        yield _total("pages", "Pages received, repeats included.", counts.pages)
        yield _total("pages_repeated", "Of them marked as repeats.", counts.pages_repeated)
        rejected = "Records on the stream that break the contract."
        yield _totals("rejected_records", rejected, "reason", counts.rejected)
        yield _totals("program_restarts", "Starts after the first.", "program", status.restarts)
        yield _totals("given_up", "What the stand-ins gave up.", "what", status.given_up)
        yield _each("program_up", "1 while it runs.", "program", dict.fromkeys(status.programs, 1))
        quarantined = "Records in quarantine."
        yield _each("quarantined_records", quarantined, "reason", status.quarantined)
        yield _gauge(
            "quarantined_on_stolen_cards",
            "Payments in quarantine that name a card known to be stolen.",
            status.quarantined_on_stolen_cards,
        )
        runs = status.job.startswith(_JOB_RUNS)
        yield _gauge("job_running", "1 while the Flink job runs.", int(runs))
        if status.risk_desk != OFF:
            runs = status.risk_desk.startswith(_JOB_RUNS)
            yield _gauge("risk_desk_running", "1 while the risk desk's job runs.", int(runs))
        yield _gauge("troubles", "What cannot be seen or reached.", len(status.troubles))
        canary = status.canary.items()
        yield _each(
            "canary_arrived_timestamp_seconds",
            "When the newest canary came to each station of its way.",
            "station",
            {name: parse_time(passed.arrived).timestamp() for name, passed in canary},
        )
        yield _each(
            "canary_seconds",
            "From its payment to its arrival there.",
            "station",
            {name: passed.seconds for name, passed in canary},
        )
        if status.staged_rows is not None:
            yield _gauge(
                "staged_rows", "Rows in the warehouse's staging table.", status.staged_rows
            )
        if status.watermark_lag_seconds is not None:
            lag = "How far event time is behind the clock in the Flink job."
            yield _gauge("watermark_lag_seconds", lag, status.watermark_lag_seconds)
        if status.memory_mb is not None:
            memory = "Proportional memory of all programs of the run."
            yield _gauge("memory_bytes", memory, status.memory_mb * 1e6)


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"cardwatch_{name}", text, value=value)


def _totals(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(CounterMetricFamily(f"cardwatch_{name}", text, labels=[label]), values)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"cardwatch_{name}", text, value=value)


def _each(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(GaugeMetricFamily(f"cardwatch_{name}", text, labels=[label]), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    for key, value in values.items():
        family.add_metric([key], value)
    return family
