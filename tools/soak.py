"""A run of days, made short by a moved clock (`make soak`): what only time brings is seen.

The whole stack runs here with a wall clock of its own (wallclock.c), which moves on by hours every
few seconds, for all programs at once: as on a machine that sleeps and wakes up, again and again.
Between two steps time passes as ever, with payments, windows, pages and deliveries. Meanwhile the
stream is trimmed, the key of links is rotated, a log gets too long, and at last two weeks go by,
after which the page ledger forgets. It ends with the verdict of a measured run and with a table of
what was looked at; the exit status is 1 where a promise was broken. docs/long-life.md says what it
shows and what it cannot.
"""

import argparse
import http.client
import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from tools.soak_memory import Growth, Memory

from cardwatch.acts.keyring import KEPT_FOR
from cardwatch.aws.deployed import read_deployed_outputs
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.logs import LOG_BYTES, OLDER
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.processes.wallclock import FILE, PRELOAD, NoWallClockError, WallClock
from cardwatch.local.run.run import ARCHIVE_SECONDS, RunOptions
from cardwatch.local.run.run import run as run_stack
from cardwatch.local.run.stack import LocalStack, StackOptions
from cardwatch.local.services import ministack
from cardwatch.local.stream.shard import Stream
from cardwatch.local.witness.receipts import PageReceived, read_receipts
from cardwatch.local.witness.verdict import Evidence, unfinished
from cardwatch.settings import LocalSettings

ROOT: Final = Path(__file__).resolve().parents[1]
VAR: Final = "CARDWATCH_VAR"
RETENTION: Final = timedelta(hours=24)
"""Of the stream."""
LEAST_HOURS: Final = 26.0
"""Fewer do not reach the end of the stream's retention."""
EVERY_SECONDS: Final = 15.0
"""Between two steps: from a payment to its page it is about six, and a follow-up waits for 20."""
LONGEST_STEP: Final = timedelta(hours=6)
"""A step adds to the age of what is under way, and what is older than a day pages nobody."""
NIGHT: Final = timedelta(hours=20)
NIGHT_SECONDS: Final = 3.0
"""The two weeks go by without payments, in longer steps: each shorter than what the stream keeps,
so that its readers lose nothing."""
WARM_UP_SHARE: Final = 0.25
"""Of the hours, in which memory may grow as it likes."""
MOST_GROWTH_MB: Final = 1.0
"""Per simulated hour."""
SAMPLE_SECONDS: Final = 5.0
READY_SECONDS: Final = 300.0
DRAIN_SECONDS: Final = 150.0
FORGET_SECONDS: Final = 150.0
"""The emulator looks every minute for what has passed its time to live."""
ROTATE_SECONDS: Final = 30.0
AFTER_SECONDS: Final = 20.0
LINK: Final = re.compile(r"https?://\S+/pages/\S+")
KEPT_WARM: Final = {"LAMBDA_WARM_TTL_SECONDS": "1000000000"}
"""Functions' processes live on through the steps, so that their memory can be watched."""

