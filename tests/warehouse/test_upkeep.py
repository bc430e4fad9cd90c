"""Upkeep: what is too old goes and can come back, and what should not be there is found."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from cardwatch.contract.canary import CANARY_TOKEN
from cardwatch.local.redshift_dialect import SQL_FOLDER
from cardwatch.local.warehouse import Warehouse
from cardwatch.warehouse.sql import read_refresh_sql
from cardwatch.warehouse.upkeep import UpkeepReport

REFERENCE = {"typed.card_status", "typed.rule"}
"""What is true however old it is."""


def now(connection: psycopg.Connection[Any]) -> datetime:
    ((moment,),) = connection.execute("SELECT now() AT TIME ZONE 'UTC'").fetchall()
    assert isinstance(moment, datetime)
    return moment


def stage(
    connection: psycopg.Connection[Any],
    event_type: str,
    event_id: str,
    age: timedelta,
    *,
    loaded: timedelta | None = None,
    **data: object,
) -> None:
    """Put a row of `age` ago into staging.events, loaded then or `loaded` ago."""
    moment = now(connection)
    connection.execute(
        "INSERT INTO staging.events VALUES (%s, %s, %s, %s, %s)",
        (
            event_id,
            event_type,
            moment - age,
            moment - (age if loaded is None else loaded),
            json.dumps(data),
        ),
    )


def payment(
    connection: psycopg.Connection[Any],
    name: str,
    age: timedelta,
    *,
    loaded: timedelta | None = None,
    event: str | None = None,
) -> None:
    stage(
        connection,
        "PAYMENT_EVENT",
        event or f"event-of-{name}",
        age,
        loaded=loaded,
        payment_id=name,
        card_token="c",  # noqa: S106 - a card's
        amount="1.00",
        currency="EUR",
        status="AUTHORIZED",
    )


def status(connection: psycopg.Connection[Any], age: timedelta, *, card: str = "c") -> None:
    since = (now(connection) - age).isoformat(timespec="milliseconds") + "Z"
    stage(
        connection,
        "CARD_STATUS",
        f"status-{card}-{since}",
        age,
        card_token=card,
        status="STOLEN",
        effective_from=since,
    )


def attributed(connection: psycopg.Connection[Any], age: timedelta) -> None:
    stage(connection, "PAYMENT_ATTRIBUTED", f"attributed-{age.days}", age, payment_id="p")


def minute(connection: psycopg.Connection[Any], age: timedelta, *, of: str) -> None:
    stage(connection, f"{of.upper()}_MINUTE", f"{of}-{age.days}", age, card_count="1")


def account(connection: psycopg.Connection[Any], name: str, age: timedelta) -> None:
    since = (now(connection) - age).isoformat(timespec="milliseconds") + "Z"
    stage(connection, "ACCOUNT", f"{name}-{since}", age, account_id=name, valid_from=since)


def upkeep(
    warehouse: Warehouse, *, days: int = 30, staged: Mapping[datetime, int] | None = None
) -> UpkeepReport:
    class Counts:
        def per_minute(self, since: datetime, until: datetime) -> Mapping[datetime, int]:
            return {m: n for m, n in (staged or {}).items() if since <= m < until}

    return warehouse.upkeep(retention_days=days, staged=Counts()).run()


def rows(connection: psycopg.Connection[Any], table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()  # noqa: S608 - a name of the test's
    return int(count)


def found(report: UpkeepReport) -> dict[str, int]:
    return {finding.check: finding.found for finding in report.findings}


def test_what_is_older_than_the_retention_leaves_every_table_and_the_registry_stays(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    status(connection, timedelta(days=400))
    for days in (1, 29, 31, 90):
        payment(connection, f"of-{days}", timedelta(days=days))
        attributed(connection, timedelta(days=days))
        minute(connection, timedelta(days=days), of="merchant")
        minute(connection, timedelta(days=days), of="user")
    upkeep(warehouse)
    assert rows(connection, "typed.payment_event") == 2
    assert rows(connection, "typed.payment_attributed") == 2
    assert rows(connection, "typed.merchant_minute") == rows(connection, "typed.user_minute") == 2
    assert rows(connection, "facts.stolen_payments") == 2
    assert rows(connection, "facts.spend_minutes") == 2
    assert rows(connection, "facts.country_minutes") == 2
    assert rows(connection, "facts.score_minutes") == 2
    assert rows(connection, "staging.events") == 8
    assert rows(connection, "typed.card_status") == 1
    assert {r["payment_id"] for r in warehouse.rows("marts.stolen_payments")} == {"of-1", "of-29"}


def test_of_an_account_the_version_that_held_when_the_retention_begins_stays(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    for days in (1, 29, 31, 32, 400):
        account(connection, "often", timedelta(days=days))
    account(connection, "once", timedelta(days=500))
    upkeep(warehouse)
    left = connection.execute(
        "SELECT account_id, EXTRACT(DAY FROM now() AT TIME ZONE 'UTC' - valid_from)::int"
        " FROM typed.account ORDER BY 1, 2"
    ).fetchall()
    assert left == [("often", 1), ("often", 29), ("often", 31), ("once", 500)]


def test_every_table_that_grows_has_a_retention_but_for_reference_data(
    connection: psycopg.Connection[Any],
) -> None:
    tables = {
        f"{schema}.{name}"
        for schema, name in connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN"
            " ('staging', 'typed', 'facts', 'refresh')"
        )
    }
    small = {"refresh.progress", "refresh.turn", "staging.bad_objects", "staging.loaded_objects"}
    removed = {statement.split()[2] for statement in read_refresh_sql(SQL_FOLDER).retention}
    assert removed == tables - small - REFERENCE


def test_removed_rows_that_are_loaded_again_live_as_long_as_the_retention_now_says(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    payment(connection, "old", timedelta(days=40))
    upkeep(warehouse)
    assert rows(connection, "typed.payment_event") == 0
    payment(connection, "old", timedelta(days=40), loaded=timedelta(0))
    upkeep(warehouse, days=60)
    assert rows(connection, "typed.payment_event") == 1
    connection.execute("DELETE FROM refresh.progress WHERE step = 'refresh.retention'")
    upkeep(warehouse, days=30)
    assert rows(connection, "typed.payment_event") == 0


def test_retention_is_looked_after_once_an_hour(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    upkeep(warehouse)
    payment(connection, "old", timedelta(days=40))
    upkeep(warehouse)
    assert rows(connection, "staging.events") == 1
    connection.execute(
        "UPDATE refresh.progress SET as_of = as_of - interval '1 hour'"
        " WHERE step = 'refresh.retention'"
    )
    upkeep(warehouse)
    assert rows(connection, "staging.events") == 0


def test_a_retention_that_has_no_time_left_goes_on_in_the_next_round(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    for days in (40, 50):
        payment(connection, f"of-{days}", timedelta(days=days))
    warehouse.refresh().run()
    left = iter([True, True, False, False])
    warehouse.upkeep(retention_days=30).run(in_time=lambda: next(left))
    assert rows(connection, "staging.events") == 1
    upkeep(warehouse)
    assert rows(connection, "staging.events") == 0


SETTLED = timedelta(minutes=30)
"""Ago: within the hour that the checks look at."""


@pytest.fixture
def healthy(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Events of half an hour ago and of now, without a fault."""
    for number in range(5):
        stage(connection, "HEARTBEAT", f"beat-{number}", SETTLED, source="simulator")
        payment(connection, f"p{number}", SETTLED)
    stage(connection, "HEARTBEAT", "beat-now", timedelta(0), source="simulator")
    return connection


