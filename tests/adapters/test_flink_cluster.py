"""The local Flink cluster runs the real job and gets over the loss of its TaskManager."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.contract.alert import alert_id
from cardwatch.contract.fields import format_time
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services.flink import (
    JOB_MANAGER,
    TASK_MANAGER,
    FlinkCluster,
    FlinkHealth,
    reason_of,
)
from cardwatch.settings import LocalSettings

ROOT = Path(__file__).resolve().parents[2]
STREAM = "events"
CARD = "4f0c" * 8
PATIENCE = 90.0


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
    assert not cluster.is_ready()
    assert cluster.health("0" * 32) is None


@dataclass
class Stream:
    """The stream with a heartbeat a second, and what the job wrote to it."""

    emulator: AwsClients
    alerts: dict[str, set[str]] = field(default_factory=dict)
    """Alert ids by payment."""

    def __post_init__(self) -> None:
        self.kinesis = self.emulator.kinesis()
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        self.shards = self.kinesis.list_shards(StreamName=STREAM)["Shards"]
        self.iterators = {
            shard["ShardId"]: self.kinesis.get_shard_iterator(
                StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            for shard in self.shards
        }
        self.quiet = threading.Event()
        self.heart = threading.Thread(target=self._beat)
        self.heart.start()

    def put(self, type_: str, data: dict[str, Any], hash_key: str | None = None) -> None:
        envelope = {
            "type": type_,
            "event_id": os.urandom(8).hex(),
            "schema_version": 1,
            "event_date_origin": format_time(datetime.now(UTC)),
            "event_json_data": data,
        }
        record: dict[str, Any] = {"Data": json.dumps(envelope).encode(), "PartitionKey": CARD}
        if hash_key is not None:
            record["ExplicitHashKey"] = hash_key
        self.kinesis.put_record(StreamName=STREAM, **record)

    def pay(self, payment: str) -> str:
        self.put(
            "PAYMENT_EVENT",
            {
                "payment_id": payment,
                "account_id": "acc_1",
                "user_id": "usr_1",
                "card_token": CARD,
                "card_bin": "424242",
                "card_last4": "4242",
                "amount": "12.50",
                "currency": "EUR",
                "merchant_id": "mer_1",
                "country": "MT",
                "city": "Valletta",
                "status": "AUTHORIZED",
            },
        )
        return payment

    def read(self) -> None:
        for shard, iterator in list(self.iterators.items()):
            answer = self.kinesis.get_records(ShardIterator=iterator)
            self.iterators[shard] = answer["NextShardIterator"]
            for record in answer["Records"]:
                envelope = json.loads(record["Data"])
                if envelope["type"] == "PAYMENT_ALERT":
                    data = envelope["event_json_data"]
                    self.alerts.setdefault(data["payment_id"], set()).add(data["alert_id"])

    def has_alerts(self, payments: list[str]) -> bool:
        self.read()
        return set(payments) <= set(self.alerts)

    def _beat(self) -> None:
        while not self.quiet.wait(1.0):
            for shard in self.shards:
                hash_key = shard["HashKeyRange"]["StartingHashKey"]
                self.put("HEARTBEAT", {"source": "test"}, hash_key)

    def close(self) -> None:
        self.quiet.set()
        self.heart.join()


def wait_for(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.fixture
def stream(emulator: AwsClients) -> Iterator[Stream]:
    stream = Stream(emulator)
    yield stream
    stream.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    run = RunFolder(tmp_path / "var")
    run.acquire()
    yield run
    run.release()


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
def test_a_killed_task_manager_costs_no_alert_and_adds_none(stream: Stream, run: RunFolder) -> None:
    settings = LocalSettings(var=run.var, flink_port=free_port())
    cluster = FlinkCluster(settings, ROOT)
    cluster.prepare()
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
    edge = {
        "stream_name": STREAM,
        "aws_region": "us-east-1",
        "endpoint_url": stream.kinesis.meta.endpoint_url,
    }
    groups = {"cardwatch.edge": edge}

    with Supervisor(run) as supervisor:
        for program in cluster.programs():
            supervisor.start(program)
        with pytest.raises(LocalStackError, match=r"property stream_name .* is missing"):
            cluster.begin_submission("local").finish({})
        job = cluster.begin_submission("local").finish(groups)
        supervisor.wait_ready(TASK_MANAGER, timeout_seconds=PATIENCE)

        before = [stream.pay(f"pay_before_{n}") for n in range(5)]
        wait_for(lambda: stream.has_alerts(before))
        wait_for(lambda: is_followed(cluster.health(job)))

        meanwhile = [stream.pay(f"pay_meanwhile_{n}") for n in range(5)]
        children = psutil.Process(supervisor.pids()[TASK_MANAGER]).children(recursive=True)
        os.kill(supervisor.pids()[TASK_MANAGER], signal.SIGKILL)
        after = [stream.pay(f"pay_after_{n}") for n in range(5)]
        wait_for(lambda: stream.has_alerts(meanwhile + after))
        wait_for(lambda: is_restored(cluster.health(job)))
        assert supervisor.restarts() == {JOB_MANAGER: 0, TASK_MANAGER: 1}
        assert not any(child.is_running() for child in children)
    assert leftovers(run) == []
    assert stream.alerts == {
        payment: {alert_id(payment, CARD)} for payment in before + meanwhile + after
    }
