"""A trial does what the schedule says, undoes it in time, and records what it did."""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cardwatch.local.chaos.fault_proxy import HITS, SWITCHES
from cardwatch.local.chaos.injectors import Deed, NotNowError
from cardwatch.local.chaos.schedule import Injection
from cardwatch.local.chaos.trial import Trial, read_record


@dataclass
class Machine:
    """Has a program that can be stopped and go on, and one that does not run."""

    done: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> tuple[str, object]:
        self.done.append("stop")
        self.stopped.set()
        return "program 7", lambda: self.done.append("go on")

    def kill(self) -> tuple[str, None]:
        msg = "it does not run"
        raise NotNowError(msg)

    @property
    def deeds(self) -> dict[str, Deed]:
        return {"stopped": self.stop, "killed": self.kill}  # type: ignore[dict-item]


def tried(machine: Machine, folder: Path, *injections: Injection) -> list[str]:
    said: list[str] = []
    trial = Trial(machine.deeds, injections, folder, said.append)
    trial.start()
    trial.join(10)
    assert not trial.is_alive()
    trial.stop()
    return said


def test_what_is_done_is_undone_when_its_time_is_over_and_recorded(tmp_path: Path) -> None:
    machine = Machine()
    said = tried(
        machine,
        tmp_path,
        Injection(0, 0.0, "stopped", 0.1, 1),
        Injection(1, 0.05, "killed", 0.0, 1),
    )
    assert machine.done == ["stop", "go on"]
    first, second = read_record(tmp_path)
    assert (first.kind, first.target, first.problem, first.tried) == (
        "stopped",
        "program 7",
        "",
        True,
    )
    assert (second.kind, second.problem, second.tried) == ("killed", "it does not run", False)
    assert [line.partition(" fault ")[2] for line in said] == [
        "0: stopped (program 7)",
        "1: killed (it does not run)",
    ]


def test_a_fault_of_the_api_is_switched_on_and_counts_what_it_hit(tmp_path: Path) -> None:
    said = tried(
        Machine(),
        tmp_path,
        Injection(0, 0.0, "writes fail", 60.0, 3),
        Injection(1, 0.0, "reads throttled", 60.0, 4),
    )
    assert len(said) == 2
    assert json.loads((tmp_path / SWITCHES).read_text()) == [], "the end switches all off"
    (tmp_path / HITS).write_text(
        '{"injection": 1, "kind": "reads throttled", "operation": "kinesis.GetRecords"}\n' * 2
    )
    assert [(one.hits, one.tried) for one in read_record(tmp_path)] == [(0, False), (2, True)]


def test_whoever_ends_it_early_leaves_nothing_on(tmp_path: Path) -> None:
    machine = Machine()
    injections = (Injection(0, 0.0, "stopped", 600.0, 1), Injection(1, 300.0, "killed", 0.0, 1))
    trial = Trial(machine.deeds, injections, tmp_path, lambda _: None)
    trial.start()
    assert machine.stopped.wait(10)
    began = time.monotonic()
    trial.stop()
    assert time.monotonic() - began < 100
    assert machine.done == ["stop", "go on"]
    assert len(read_record(tmp_path)) == 1
