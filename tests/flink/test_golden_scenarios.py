"""Every scenario of the repository, and a broken one, through `cardwatch scenarios run`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.flink

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
REPLAYED = [path for path in SCENARIOS if "\ndisturbances:" not in path.read_text()]
"""The others need a stack that runs."""
BROKEN = """
question: What is told of a scenario that expects too much?
cards: [anna]
events:
  - {at: 0 s, reported: anna, from: -1 d}
  - {at: 1 s, payment: shoes, card: anna}
  - {at: 2 s, poison: not JSON}
expect:
  alerts: [{payment: shoes, amount: 11.00 EUR}]
  pages: []
  summaries: []
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    folder = tmp_path_factory.mktemp("scenarios")
    for path in SCENARIOS:
        shutil.copy(path, folder)
    (folder / "a_broken_one.yaml").write_text(BROKEN)
    return subprocess.run(
        [sys.executable, "-m", "cardwatch.cli", "scenarios", "run", "--from", folder],
        env=os.environ | {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def said_of(name: str, ran: "subprocess.CompletedProcess[str]") -> list[str]:
    """Give the lines that say what became of one scenario."""
    lines = ran.stdout.splitlines()
    heads = [at for at, line in enumerate(lines) if not line.startswith(" ")]
    ends = dict(zip(heads, [*heads[1:], len(lines)], strict=True))
    (mine,) = [at for at in heads if lines[at].split(":")[0].split()[-1:] == [name]]
    return lines[mine : ends[mine]]


@pytest.mark.parametrize("name", [path.stem for path in REPLAYED])
def test_a_scenario_is_kept(name: str, ran: "subprocess.CompletedProcess[str]") -> None:
    said = said_of(name, ran)
    assert said[0].startswith("kept  "), "\n".join(said)


def test_a_broken_scenario_is_told_with_what_is_otherwise_and_ends_with_1(
    ran: "subprocess.CompletedProcess[str]",
) -> None:
    assert said_of("a_broken_one", ran) == [
        "broken  a_broken_one: What is told of a scenario that expects too much?",
        "        alert: shoes should say 11.00 EUR, not 10.00 EUR",
        "        page 1: nobody expects this FIRST of shoes at 6 s",
        "        summaries: should say nothing else, say 1 payment, 1 card, 10.00 EUR from 10 s",
        "        summaries: should say nothing else, say 0 payments from 1 h 10 s",
        "        rejected: should be nothing, is not_json",
    ]
    left_out = len(SCENARIOS) - len(REPLAYED)
    last = f"{len(REPLAYED) + 1} scenarios, 1 broken, {left_out} not played"
    assert ran.stdout.splitlines()[-1] == last
    assert ran.returncode == 1
