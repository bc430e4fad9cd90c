"""Whatever happens, wherever a run dies: nothing is lost, no cursor passes what is not sent."""

import json
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.fakes import FakeClock
from tests.unit.banking.support import (
    CrashError,
    FakeBank,
    FakeCursors,
    FakeStream,
    Transaction,
)

from cardwatch.banking.accounts import ACCOUNTS
from cardwatch.banking.publisher import Publisher

KEYS = [f"acc_{number}" for number in range(5)]
PAGE_ROWS = 2
"""So that every history has pages."""


class BankHistory(RuleBasedStateMachine):
    """Transactions that overlap, share times and commit late, beside runs that die anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.bank = FakeBank(self.clock)
        self.cursors = FakeCursors()
        self.stream = FakeStream()
        self.written = 0

    @rule(microseconds=st.sampled_from([0, 1, 400, 1_000, 300_000, 1_000_001, 5_000_000]))
    def time_passes(self, microseconds: int) -> None:
        self.clock.time += timedelta(microseconds=microseconds)

    @rule(key=st.sampled_from(KEYS))
    def a_row_changes_at_once(self, key: str) -> None:
        transaction = self.bank.begin()
        self._write(transaction, key)
        self.bank.commit(transaction)

    @rule()
    def a_transaction_begins(self) -> None:
        self.bank.begin()

    @rule(key=st.sampled_from(KEYS), which=st.integers(0, 3))
    def an_open_one_writes(self, key: str, which: int) -> None:
        if self.bank.open:
            self._write(self.bank.open[which % len(self.bank.open)], key)

    @rule(which=st.integers(0, 3), commits=st.booleans())
    def an_open_one_ends(self, which: int, commits: bool) -> None:  # noqa: FBT001  hypothesis draws it
        if self.bank.open:
            transaction = self.bank.open[which % len(self.bank.open)]
            (self.bank.commit if commits else self.bank.roll_back)(transaction)

    @rule(
        refuse=st.sets(st.integers(0, PAGE_ROWS - 1)),
        crash_put=st.sampled_from([None, None, "before", "after"]),
        crash_save=st.sampled_from([None, None, "before", "after"]),
        crash_read=st.sampled_from([None, None, 1, 2]),
        pages=st.integers(1, 4),
        again=st.booleans(),
    )
    def a_run(
        self,
        *,
        refuse: set[int],
        crash_put: str | None,
        crash_save: str | None,
        crash_read: int | None,
        pages: int,
        again: bool,
    ) -> None:
        self.stream.refuse, self.stream.crash = refuse, crash_put
        self.cursors.crash = crash_save
        self.bank.reads, self.bank.crash_at_read = 0, crash_read
        try:
            self._run(pages, again=again)
        except CrashError:
            pass
        finally:
            self.stream.refuse, self.stream.crash, self.cursors.crash = (), None, None
            self.bank.crash_at_read = None

    @invariant()
    def the_cursor_has_passed_no_row_that_is_not_on_the_stream(self) -> None:
        position = self.cursors.position()
        if position is None:
            return
        said = self._said()
        for row in self.bank.accounts.values():
            if (row.updated_at, row.key) <= position:
                assert row.values["spent"] in said[row.key], row

    @invariant()
    def an_event_id_stands_for_one_version(self) -> None:
        contents: dict[str, set[str]] = {}
        for event in self.stream.events():
            data = json.dumps(event["event_json_data"])
            contents.setdefault(event["event_id"], set()).add(data)
        assert all(len(versions) == 1 for versions in contents.values())

    def teardown(self) -> None:
        """In the end the last version of every account is the newest on the stream."""
        for transaction in list(self.bank.open):
            self.bank.commit(transaction)
        self.clock.advance(10)
        self._run(pages=100, again=False)
        newest: dict[str, tuple[str, str]] = {}
        for event in self.stream.events():
            data = event["event_json_data"]
            version = (data["valid_from"], data["spent"])
            newest[data["account_id"]] = max(version, newest.get(data["account_id"], version))
        now = {row.key: row.values["spent"] for row in self.bank.accounts.values()}
        assert {key: spent for key, (_, spent) in newest.items()} == now

    def _write(self, transaction: Transaction, key: str) -> None:
        self.written += 1
        self.bank.write(transaction, key, spent=str(self.written))

    def _run(self, pages: int, *, again: bool) -> None:
        left = iter(range(pages - 1))
        publisher = Publisher(
            ACCOUNTS,
            bank=self.bank,
            stream=self.stream,
            cursors=self.cursors,
            clock=self.clock,
            until=self.bank.horizon().until,
            page_rows=PAGE_ROWS,
        )
        if again:
            publisher.again(
                lambda: next(left, None) is not None, period=timedelta(seconds=4), most=3
            )
        else:
            publisher.changes(lambda: next(left, None) is not None)

    def _said(self) -> dict[str, set[str]]:
        said: dict[str, set[str]] = {key: set() for key in KEYS}
        for event in self.stream.events():
            data = event["event_json_data"]
            said[data["account_id"]].add(data["spent"])
        return said


BankHistory.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, print_blob=True
)
TestHistories = BankHistory.TestCase


def test_the_bank_of_the_histories_commits_late_under_an_earlier_time() -> None:
    clock = FakeClock()
    bank = FakeBank(clock)
    late = bank.begin()
    clock.advance(5)
    bank.put("acc_1")
    assert bank.write(late, "acc_0", spent="1")
    clock.advance(5)
    assert bank.horizon().until == late.began
    bank.commit(late)
    assert bank.accounts["acc_0"].updated_at < bank.accounts["acc_1"].updated_at
    assert isinstance(bank.horizon().until, datetime)
