"""The local Flink cluster runs the real job and gets over the loss of its TaskManager."""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.adapters.card_stream import CARD, PATIENCE, STREAM, Stream, wait_for

from cardwatch.aws.clients import AwsClients
from cardwatch.contract.alert import alert_id
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import MAX_CLOCK_SKEW
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import free_port, free_ports
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services.flink import (
    JOB_MANAGER,
    TASK_MANAGER,
    FlinkCluster,
    metrics_ports,
)
from cardwatch.local.services.flink_rest import FlinkHealth, reason_of
from cardwatch.local.services.job_recovery import JobRecovery, retained_checkpoints
from cardwatch.settings import LocalSettings

ROOT = Path(__file__).resolve().parents[2]


def test_the_application_s_own_words_are_the_reason_a_submission_failed() -> None:
    output = """\
2026-11-21T10:00:00.000Z INFO  CliFrontend - Starting
cardwatch: property stream_name of group cardwatch.edge is missing: add it to p.json
org.apache.flink.client.program.ProgramAbortException: Python process exits with code: 1
Caused by: java.lang.RuntimeException: Python process exits with code: 1
"""
    assert reason_of(output).startswith("property stream_name")


def test_without_own_words_the_innermost_cause_is_the_reason() -> None:
    output = """\
py4j.protocol.Py4JJavaError: An error occurred
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed
Caused by: java.lang.IllegalStateException: no such column
Caused by: java.lang.RuntimeException: Python process exits with code: 1
"""
    assert reason_of(output) == "java.lang.IllegalStateException: no such column"


def test_a_missing_installation_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="make setup"):
        FlinkCluster(LocalSettings(var=tmp_path), tmp_path)


def test_nobody_answers_where_no_cluster_runs(tmp_path: Path) -> None:
    cluster = FlinkCluster(LocalSettings(var=tmp_path, flink_port=free_port()), ROOT)
    assert not cluster.rest.is_ready()
    assert cluster.rest.health("0" * 32) is None


@dataclass
class Running:
    """The cluster with the job on it, and the stream that it reads."""

    cluster: FlinkCluster
    supervisor: Supervisor
    stream: Stream
    groups: Mapping[str, Mapping[str, str]]
    job: str


