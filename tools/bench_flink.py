"""Runs one job over one file in an embedded Flink and prints what it cost, as a JSON line.

    .venvs/flink/bin/python tools/bench_flink.py decode|detect EVENTS.jsonl.gz

decode: read and decode every record, throw it away. detect: the two detections of stolen cards,
their outputs thrown away. Both read with the files edge, parallelism 1. CPU and wall seconds are
those of the Java process from the submission of the planned job to the end of its source; nothing
of either job runs outside it. What comes after, the drain, is given apart.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "flink_app"))

from pyflink.table import Table  # noqa: E402

from edges import Job, SqlEdge  # noqa: E402  the path comes first
from pipeline import build, queries_of, read_events, register  # noqa: E402
from properties import Properties  # noqa: E402
from queries import in_order  # noqa: E402

POLL_SECONDS = 0.05
SEEN_WITHIN_SECONDS = 1.0
"""How long after the job the file may still be seen to close."""
DECODED = "`type` STRING, rt TIMESTAMP_LTZ(3), token STRING, amount STRING, city STRING"


class BlackholeEdge(SqlEdge):
    """Reads as the files edge does and throws the outputs away."""

    def write_outputs(self, job: Job, outputs: Table) -> None:
        """Insert into a blackhole."""
        job.tables.execute_sql(
            "CREATE TEMPORARY TABLE outputs (record STRING, partition_key STRING) "
            "WITH ('connector' = 'blackhole')"
        )
        job.statements.add_insert("outputs", outputs)


def decode_job(edge: SqlEdge, properties: Properties) -> Job:
    """Build the job that only decodes: every column and event time are read, none is kept."""
    job = read_events(edge, properties)
    register(job, in_order(queries_of(properties), ["timed_events"]))
    job.tables.execute_sql(
        f"CREATE TEMPORARY TABLE decoded ({DECODED}) WITH ('connector' = 'blackhole')"
    )
    job.statements.add_insert_sql(
        "INSERT INTO decoded SELECT `type`, rt, card_token, amount, city FROM timed_events"
    )
    job.statements.attach_as_datastream()
    return job


class Meter(threading.Thread):
    """Reads this program's Java process (Linux): its CPU, and when its source has read the file.

    What the job does after its source has ended is the drain: the windows that close at the end
    of input.
    """

    def __init__(self, file: str) -> None:
        """Watch over a job that reads this file."""
        super().__init__(daemon=True)
        self._file = str(Path(file).resolve())
        self._java = next(
            stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if self._is_ours(stat)
        )
        self._seen = False
        self.at_source_end: tuple[float, float] | None = None
        """CPU seconds and monotonic time."""

    @staticmethod
    def _is_ours(stat: Path) -> bool:
        with suppress(OSError):  # it ended meanwhile
            name, _, rest = stat.read_text().rpartition(")")
            return name.endswith("(java") and int(rest.split()[1]) == os.getpid()
        return False

    def cpu_seconds(self) -> float:
        """Give the CPU seconds of the Java process so far."""
        fields = (self._java / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self) -> None:
        """Watch for the file, first to be opened and then to be closed: its end has been read."""
        while self.at_source_end is None:
            is_open = any(self._points_to(link) == self._file for link in self._links())
            if self._seen and not is_open:
                self.at_source_end = (self.cpu_seconds(), time.monotonic())
            self._seen = self._seen or is_open
            time.sleep(POLL_SECONDS)

    def source_end(self, cpu_end: float, wall_end: float) -> tuple[float, float]:
        """Give CPU seconds and time at the source's end, of a job that ended at those given.

        Exits where the source was not seen: the whole job would pass for it, with no drain.
        """
        self.join(SEEN_WITHIN_SECONDS)
        if self.at_source_end is None:
            seen = "never seen to close" if self._seen else "never seen open"
            sys.exit(f"bench: {self._file} was {seen}, so its source cannot be told from its drain")
        # The end of a job without a drain is the end of its source, whenever that was noticed.
        cpu, wall = self.at_source_end
        return min(cpu, cpu_end), min(wall, wall_end)

    def _links(self) -> list[Path]:
        return list((self._java / "fd").iterdir())

    @staticmethod
    def _points_to(link: Path) -> str:
        with suppress(OSError):  # it was closed meanwhile
            return str(link.readlink())
        return ""


def main() -> None:
    """Run the job that the arguments name."""
    which, path = sys.argv[1:]
    properties = Properties(
        {
            "cardwatch.edge": {"events_path": path},
            "cardwatch.detection": {"detections": "payment_alert,payment_alert_summary"},
            "cardwatch.flink": {"parallelism.default": "1"},
        },
        "tools/bench_flink.py",
    )
    edge = BlackholeEdge("files")
    job = build(edge, properties) if which == "detect" else decode_job(edge, properties)
    meter = Meter(path)
    cpu, wall = meter.cpu_seconds(), time.monotonic()
    meter.start()
    job.env.execute(which)
    cpu_end, wall_end = meter.cpu_seconds(), time.monotonic()
    cpu_source, wall_source = meter.source_end(cpu_end, wall_end)
    cost = {
        "cpu_s": cpu_source - cpu,
        "wall_s": wall_source - wall,
        "drain_cpu_s": cpu_end - cpu_source,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
