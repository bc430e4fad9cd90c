"""What a trial writes at its end says what was tried, what it cost, and what could not be tried."""

import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from cardwatch.audit.completeness import AuditReport, Finding
from cardwatch.audit.ports import Staged, StagedAlert
from cardwatch.contract.alert import alert_id
from cardwatch.local.chaos.chaos_run import (
    BEGIN,
    END,
    PROXY,
    Chaos,
    ChaosOptions,
    audit_of_all,
    record_refused,
    run_chaos,
    written,
)
from cardwatch.local.chaos.fault_proxy import SWITCHES
from cardwatch.local.chaos.machine import UntriedError
from cardwatch.local.chaos.results import CALM, tabulate
from cardwatch.local.chaos.schedule import ACTS, Injection
from cardwatch.local.chaos.trial import RECORD, Injected
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.run.run import RunOptions
from cardwatch.local.run.stack import LocalStack
from cardwatch.local.services.flink import TASK_MANAGER
from cardwatch.local.witness.receipts import (
    AlertSeen,
    Fact,
    PageReceived,
    PaymentSeen,
    Receipts,
    StatusSeen,
)
from cardwatch.local.witness.verdict import Evidence
from cardwatch.settings import LocalSettings

BEGAN = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OPTIONS = ChaosOptions(seconds=1200, seed=7, rate=100)


class NoDisk:
    """A machine on which nothing may be mounted."""

    def __init__(self, _folder: Path) -> None:
        msg = "no file system may be mounted here"
        raise UntriedError(msg)


class SomeDisk:
    """A disk that nobody mounts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


class NoClocks:
    """A machine without a compiler."""

    def __init__(self, _folder: Path) -> None:
        msg = "a C compiler is needed"
        raise UntriedError(msg)


class SomeClocks:
    """Clocks that need no compiler."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self, program: str, *, only: str = "") -> dict[str, str]:
        return {"LD_PRELOAD": "some.so", "OF": program, "ONLY": only}


def chaos_on(settings: LocalSettings) -> Chaos:
    disk, clocks = cast("Any", NoDisk), cast("Any", SomeClocks)
    return Chaos(settings, OPTIONS, Console(quiet=True), disk=disk, clocks=clocks)


def test_what_the_machine_does_not_allow_is_not_tried_and_said(tmp_path: Path) -> None:
    settings = LocalSettings(var=tmp_path)
    chaos = chaos_on(settings)
    assert set(chaos.untried) == {kind for kind in ACTS if "disk" in kind}
    assert not {one.kind for one in chaos.injections} & set(chaos.untried)
    assert {one.kind for one in chaos.injections} > set(ACTS) - set(chaos.untried)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_stack_stands_behind_the_proxy_with_clocks_that_can_be_moved(tmp_path: Path) -> None:
    settings = LocalSettings(var=tmp_path)
    chaos = chaos_on(settings)
    around = chaos.surroundings(settings)
    assert around.emulator_port != settings.aws_port
    assert [program.name for program in around.programs] == [PROXY]
    assert str(settings.aws_port) in around.programs[0].command
    assert str(around.emulator_port) in around.programs[0].command
    assert around.environment[TASK_MANAGER]["OF"] == TASK_MANAGER
    assert around.environment["ministack"]["ONLY"] == "NotifierFunction"
    assert around.checkpoints is None


