"""Runs one job over recorded events in an embedded Flink and prints what it cost, as a JSON line.

    .venvs/flink/bin/python tools/bench_flink.py decode|detect EVENTS [--state rocksdb] [--drain]

decode: read and decode every record, throw it away. detect: the two detections of stolen cards,
their outputs thrown away. Both read with the files edge: EVENTS is a file, or a folder whose files
are read side by side as far as the parallelism allows. Seconds are those of the Java process from
the submission of the planned job to the end of its source; nothing of either job runs outside it.
`work_s` is CPU without the just-in-time compiler's, `cpu_s` all of it. What comes after the source
has ended, the drain, is waited for and given when asked.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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

    def write_outputs(self, job: Job, outputs: Mapping[str, Table]) -> None:
        """Insert into a blackhole."""
        job.tables.execute_sql(
            "CREATE TEMPORARY TABLE outputs (record STRING, partition_key STRING) "
            "WITH ('connector' = 'blackhole')"
        )
        for table in outputs.values():
            job.statements.add_insert("outputs", table)


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


@dataclass(frozen=True)
class Cost:
    """What the Java process has used so far, in seconds."""

    cpu: float
    compiler: float
    """Of it the just-in-time compiler's."""
    wall: float


class Meter(threading.Thread):
    """Reads this program's Java process (Linux): its CPU, and when its source has read all files.

    What the job does after its source has ended is the drain: the windows that close at the end
    of input.
    """

    def __init__(self, events: Path) -> None:
        """Watch over a job that reads this file, or the files of this folder."""
        super().__init__(daemon=True)
        files = events.iterdir() if events.is_dir() else [events]
        self._unread = {str(file.resolve()) for file in files}
        self._java = next(
            stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if self._is_ours(stat)
        )
        self._stopped = threading.Event()
        self.source_ended = threading.Event()
        self._source_end: Cost | None = None

    @staticmethod
    def _is_ours(stat: Path) -> bool:
        with suppress(OSError):  # it ended meanwhile
            name, _, rest = stat.read_text().rpartition(")")
            return name.endswith("(java") and int(rest.split()[1]) == os.getpid()
        return False

    def kill(self) -> None:
        """End the Java process."""
        os.kill(int(self._java.name), signal.SIGKILL)

    def cost(self) -> Cost:
        """Read what has been used so far."""
        compiler = 0.0
        for thread in (self._java / "task").iterdir():
            with suppress(OSError):  # it ended meanwhile
                if (thread / "comm").read_text().startswith(("C1 Comp", "C2 Comp")):
                    compiler += _cpu_seconds(thread)
        return Cost(_cpu_seconds(self._java), compiler, time.monotonic())

    def run(self) -> None:
        """Watch for each file to be opened and closed."""
        opened: set[str] = set()
        while self._unread and not self._stopped.wait(POLL_SECONDS):
            now_open = self._unread & {self._points_to(link) for link in self._links()}
            self._unread -= opened - now_open
            opened |= now_open
        if not self._unread:
            self._source_end = self.cost()
            self.source_ended.set()

    def source_end(self) -> Cost:
        """Give the cost at the source's end, of a job that has come so far.

        Exits where the source was not seen: the whole job would pass for it, with no drain.
        """
        self.join(SEEN_WITHIN_SECONDS)
        self._stopped.set()
        if self._source_end is None:
            sys.exit(f"bench: never seen to be read to the end: {', '.join(self._unread)}")
        return self._source_end

    def _links(self) -> list[Path]:
        return list((self._java / "fd").iterdir())

    @staticmethod
    def _points_to(link: Path) -> str:
        with suppress(OSError):  # it was closed meanwhile
            return str(link.readlink())
        return ""


def _cpu_seconds(of: Path) -> float:
    fields = (of / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the job that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=["decode", "detect"])
    parser.add_argument("events", type=Path)
    parser.add_argument("--state", choices=["hashmap", "rocksdb"], default="hashmap")
    parser.add_argument("--parallelism", default="1")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--detections", default="payment_alert,payment_alert_summary")
    which.add_argument("--application", help="all detections of one, but those on demand")
    parser.add_argument("--drain", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cardwatch-state-") as folder:
        options = {
            "parallelism.default": asked.parallelism,
            "state.backend.type": asked.state,
            "pipeline.object-reuse": "true",
        }
        if asked.state == "rocksdb":
            options |= {
                "execution.checkpointing.interval": "5 s",
                "execution.checkpointing.incremental": "true",
                "execution.checkpointing.storage": "filesystem",
                "execution.checkpointing.dir": Path(folder).as_uri(),
            }
        properties = Properties(
            {
                "cardwatch.edge": {"events_path": str(asked.events)},
                "cardwatch.detection": (
                    {"application": asked.application}
                    if asked.application
                    else {"detections": asked.detections}
                ),
                "cardwatch.flink": options,
            },
            "tools/bench_flink.py",
        )
        edge = BlackholeEdge("files")
        of = {"detect": build, "decode": decode_job}
        job = of[asked.job](edge, properties)
        meter = Meter(asked.events)
        begin = meter.cost()
        meter.start()
        running = threading.Thread(target=job.env.execute, args=(asked.job,), daemon=True)
        running.start()
        while running.is_alive() and (asked.drain or not meter.source_ended.is_set()):
            running.join(POLL_SECONDS)
        end = meter.cost()
        source = meter.source_end()
        cost = {
            "work_s": (source.cpu - source.compiler) - (begin.cpu - begin.compiler),
            "cpu_s": source.cpu - begin.cpu,
            "wall_s": source.wall - begin.wall,
        }
        if asked.drain:
            cost["drain_work_s"] = max(
                0.0, (end.cpu - end.compiler) - (source.cpu - source.compiler)
            )
        # A job whose drain nobody waits for is still at it.
        meter.kill()
    print(json.dumps(cost), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
