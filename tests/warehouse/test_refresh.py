"""The refresh: every row once whatever is loaded, repeated, broken off or raced."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import sqlglot
from psycopg.sql import SQL as SQL_TEXT
from psycopg.sql import Identifier
from sqlglot import exp
from tests.fake_redshift_data import FakeRedshiftData
from tests.fakes import FakeClock
from tests.warehouse.redshift import PostgresEngine

from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.local.redshift_dialect import SQL_FOLDER, to_postgres
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError
from cardwatch.warehouse.refresh import REACH, Refresh, RefreshFailedError
from cardwatch.warehouse.schema import Password, WarehouseSchema
from cardwatch.warehouse.sql import bind, read_refresh_sql, read_warehouse_sql

SQL = read_refresh_sql(SQL_FOLDER)
FILES = sorted((SQL_FOLDER / "refresh").glob("**/*.sql"))


def payment(number: int, *, status: str = "AUTHORIZED") -> tuple[str, str, str, str]:
    data = {
        "payment_id": f"pay_{number}",
        "card_token": f"{number % 10:032d}",
        "amount": "1.50",
        "currency": "EUR",
        "status": status,
    }
    origin = f"2026-11-21 07:{number // 60 % 60:02d}:{number % 60:02d}"
    return f"event_{number}_{status}", "PAYMENT_EVENT", origin, json.dumps(data)


def stolen(card: int) -> tuple[str, str, str, str]:
    data = {
        "card_token": f"{card:032d}",
        "status": "STOLEN",
        "effective_from": "2026-11-21T00:00:00.000Z",
    }
    return f"status_{card}", "CARD_STATUS", "2026-11-21 00:00:00", json.dumps(data)


def load(connection: psycopg.Connection[Any], *events: tuple[str, str, str, str]) -> None:
    """Load as COPY does: in one transaction, whose start is the rows' time."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO staging.events (event_id, event_type, event_date_origin, event_json_data)"
            " VALUES (%s, %s, %s, %s)",
            events,
        )


def contents(connection: psycopg.Connection[Any]) -> dict[str, Counter[tuple[Any, ...]]]:
    """Give the rows of every table that the refresh fills, without its own bookkeeping."""
    found = {}
    for step in SQL.steps:
        query = SQL_TEXT("SELECT to_jsonb(t) - 'batch' FROM {} AS t")
        rows = connection.execute(query.format(Identifier(*step.name.split("."))))
        found[step.name] = Counter(json.dumps(row, sort_keys=True) for (row,) in rows)
    return cast("dict[str, Counter[tuple[Any, ...]]]", found)


@pytest.fixture
def other(server: WarehouseServer) -> Iterator[psycopg.Connection[Any]]:
    """A second session."""
    with server.connect() as connection:
        connection.autocommit = True
        yield connection


class Breaking:
    """A session that is lost before its n-th transaction."""

    def __init__(self, warehouse: Warehouse, transactions: int) -> None:
        self._warehouse = warehouse
        self._left = transactions

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        return self._warehouse.query(statement)

    def run(self, statements: Sequence[str]) -> None:
        if not self._left:
            msg = "killed"
            raise WarehouseUnavailableError(msg)
        self._left -= 1
        self._warehouse.run(statements)


@pytest.mark.parametrize("transactions", range(len(SQL.steps) + 3))
def test_a_refresh_that_is_killed_between_steps_is_taken_up_and_doubles_nothing(
    connection: psycopg.Connection[Any], warehouse: Warehouse, transactions: int
) -> None:
    load(connection, stolen(1), *map(payment, range(20)))
    load(connection, payment(3), payment(11, status="REFUNDED"))
    broken = Refresh(Breaking(warehouse, transactions), SQL, translate=to_postgres)
    with pytest.raises(WarehouseUnavailableError):
        broken.run()
    load(connection, *map(payment, range(15, 25)))
    warehouse.refresh().run()
    resumed = contents(connection)
    assert sum(resumed["typed.payment_event"].values()) == 26
    assert sum(resumed["facts.stolen_payments"].values()) == 3
    for table in ("typed.payment_event", "typed.card_status", "facts.stolen_payments"):
        connection.execute(f"TRUNCATE {table}".encode())
    connection.execute("TRUNCATE refresh.progress, refresh.loads")
    warehouse.refresh().run()
    assert contents(connection) == resumed


