from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import psycopg
import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.firehose.delivery import UnreachableError
from cardwatch.local.run import run
from cardwatch.local.run.run import RunOptions, audits_itself, read_to_judge
from cardwatch.settings import LocalSettings
from cardwatch.warehouse.ports import WarehouseUnavailableError


def test_whatever_keeps_a_run_from_reading_what_it_is_judged_by_is_named_on_one_line() -> None:
    unread: list[str] = []
    for error in (
        WarehouseUnavailableError("PostgreSQL does\nnot answer"),
        UnreachableError("the bucket is away"),
        psycopg.OperationalError("terminated"),
        OSError("disk"),
    ):

        def fail(error: Exception = error) -> int:
            raise error

        assert read_to_judge("the rows", fail, 0, unread) == 0
    assert unread[0] == "the rows could not be read (PostgreSQL does not answer)"
    assert len(unread) == 4


def test_what_can_be_read_is_judged_as_it_is() -> None:
    unread: list[str] = []
    assert read_to_judge("the rows", lambda: 7, 0, unread) == 7
    assert unread == []


@dataclass
class Unreadable:
    """A stack at its end, of which nothing can be read any more."""

    receipts_folder: Path
    risk_desk: None = None
    state: str = "running"
    doing: str = ""
    payments: bool = True

    @property
    def controls(self) -> "Unreadable":
        return self

    @property
    def gauges(self) -> "Unreadable":
        return self

    @property
    def tally(self) -> "Unreadable":
        return self

    last_payment: None = None
    watermark: None = None

    def set_payments(self, *, on: bool) -> None:
        self.payments = on

    def check(self) -> None:
        """Everything runs."""

    def tend(self) -> None:
        """Nothing is to be done."""

    def _away(self) -> NoReturn:
        msg = "PostgreSQL and the emulator are away"
        raise ConnectionResetError(msg)

    def call_notifier(self, *, close_groups: bool = False) -> None:
        """Nothing waits for it."""

    def flush_delivery(self) -> None:
        msg = "delivery does not answer"
        raise LocalStackError(msg)

    staged_ids = read_staged_rows = read_quarantine = read_given_up = _away


def test_a_run_of_which_nothing_can_be_read_at_its_end_has_a_verdict_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0.0)
    stack = Unreadable(tmp_path)
    verdict = run._finish(cast("Any", stack))  # noqa: SLF001  its end, without a stack to begin with
    assert not stack.payments
    unread = [failure for failure in verdict.failures if "could not be read" in failure]
    assert len(unread) == 4
    assert all("are away" in failure for failure in unread)


class Clock:
    """A clock that goes on when somebody sleeps, and what catches up with it meanwhile."""

    def __init__(self, scores_per_second: float, stops_at: float) -> None:
        self.now = 0.0
        self._rate, self._stops_at = scores_per_second, stops_at

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def unfinished(self, _: object) -> list[str]:
        missing = 1_000 - int(self._rate * min(self.now, self._stops_at))
        return [f"{missing} payments without a score: pay_1"] if missing > 0 else []


@pytest.mark.parametrize(
    ("scores_per_second", "stops_at", "ends_at"),
    [
        (2.0, 1_000.0, 500.0),  # all are there in the end
        (2.0, 200.0, 200.0 + run.FINISH_SECONDS),  # it stands still
        (0.0, 0.0, run.FINISH_SECONDS),  # nothing ever comes
    ],
)
def test_a_run_waits_for_what_it_owes_as_long_as_that_becomes_less(
    scores_per_second: float,
    stops_at: float,
    ends_at: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(scores_per_second, stops_at)
    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(run, "unfinished", clock.unfinished)
    stack = Unreadable(tmp_path)
    run._finish(cast("Any", stack))  # noqa: SLF001  its end, without a stack to begin with
    assert clock.now == pytest.approx(ends_at, abs=run.SETTLE_SECONDS + 5)


def test_a_run_without_an_end_audits_itself_and_a_measured_one_does_not() -> None:
    assert audits_itself(RunOptions(), LocalSettings())
    assert not audits_itself(RunOptions(seconds=30), LocalSettings())
    assert not audits_itself(RunOptions(enough=lambda _: True), LocalSettings())
    assert not audits_itself(RunOptions(), LocalSettings(audit="off"))
