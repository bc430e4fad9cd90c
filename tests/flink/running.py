"""A running Flink for the tests: lines of events in, detections out."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from cardwatch.contract.streams import Envelope
from cardwatch.local.services.java import java_home
from cardwatch.settings import program_environment

ROOT = Path(__file__).resolve().parents[2]
FLINK_PYTHON = ROOT / ".venvs" / "flink" / "bin" / "python"


class Flink:
    """A running Flink that detects in files of envelopes."""

    def __init__(self, folder: Path, *jvm_options: str) -> None:
        self.folder = folder
        # Short jobs: time spent in the optimizing compiler does not come back.
        environment = {
            "JAVA_HOME": str(java_home()),
            "JVM_ARGS": " ".join(
                ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g", *jvm_options]
            ),
            "FLINK_LOG_DIR": str(folder),
        }
        with (folder / "flink.log").open("wb") as log:
            self._process = subprocess.Popen(
                [FLINK_PYTHON, Path(__file__).with_name("flink_server.py"), folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=program_environment(environment),
            )

    def detect(
        self,
        *shards: Iterable[str | bytes],
        parallelism: int = 1,
        detections: str = "payment_alert,payment_alert_summary",
        **detection: int,
    ) -> list[dict[str, Any]]:
        """Give what the job says of the lines, valid by the contract, in a replay's order.

        Shards are read side by side as far as the parallelism allows, else one after the other.
        `detected_at`, the wall clock, is left out.
        """
        settings = {key: str(value) for key, value in detection.items()}
        settings["detections"] = detections
        records = []
        for line in self._run({"run": settings, "parallelism": parallelism}, *shards):
            Envelope.model_validate_json(line)
            record = json.loads(line)
            record["event_json_data"].pop("detected_at", None)
            records.append(record)
        return sorted(records, key=in_a_replays_order)

    def events(
        self, lines: Iterable[str | bytes], *, arrivals: Literal["known", "unknown"] = "unknown"
    ) -> list[dict[str, Any]]:
        """Give the rows of the job's view timed_events, in the order of the lines.

        Where the arrivals are known each line has its own in `arrived`, in epoch milliseconds.
        """
        request = {"events": {"arrivals": arrivals}}
        return [json.loads(line) for line in self._run(request, lines)]

    def plan(self, **detection: str) -> list[dict[str, Any]]:
        """Give the operators of the whole job."""
        nodes: list[dict[str, Any]] = self._ask({"plan": detection})["plan"]["nodes"]
        return nodes

    def options(
        self, edge: str, *, managed: bool, flink: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Give `options`, the Flink options that the program sets, or `refused`, why not."""
        return self._ask({"options": edge, "managed": managed, "flink": dict(flink or {})})

    def start(self, edge: str, groups: Mapping[str, Mapping[str, str]]) -> None:
        """Start a job between an edge's ends, which goes on until it is drained."""
        self._ask({"start": edge, "groups": {name: dict(group) for name, group in groups.items()}})

    def drain(self) -> None:
        """End the started job as if its input had ended, and wait until it has written all."""
        self._ask({"drain": (self.folder / "savepoints").as_uri()})

    def _run(self, request: dict[str, Any], *shards: Iterable[str | bytes]) -> list[str]:
        for folder in ("events", "outputs"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
        (self.folder / "events").mkdir()
        for number, lines in enumerate(shards):
            raw = (line.encode() if isinstance(line, str) else line for line in lines)
            shard = self.folder / "events" / f"shard-{number}.jsonl"
            shard.write_bytes(b"".join(line + b"\n" for line in raw))
        self._ask(request)
        parts = (self.folder / "outputs").glob("**/part-*")
        # Bytes know one end of a line; a text has others, which JSON leaves as they are.
        return [line.decode() for path in parts for line in path.read_bytes().splitlines()]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("\x1e"):
                reply: dict[str, Any] = json.loads(line[1:])
                assert reply["ok"], reply["error"]
                return reply
        pytest.fail(f"Flink ended: {(self.folder / 'flink.log').read_text()[-3000:]}")

    def stop(self) -> None:
        self._process.communicate(timeout=60)


def in_a_replays_order(record: dict[str, Any]) -> tuple[str, str, str]:
    """Give what a replay sorts by: alerts first, then the window's end, then the id."""
    return record["type"], record["event_json_data"].get("window_end") or "", record["event_id"]


def turning_points(summaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give of summaries in order those that start or end a row of fires that say the same.

    A row is what comes every 10 s without a gap; a payment makes 360 fires of it.
    """

    def says(record: dict[str, Any]) -> dict[str, Any]:
        data = record["event_json_data"]
        return {key: data[key] for key in data if key not in {"window_start", "window_end"}}

    def follows(one: dict[str, Any], other: dict[str, Any]) -> bool:
        ends = [datetime.fromisoformat(r["event_json_data"]["window_end"]) for r in (one, other)]
        return ends[1] - ends[0] == timedelta(seconds=10) and says(one) == says(other)

    last = len(summaries) - 1
    return [
        record
        for i, record in enumerate(summaries)
        if i in {0, last}
        or not follows(summaries[i - 1], record)
        or not follows(record, summaries[i + 1])
    ]
