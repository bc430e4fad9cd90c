"""Measures cardwatch on this machine and writes docs/benchmarks.md (`make bench`).

Nothing else should run meanwhile: all of it takes about 50 minutes, and a busy machine shows in
every figure. What is measured is kept when it is stopped. Ratios are between runs that took turns;
each figure is a median, with the range beside it.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.cards.card_file import write_card_file
from cardwatch.cards.generator import generate_cards
from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
from cardwatch.clock import SystemClock
from cardwatch.local.processes.ports import free_port
from cardwatch.local.replay import JVM_OPTIONS
from cardwatch.local.services import ministack
from cardwatch.local.services.java import java_home
from cardwatch.ports import StreamEntry
from cardwatch.settings import LocalSettings, program_environment
from cardwatch.simulation.events import EventGenerator
from cardwatch.simulation.recording import write_events

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "benchmarks.md"
KEY = bytes(range(32))
FEW, MANY = 500_000, 1_500_000
"""Payments of the two files: what both cost alike, the start of cold code, cancels out."""
ROUNDS = 3
PUT_EVENTS = 60_000
"""Short enough that the emulator, which slows down as a stream grows, stays the same."""


@dataclass(frozen=True)
class Figure:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def show(self, digits: int = 1) -> str:
        """Give the median with the range."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def say(text: str) -> None:
    """Show progress."""
    print(f"bench  {time.strftime('%H:%M:%S')}  {text}", flush=True)


def card_file(folder: Path, count: int, stolen_percent: float) -> Path:
    """Write a card file for a measurement."""
    path = folder / f"cards-{count}-{stolen_percent:g}.txt"
    write_card_file(path, generate_cards(count, stolen_percent, seed=7))
    return path


# ---------- the detection's cost ----------


ROCKSDB = ("--state", "rocksdb")
DECODE, DETECT, PARALLEL = "decode only", "both detections", "both, parallelism 2"
JOBS: dict[str, tuple[str, ...]] = {
    DECODE: ("decode",),
    DETECT: ("detect", "--drain"),
    "both, state in RocksDB": ("detect", *ROCKSDB),
    PARALLEL: ("detect", "--parallelism", "2"),
}
"""What tools/bench_flink.py is asked to run."""
SCORES, DESK = "scores and their alerts", "the whole risk desk"
_DESK = ("detect", "--application", "risk_desk")
DESK_JOBS: dict[str, tuple[str, ...]] = {
    DECODE: ("decode",),
    SCORES: ("detect", "--detections", "payment_attributed,high_score"),
    DESK: _DESK,
    "the whole risk desk, state in RocksDB": (*_DESK, *ROCKSDB),
}
DESK_FEW, DESK_MANY = 60_000, 240_000
"""Payments of the two files for the risk desk, which keeps a little of each: no more fit a heap of
3 GB without being collected all the time."""


