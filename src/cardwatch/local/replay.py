"""Replays envelopes through the Flink job, for the same detections as the live job's.

The job runs in an embedded Flink with one thread per step, so that the order of the file is the
order of arrival. What comes out depends on the file alone: the same file gives the same bytes.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from cardwatch.contract.streams import EventType
from cardwatch.local.line_check import CheckEndedError, UnreadableError, check_lines
from cardwatch.local.processes.stopping import stop_held, stop_if_asked
from cardwatch.local.replay_input import InputError, one_event_per_line
from cardwatch.local.services.java import LOCALE, java_home
from cardwatch.settings import program_environment

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRESS_SECONDS: Final = 2.0
JVM_OPTIONS: Final = " ".join(("-Xmx3g", "-Xmn1000m", "-XX:+UseSerialGC", *LOCALE))
"""What a row leaves behind is garbage at once: a large young generation has it collected seldom,
before anything grows old. What stays is a little of each payment (docs/decisions/0034)."""
WRITTEN: Final[Mapping[str, EventType]] = {
    "alerts": "PAYMENT_ALERT",
    "rule_alerts": "RULE_ALERT",
    "summaries": "PAYMENT_ALERT_SUMMARY",
    "scores": "PAYMENT_ATTRIBUTED",
    "minutes": "MERCHANT_MINUTE",
}
"""Which type of event goes into which file, and is counted under its name."""
WALL_CLOCK: Final = ("detected_at",)
"""What differs from one replay of a file to the next."""
RUN_DEPENDENT: Final = (*WALL_CLOCK, "late")
"""Fields of an alert that say how the job met the payment, not what it found."""


class ReplayError(Exception):
    """The replay cannot be done; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What one replay did."""

    lines: int
    rejected: int
    alerts: int
    rule_alerts: int
    summaries: int
    scores: int
    minutes: int
    seconds: float
    """From start to finished files."""
    detection_seconds: float
    """The Flink process alone, its start of several seconds included."""
    validation_seconds: float
    """Checking the lines, side by side with the detections and giving way to them."""

    @property
    def lines_per_second(self) -> float:
        """Lines over the whole time."""
        return self.lines / self.seconds if self.seconds else 0.0


def replay(
    input_path: Path,
    out_dir: Path,
    *,
    progress: Callable[[str], None],
    root: Path = ROOT,
    application: str = "",
    without: Collection[str] = RUN_DEPENDENT,
) -> ReplayReport:
    """Run the detections over a file or folder of envelopes, plain or gzip, whatever its names.

    All of them, or those of one application. `without` are fields of alerts that are left out.

    One per line or end to end. Writes to `out_dir`, each file whole or not at all: alerts.jsonl,
    rule_alerts.jsonl, summaries.jsonl, scores.jsonl and minutes.jsonl, of merchants (envelopes, one
    per event_id, by window end where there is one, then id, without detected_at and late), and
    rejected.jsonl (what breaks the contract: line from 1, reason, detail; the line is the event's
    number where the input is no file of lines). Raises ReplayError.
    """
    started = time.monotonic()
    if not _python(root).exists():
        msg = f"the Flink environment {_python(root)} is missing: run `make setup`"
        raise ReplayError(msg)
    with ExitStack() as ending:
        with stop_held():
            work = _work_folder(out_dir)
            ending.callback(shutil.rmtree, work, ignore_errors=True)
        try:
            events = one_event_per_line(input_path, work)
        except InputError as error:
            raise ReplayError(str(error)) from None
        with ExitStack() as running:
            with stop_held():
                detection = running.enter_context(_Detection(events, work, root, application))

            def checked(text: str) -> None:
                detection.check()
                progress(text)

            lines, rejected = _validate(events, input_path, work / "rejected.jsonl", checked)
            validation_seconds = time.monotonic() - started
            while detection.running():
                checked(f"detecting: {detection.written() / 1e6:,.0f} MB of detections so far")
                detection.wait(PROGRESS_SECONDS)
            detection_seconds = detection.finish()
        progress("sorting the detections")
        with closing(_sorted_store(work, without)) as store:
            counts = {
                name: _write(store, event_type, work / f"{name}.jsonl")
                for name, event_type in WRITTEN.items()
            }
        for name in (*WRITTEN, "rejected"):
            (work / f"{name}.jsonl").replace(out_dir / f"{name}.jsonl")
    seconds = time.monotonic() - started
    return ReplayReport(
        lines=lines,
        rejected=rejected,
        **counts,
        seconds=seconds,
        detection_seconds=detection_seconds,
        validation_seconds=validation_seconds,
    )


def _work_folder(out_dir: Path) -> Path:
    """Make a folder beside the results, so that moving a finished file there is one step."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="replay-", dir=out_dir)).resolve()
    except OSError as error:
        msg = f"cannot write to {out_dir}: {error.strerror}; give another folder with --out"
        raise ReplayError(msg) from None


