"""Runs inputs through the Flink job, one after the other, in one process of the Flink environment.

Starting Flink costs seconds, planning a job others, and a run of it half of one; so the tests share
this process, its cluster and the plans. Each line on standard input asks for one thing, each
answer is a line on standard output:

    {"run": {"watermark_delay_ms": "1000"}, "parallelism": 1}    ->  {"ok": true}
    {"run": {…, "lifetime_ms": "1"}, "parallelism": 1}           ->  {"ok": true}
    {"events": {"arrivals": "unknown"}}                          ->  {"ok": true}
    {"plan": {<setting>: …}}                                     ->  {"ok": true, "plan": …}
    {"options": "connector", "managed": true, "flink": {…}}      ->  {"ok": true, "options": …}
    {"start": "connector", "groups": {"cardwatch.edge": {…}}}    ->  {"ok": true}
    {"drain": "<savepoint folder>"}                              ->  {"ok": true}

A run reads the files in events/ and writes outputs/ in the folder that is the only argument;
`events` writes the rows of the view timed_events there, as JSON; with the arrivals "known" each
line says in a field of its own, `arrived`, when the stream took it, in epoch milliseconds. `start`
runs a job that ends only when it is drained: all that it has read counts, as at the end of a file.
With `lifetime_ms`, what a header gives a lifetime is forgotten after that long.
"""

import contextlib
import functools
import json
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "flink_app"))

from pyflink.java_gateway import get_gateway

import pipeline
from edges import Edge, Job, SqlEdge
from pipeline import EDGES, build, flink_options, queries_of, read_events, register
from properties import MANAGED_FLINK_FILE, Properties, PropertyError
from queries import Query, in_order

FOLDER = Path(sys.argv[1])
SLOTS = 4
"""The highest parallelism that a test asks for."""
RUNNING: dict[str, Any] = {}
"""The one job that was started and not drained, by the name `job`."""


def properties(detection: tuple[tuple[str, str], ...] = (), parallelism: int = 1) -> Properties:
    edge = {
        "events_path": str(FOLDER / "events"),
        "outputs_path": str(FOLDER / "outputs"),
    }
    groups = {
        "cardwatch.edge": edge,
        "cardwatch.detection": dict(detection),
        "cardwatch.flink": {"parallelism.default": str(parallelism)},
    }
    return Properties(groups, "the test")


@functools.cache
def planned(detection: tuple[tuple[str, str], ...], parallelism: int) -> Job:
    asked = dict(detection)
    lifetime = asked.pop("lifetime_ms", None)
    with sooner_forgotten(lifetime) if lifetime else contextlib.nullcontext():
        return build(EDGES["files"](), properties(tuple(asked.items()), parallelism))


@contextlib.contextmanager
def sooner_forgotten(lifetime_ms: str) -> Iterator[None]:
    def shortened(properties: Properties) -> dict[str, Query]:
        return {
            name: replace(query, lifetime=f"{lifetime_ms} ms") if query.lifetime else query
            for name, query in queries_of(properties).items()
        }

    pipeline.queries_of = shortened
    try:
        yield
    finally:
        pipeline.queries_of = queries_of


class ArrivalsEdge(SqlEdge):
    """The files edge, but with the arrival of each record, as the local edge has it."""

    def __init__(self) -> None:
        super().__init__("files")

    def register_events(self, job: Job) -> None:
        job.tables.execute_sql(
            "CREATE TEMPORARY TABLE events ("
            "arrived BIGINT, arrived_at AS TO_TIMESTAMP_LTZ(arrived, 3)) WITH ("
            f"'connector' = 'filesystem', 'path' = '{FOLDER / 'events'}', 'format' = 'json'"
            ") LIKE events_schema (EXCLUDING OPTIONS)"
        )


