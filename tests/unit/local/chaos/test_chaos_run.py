"""What a trial writes at its end says what was tried, what it cost, and what could not be tried."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from cardwatch.audit.completeness import Finding
from cardwatch.local.chaos.chaos_run import PROXY, Chaos, ChaosOptions, record_refused, written
from cardwatch.local.chaos.machine import UntriedError
from cardwatch.local.chaos.results import tabulate
from cardwatch.local.chaos.schedule import ACTS
from cardwatch.local.chaos.trial import Injected
from cardwatch.local.services.flink import TASK_MANAGER
from cardwatch.local.witness.verdict import Evidence
from cardwatch.settings import LocalSettings

BEGAN = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OPTIONS = ChaosOptions(seconds=1200, seed=7, rate=100)


class NoDisk:
    """A machine on which nothing may be mounted."""

    def __init__(self, _folder: Path) -> None:
        msg = "no file system may be mounted here"
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