def _python(root: Path) -> Path:
    return root / ".venvs" / "flink" / "bin" / "python"


def _validate(
    events: Path, input_path: Path, out: Path, progress: Callable[[str], None]
) -> tuple[int, int]:
    """Write what the contract rejects, as the stager would; give the lines read and rejected."""
    number = rejected = 0
    next_report = time.monotonic() + PROGRESS_SECONDS
    try:
        with closing(check_lines(events)) as blocks, out.open("w", encoding="utf-8") as file:
            for block in blocks:
                number += block.lines
                rejected += len(block.rejections)
                for rejection in block.rejections:
                    file.write(json.dumps(asdict(rejection), ensure_ascii=False) + "\n")
                if time.monotonic() >= next_report:
                    next_report += PROGRESS_SECONDS
                    progress(f"detecting; checked {number:,} lines, {rejected:,} rejected")
    except UnreadableError as error:
        msg = f"cannot read {input_path} after line {number}: {error}; mend or replace the file"
        raise ReplayError(msg) from None
    except OSError as error:
        msg = f"cannot write {out.name}: {error.strerror}; make room or give another --out"
        raise ReplayError(msg) from None
    except CheckEndedError:
        msg = f"a process that checks {input_path} was ended after line {number}; is memory short?"
        raise ReplayError(msg) from None
    return number, rejected


class _Detection:
    """The Flink process, from start to end; leaving the context ends it whatever happens."""

    def __init__(self, events: Path, work: Path, root: Path, application: str) -> None:
        self.outputs = work / "outputs"
        self.log = work / "flink.log"
        properties = work / "properties.json"
        groups = {
            "cardwatch.edge": {"events_path": str(events), "outputs_path": str(self.outputs)},
            "cardwatch.detection": {"application": application},
            "cardwatch.flink": {"parallelism.default": "1"},
        }
        listed = [{"PropertyGroupId": k, "PropertyMap": v} for k, v in groups.items()]
        properties.write_text(json.dumps(listed), encoding="utf-8")
        self._started = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    _python(root),
                    root / "flink_app" / "main.py",
                    *("--edge", "files"),
                    *("--properties", properties),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=program_environment(
                    {
                        "JAVA_HOME": str(java_home()),
                        "JVM_ARGS": JVM_OPTIONS,
                        "FLINK_LOG_DIR": str(work),
                        # This edge has no Python function: what Flink would load at once to run
                        # some in this process takes seconds.
                        "_python_worker_execution_mode": "process",
                    }
                ),
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The whole group: the Python program has a Java process of its own.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def written(self) -> int:
        return sum(path.stat().st_size for path in self.outputs.glob("**/*") if path.is_file())

    def finish(self) -> float:
        """Give the seconds it ran, once it has ended; raises ReplayError when it failed."""
        self.check()
        return time.monotonic() - self._started

    def check(self) -> None:
        """Raise ReplayError when the job has failed, and StopRequested where somebody asked to."""
        stop_if_asked()
        if self._process.poll():
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            kept = self.log.parent.parent / "replay-flink.log"
            self.log.replace(kept)
            last = said[-1] if said else f"exit status {self._process.returncode}"
            msg = f"the Flink job failed: {last}; its output is in {kept}"
            raise ReplayError(msg)


def _sorted_store(work: Path, without: Collection[str]) -> sqlite3.Connection:
    """Put the detections into a database on disk, one per event_id, so that memory stays small."""
    store = sqlite3.connect(work / "detections.sqlite")
    store.execute("PRAGMA journal_mode = OFF")
    store.execute("PRAGMA synchronous = OFF")
    store.execute(
        "CREATE TABLE detections (event_id TEXT PRIMARY KEY, type TEXT, window_end TEXT,"
        " record TEXT) WITHOUT ROWID"
    )
    with store:
        store.executemany(
            "INSERT OR IGNORE INTO detections VALUES (?, ?, ?, ?)",
            _detections(work / "outputs", without),
        )
    return store


def _detections(
    outputs: Path, without: Collection[str]
) -> Iterator[tuple[str, str, str | None, str]]:
    for path in sorted(outputs.glob("**/part-*")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                data = record["event_json_data"]
                for field in without:
                    data.pop(field, None)
                text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
                yield record["event_id"], record["type"], data.get("window_end"), text


def _write(store: sqlite3.Connection, event_type: EventType, out: Path) -> int:
    rows = store.execute(
        "SELECT record FROM detections WHERE type = ? ORDER BY window_end, event_id", (event_type,)
    )
    count = 0
    with out.open("w", encoding="utf-8", newline="\n") as file:
        for (record,) in rows:
            file.write(record + "\n")
            count += 1
    return count
