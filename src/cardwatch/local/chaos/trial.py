"""Faults in a run: steers the proxy and acts on the stack by the schedule, and records each.

The record is `injections.jsonl`: what was tried, when, on what, until when, and how many calls of
the API an injection hit. It is what the table is made of, and with its seed it can be tried again.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import psutil

from cardwatch.contract.fields import format_time, parse_time
from cardwatch.local.chaos.api_faults import FAULTS
from cardwatch.local.chaos.fault_proxy import Switch, read_hits, write_switches
from cardwatch.local.chaos.injectors import Deed, NotNowError, Undo
from cardwatch.local.chaos.schedule import Injection

RECORD: Final = "injections.jsonl"
TICK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Injected:
    """What was tried."""

    number: int
    kind: str
    at: datetime
    until: datetime
    target: str
    hits: int = 0
    """Calls of the API that it hit; 0 for what is no fault of the API."""
    problem: str = ""
    """Why it was not done."""

    @property
    def tried(self) -> bool:
        """Say whether it came to anything: nobody called while a fault of the API was on."""
        return not self.problem and (self.hits > 0 or self.kind not in FAULTS)

    def to_line(self) -> str:
        """Give it as one JSON line."""
        plain = asdict(self) | {"at": format_time(self.at), "until": format_time(self.until)}
        return json.dumps(plain) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` wrote."""
        plain: dict[str, Any] = json.loads(line)
        times = {name: parse_time(plain[name]) for name in ("at", "until")}
        return cls(**{**plain, **times})


def read_record(folder: Path) -> list[Injected]:
    """Read what was tried, with the calls that were hit, in order."""
    hits = Counter(hit.injection for hit in read_hits(folder))
    if not (folder / RECORD).exists():
        return []
    lines = (folder / RECORD).read_text().splitlines()
    found = [Injected.from_line(line) for line in lines]
    return [replace(one, hits=hits[one.number]) for one in found]


class Trial(threading.Thread):
    """Goes through the schedule from the moment it is started."""

    def __init__(
        self,
        deeds: Mapping[str, Deed],
        injections: Sequence[Injection],
        folder: Path,
        say: Callable[[str], object],
    ) -> None:
        """Try `injections` by `deeds`, and record in `folder`; `say` is told of each."""
        super().__init__(name="chaos", daemon=True)
        self._deeds = deeds
        self._injections = injections
        self._folder = folder
        self._say = say
        self._ended = threading.Event()
        self._switches: list[Switch] = []
        self._undo: list[tuple[float, Undo]] = []

    def run(self) -> None:
        """Try all of it, or until stopped."""
        began = time.monotonic()
        ahead = list(self._injections)
        while (ahead or self._undo) and not self._ended.wait(TICK_SECONDS):
            now = time.monotonic()
            self._undo_what_is_over(now)
            while ahead and began + ahead[0].at <= now:
                self._inject(ahead.pop(0))

    def stop(self) -> None:
        """Try nothing more, and undo what is still on."""
        self._ended.set()
        if self.is_alive():
            self.join()
        self._undo_what_is_over(float("inf"))
        write_switches(self._folder, [])

    def _undo_what_is_over(self, now: float) -> None:
        over = [undo for until, undo in self._undo if until <= now]
        self._undo = [(until, undo) for until, undo in self._undo if until > now]
        for undo in over:
            undo()

    def _inject(self, injection: Injection) -> None:
        at = datetime.now(UTC)
        target, problem = "the AWS API", ""
        if injection.kind in FAULTS:
            until = time.time() + injection.lasts
            self._switches = [s for s in self._switches if s.until > time.time()]
            self._switches.append(Switch(injection.number, injection.kind, until, injection.seed))
            write_switches(self._folder, self._switches)
        else:
            try:
                target, undo = self._deeds[injection.kind]()
            except (NotNowError, OSError, psutil.Error) as error:
                target, problem = "", " ".join(str(error).split())
            else:
                if undo is not None:
                    self._undo.append((time.monotonic() + injection.lasts, undo))
        done = Injected(
            injection.number,
            injection.kind,
            at,
            at + timedelta(seconds=injection.lasts),
            target,
            problem=problem,
        )
        with (self._folder / RECORD).open("a") as record:
            record.write(done.to_line())
        self._say(f"{at:%H:%M:%S} fault {injection.number}: {injection.kind} ({problem or target})")