def test_a_load_that_commits_after_a_later_one_was_seen_is_found(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    other.execute("BEGIN")
    load(other, payment(1))
    load(connection, payment(2))
    assert warehouse.refresh().run().rows == 1
    other.execute("COMMIT")
    early, late = (
        connection.execute(
            "SELECT event_dw_regdate FROM staging.events WHERE event_id = %s", (payment(n)[0],)
        ).fetchone()
        for n in (1, 2)
    )
    assert early is not None
    assert late is not None
    assert early < late
    assert warehouse.refresh().run().rows == 1
    assert sum(contents(connection)["typed.payment_event"].values()) == 2


def test_a_load_that_took_longer_than_the_reach_is_found_by_the_next_sweep(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    warehouse.refresh().run()
    load(connection, payment(1))
    connection.execute(
        "UPDATE staging.events SET event_dw_regdate = event_dw_regdate - %s",
        (REACH + timedelta(minutes=1),),
    )
    assert warehouse.refresh().run().rows == 0
    connection.execute(
        "UPDATE refresh.progress SET as_of = as_of - interval '1 hour' WHERE step LIKE '%sweep'"
    )
    assert warehouse.refresh().run().rows == 1
    assert sum(contents(connection)["typed.payment_event"].values()) == 1


def test_two_loads_of_one_moment_are_both_found(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    for number in (1, 2):
        load(connection, payment(number))
        connection.execute("UPDATE staging.events SET event_dw_regdate = '2026-11-21 08:00:00'")
        connection.execute("UPDATE refresh.progress SET as_of = '1970-01-01'")
        assert warehouse.refresh().run().rows == 1
    assert sum(contents(connection)["typed.payment_event"].values()) == 2


def test_refreshes_at_once_do_the_work_once(
    connection: psycopg.Connection[Any], server: WarehouseServer
) -> None:
    load(connection, stolen(1), *map(payment, range(200)))
    errors: list[Exception] = []

    def work() -> None:
        warehouse = Warehouse(server)
        try:
            for _ in range(3):
                warehouse.refresh(batch_rows=50).run()
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            errors.append(error)
        finally:
            warehouse.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200, 260, 20):
        load(connection, *map(payment, range(number, number + 20)))
    for thread in threads:
        thread.join(60)
    assert errors == []
    warehouse = Warehouse(server)
    warehouse.refresh().run()
    warehouse.close()
    found = contents(connection)
    assert sum(found["typed.payment_event"].values()) == 260
    assert set(found["typed.payment_event"].values()) == {1}
    assert sum(found["facts.stolen_payments"].values()) == 26
    known = connection.execute("SELECT sum(row_count) FROM refresh.loads").fetchone()
    assert known == (261,)


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_the_size_of_the_batches_changes_nothing(
    connection: psycopg.Connection[Any], warehouse: Warehouse, batch_rows: int
) -> None:
    for first in range(0, 60, 6):
        load(connection, *map(payment, range(first, first + 8)), stolen(first // 6))
    report = warehouse.refresh(batch_rows=batch_rows).run()
    assert report.rows == 90
    found = contents(connection)
    assert sum(found["typed.payment_event"].values()) == 62
    assert sum(found["facts.stolen_payments"].values()) == 62
    assert report.transactions["typed.payment_event"] == {1: 10, 7: 10, 1000: 1}[batch_rows]


def test_a_round_with_nothing_new_runs_no_step(warehouse: Warehouse) -> None:
    first = warehouse.refresh().run()
    assert (first.rows, dict(first.transactions), first.complete) == (0, {}, True)


def test_a_step_that_fails_holds_back_only_those_that_read_it_and_shows_as_lag(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    warehouse.refresh().run()
    (before,) = warehouse.rows("marts.freshness")
    bad = payment(1)
    load(connection, (*bad[:3], bad[3].replace("1.50", "much")), stolen(1))
    with pytest.raises(RefreshFailedError, match=r"typed\.payment_event: InvalidText"):
        warehouse.refresh().run()
    found = contents(connection)
    assert sum(found["typed.card_status"].values()) == 1
    assert sum(found["typed.payment_event"].values()) == 0
    (row,) = warehouse.rows("marts.freshness")
    assert row["as_of"] == before["as_of"]
    assert row["newest_load"] > before["as_of"]
    connection.execute("DELETE FROM staging.events WHERE event_json_data LIKE '%much%'")
    load(connection, payment(1))
    warehouse.refresh().run()
    assert sum(contents(connection)["facts.stolen_payments"].values()) == 1
    (row,) = warehouse.rows("marts.freshness")
    assert row["as_of"] > before["as_of"]


def test_a_refresh_that_has_no_time_left_says_so_and_the_next_one_goes_on(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    load(connection, payment(1))
    left = iter([True, True, False])
    report = warehouse.refresh().run(in_time=lambda: next(left))
    assert not report.complete
    (row,) = warehouse.rows("marts.freshness")
    assert row["as_of"] == datetime(1970, 1, 1)  # noqa: DTZ001 - UTC by convention
    assert warehouse.refresh().run().complete
    (row,) = warehouse.rows("marts.freshness")
    assert row["lag_seconds"] in range(60)


def test_through_the_data_api_the_same_statements_give_the_same_rows(
    database: psycopg.Connection[Any],
) -> None:
    api = FakeRedshiftData(PostgresEngine(database), looks=0)
    clock = FakeClock()
    session = RedshiftDataSession(
        cast("Any", api),
        RedshiftDatabase("warehouse", False, "cardwatch", "arn:aws:x"),  # noqa: FBT003
        clock,
        patience_seconds=60,
    )
    WarehouseSchema(
        session,
        read_warehouse_sql(SQL_FOLDER),
        Password("1", "Mypassword1"),
        auditor=Password("1", "Itspassword1"),
        pause=clock.sleep,
    ).bring_up_to_date()
    load(database, stolen(1), *map(payment, range(20)))
    refresh = Refresh(session, SQL)
    assert refresh.run().rows == 21
    load(database, payment(3), payment(21))
    assert refresh.run().rows == 2
    found = contents(database)
    assert sum(found["typed.payment_event"].values()) == 21
    assert sum(found["facts.stolen_payments"].values()) == 3
    assert all(
        statements[0] == "LOCK refresh.turn"
        for name, arguments in api.calls
        if name == "batch_execute_statement"
        for statements in [arguments["Sqls"]]
        if "refresh" in statements[0]
    )


def test_a_look_that_fails_names_the_reason(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    class Refusing(Breaking):
        def run(self, statements: Sequence[str]) -> None:
            if any("INSERT INTO refresh.loads" in statement for statement in statements):
                msg = "disk full"
                raise StatementFailedError(msg)
            super().run(statements)

    assert not connection.closed
    with pytest.raises(RefreshFailedError, match="could not look for new loads: disk full"):
        Refresh(Refusing(warehouse, 99), SQL, translate=to_postgres).run()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_reads_and_writes_what_its_header_says_and_nothing_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    reads: set[str] = set()
    writes: set[str] = set()
    for statement in sqlglot.parse(text, read="redshift"):
        assert statement is not None
        target = None
        if isinstance(statement, (exp.Insert, exp.Delete)):
            target = statement.this.find(exp.Table)
            writes.add(f"{target.db}.{target.name}")
        else:
            assert isinstance(statement, (exp.Create, exp.Drop)), statement.sql()
            assert statement.find(exp.TemporaryProperty) or isinstance(statement, exp.Drop)
        for table in statement.find_all(exp.Table):
            if table is not target and table.db:
                reads.add(f"{table.db}.{table.name}")
    header: dict[str, set[str]] = {"Reads": set(), "Writes": set()}
    for kind, names in re.findall(r"^-- (Reads|Writes): (.+)$", text, re.MULTILINE):
        header[kind] |= set(names.split(", "))
    assert writes == header["Writes"]
    assert reads - writes == header["Reads"] - writes - {"what it writes"}


def test_parameters_become_literals_and_nothing_else_does() -> None:
    statement = "SELECT a::BIGINT, 'x:y' FROM t WHERE b > :from_batch AND c >= :since"
    bound = bind(statement, from_batch=7, since=datetime(2026, 11, 21, 7, 0, 3, 120_000))  # noqa: DTZ001
    assert bound == (
        "SELECT a::BIGINT, 'x:y' FROM t WHERE b > 7 "
        "AND c >= CAST('2026-11-21 07:00:03.120000' AS TIMESTAMP)"
    )
    with pytest.raises(KeyError, match="since"):
        bind(statement, from_batch=7)


def test_what_many_rows_came_into_is_planned_for_as_many_at_once(
    warehouse: Warehouse, connection: psycopg.Connection[Any]
) -> None:
    """Planned for an empty table, what joins it would go through all of it for each row."""
    events = [stolen(card) for card in range(10)] + [payment(number) for number in range(2_000)]
    load(connection, *events)
    connection.execute("ANALYZE typed.payment_event, facts.stolen_payments")
    warehouse.refresh().run()
    for table in ("typed.payment_event", "facts.stolen_payments"):
        query = SQL_TEXT("EXPLAIN SELECT * FROM {}").format(Identifier(*table.split(".")))
        (plan,) = connection.execute(query).fetchall()
        expected = re.search(r"rows=(\d+)", plan[0])
        assert expected is not None
        assert int(expected[1]) == 2_000


@pytest.mark.parametrize(("card", "touched"), [(1, 20), (2, 0)], ids=["stolen", "never stolen"])
def test_a_new_status_touches_the_payments_of_a_card_that_was_ever_stolen_and_no_others(
    warehouse: Warehouse, connection: psycopg.Connection[Any], card: int, touched: int
) -> None:
    load(connection, stolen(1), *(payment(number) for number in range(200)))
    warehouse.refresh().run()
    cleared = json.loads(stolen(card)[3]) | {
        "status": "ACTIVE",
        "effective_from": "2026-11-21T00:00:01.000Z",
    }
    load(connection, ("cleared", "CARD_STATUS", "2026-11-21 00:00:01", json.dumps(cleared)))
    before = connection.execute("SELECT COUNT(*) FROM facts.stolen_payments").fetchone()
    counts: list[int] = []

    class Counting:
        """Counts what the step takes in hand, before it drops the list of it."""

        def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
            return warehouse.query(statement)

        def run(self, statements: Sequence[str]) -> None:
            with connection.transaction():
                for statement in statements:
                    if statement.startswith("DROP TABLE touched_payments"):
                        (found,) = connection.execute("SELECT COUNT(*) FROM touched_payments")
                        counts.append(found[0])
                    connection.execute(statement.encode())

    Refresh(Counting(), SQL, translate=to_postgres).run()
    assert before == (20,)
    assert counts == [touched]
    after = connection.execute("SELECT COUNT(*) FROM facts.stolen_payments").fetchone()
    assert after == (20 - touched,)
