"""The bank's database in a real PostgreSQL: what is settled, who sees what, what is never told."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.banking.conftest import READER, SETTLE
from tests.fakes import FakeClock
from tests.unit.banking.support import CANARY, CARD, FakeCursors, FakeStream

from cardwatch.banking import accounts, transactions
from cardwatch.banking.ports import Bank, BankTable, BankUnavailableError, Position
from cardwatch.banking.publishing import Publishing
from cardwatch.clock import SystemClock
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.postgres import SLACK, connected

Connect = Callable[[], psycopg.Connection[Any]]
OpenBank = Callable[..., AbstractContextManager[Bank]]
UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
INSERT = (
    "INSERT INTO banking.accounts (account_id, holder_name, holder_country, opened_at,"
    " credit_limit, currency, spent, spent_until, status, risk_segment)"
    " VALUES (%s, %s, 'MT', '2019-03-01T09:00:00Z', 2500, 'EUR', 0, '2020-01-01T00:00:00Z',"
    " 'ACTIVE', 'LOW')"
)


def add(connection: psycopg.Connection[Any], *keys: str) -> None:
    for key in keys:
        connection.execute(INSERT, (key, CANARY))


def publishing(bank: OpenBank, stream: FakeStream, cursors: FakeCursors) -> Publishing:
    return Publishing(
        connect=bank,
        stream=stream,
        cursors=cursors,
        clock=SystemClock(),
        period=timedelta(minutes=15),
        most_again=100,
    )


def test_rows_come_in_order_by_time_and_key_and_behind_each(
    people: Connect, bank: OpenBank
) -> None:
    with people() as writer:
        add(writer, "acc_b", "acc_a", "acc_c")
    with people() as writer:
        add(writer, "acc_0")
    with bank() as session:
        rows = session.changed(accounts.TABLE, None, UNTIL, 10)
        assert [row.key for row in rows] == ["acc_a", "acc_b", "acc_c", "acc_0"]
        assert len({row.updated_at for row in rows}) == 2
        for place, row in enumerate(rows):
            after = Position(row.updated_at, row.key)
            assert list(session.changed(accounts.TABLE, after, UNTIL, 2)) == rows[place + 1 :][:2]
        assert list(session.changed(accounts.TABLE, None, rows[3].updated_at, 10)) == rows[:3]
        walked = session.walk(accounts.TABLE, "acc_0", UNTIL, 2)
        assert [row.key for row in walked] == ["acc_a", "acc_b"]


def test_nothing_is_lost_of_two_transactions_that_are_open_and_commit_in_the_other_order(
    people: Connect, bank: OpenBank
) -> None:
    stream, cursors = FakeStream(), FakeCursors()
    run = publishing(bank, stream, cursors).run
    early, late = people(), people()
    add(early, "acc_early")
    time.sleep(0.01)
    add(late, "acc_late")
    late.commit()
    with people() as third:
        add(third, "acc_third")
    time.sleep(SLACK.total_seconds() + 0.1)
    report = run(lambda: True)
    assert (stream.entries, report.blind) == ([], False), "the first one is still open"
    assert report.published.behind > SLACK
    early.commit()
    run(lambda: True)
    keys = [entry.partition_key for entry in stream.entries]
    assert keys[:3] == ["acc_early", "acc_late", "acc_third"]


def test_what_a_change_writes_last_is_what_is_published_also_where_it_waited_for_another(
    people: Connect, bank: OpenBank
) -> None:
    with people() as writer:
        add(writer, "acc_1")
    stream, cursors = FakeStream(), FakeCursors()
    run = publishing(bank, stream, cursors).run
    first = people()
    first.execute("SELECT 1")
    with people() as second:
        second.execute("UPDATE banking.accounts SET spent = 2")
    first.execute("UPDATE banking.accounts SET spent = 1")
    first.commit()
    time.sleep(SLACK.total_seconds() + 0.1)
    run(lambda: True)
    spent = {event["event_json_data"]["spent"] for event in stream.events()}
    assert spent == {"1.0000"}


def test_no_transaction_open_means_settled_up_to_a_second_ago(bank: OpenBank) -> None:
    with bank() as session:
        horizon = session.horizon()
    assert not horizon.blind
    behind = datetime.now(UTC) - horizon.until
    assert SLACK <= behind < SLACK + timedelta(seconds=5)


def test_who_may_not_see_the_open_transactions_waits_by_the_clock_and_with_the_right_does_not(
    people: Connect, bank: OpenBank
) -> None:
    with people() as owner:
        owner.execute(f"CREATE ROLE {READER} LOGIN")
        owner.execute(f"GRANT USAGE ON SCHEMA banking TO {READER}")
        owner.execute(f"GRANT SELECT ON banking.accounts TO {READER}")
    open_one = people()
    add(open_one, "acc_1")
    with bank(READER) as session:
        horizon = session.horizon()
        assert horizon.blind
        assert datetime.now(UTC) - horizon.until >= SETTLE
    with people() as owner:
        owner.execute(f"GRANT pg_read_all_stats TO {READER}")
    with bank(READER) as session:
        horizon = session.horizon()
        assert not horizon.blind
        assert session.changed(accounts.TABLE, None, horizon.until, 10) == []
    open_one.rollback()


def test_what_is_no_value_of_python_s_is_one_row_s_trouble(people: Connect, bank: OpenBank) -> None:
    with people() as writer:
        add(writer, "acc_1", "acc_2")
        writer.execute(
            "UPDATE banking.accounts SET opened_at = 'infinity' WHERE account_id = 'acc_1'"
        )
    stream = FakeStream()
    time.sleep(SLACK.total_seconds() + 0.1)
    done = publishing(bank, stream, FakeCursors()).run(lambda: True).published
    assert [event["event_json_data"]["account_id"] for event in stream.events()] == ["acc_2"] * 2
    assert {refusal.key for refusal in done.refused} == {"acc_1"}


def test_a_bank_is_only_read(bank: OpenBank) -> None:
    table = BankTable("banking.accounts", "account_id", ())
    with bank() as session:
        select = session._select  # type: ignore[attr-defined]  # noqa: SLF001  no port writes
        with pytest.raises(BankUnavailableError, match="ReadOnlySqlTransaction"):
            select(psycopg.sql.SQL("DELETE FROM banking.accounts RETURNING 1"), ())
        assert session.changed(table, None, UNTIL, 1) == []


@pytest.mark.parametrize(
    "table",
    [
        BankTable("banking.nothing", "account_id", ()),
        BankTable("banking.accounts", "account_id", ("nobody",)),
        BankTable("banking.quoting", "account_id", ("holder_name",)),
    ],
    ids=lambda table: f"{table.name} {table.columns}",
)
def test_what_the_database_says_of_an_error_passes_on_to_nobody(
    server: WarehouseServer, people: Connect, bank: OpenBank, table: BankTable
) -> None:
    with people() as owner:
        add(owner, "acc_1")
        # An error that quotes a row: the name is no number.
        owner.execute(
            "CREATE VIEW banking.quoting AS SELECT account_id, updated_at,"
            " holder_name::int AS holder_name FROM banking.accounts"
        )
    with bank() as session, pytest.raises(BankUnavailableError) as refused:
        session.changed(table, None, UNTIL, 10)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert "SQLSTATE" in str(refused.value)
    told = str(refused.value) + (server.folder / "log").read_text(errors="replace")
    assert not any(word in told for word in CANARY.split())


def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    for dsn in (
        "postgresql://reader:hunter2@127.0.0.1:1/bank",
        "postgresql://reader:hunter2 pass@[bad",
        "password=hunter2 nonsense",
    ):
        with pytest.raises(BankUnavailableError) as refused, connected(dsn, settle=SETTLE):
            pass
        assert "hunter2" not in f"{refused.value}{refused.value.__cause__!r}"


def test_transactions_are_read_with_all_their_columns(people: Connect, bank: OpenBank) -> None:
    with people() as writer:
        writer.execute(
            "INSERT INTO banking.transactions (transaction_id, card_number, account_id, user_id,"
            " amount, currency, merchant_id, country, status, status_at, entry_mode) VALUES"
            " ('pay_1', %s, 'acc_1', 'usr_1', 12.5, 'EUR', 'mer_1', 'MT',"
            " 'AUTHORIZED', now(), 'ECOMMERCE')",
            (CARD.reveal(),),
        )
    with bank() as session:
        [row] = session.changed(transactions.TABLE, None, UNTIL, 10)
    assert (row.key, row.values["amount"], row.values["city"]) == ("pay_1", "12.5000", None)
    assert CARD.reveal() not in repr(row)
    assert FakeClock().now() < row.updated_at