def write_events(arrivals: str) -> None:
    edge: Edge = ArrivalsEdge() if arrivals == "known" else EDGES["files"]()
    job = read_events(edge, properties())
    register(job, in_order(queries_of(properties()), ["timed_events"]))
    columns = "event_json_data ROW<payment_id STRING, account_id STRING, user_id STRING, "
    columns += "card_token STRING, card_bin STRING, card_last4 STRING, amount STRING, "
    columns += "currency STRING, merchant_id STRING, country STRING, city STRING, status STRING>"
    job.tables.execute_sql(
        "CREATE TEMPORARY TABLE seen (`type` STRING, origin TIMESTAMP_LTZ(3), "
        f"effective_from TIMESTAMP_LTZ(3), rt TIMESTAMP_LTZ(3), {columns}) WITH ("
        f"'connector' = 'filesystem', 'path' = '{FOLDER / 'outputs'}', 'format' = 'json', "
        "'json.timestamp-format.standard' = 'ISO-8601')"
    )
    job.tables.execute_sql(
        "INSERT INTO seen SELECT `type`, origin, effective_from, CAST(rt AS TIMESTAMP_LTZ(3)), "
        "ROW(payment_id, account_id, user_id, card_token, card_bin, card_last4, amount, currency, "
        "merchant_id, country, city, status) FROM timed_events"
    ).wait()


@functools.cache
def cluster() -> Any:  # noqa: ANN401  Java's MiniCluster
    """Start what runs the jobs, one after the other: a start for each takes longer than most."""
    java = get_gateway().jvm.org.apache.flink
    settings = java.configuration.Configuration()
    settings.setString("rest.port", "0")
    settings.setString("taskmanager.memory.network.max", "64 mb")
    settings.setString("taskmanager.memory.network.min", "64 mb")
    settings.setString("taskmanager.memory.managed.size", "128 mb")
    built = java.runtime.minicluster.MiniClusterConfiguration.Builder()
    built.setConfiguration(settings).setNumTaskManagers(1).setNumSlotsPerTaskManager(SLOTS)
    started = java.runtime.minicluster.MiniCluster(built.build())
    started.start()
    return started


@functools.cache
def planned_between(edge: str, groups: str) -> Job:
    return build(EDGES[edge](), Properties(json.loads(groups), "the test"))


def execute_async(job: Job) -> Any:  # noqa: ANN401  Java's JobClient
    environment = job.env._j_stream_execution_environment  # noqa: SLF001
    # Not env.execute_async(): it would forget what was planned.
    return environment.executeAsync(environment.getStreamGraph(False))  # noqa: FBT003  a Java call


def drain(job: Any, folder: str) -> None:  # noqa: ANN401  Java's JobClient
    kind = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType
    job.stopWithSavepoint(True, folder, kind.CANONICAL).get()  # noqa: FBT003  a Java call
    job.getJobExecutionResult().get()


def unbounded(request: dict[str, Any]) -> None:
    if "start" in request:
        if "job" in RUNNING:  # what asked for it failed
            with contextlib.suppress(Exception):  # Java's: perhaps the job ended with it
                RUNNING.pop("job").cancel().get()
        groups = json.dumps(request["groups"], sort_keys=True)
        RUNNING["job"] = execute_async(planned_between(request["start"], groups))
    else:
        drain(RUNNING.pop("job"), request["drain"])


def options(request: dict[str, Any]) -> dict[str, Any]:
    managed = request["managed"]
    source = str(MANAGED_FLINK_FILE) if managed else "the test"
    groups = {"cardwatch.flink": request["flink"]} if request["flink"] else {}
    edge = EDGES[request["options"]]()
    try:
        return {"options": flink_options(edge, Properties(groups, source), managed=managed)}
    except PropertyError as error:
        return {"refused": str(error)}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "options" in request:
        return options(request)
    if "events" in request:
        write_events(**request["events"])
        return {}
    if request.keys() & {"start", "drain"}:
        unbounded(request)
        return {}
    if "plan" in request:
        job = planned(tuple(request["plan"].items()), 1)
        return {"plan": json.loads(job.env.get_execution_plan())}
    job = planned(tuple(request["run"].items()), request["parallelism"])
    environment = job.env._j_stream_execution_environment  # noqa: SLF001
    # Not env.execute(): it would forget what was planned, and start and stop a cluster.
    graph = environment.getStreamGraph(False)  # noqa: FBT003  a Java call
    cluster().executeJobBlocking(graph.getJobGraph())
    return {}


def main() -> None:
    for line in sys.stdin:
        try:
            reply = {"ok": True, **answer(json.loads(line))}
        except Exception:  # noqa: BLE001  the test that asked shows it
            reply = {"ok": False, "error": traceback.format_exc()}
        # Flink prints, too; an answer is told apart by its first character.
        print(f"\x1e{json.dumps(reply)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