@pytest.mark.parametrize("troubled", [False, True])
def test_the_text_says_in_numbers_what_was_tried_and_found(*, troubled: bool) -> None:
    record = [Injected(0, "delivery killed", BEGAN, BEGAN, "delivery 7")]
    facts = {
        "minutes": 20.0,
        "seed": 7,
        "rate": 100.0,
        "started_at": "2026-11-28T12:00:01.000Z",
        "payments": 120_000,
        "stolen_payments": 12_000,
        "alerts": 12_000,
        "pages": 300,
        "restarts": {"delivery": 3, "ministack": 0},
        "verdict": ["1 object refused"] if troubled else [],
        "injections": 277,
        "kinds": 49,
        "lost": 0,
        "doubled": 0,
        "repeats": 4,
        "in_doubt": 9,
        "not_done": {"delivery killed: it does not run": 2} if troubled else {},
        "untried": {"checkpoints' disk full": "nothing may be mounted"} if troubled else {},
        "audit": {"late (behind_watermark)": 3} if troubled else {},
        "audit_defects": 0,
        "audit_records_refused": 0,
        "audit_owed": 12_000,
        "audit_alerted": 12_000,
    }
    text = written(facts, tabulate(record, [], Evidence(), calm=[]))
    assert "`make chaos MINUTES=20 SEED=7`, 100 payments/s, 2026-11-28 12:00 UTC" in text
    assert "**277 injections of 49 kinds**; 120,000 payments" in text
    assert "**Lost 0, doubled unmarked 0, repeats marked 4**" in text
    assert "Started again: delivery 3." in text
    assert "| delivery killed | 1 | - | 0 | 0 | 0 | - | - |" in text
    assert ("every promise was kept" in text) is not troubled
    for said in ("1 object refused", "it does not run (2)", "nothing may be mounted", "3 late"):
        assert (said in text) is troubled


def test_an_alert_that_was_received_is_unpaged_in_the_audit_s_records_alone() -> None:
    unpaged = Finding("unpaged", "lost", BEGAN, alert_id="a1")
    assert record_refused(unpaged, {"a1"})
    assert not record_refused(unpaged, {"a2"})
    assert not record_refused(Finding("missing", "lost", BEGAN, alert_id="a1"), {"a1"})


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_without_clocks_programs_keep_their_time_and_checkpoints_go_onto_the_disk(
    tmp_path: Path,
) -> None:
    settings = LocalSettings(var=tmp_path)
    disk, clocks = cast("Any", SomeDisk), cast("Any", NoClocks)
    chaos = Chaos(settings, OPTIONS, Console(quiet=True), disk=disk, clocks=clocks)
    assert set(chaos.untried) == {kind for kind in ACTS if "clock" in kind}
    around = chaos.surroundings(settings)
    assert around.environment == {}
    assert around.checkpoints == chaos.folder / "disk"


def test_faults_begin_with_payments_and_end_before_the_run_does(tmp_path: Path) -> None:
    said = io.StringIO()
    disk, clocks = cast("Any", NoDisk), cast("Any", SomeClocks)
    chaos = Chaos(
        LocalSettings(var=tmp_path), OPTIONS, Console(file=said), disk=disk, clocks=clocks
    )
    chaos.end()  # of a stack that never came up
    chaos.injections = (Injection(0, 0.0, "writes fail", 600.0, 1),)
    stack = SimpleNamespace(witness=SimpleNamespace(kinesis=lambda: None))
    chaos.begin(cast("LocalStack", stack))
    deadline = time.monotonic() + 10
    while "fault 0" not in said.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [one["kind"] for one in json.loads((chaos.folder / SWITCHES).read_text())] == [
        "writes fail"
    ]
    chaos.end()
    assert json.loads((chaos.folder / SWITCHES).read_text()) == []
    assert "fault 0: writes fail (the AWS API)" in said.getvalue()


# ---------- a run, judged ----------

CARD = "4f0c" * 8
FIRST_TRIED = "TaskManager killed"