Steps = Generator[float, None, None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the clock moves on."""

    hours: float
    """Simulated, of payments."""
    speed: float
    """Simulated hours a real minute."""

    def __post_init__(self) -> None:
        """Raise ValueError where it would show nothing, or break what it looks at."""
        if self.hours < LEAST_HOURS:
            msg = f"HOURS must be {LEAST_HOURS:g} or more: the stream keeps a day"
            raise ValueError(msg)
        if not timedelta(0) < self.step <= LONGEST_STEP:
            most = LONGEST_STEP.total_seconds() / 60 / EVERY_SECONDS
            msg = f"SPEED must be more than 0 and at most {most:g} hours a minute"
            raise ValueError(msg)

    @property
    def step(self) -> timedelta:
        """Give by how much the clock moves on each time."""
        return timedelta(hours=self.speed * EVERY_SECONDS / 60)

    @property
    def steps(self) -> int:
        """Give how often it does."""
        return math.ceil(self.hours / (self.step / timedelta(hours=1)))

    @property
    def half_a_day(self) -> int:
        """Give the step that ends the first twelve hours: a link holds for longer."""
        return math.ceil(timedelta(hours=12) / self.step)

    @property
    def warm_up(self) -> float:
        """Give the hours after which memory counts."""
        return self.hours * WARM_UP_SHARE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    kept: bool


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """A link as a page carried it."""

    address: str
    received: datetime

    @property
    def key_id(self) -> str:
        return self.address.rsplit(".", 2)[1]


class Soak:
    """What is done to a run while payments flow; `enough` says when that was all."""

    def __init__(
        self, plan: Plan, clock: WallClock, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Move `clock` by the plan."""
        self.findings: list[Finding] = []
        self.growth: list[Growth] = []
        self.processes = 0
        self.done = False
        self._plan = plan
        self._clock = clock
        self._monotonic = monotonic
        self._script: Steps | None = None
        self._due = 0.0
        self._began = 0.0
        self._memory: Memory | None = None
        self._sample_due = 0.0
        self._trimmed_at: datetime | None = None
        self._rotated = 0.0
        self._new_key = ""

    def enough(self, stack: LocalStack) -> bool:
        """Go on where it is time to; say whether everything was done.

        Raises LocalStackError where it cannot be done.
        """
        now = self._monotonic()
        if self._script is None:
            self._script, self._began = self._all(stack), now
            self._memory = Memory(RunFolder(stack.settings.var))
        if self._memory is not None and now >= self._sample_due:
            self._memory.take(hours=self._hours, seconds=now - self._began)
            self._sample_due = now + SAMPLE_SECONDS
        if now >= self._due:
            try:
                self._due = now + next(self._script)
            except StopIteration:
                self.done = True
                stack.doing = ""
        return self.done

    @property
    def _hours(self) -> float:
        return self._clock.off_by / timedelta(hours=1)

    def _found(self, what: str, found: str, *, kept: bool) -> None:
        self.findings.append(Finding(what, found, kept))

    # ---------- the days ----------

    def _all(self, stack: LocalStack) -> Steps:
        stack.doing = "soak: waiting for all programs and the first page"
        yield from self._until(lambda: ready(stack), READY_SECONDS, "not everything runs")
        # Of the first run on a machine, and no program of the system's.
        stack.cluster.classes.finish_archive(wait_seconds=ARCHIVE_SECONDS)
        bare = without_clock(stack, self._clock)
        self._found("every program has the moved clock", "; ".join(bare) or "yes", kept=not bare)
        first = oldest_records(stack)
        yield from self._rotate(stack)
        yield from self._days(stack, first)
        if self._memory is not None:
            self.processes = self._memory.seen()
            self.growth = self._memory.growth(
                since_hours=self._plan.warm_up, until_hours=self._hours
            )
            self._memory = None
        yield from self._two_weeks(stack)

    def _days(self, stack: LocalStack, first: dict[str, str]) -> Steps:
        before = links(stack)[0]
        for step in range(1, self._plan.steps + 1):
            self._clock.advance(self._plan.step)
            stack.doing = f"soak: hour {self._hours:.0f} of {self._plan.hours:g}"
            yield EVERY_SECONDS
            if step == self._plan.half_a_day:
                self._open(f"the same link {self._hours:.0f} hours later", before, 200)
                yield from self._loud_log(stack)
            if self._trimmed_at is None and self._hours > RETENTION / timedelta(hours=1):
                self._trimmed_at = datetime.now(UTC)
        self._trimmed(stack, first)

    def _until(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> Steps:
        deadline = self._monotonic() + seconds
        while not condition():
            if self._monotonic() > deadline:
                msg = f"{otherwise} after {seconds:.0f} s"
                raise LocalStackError(msg)
            yield 1.0

    def _trimmed(self, stack: LocalStack, first: dict[str, str]) -> None:
        now = datetime.now(UTC)
        stream = Stream(stack.clients.kinesis(), stack.outputs.stream_name)
        oldest = {s: stream.read(s, None, limit=1).records[0] for s in first}
        ages = [now - record.arrived_at for record in oldest.values()]
        gone = [s for s, number in first.items() if oldest[s].sequence_number > number]
        self._found(
            "the stream is trimmed",
            f"{len(gone)} of {len(first)} shards; the oldest record is "
            f"{max(ages) / timedelta(hours=1):.1f} h old",
            kept=len(gone) == len(first) and max(ages) <= RETENTION + timedelta(minutes=5),
        )

    # ---------- the key of links ----------

    def _rotate(self, stack: LocalStack) -> Steps:
        """Rotate it as docs/acts.md says, and see that nobody notices."""
        before = links(stack)[0]
        outputs = read_deployed_outputs(stack.clients, stack.settings.stack_name)
        version = stack.clients.secrets().put_secret_value(
            SecretId=outputs["LinkKeySecret"], SecretString=secrets.token_urlsafe(48)
        )["VersionId"]
        self._rotated, self._new_key = self._monotonic(), version[: len(before.key_id)]
        self._open("a link of before the rotation, at once", before, 200)
        yield 0.0

    def _new_links(self, stack: LocalStack) -> Steps:
        """Wait for a page whose link has the new key; functions remember the old one a while."""
        latest = self._rotated + KEPT_FOR.total_seconds() + ROTATE_SECONDS
        stack.doing = "soak: waiting for a link of the new key"
        while True:
            new = [link for link in links(stack) if link.key_id == self._new_key]
            if new or self._monotonic() > latest:
                break
            yield 2.0
        after = self._monotonic() - self._rotated
        self._found(
            "pages carry links of the new key",
            f"{after:.0f} real seconds after the rotation" if new else "none does",
            kept=bool(new),
        )
        if new:
            self._open("a link of the new key", new[-1], 200)

    def _open(self, what: str, link: LinkSeen, expected: int) -> None:
        """Open a link as a browser does, and expect an answer."""
        at = urlsplit(link.address)
        connection = http.client.HTTPConnection(ministack.HOST, at.port or 80, timeout=30)
        try:
            connection.request("GET", at.path, headers={"Host": at.netloc})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self._found(what, f"no answer ({type(error).__name__})", kept=False)
            return
        finally:
            connection.close()
        self._found(what, f"status {status}", kept=status == expected)

    # ---------- logs ----------

    def _loud_log(self, stack: LocalStack) -> Steps:
        """Have a log grow beyond what a log may have, while its program writes it."""
        log = stack.settings.var / "log" / "event-source.log"
        line = b"soak: a program that has much to say\n"
        with log.open("ab") as file:
            file.write(line * (LOG_BYTES * 11 // 10 // len(line)))
        older = log.with_name(log.name + OLDER)
        for _ in range(15):
            if older.exists() and log.stat().st_size < LOG_BYTES:
                break
            yield 1.0
        self._found(
            "a log that grew too long is rotated",
            f"{log.stat().st_size:,} bytes, and {older.name if older.exists() else 'no older one'}",
            kept=older.exists() and log.stat().st_size < LOG_BYTES,
        )

    def _logs(self, stack: LocalStack) -> None:
        folder = stack.settings.var / "log"
        sizes = {p.name: p.stat().st_size for p in folder.iterdir() if p.suffix != OLDER}
        longest = max(sizes, key=lambda name: sizes[name])
        self._found(
            "every log is bounded",
            f"{len(sizes)}, the longest {sizes[longest]:,} bytes ({longest})",
            kept=sizes[longest] <= LOG_BYTES * 1.1,
        )

    # ---------- the ledger's time to live ----------

    def _two_weeks(self, stack: LocalStack) -> Steps:
        """Let the ledger's time to live pass, and see that what it forgets is gone."""
        stack.doing = "soak: nobody pays any more; what is under way is finished"
        old = links(stack)[0]
        stack.controls.set_payments(on=False)
        yield EVERY_SECONDS
        self._clock.advance(self._plan.step)  # what waits for a schedule is due
        deadline = self._monotonic() + DRAIN_SECONDS
        while owed := owing(stack):
            if self._monotonic() > deadline:
                self._found("nothing is owed before two weeks pass", "; ".join(owed), kept=False)
                return
            with suppress(LocalStackError):
                stack.controls.call_notifier(close_groups=True)
            yield 5.0
        stack.flush_delivery()
        since = [
            link for link in links(stack) if link.received > (self._trimmed_at or link.received)
        ]
        self._found("its readers went on: pages since", f"{len(since)}", kept=bool(since))
        before = ledger(stack)
        left = timedelta(days=ledger_days(stack)) + timedelta(hours=1)
        while left > timedelta(0):
            step = min(NIGHT, left)
            left -= step
            self._clock.advance(step)
            stack.doing = (
                f"soak: nobody pays for two weeks; {left / timedelta(days=1):.0f} days left"
            )
            yield NIGHT_SECONDS
        stack.doing = "soak: payments go on; the ledger forgets"
        stack.controls.set_payments(on=True)
        yield AFTER_SECONDS
        deadline = self._monotonic() + FORGET_SECONDS
        while (passed := passed_of(after := ledger(stack))) and self._monotonic() < deadline:
            yield 2.0
        gone = len(before.keys() - after.keys())
        self._found(
            "what passed its time to live is gone from the ledger",
            f"{gone} of {len(before)} items; {len(passed)} are still there though it passed",
            kept=gone > 0 and not passed,
        )
        self._open("a link of more than 72 hours ago", old, 410)
        yield from self._new_links(stack)
        self._logs(stack)


def ready(stack: LocalStack) -> bool:
    """Say whether every job runs and people were paged."""
    paged = bool(links(stack)) if stack.tally.first_page else False
    return paged and (stack.risk_desk is None or stack.gauges.risk_desk_watermark is not None)


def links(stack: LocalStack) -> list[LinkSeen]:
    """Give the links that pages carried, the oldest first."""
    pages = read_receipts(stack.receipts_folder, PageReceived)
    found = ((LINK.search(page.text), page.received) for page in pages)
    return [LinkSeen(link[0], received) for link, received in found if link]


def without_clock(stack: LocalStack, clock: WallClock) -> list[str]:
    """Name the run's processes that do not carry the shim."""
    run = RunFolder(stack.settings.var)
    bare = []
    for process in leftovers(run):
        with suppress(OSError):
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            if str(clock.shim) not in maps:
                bare.append(run.name_of(process))
    return bare


def oldest_records(stack: LocalStack) -> dict[str, str]:
    """Give the sequence number of the oldest record of each shard."""
    stream = Stream(stack.clients.kinesis(), stack.outputs.stream_name)
    oldest = {s.shard_id: stream.read(s.shard_id, None, limit=1).records for s in stream.shards()}
    return {shard: records[0].sequence_number for shard, records in oldest.items() if records}


def owing(stack: LocalStack) -> list[str]:
    """Say what is under way."""
    seen = Evidence.read(stack.receipts_folder)
    return unfinished(replace(seen, risk_desk=stack.risk_desk is not None))


def ledger_days(stack: LocalStack) -> int:
    """Give how long the deployed notifier's ledger remembers."""
    configuration = stack.clients.lambda_().get_function_configuration(
        FunctionName=stack.outputs.notifier_function
    )
    return int(configuration["Environment"]["Variables"]["LEDGER_TTL_DAYS"])


def ledger(stack: LocalStack) -> dict[str, int]:
    """Give the items of the page ledger, and when each passes its time to live (epoch seconds)."""
    pages = (
        stack.clients.dynamodb()
        .get_paginator("scan")
        .paginate(TableName=stack.outputs.ledger_table)
    )
    return {
        item["pk"]["S"]: int(item["expires_at"]["N"]) for page in pages for item in page["Items"]
    }


def passed_of(items: dict[str, int]) -> list[str]:
    """Name the items whose time to live has passed."""
    now = datetime.now(UTC).timestamp()
    return [key for key, expires_at in items.items() if expires_at < now]


def memory_findings(growth: list[Growth], processes: int) -> list[Finding]:
    """Judge the memory of each process that was there long enough."""
    if not growth:
        return [Finding("memory", "no process was there long enough", kept=False)]
    grown = [g for g in growth if g.mb_per_hour >= MOST_GROWTH_MB]
    words = ", ".join(f"{g.name} {g.mb_per_hour:+.2f} MB/h" for g in grown or growth[:1])
    said = f"{len(growth)} processes ({processes - len(growth)} shorter ones not judged): "
    most = f"memory grows by less than {MOST_GROWTH_MB:g} MB an hour in each process"
    return [Finding(most, said + ("" if grown else "the most ") + words, kept=not grown)]


def show(soak: Soak, findings: list[Finding], console: Console) -> None:
    """Print the tables."""
    memory = Table(title="memory once warm, by process", title_justify="left")
    for name in ("process", "MB", "to", "MB per simulated hour", "MB per real hour"):
        memory.add_column(name, justify="left" if name == "process" else "right")
    for g in soak.growth:
        figures = (f"{g.first_mb:.1f}", f"{g.last_mb:.1f}", f"{g.mb_per_hour:+.3f}")
        memory.add_row(g.name, *figures, f"{g.mb_per_real_hour:+.0f}")
    console.print(memory)
    table = Table(title="cardwatch: the soak", title_justify="left", show_header=False)
    for finding in findings:
        style = "green" if finding.kept else "bold red"
        table.add_row(
            finding.what, finding.found, "kept" if finding.kept else "BROKEN", style=style
        )
    console.print(table)


def soak(plan: Plan, clock: WallClock, rate: float) -> int:
    """Run all of it; gives the exit status."""
    settings = LocalSettings.from_env()
    console = Console()
    days = Soak(plan, clock)
    console.print(
        f"soak: {plan.hours:g} hours in {plan.steps} steps of {plan.step} and "
        f"{plan.steps * EVERY_SECONDS / 60:.1f} minutes, then the ledger's two weeks",
        highlight=False,
    )
    stack = StackOptions(rate=rate)
    status = run_stack(settings, ROOT, RunOptions(stack=stack, enough=days.enough), console)
    findings = [*days.findings, *memory_findings(days.growth, days.processes)]
    findings.append(Finding("every promise of the run", "see above", kept=status == 0))
    if not days.done:
        show(days, days.findings, console)
        console.print("soak: stopped before its end")
        return 1
    show(days, findings, console)
    written = {
        "plan": asdict(plan),
        "findings": [asdict(finding) for finding in findings],
        "memory": [asdict(growth) for growth in days.growth],
    }
    (settings.var / "soak.json").write_text(json.dumps(written, indent=1) + "\n")
    return 0 if all(finding.kept for finding in findings) else 1


def main(arguments: list[str]) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=48.0, help="simulated hours of payments")
    parser.add_argument("--speed", type=float, default=10.0, help="simulated hours a minute")
    parser.add_argument("--rate", type=float, default=20.0, help="payments per real second")
    asked = parser.parse_args(arguments)
    try:
        plan = Plan(asked.hours, asked.speed)
        os.environ.setdefault(VAR, "var/soak")
        if FILE in os.environ:
            clock = WallClock(Path(os.environ[PRELOAD]), Path(os.environ[FILE]))
            return soak(plan, clock, asked.rate)
        clock = WallClock.build(Path(os.environ[VAR]) / "clock")
    except (ValueError, NoWallClockError, LocalStackError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    # This process reads the moved clock, too: it is started anew, with the shim in it.
    environment = {**os.environ, **KEPT_WARM, **clock.environment}
    return os.execve(  # noqa: S606
        sys.executable, [sys.executable, "-m", "tools.soak", *arguments], environment
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