def test_without_a_fault_there_is_no_trouble(
    healthy: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    minute = (now(healthy) - SETTLED).replace(second=0, microsecond=0)
    report = upkeep(warehouse, staged={minute: 10})
    assert report.troubles == ()
    assert report.problem is None
    assert report.rows == 11
    assert report.lag_seconds in range(60)


@pytest.mark.parametrize(
    ("check", "fault", "count"),
    [
        ("copies of payments, percent", "copies", 50),
        ("heartbeats missing or doubled in their typed table", "typed_heartbeat_lost", 1),
        ("payments doubled in their typed table", "typed_payment_doubled", 1),
        ("objects that cannot be loaded", "bad_object", 1),
        ("objects whose rows are not as many as their ledger says", "short_load", 1),
        ("alerts without their payment", "unknown_payments", 11),
        ("pages of alerts that nobody knows", "unknown_alert", 1),
        ("stolen payments whose alert the stream owes", "owed", 1),
        (
            "stolen payments whose alert the stream owes",
            "owed_and_found_by_another_rule",
            1,
        ),
    ],
)
def test_a_fault_is_found_by_its_check_alone(
    healthy: psycopg.Connection[Any], warehouse: Warehouse, check: str, fault: str, count: int
) -> None:
    broken = Fault(healthy, warehouse)
    getattr(broken, fault)()
    report = upkeep(warehouse)
    assert {trouble.check: trouble.found for trouble in report.troubles} == {check: count}


class Fault:
    """Breaks a healthy warehouse in one way each."""

    def __init__(self, connection: psycopg.Connection[Any], warehouse: Warehouse) -> None:
        self.connection = connection
        self.warehouse = warehouse

    def copies(self) -> None:
        for number in range(5):
            payment(self.connection, f"p{number}", SETTLED)

    def typed_heartbeat_lost(self) -> None:
        self.warehouse.refresh().run()
        self.connection.execute("DELETE FROM typed.heartbeat WHERE event_id = 'beat-1'")

    def typed_payment_doubled(self) -> None:
        self.warehouse.refresh().run()
        self.connection.execute(
            "INSERT INTO typed.payment_event SELECT * FROM typed.payment_event"
            " WHERE payment_id = 'p1'"
        )
        self.connection.execute(
            "UPDATE refresh.progress SET batch = 0 WHERE step = 'facts.spend_minutes'"
        )

    def bad_object(self) -> None:
        self.connection.execute(
            "INSERT INTO staging.bad_objects (object_key, object_etag, error) VALUES ('k', 'e', '')"
        )

    def short_load(self) -> None:
        self.connection.execute(
            "INSERT INTO staging.loaded_objects SELECT 'k', 'e', 7, max(event_dw_regdate)"
            " FROM staging.events WHERE event_id = 'beat-1'"
        )

    def unknown_payments(self) -> None:
        for number in range(11):
            stage(
                self.connection,
                "PAYMENT_ALERT",
                f"alert-{number}",
                SETTLED,
                alert_id=f"alert-{number}",
                payment_id=f"unknown-{number}",
                card_token="c",  # noqa: S106 - a card's
                rule="stolen_card",
            )

    def unknown_alert(self) -> None:
        stage(
            self.connection,
            "PAGE_EVENT",
            "page-1|SENT",
            SETTLED,
            page_id="page-1",
            state="SENT",
            alert_ids=["f" * 64],
            channel="sns",
            repeat=False,
        )

    def owed(self) -> None:
        status(self.connection, timedelta(days=1), card="d")
        stage(
            self.connection,
            "PAYMENT_EVENT",
            "event-of-owed",
            SETTLED,
            payment_id="owed",
            card_token="d",  # noqa: S106 - a card's
            amount="1.00",
            currency="EUR",
            status="AUTHORIZED",
        )

    def owed_and_found_by_another_rule(self) -> None:
        self.owed()
        stage(
            self.connection,
            "PAYMENT_ALERT",
            "alert-of-another-rule",
            SETTLED,
            alert_id="alert-of-another-rule",
            payment_id="owed",
            card_token="d",  # noqa: S106 - a card's
            rule="another_rule",
        )


def test_what_was_on_the_stream_and_is_not_here_is_counted_by_the_minute(
    healthy: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    minute = (now(healthy) - SETTLED).replace(second=0, microsecond=0)
    lost = {minute: 12, minute - timedelta(minutes=3): 4, minute + timedelta(minutes=27): 99}
    check = "events that the stager counted and the warehouse lacks"
    assert found(upkeep(warehouse, staged=lost))[check] == 6
    assert found(upkeep(warehouse, staged={minute: 10}))[check] == 0, "counts are written anew"


def test_a_warehouse_that_nothing_reaches_is_a_trouble(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    stage(connection, "HEARTBEAT", "beat", timedelta(hours=1), source="simulator")
    (trouble,) = upkeep(warehouse).troubles
    assert trouble.check == "seconds since something was loaded"
    assert trouble.found in range(3600, 3700)


def test_a_warehouse_that_nothing_ever_reached_is_a_trouble_half_an_hour_after_its_first_round(
    connection: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    assert upkeep(warehouse).troubles == ()
    check = "seconds since something was loaded"
    for minutes, is_trouble in ((29, False), (31, True)):
        connection.execute(
            "UPDATE refresh.progress SET as_of = now() AT TIME ZONE 'UTC' - %s",
            (timedelta(minutes=minutes),),
        )
        report = upkeep(warehouse)
        assert found(report)[check] in range(minutes * 60, minutes * 60 + 30)
        assert [trouble.check for trouble in report.troubles] == [check] * is_trouble
    stage(connection, "HEARTBEAT", "beat", timedelta(0), source="simulator")
    assert upkeep(warehouse).troubles == ()


@pytest.mark.parametrize(
    ("age", "is_trouble"),
    [
        (timedelta(minutes=29), False),
        (timedelta(minutes=31), True),
        # By then it counts as switched off.
        (timedelta(hours=25), False),
    ],
)
def test_a_canary_that_stays_away_is_a_trouble_for_a_day(
    connection: psycopg.Connection[Any],
    warehouse: Warehouse,
    age: timedelta,
    is_trouble: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    stage(connection, "PAYMENT_ALERT", "canary", age, card_token=CANARY_TOKEN)
    stage(connection, "HEARTBEAT", "beat", timedelta(0), source="simulator")
    troubles = {trouble.check: trouble.found for trouble in upkeep(warehouse).troubles}
    assert set(troubles) == {"seconds since a canary was loaded"} if is_trouble else not troubles


def test_a_step_that_fails_is_the_report_s_problem_and_the_checks_go_on(
    healthy: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    stage(healthy, "PAYMENT_EVENT", "bad", SETTLED, payment_id="p", amount="much")
    report = upkeep(warehouse)
    assert report.problem is not None
    assert "typed.payment_event" in report.problem
    assert report.findings