def moment(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def page(name: str, seconds: float, *alerts: str, repeat: bool = False) -> PageReceived:
    return PageReceived(moment(seconds), f"{name}-{seconds}", name, "s", "t", alerts, repeat)


ALERT = alert_id("p1", CARD)
PAID: tuple[Fact, ...] = (
    StatusSeen(moment(-9), CARD, "STOLEN", moment(-60), "1"),
    PaymentSeen(moment(30), "p1", CARD, moment(30), "2"),
)
ALERTED = AlertSeen(moment(36), ALERT, "p1", CARD, moment(30), moment(35), late=False)
KEPT = (*PAID, ALERTED, page("a", 37, ALERT))


@dataclass
class FakeRun:
    """A run that leaves what a real one does: receipts, its figures, and the trial's record.

    Of what was scheduled the first is a TaskManager that was killed, and nothing else was possible.
    """

    facts: Sequence[Fact] = KEPT
    broken: tuple[str, ...] = ()
    """Promises."""
    stopped: bool = False
    done: float = 1.0
    """The part of the schedule that was come to."""
    asked: list[tuple[LocalSettings, RunOptions]] = field(default_factory=list)

    def __call__(
        self, settings: LocalSettings, _root: Path, options: RunOptions, _console: Console
    ) -> int:
        self.asked.append((settings, options))
        if self.stopped:
            return 0
        receipts = Receipts(settings.var / "receipts")
        for fact in self.facts:
            receipts.write(fact)
        receipts.close()
        chaos = options.disturbance
        assert isinstance(chaos, Chaos)
        come_to = chaos.injections[: int(len(chaos.injections) * self.done)]
        lines = [
            Injected(
                one.number,
                one.kind if one.number else FIRST_TRIED,
                moment(one.at),
                moment(one.at + one.lasts),
                "it",
                problem="it does not run" if one.number else "",
            ).to_line()
            for one in come_to
        ]
        if lines:
            (chaos.folder / RECORD).write_text("".join(lines))
        figures = {
            "started_at": "2026-11-28T12:00:00.000Z",
            "payments": 30_000,
            "stolen_payments": 1,
            "alerts": 1,
            "pages": 1,
            "restarts": {"delivery": 2},
            "failures": list(self.broken),
        }
        (settings.var / "run.json").write_text(json.dumps(figures))
        return 1 if self.broken else 0


@dataclass
class Tried:
    """What became of a run."""

    code: int
    said: str
    facts: dict[str, Any]
    """Of chaos.json; empty where there is none."""


def prepared(settings: LocalSettings, options: ChaosOptions, console: Console) -> Chaos:
    disk, clocks = cast("Any", NoDisk), cast("Any", SomeClocks)
    return Chaos(settings, options, console, disk=disk, clocks=clocks)


def tried(
    var: Path, run: FakeRun, *findings: Finding, document: Path | None = None, seconds: float = 300
) -> Tried:
    said = io.StringIO()
    code = run_chaos(
        LocalSettings(var=var),
        var,
        ChaosOptions(seconds, seed=7, rate=100, document=document),
        Console(file=said, width=200),
        prepare=prepared,
        run=run,
        audit=lambda _: AuditReport(moment(400), 1, 1, 0, findings),
    )
    path = var / "chaos.json"
    return Tried(code, said.getvalue(), json.loads(path.read_text()) if path.exists() else {})


over_loopback = pytest.mark.allow_hosts(["127.0.0.1"])


@over_loopback
def test_a_run_that_lost_and_doubled_nothing_is_well_and_its_table_is_in_the_document(
    tmp_path: Path,
) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"# Before\n{BEGIN}\nan older table\n{END}\n# After\n")
    run = FakeRun()
    ended = tried(tmp_path, run, document=document)
    assert (ended.code, ended.facts["failures"]) == (0, [])
    assert (ended.facts["injections"], ended.facts["kinds"], ended.facts["lost"]) == (1, 1, 0)
    assert ended.facts["rows"][0]["kind"] == CALM
    assert ended.facts["rows"][0]["tried"] == 2, "a calm every two minutes"
    text = document.read_text()
    assert text.startswith(f"# Before\n{BEGIN}\n`make chaos MINUTES=5 SEED=7`")
    assert text.endswith(f"|\n{END}\n# After\n")
    assert f"| {FIRST_TRIED} | 1 | - | 0 | 0 | 0 |" in text
    assert "an older table" not in text
    assert "not tried: checkpoints' disk full" in ended.said
    assert "FAILED" not in ended.said


@over_loopback
def test_the_stack_runs_without_what_is_tried_apart_for_as_long_as_asked(tmp_path: Path) -> None:
    run = FakeRun()
    tried(tmp_path, run)
    ((settings, options),) = run.asked
    assert (settings.risk_desk, settings.dashboard_port) == ("off", 0)
    assert (options.seconds, options.stack.rate) == (300, 100)
    assert options.stack.surroundings.programs[0].name == PROXY


