"""Runs one job over one file in an embedded Flink and prints what it cost, as a JSON line.

    .venvs/flink/bin/python tools/bench_flink.py decode|detect EVENTS.jsonl.gz

decode: read and decode every record, throw it away. detect: the whole application, its outputs
thrown away. Both read with the files edge, parallelism 1. The CPU seconds are the Java process's,
from the submission of the planned job to its end; nothing of either job runs outside it.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "flink_app"))

from pyflink.common import Configuration  # noqa: E402
from pyflink.datastream import StreamExecutionEnvironment  # noqa: E402
from pyflink.table import StreamTableEnvironment, Table  # noqa: E402

from edges import Job, SqlEdge  # noqa: E402  the path comes first
from pipeline import build, flink_options  # noqa: E402
from properties import Properties  # noqa: E402
from sql_files import SQL, sql_text  # noqa: E402

DECODED = "`type` STRING, rt TIMESTAMP_LTZ(3), token STRING, amount STRING, city STRING"


class BlackholeEdge(SqlEdge):
    """Reads as the files edge does and throws the outputs away."""

    def write_outputs(self, job: Job, outputs: Table) -> None:
        """Insert into a blackhole."""
        job.tables.execute_sql(
            "CREATE TEMPORARY TABLE outputs (record STRING) WITH ('connector' = 'blackhole')"
        )
        job.statements.add_insert("outputs", outputs)


def decode_job(edge: SqlEdge, properties: Properties) -> Job:
    """Build the job that only decodes: every kind of column is parsed, none is kept."""
    configuration = Configuration()
    for key, value in flink_options(edge, properties, managed=False).items():
        configuration.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    tables = StreamTableEnvironment.create(env)
    job = Job(env, tables, tables.create_statement_set(), properties)
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql", {"watermark_delay": "1.000"}))
    edge.register_events(job)
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE decoded ({DECODED}) WITH ('connector' = 'blackhole')"
    )
    job.statements.add_insert_sql(
        "INSERT INTO decoded SELECT `type`, rt, event_json_data.card_token, "
        "event_json_data.amount, event_json_data.city FROM events"
    )
    job.statements.attach_as_datastream()
    return job


def cpu_seconds() -> float:
    """Give the CPU seconds of this program's Java process so far (Linux)."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            name, _, rest = stat.read_text().rpartition(")")
            fields = rest.split()
            if name.endswith("(java") and int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main() -> None:
    """Run the job that the arguments name."""
    which, path = sys.argv[1:]
    properties = Properties(
        {
            "cardwatch.edge": {"events_path": path},
            "cardwatch.flink": {"parallelism.default": "1"},
        },
        "tools/bench_flink.py",
    )
    edge = BlackholeEdge("files")
    job = build(edge, properties) if which == "detect" else decode_job(edge, properties)
    cpu, wall = cpu_seconds(), time.monotonic()
    job.env.execute(which)
    print(json.dumps({"cpu_s": cpu_seconds() - cpu, "wall_s": time.monotonic() - wall}))


if __name__ == "__main__":
    main()
