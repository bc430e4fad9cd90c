"""Plays golden scenarios: all in one replay, then the notifier over what the job found.

Starting Flink costs seconds, so the scenarios stand in one file, one after the other, each with
cards and hours of its own. They are about stolen cards: the risk desk is not played.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardwatch.golden.comparison import differences
from cardwatch.golden.found import Found, find
from cardwatch.golden.scenario import Scenario
from cardwatch.golden.script import Script, write_scripts
from cardwatch.local.replay import WALL_CLOCK, replay
from cardwatch.local.services.flink import STOLEN_CARDS


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one scenario."""

    name: str
    question: str
    found: Found
    broken: tuple[str, ...]
    """What is otherwise than it expects; none where it is kept."""


def play(scenarios: Mapping[str, Scenario], *, progress: Callable[[str], None]) -> list[Played]:
    """Play scenarios through Flink and the notifier; raises ReplayError."""
    scripts = write_scripts(scenarios)
    with tempfile.TemporaryDirectory(prefix="cardwatch-scenarios-") as folder:
        stream = Path(folder) / "stream.jsonl"
        lines = [record.data for script in scripts for record in script.records]
        stream.write_bytes(b"".join(line + b"\n" for line in lines))
        out = Path(folder) / "out"
        replay(stream, out, progress=progress, application=STOLEN_CARDS, without=WALL_CLOCK)
        alerts, summaries, rejected = (
            _records(out / f"{name}.jsonl") for name in ("alerts", "summaries", "rejected")
        )
    played = []
    before = 0
    for script in scripts:
        mine = range(before + 1, before + len(script.records) + 1)
        reasons = [each["reason"] for each in rejected if each["line"] in mine]
        played.append(_played(script, alerts, summaries, reasons))
        before += len(script.records)
    return played


def _played(
    script: Script,
    alerts: Sequence[Mapping[str, Any]],
    summaries: Sequence[Mapping[str, Any]],
    rejected: Sequence[str],
) -> Played:
    found = find(script, alerts, summaries, rejected)
    broken = tuple(differences(script.scenario.expect, found))
    return Played(script.name, script.scenario.question, found, broken)


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