@pytest.fixture(scope="module")
def running(emulator: AwsClients, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One cluster for all tests of this file: each leaves a job behind that runs."""
    stream = Stream(emulator)
    run = RunFolder(tmp_path_factory.mktemp("cluster") / "var")
    run.acquire()
    settings = LocalSettings(
        var=run.var, flink_port=free_port(), risk_desk="off", metrics_port=free_ports(3).start
    )
    cluster = FlinkCluster(settings, ROOT)
    cluster.prepare()
    edge = {
        "stream_name": STREAM,
        "aws_region": "us-east-1",
        "endpoint_url": stream.kinesis.meta.endpoint_url,
    }
    detections = "large_amount,payment_alert,payment_alert_summary"
    groups = {"cardwatch.edge": edge, "cardwatch.detection": {"detections": detections}}
    with Supervisor(run) as supervisor:
        for program in cluster.programs():
            supervisor.start(program)
        job = cluster.begin_submission("local").finish(groups)
        supervisor.wait_ready(TASK_MANAGER, timeout_seconds=PATIENCE)
        stream.put(
            "CARD_STATUS",
            {
                "card_token": CARD,
                "card_last4": "4242",
                "status": "STOLEN",
                "effective_from": format_time(datetime.now(UTC) - timedelta(hours=1)),
                "reason": "reported by holder",
            },
        )
        yield Running(cluster, supervisor, stream, groups, job)
    assert leftovers(run) == []
    run.release()
    stream.close()


def has_checkpoint(health: FlinkHealth | None) -> bool:
    return health is not None and health.checkpoints > 0


def is_followed(health: FlinkHealth | None) -> bool:
    """The job has a checkpoint to come back to, and its event time keeps up."""
    if health is None or health.watermark_lag_seconds is None or not health.checkpoints:
        return False
    assert (health.state, health.restarts) == ("RUNNING", 0)
    return 0 < health.watermark_lag_seconds < 10


def is_restored(health: FlinkHealth | None) -> bool:
    """The job runs again; the count of its restarts comes with the next look at the metrics."""
    return health is not None and (health.state, health.restarts) == ("RUNNING", 1)


@pytest.mark.flink
@pytest.mark.stack
def test_a_refused_submission_names_the_property_that_is_missing(running: Running) -> None:
    with pytest.raises(LocalStackError, match=r"property stream_name .* is missing"):
        running.cluster.begin_submission("local").finish({})


@pytest.mark.flink
@pytest.mark.stack
def test_what_the_job_writes_stands_under_the_partition_key_of_its_type(running: Running) -> None:
    """An alert of a rule under its entity, what has a random key under its own id."""
    stream = running.stream
    large = stream.pay("pay_large", amount="50000.00")
    wait_for(lambda: stream.has_alerts([large]) and CARD in stream.keys)
    assert stream.keys == {asked: {asked} for asked in stream.keys}
    assert len(stream.keys) >= 2


@pytest.mark.flink
@pytest.mark.stack
def test_ticks_go_on_to_reach_the_reader(running: Running) -> None:
    """One that was restored may have no timer, and one whose clock went back a timer far ahead."""

    def ticks_read() -> int:
        vertices = asked(running, f"/jobs/{running.job}")["vertices"]
        reader = next(v for v in vertices if v["name"].startswith("read stream"))
        read: int = reader["metrics"]["read-records"]
        return read

    seen = ticks_read()
    wait_for(lambda: ticks_read() >= seen + 3)


@pytest.mark.flink
@pytest.mark.stack
def test_the_reporter_gives_every_metric_of_flink_that_the_dashboard_asks_for(
    running: Running,
) -> None:
    # Whether a test before this one had the job restored does not matter.
    wait_for(lambda: has_checkpoint(running.cluster.rest.health(running.job)))
    dashboard = (ROOT / "observability/grafana/cardwatch.json").read_text()
    asked = set(re.findall(r"\bflink_\w+", dashboard))
    assert len(asked) > 5
    wait_for(lambda: asked <= scraped(running.cluster.settings))


def scraped(settings: LocalSettings) -> set[str]:
    names: set[str] = set()
    for port in metrics_ports(settings):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
            names |= {sample.name for family in families for sample in family.samples}
    return names


@pytest.mark.flink
@pytest.mark.stack
def test_state_is_in_rocksdb_and_a_checkpoint_writes_only_what_is_new_of_it(
    running: Running,
) -> None:
    """As on Managed Flink, so that what state costs is seen here first."""
    checkpoints = f"/jobs/{running.job}/checkpoints"
    assert asked(running, f"{checkpoints}/config")["state_backend"] == "EmbeddedRocksDBStateBackend"

    def is_incremental() -> bool:
        newest = asked(running, checkpoints)["latest"]["completed"]
        return newest is not None and newest["checkpointed_size"] < newest["state_size"]

    wait_for(is_incremental)


@pytest.mark.flink
@pytest.mark.stack
def test_a_killed_task_manager_costs_no_alert_and_adds_none(running: Running) -> None:
    cluster, stream, supervisor = running.cluster, running.stream, running.supervisor
    before = [stream.pay(f"pay_before_{n}") for n in range(5)]
    wait_for(lambda: stream.has_alerts(before))
    wait_for(lambda: is_followed(cluster.rest.health(running.job)))

    restarts = supervisor.restarts()[TASK_MANAGER]
    meanwhile = [stream.pay(f"pay_meanwhile_{n}") for n in range(5)]
    children = psutil.Process(supervisor.pids()[TASK_MANAGER]).children(recursive=True)
    os.kill(supervisor.pids()[TASK_MANAGER], signal.SIGKILL)
    after = [stream.pay(f"pay_after_{n}") for n in range(5)]
    wait_for(lambda: stream.has_alerts(meanwhile + after))
    wait_for(lambda: is_restored(cluster.rest.health(running.job)))
    assert supervisor.restarts()[TASK_MANAGER] == restarts + 1
    assert not any(child.is_running() for child in children)
    assert stream.ids_of(before + meanwhile + after) == expected(before + meanwhile + after)


@pytest.mark.flink
@pytest.mark.stack
def test_a_killed_job_manager_costs_no_alert_and_the_job_goes_on_from_its_newest_checkpoint(
    running: Running,
) -> None:
    cluster, stream, supervisor = running.cluster, running.stream, running.supervisor
    before = [stream.pay(f"pay_until_{n}") for n in range(5)]
    wait_for(lambda: stream.has_alerts(before))
    wait_for(lambda: has_checkpoint(cluster.rest.health(running.job)))
    recovery = JobRecovery(
        cluster,
        "local",
        running.groups,
        deaths=lambda: supervisor.restarts()[JOB_MANAGER],
        submitted=lambda job: setattr(running, "job", job),
    )
    recovery.start()
    try:
        meanwhile = [stream.pay(f"pay_without_{n}") for n in range(5)]
        killed = running.job
        os.kill(supervisor.pids()[JOB_MANAGER], signal.SIGKILL)
        newest, *_ = retained_checkpoints(cluster.checkpoints)
        wait_for(lambda: recovery.recoveries == 1)
        after = [stream.pay(f"pay_again_{n}") for n in range(5)]
        wait_for(lambda: stream.has_alerts(meanwhile + after))
    finally:
        recovery.stop()
    assert stream.ids_of(before + meanwhile + after) == expected(before + meanwhile + after)
    assert cluster.rest.knows(killed) is False
    restored = asked(running, f"/jobs/{running.job}/checkpoints")["latest"]["restored"]
    assert Path(restored["external_path"].removeprefix("file:")) == newest


@pytest.mark.flink
@pytest.mark.stack
def test_a_job_that_is_stopped_with_a_savepoint_goes_on_where_it_stopped(running: Running) -> None:
    stream = running.stream
    before = [stream.pay(f"pay_saved_{n}") for n in range(5)]
    wait_for(lambda: stream.has_alerts(before))
    waiting = [stream.pay("pay_in_its_window")]
    savepoint = stopped_with_savepoint(running)
    while_stopped = [stream.pay(f"pay_stopped_{n}") for n in range(5)]
    early = stream.pay("pay_early", amount="50000.00", ahead=MAX_CLOCK_SKEW + timedelta(seconds=3))

    time.sleep(3.5)
    running.job = restored(running, savepoint)
    at_its_time = [stream.pay("pay_at_its_time", amount="50000.00")]
    again = [stream.pay(payment) for payment in before]
    after = [stream.pay(f"pay_restored_{n}") for n in range(5)]
    assert again == before
    wait_for(lambda: stream.has_alerts(waiting + while_stopped + after))
    payments = before + waiting + while_stopped + after
    assert stream.ids_of(payments) == expected(payments)
    # The status, the copies and the open window are in the savepoint: nothing is said twice.
    assert {p: stream.counts[p] for p in payments} == dict.fromkeys(payments, 1)
    # By the clock of the job, which read it seconds later, it is not of the future any more.
    wait_for(lambda: stream.finds_large(*at_its_time))
    assert early not in stream.large


def expected(payments: Iterable[str]) -> dict[str, set[str]]:
    """Give the alert ids of a run that nothing disturbs."""
    return {payment: {alert_id(payment, CARD)} for payment in payments}


def stopped_with_savepoint(running: Running) -> str:
    """Stop the job as Managed Flink does for an update; give where its state is."""
    folder = (running.cluster.settings.var.resolve() / "savepoints").as_uri()
    order = {"drain": False, "targetDirectory": folder}
    begun = asked(running, f"/jobs/{running.job}/stop", order)
    address = f"/jobs/{running.job}/savepoints/{begun['request-id']}"
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [asked(running, address)]
        return bool(found[0]["status"]["id"] == "COMPLETED")

    wait_for(is_there)
    return str(found[0]["operation"]["location"])


def restored(running: Running, savepoint: str) -> str:
    """Start the job from a savepoint."""
    configuration = running.cluster.settings.var.resolve() / "flink" / "conf" / "config.yaml"
    plain = configuration.read_text()
    configuration.write_text(f"{plain}execution.state-recovery.path: {savepoint}\n")
    job = running.cluster.begin_submission("local").finish(running.groups)
    configuration.write_text(plain)
    return job


def asked(running: Running, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Ask Flink's REST interface."""
    request = urllib.request.Request(  # noqa: S310  our own http address
        running.cluster.rest.address + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the same
        return json.load(answer)