@over_loopback
@pytest.mark.parametrize(
    ("facts", "failure"),
    [
        (PAID, "1 lost"),
        ((*PAID, ALERTED), "1 lost"),
        ((*KEPT, page("b", 50, ALERT)), "1 doubled and not marked"),
        (
            (*KEPT, page("a", 50, ALERT, repeat=True)),
            "1 repeats, and a notifier was kept from noting what it published 0 times",
        ),
    ],
    ids=["no alert", "no page", "two pages", "a repeat that nothing explains"],
)
def test_what_was_lost_doubled_or_repeated_without_a_reason_fails_the_run(
    tmp_path: Path, facts: Sequence[Fact], failure: str
) -> None:
    ended = tried(tmp_path, FakeRun(facts))
    assert (ended.code, ended.facts["failures"]) == (1, [failure])
    assert f"FAILED: {failure}" in ended.said


@over_loopback
def test_a_defect_that_the_audit_finds_fails_the_run_and_a_page_s_refused_record_does_not(
    tmp_path: Path,
) -> None:
    lost = Finding("missing", "lost", BEGAN)
    refused = Finding("unpaged", "lost", BEGAN, alert_id=ALERT)
    late = Finding("late", "behind_watermark", BEGAN)
    ended = tried(tmp_path, FakeRun(), refused, late)
    assert (ended.code, ended.facts["audit_defects"]) == (0, 0)
    assert ended.facts["audit_records_refused"] == 1
    ended = tried(tmp_path, FakeRun(), lost, refused)
    assert (ended.code, ended.facts["failures"]) == (1, ["the audit found 1 defects"])


@over_loopback
def test_a_promise_that_the_run_broke_fails_it_though_no_fault_is_to_blame(tmp_path: Path) -> None:
    ended = tried(tmp_path, FakeRun(broken=("1 object refused",)))
    assert (ended.code, ended.facts["failures"]) == (1, [])
    assert ended.facts["verdict"] == ["1 object refused"]


@over_loopback
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_trial_that_ended_before_its_schedule_did_fails_the_run(
    tmp_path: Path, part: float
) -> None:
    ended = tried(tmp_path, FakeRun(done=part))
    assert ended.code == 1
    assert any("the trial ended after" in failure for failure in ended.facts["failures"])


@over_loopback
def test_a_run_that_was_stopped_is_not_judged_by_what_an_earlier_one_left(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"{BEGIN}\nan older table\n{END}\n")
    (tmp_path / "run.json").write_text("{}")
    ended = tried(tmp_path, FakeRun(stopped=True), document=document)
    assert (ended.code, ended.facts) == (0, {})
    assert "an older table" in document.read_text()


@contextmanager
def going_on(var: Path) -> Iterator[Path]:
    """Have a run of faults go on; gives its record."""
    record = var / "chaos" / RECORD
    record.parent.mkdir(parents=True)
    record.touch()
    folder = RunFolder(var)
    folder.acquire()
    yield record
    folder.release()


def test_a_second_run_leaves_the_first_one_s_record_alone(tmp_path: Path) -> None:
    run = FakeRun()
    with going_on(tmp_path) as record:
        with pytest.raises(LocalStackError, match="already going on"):
            tried(tmp_path, run)
        assert record.exists()
    assert run.asked == []


def test_a_document_without_a_place_for_the_table_is_refused_before_anything_runs(
    tmp_path: Path,
) -> None:
    run = FakeRun()
    document = tmp_path / "reliability.md"
    document.write_text("# Faults\n")
    with pytest.raises(ValueError, match="the document has no"):
        tried(tmp_path, run, document=document)
    assert run.asked == []


def test_at_the_end_of_a_run_an_alert_without_a_page_waits_for_nothing() -> None:
    alert = StagedAlert(
        ALERT, "p1", CARD, moment(30), moment(40), new=True, late=False, found_by="stream"
    )
    report = audit_of_all(Staged(moment(41), alerts=[alert]), kept=timedelta(days=90))
    assert ("unpaged", "lost") in report.counts
    assert audit_of_all(Staged(None), kept=timedelta(days=90)).defects == 0