def flink_cost(asked: Sequence[str], events: Path, folder: Path) -> dict[str, float]:
    """Give what one job cost over these events (tools/bench_flink.py)."""
    job, *options = asked
    done = subprocess.run(
        [ROOT / ".venvs/flink/bin/python", ROOT / "tools/bench_flink.py", job, events, *options],
        env=program_environment(
            {
                "JAVA_HOME": str(java_home()),
                # A compiler thread that ends takes its CPU seconds with it.
                "JVM_ARGS": f"{JVM_OPTIONS} -XX:-UseDynamicNumberOfCompilerThreads",
                "FLINK_LOG_DIR": str(folder),
            }
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"bench: the job {' '.join(asked)} failed: {done.stderr.strip().splitlines()[-1:]}"
        )
    cost: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return cost


def split_by_card(events: Path, folder: Path) -> Path:
    """Write the events into a folder of two files, as they stand on two shards."""
    folder.mkdir()
    with (
        events.open("rb") as lines,
        (folder / "0.jsonl").open("wb") as first,
        (folder / "1.jsonl").open("wb") as second,
    ):
        for line in lines:
            token = json.loads(line)["event_json_data"].get("card_token")
            # What speaks of no card, a heartbeat, stands on both.
            if token is None or int(token, 16) % 2 == 0:
                first.write(line)
            if token is None or int(token, 16) % 2 == 1:
                second.write(line)
    return folder


def recordings(
    folder: Path, counts: Sequence[int], cards: int, payments_per_second: float
) -> tuple[dict[int, Path], dict[int, int]]:
    """Write a file for each count of payments; give the files and their lines, by the count."""
    paying = read_tokenized_cards(
        card_file(folder, cards, 10), Tokenizer(KEY), now=datetime.now(UTC)
    )
    files = {count: folder / f"events-{cards}-{count}.jsonl" for count in counts}
    lines = {
        count: write_events(
            path, paying, count=count, payments_per_second=payments_per_second
        ).lines
        for count, path in files.items()
    }
    return files, lines


def detection(folder: Path) -> list[str]:
    """Compare the application with decoding alone, by the difference of a long and a short file.

    Both files cost the same start, so the difference is the cost of events alone. What the job
    does after its source has ended, the summaries of the hour after the last payment, is apart.
    """
    files, lines = recordings(folder, (FEW, MANY), 10_000, 5_000)
    shards = {
        count: split_by_card(path, folder / f"shards-{count}") for count, path in files.items()
    }
    million = (lines[MANY] - lines[FEW]) / 1e6
    work: dict[str, list[float]] = {name: [] for name in JOBS}
    rate: dict[str, list[float]] = {name: [] for name in JOBS}
    drain = []
    for number in range(ROUNDS):
        for name, asked in JOBS.items():
            say(
                f"round {number + 1} of {ROUNDS}: {name}, {lines[FEW]:,} and {lines[MANY]:,} events"
            )
            events = shards if name == PARALLEL else files
            few, many = (flink_cost(asked, events[count], folder) for count in (FEW, MANY))
            work[name].append((many["work_s"] - few["work_s"]) / million)
            rate[name].append(1000 * million / (many["wall_s"] - few["wall_s"]))
            if "drain_work_s" in many:
                drain.append(many["drain_work_s"])
    ratio = Figure(tuple(b / a for a, b in zip(work[DECODE], work[DETECT], strict=True)))
    scale = Figure(tuple(b / a for a, b in zip(rate[DETECT], rate[PARALLEL], strict=True)))
    return [
        "## The detection's cost",
        "",
        "Both detections beside a job that only decodes, on the same events in turns: 5,000",
        "payments/s of event time, 10,000 cards of which 10 % are stolen, outputs thrown away;",
        "parallelism 1 and state on the heap unless said, RocksDB with incremental checkpoints",
        "every 5 s, parallelism 2 over two files as of two shards. Each figure is the difference",
        f"between {lines[MANY]:,} and {lines[FEW]:,} events up to the end of the input, the",
        "just-in-time compiler left out: neither start nor drain is in it. Median of",
        f"{ROUNDS} (range).",
        "",
        "| job | CPU s per million events | thousand events/s |",
        "|---|---|---|",
        *(
            f"| {name} | {Figure(tuple(work[name])).show()} | {Figure(tuple(rate[name])).show(0)} |"
            for name in JOBS
        ),
        "",
        f"Both detections cost {ratio.show(2)} times what decoding alone does; parallelism 2 reads",
        f"{scale.show(2)} times the events per second of parallelism 1.",
        "",
        "The drain after the last event (the summaries of the following hour, 360 fires over 1,000",
        f"stolen cards and their currencies) costs {Figure(tuple(drain)).show()} CPU s, once per",
        "replay. What was tried, and how this compares with an earlier version, is in",
        "[decision 0015](decisions/0015-what-makes-the-job-faster.md).",
    ]


def risk_desk(folder: Path) -> list[str]:
    """Compare the risk desk's application with decoding alone, as `detection` does."""
    files, lines = recordings(folder, (DESK_FEW, DESK_MANY), 100_000, 1_000)
    million = (lines[DESK_MANY] - lines[DESK_FEW]) / 1e6
    work: dict[str, list[float]] = {name: [] for name in DESK_JOBS}
    for number in range(ROUNDS):
        for name, asked in DESK_JOBS.items():
            say(f"round {number + 1} of {ROUNDS}: {name}, {lines[DESK_MANY]:,} events at most")
            few, many = (flink_cost(asked, path, folder)["work_s"] for path in files.values())
            work[name].append((many - few) / million)
    ratios = {
        name: Figure(tuple(b / a for a, b in zip(work[DECODE], of, strict=True)))
        for name, of in work.items()
    }
    return [
        "## The risk desk's cost",
        "",
        "As above, of 1,000 payments/s of event time on 100,000 cards, so that a card pays every",
        "100 s, far more often than people's do: sums, counts and their windows are full. Each",
        f"figure is the difference between {lines[DESK_MANY]:,} and {lines[DESK_FEW]:,} events,",
        f"payments and a share of statuses and accounts; median of {ROUNDS} (range). The code is",
        "cold: what runs for hours costs less.",
        "",
        "| job | CPU s per million events | times decoding |",
        "|---|---|---|",
        *(
            f"| {name} | {Figure(tuple(work[name])).show()} | {ratios[name].show()} |"
            for name in DESK_JOBS
        ),
    ]


# ---------- latencies ----------


BESIDE_RATE, BESIDE_SECONDS = 200, 90
"""At 500 payments/s two cores were too few for the system with the risk desk: its run failed."""


def measured_run(folder: Path, *options: str, **settings: str) -> dict[str, Any]:
    """Give the figures of `cardwatch run`, in a folder and on ports of its own."""
    var = folder / f"var-{len(list(folder.glob('var-*')))}"
    done = subprocess.run(
        [Path(sys.executable).with_name("cardwatch"), "run", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "CARDWATCH_VAR": str(var),
            "CARDWATCH_AWS_PORT": str(free_port()),
            "CARDWATCH_FLINK_PORT": str(free_port()),
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if not (var / "run.json").exists():
        sys.exit(f"bench: `cardwatch run` failed:\n{done.stdout}{done.stderr}")
    figures: dict[str, Any] = json.loads((var / "run.json").read_text())
    return figures | {"exit_status": done.returncode}


def latencies(folder: Path) -> list[str]:
    """Measure alert and page latency of whole runs."""
    say("a run of 60 s at 20 payments/s")
    calm = measured_run(folder, "--seconds", "60")
    say("a run of 40 s at 1,000 payments/s, 1 % stolen")
    cards = card_file(folder, 1_000, 1)
    busy = measured_run(folder, "--seconds", "40", "--rate", "1000", "--cards", str(cards))
    rows = []
    for name, run in (
        ("20 payments/s, 10 % stolen", calm),
        ("1,000 payments/s, 1 % stolen", busy),
    ):
        alert, page = run["alert_latency_ms"], run["page_latency_ms"]
        rows.append(
            f"| {name} | {run['payments']:,} | {run['alerts']:,} | {alert['p50']:,} | "
            f"{alert['p99']:,} | {page['p50']:,} | {page['p99']:,} | "
            f"{run['memory_peak_mb']:,} | {run['time_to_first_page_s']} | {run['exit_status']} |"
        )
    return [
        "## Latency of whole runs",
        "",
        "Everything on this machine: simulator, stream, Flink, notifier, warehouse. Alert: from",
        "the window's end to the alert's arrival on the stream, the watermark delay of 1 s",
        "included. Page: from the payment's `event_date_origin` to the page received, the window",
        "of up to 5 s and the watermark delay included. At 1,000 payments/s the token bucket (30",
        "pages a minute) decides when a page goes out. Latencies are in milliseconds, memory the",
        "peak of all processes together.",
        "",
        "| load | payments | alerts | alert p50 | p99 | page p50 | p99 | MB | start s | exit |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def beside(folder: Path) -> list[str]:
    """Measure what the risk desk costs those who wait for a stolen card's page, in pairs."""
    cards = card_file(folder, 1_000, 1)
    asked = ("--seconds", str(BESIDE_SECONDS), "--rate", str(BESIDE_RATE), "--cards", str(cards))
    rows, times = [], []
    for number in range(ROUNDS):
        pair = []
        for state in ("off", "on"):
            say(f"round {number + 1} of {ROUNDS}: {BESIDE_RATE} payments/s, risk desk {state}")
            run = measured_run(folder, *asked, CARDWATCH_RISK_DESK=state)
            alert, page = run["alert_latency_ms"], run["page_latency_ms"]
            score = run.get("score_latency_ms") or {}
            pair.append((alert["p99"], page["p99"]))
            rows.append(
                f"| {state} | {run['payments']:,} | {alert['p50']:,} | {alert['p99']:,} | "
                f"{page['p50']:,} | {page['p99']:,} | {score.get('p50') or '-'} | "
                f"{score.get('p99') or '-'} | {run['memory_peak_mb']:,} | {run['exit_status']} |"
            )
        (off_alert, off_page), (on_alert, on_page) = pair
        times.append((on_alert / off_alert, on_page / off_page))
    alerts, pages = (Figure(values) for values in zip(*times, strict=True))
    return [
        "## The risk desk beside stolen cards",
        "",
        f"Whole runs of {BESIDE_SECONDS} s at {BESIDE_RATE} payments/s, 1 % stolen, without and",
        "with the risk desk in turns, everything on this machine. A score: from the payment's",
        "`event_date_origin` to the arrival of its PAYMENT_ATTRIBUTED. Milliseconds and MB.",
        "",
        "| risk desk | payments | alert p50 | p99 | page p50 | p99 | score p50 | p99 | MB | exit |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"With the risk desk the 99th percentile of alerts is {alerts.show(2)} times what it is",
        f"without, and of pages {pages.show(2)} times.",
    ]


# ---------- the producer ----------


@contextmanager
def emulator(folder: Path) -> Iterator[LocalSettings]:
    """Start an empty AWS emulator, and stop it at the end."""
    settings = LocalSettings(var=folder / "producer", aws_port=free_port())
    program = ministack.program(settings, ROOT)
    process = subprocess.Popen(
        list(program.command),
        env=program_environment(dict(program.environment)),
        cwd=program.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not ministack.is_ready(settings.aws_port):
            if process.poll() is not None:
                sys.exit("bench: the AWS emulator did not start")
            time.sleep(0.1)
        yield settings
    finally:
        process.terminate()
        process.wait()


def producer(folder: Path) -> list[str]:
    """Compare the simulator's way to the stream with bare calls of the emulator."""
    cards = read_tokenized_cards(ROOT / "data/cards.txt", Tokenizer(KEY), now=datetime.now(UTC))
    rates: dict[str, list[float]] = {"simulator": [], "emulator": []}
    with emulator(folder) as settings:
        kinesis = ministack.session(settings).client(
            "kinesis", endpoint_url=ministack.endpoint(settings)
        )

        def bare(stream: str, batches: Sequence[Sequence[StreamEntry]]) -> None:
            for batch in batches:
                records = [{"Data": e.data, "PartitionKey": e.partition_key} for e in batch]
                kinesis.put_records(StreamName=stream, Records=records)  # type: ignore[arg-type]  # plain dicts

        def rate_of(name: str, work: Callable[[str], int]) -> None:
            stream = f"{name}-{len(rates[name])}"
            kinesis.create_stream(StreamName=stream, ShardCount=2)
            kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
            began = time.monotonic()
            done = work(stream)
            rates[name].append(done / (time.monotonic() - began))
            kinesis.delete_stream(StreamName=stream)

        def simulate(stream: str) -> int:
            generator = EventGenerator(cards, seed=7)
            target = KinesisEventStream(kinesis, stream, SystemClock())
            sent = tick = 0
            while sent < PUT_EVENTS:
                # A tick as the simulator sends it at 2,000 payments/s or more: one full call.
                entries = generator.payments(tick, 5_000)
                outcome = target.put(entries)
                if outcome.undelivered:
                    sys.exit("bench: the emulator refused records")
                sent, tick = sent + len(entries), tick + 1
            return sent

        def prepared(stream: str) -> int:
            bare(stream, batches)
            return sum(len(batch) for batch in batches)

        ready = EventGenerator(cards, seed=7)
        entries = [e for tick in range(200) for e in ready.payments(tick, 5_000)][:PUT_EVENTS]
        batches = [entries[at : at + 500] for at in range(0, len(entries), 500)]
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}: {PUT_EVENTS:,} records to the emulator, two ways")
            rate_of("simulator", simulate)
            rate_of("emulator", prepared)
    shares = zip(rates["simulator"], rates["emulator"], strict=True)
    ratio = Figure(tuple(100 * ours / bare_rate for ours, bare_rate in shares))
    return [
        "## The simulator's put rate",
        "",
        f"{PUT_EVENTS:,} payments into a fresh stream of two shards of the emulator, one caller:",
        "generated and put by the simulator's own code, beside bare PutRecords calls with 500",
        f"records made beforehand. Median of {ROUNDS} (range).",
        "",
        "| | records/s |",
        "|---|---|",
        f"| simulator | {Figure(tuple(rates['simulator'])).show(0)} |",
        f"| the emulator's own maximum | {Figure(tuple(rates['emulator'])).show(0)} |",
        f"| share | {ratio.show(0)} % |",
    ]


SECTIONS: dict[str, Callable[[Path], list[str]]] = {
    "detection": detection,
    "risk_desk": risk_desk,
    "latencies": latencies,
    "risk_desk_beside": beside,
    "producer": producer,
}


HEAD = """\
# Benchmarks

Written by `make bench`, a section as soon as it is measured; each says when that was. Machines
differ: compare ratios, not seconds."""
NOT_MEASURED = """\
## What is not in these figures

The official connector is in none of them. The emulator serves as many reads as it can, where a
shard of Kinesis serves five a second to all that poll it: what that limit costs was measured
apart ([deployment.md](deployment.md#the-connector)). All programs share one machine; nothing ran
on AWS."""


def keep(report: Path, name: str, text: str) -> None:
    """Put a section in the place of its older one; the other sections stay as they are."""
    before = report.read_text(encoding="utf-8") if report.exists() else ""
    marker = re.compile(r"^<!-- (\w+) -->\n(.*?)(?=^<!-- |\Z)", re.MULTILINE | re.DOTALL)
    sections = dict(marker.findall(before)) | {name: text, "not_measured": NOT_MEASURED}
    kept = [
        f"<!-- {section} -->\n{sections[section].strip()}"
        for section in (*SECTIONS, "not_measured")
        if section in sections
    ]
    report.write_text("\n\n".join([HEAD, *kept]) + "\n", encoding="utf-8")


def main() -> None:
    """Measure the asked sections, all by default, and write each into the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "section", nargs="*", choices=[[], *SECTIONS], help="measure these only; the others stay"
    )
    asked = parser.parse_args().section
    with tempfile.TemporaryDirectory(prefix="cardwatch-bench-") as folder:
        for name in asked or SECTIONS:
            heading, *lines = SECTIONS[name](Path(folder))
            measured = (
                f"Measured on {datetime.now(UTC).date()}, {os.cpu_count()} cores, "
                f"{platform.system()} {platform.machine()}, Python {platform.python_version()}."
            )
            keep(REPORT, name, "\n".join([heading, "", measured, *lines]))
            say(f"wrote {name} into {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
