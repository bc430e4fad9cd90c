from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import psycopg
import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.firehose.delivery import UnreachableError
from cardwatch.local.run import run
from cardwatch.local.run.run import read_to_judge
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
