"""The audit over the real warehouse: it reads there what it is told of in its unit tests."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import psycopg
import pytest
from moto import mock_aws
from tests.deployed import cold_start, create_key_table
from tests.fake_redshift_data import FakeRedshiftData, refusal
from tests.fakes import FakeClock, FakeEventStream
from tests.flink.scenarios import heartbeat
from tests.handlers.emf import metric_names
from tests.infrastructure.conftest import ROOT
from tests.stream_records import records_on
from tests.unit.audit.support import (
    READ_AT,
    FakeStagedEvents,
    alert_of,
    at,
    page_of,
    paid,
    stolen,
)
from tests.unit.audit.test_completeness import KEPT, SEEDED, a_good_day, found
from tests.unit.paging.support import rule_alert_event
from tests.warehouse.redshift import PostgresEngine
from tests.warehouse.test_views import refresh, stage

from cardwatch.audit.completeness import CAUSES, LOOK_BACK, audit
from cardwatch.audit.loaded_events import LoadedEvents
from cardwatch.audit.ports import Staged
from cardwatch.audit.repair import repair
from cardwatch.audit.typed_events import TypedEvents
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.cursors import KEY_PREFIX
from cardwatch.cli import main
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.local.redshift_dialect import to_postgres
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.warehouse.ports import WarehouseUnavailableError

LATER = at(100)
"""What the tests look back to: a refresh of its own has what was loaded before."""


def put_in(
    loads: Iterable[tuple[datetime, Envelope]],
    connection: psycopg.Connection,
    warehouse: Warehouse,
) -> None:
    """Load events at their times, and refresh."""
    load(loads, connection)
    refresh(connection, warehouse)


def load(loads: Iterable[tuple[datetime, Envelope]], connection: psycopg.Connection) -> None:
    """Load events at their times."""
    for loaded_at, event in loads:
        line = {"event": json.loads(event.to_bytes()), "loaded": f"{loaded_at:%F %T.%f}"}
        stage(connection, line, now=READ_AT)


def every_omission() -> FakeStagedEvents:
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    other = rule_alert_event(at=at(12))
    staged.load(at(20), other, page_of("page_other", 20, other))
    staged.load(at(3_600), heartbeat(3_600_000))
    return staged


@pytest.fixture
def staged(warehouse: Warehouse, connection: psycopg.Connection) -> FakeStagedEvents:
    """Every omission, in the warehouse and in the fake."""
    staged = every_omission()
    loads = sorted(staged.loads, key=lambda load: load[0])
    put_in((load for load in loads if load[0] < LATER), connection, warehouse)
    put_in((load for load in loads if load[0] >= LATER), connection, warehouse)
    return staged


def typed(warehouse: Warehouse) -> TypedEvents:
    return TypedEvents(warehouse, translate=to_postgres)


def in_any_order(staged: Staged) -> tuple[object, ...]:
    parts = staged.statuses, staged.payments, staged.alerts, staged.pages, staged.quarantined
    return tuple(map(Counter, parts))


def test_an_empty_warehouse_has_nothing_to_audit(warehouse: Warehouse) -> None:
    assert typed(warehouse).read(None) == Staged(as_of=None)


def test_it_finds_in_the_warehouse_each_omission_that_is_seeded_and_nothing_else(
    warehouse: Warehouse, staged: FakeStagedEvents
) -> None:
    read = typed(warehouse).read(None)
    expected = staged.read(None)
    # Payments on cards that nobody reported stay where they are, and pages of other rules.
    reported = [p for p in expected.payments if p.payment_id != "pay_honest"]
    of_stolen_cards = [p for p in expected.pages if p.page_id != "page_other"]
    expected = replace(expected, payments=reported, pages=of_stolen_cards)
    assert in_any_order(read) == in_any_order(expected)
    assert read.as_of == at(3_600)
    assert found(audit(read, kept=KEPT)) == set.union(*(each for _, each in SEEDED.values()))


def test_since_finds_what_the_whole_finds_of_what_was_loaded_since(
    warehouse: Warehouse, staged: FakeStagedEvents
) -> None:
    some = found(audit(typed(warehouse).read(LATER), kept=KEPT))
    assert some == found(audit(staged.read(LATER), kept=KEPT))
    assert {cause for _, cause, _ in some} > {"reported_later", "found_by_audit"}
    assert found(audit(typed(warehouse).read(at(3_601)), kept=KEPT)) == set()


def test_what_was_repaired_is_missing_no_more_and_put_no_more(
    warehouse: Warehouse, connection: psycopg.Connection, staged: FakeStagedEvents
) -> None:
    assert staged.loads
    stream, clock = FakeEventStream(), FakeClock(at(3_700))
    first = audit(typed(warehouse).read(None), kept=KEPT)
    put = repair(first.missing, stream, clock).put
    assert put == sum(finding.owed is not None for finding in first.missing) == 6
    events = [read_event(entry.data, now=READ_AT) for entry in stream.entries]
    put_in([(at(3_710), event) for event in events], connection, warehouse)
    second = audit(typed(warehouse).read(None), kept=KEPT)
    assert {finding.cause for finding in second.missing} == {"quarantined"}
    assert second.alerted == first.alerted + put
    assert repair(second.missing, stream, clock).put == 0


def test_the_command_audits_the_warehouse_of_this_machine(
    server: WarehouseServer,
    staged: FakeStagedEvents,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CARDWATCH_VAR", str(server.folder.parent))
    assert staged.loads
    assert main(["audit", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["as_of"] == "2026-01-15T11:00:00.000Z"
    assert {finding["cause"] for finding in said["findings"]} == {cause for _, cause in CAUSES}
    assert main(["audit", "--since", "2026-01-15T11:00:01Z"]) == 0
    assert "0 payments should have alerted" in capsys.readouterr().out


# ---------- by load, whatever the refresh has done ----------


class Asked:
    """A session that remembers what it was asked."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.statements: list[str] = []

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        self.statements.append(statement)
        return self.warehouse.query(statement)

    def run(self, statements: Sequence[str]) -> None:
        raise AssertionError(statements)


def loaded(session: Asked) -> LoadedEvents:
    return LoadedEvents(session, look_back=LOOK_BACK, translate=to_postgres)


@pytest.mark.parametrize("refreshed_until", [at(-1_000_000), LATER, at(4_000)])
@pytest.mark.parametrize("since", [None, LATER, at(250)])
def test_it_finds_the_same_however_far_the_typed_tables_are(
    warehouse: Warehouse,
    connection: psycopg.Connection,
    refreshed_until: datetime,
    since: datetime | None,
) -> None:
    staged = every_omission()
    loads = sorted(staged.loads, key=lambda load: load[0])
    put_in((each for each in loads if each[0] < refreshed_until), connection, warehouse)
    connection.execute(
        "UPDATE refresh.progress SET as_of = %s", [f"{min(refreshed_until, LATER):%F %T.%f}"]
    )
    load((each for each in loads if each[0] >= refreshed_until), connection)
    session = Asked(warehouse)
    read = loaded(session).read(since)
    assert read.as_of == at(3_600)
    expected = staged.read(since)
    of_stolen_cards = [p for p in expected.pages if p.page_id != "page_other"]
    assert found(audit(read, kept=KEPT)) == found(
        audit(replace(expected, pages=of_stolen_cards), kept=KEPT)
    )
    assert all(statement.startswith(("SELECT", "WITH")) for statement in session.statements)


def test_a_card_s_payments_are_read_by_the_card_and_no_further_back_than_they_may_be_owed(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    month = timedelta(days=30).total_seconds()
    staged = FakeStagedEvents()
    staged.load(at(10), paid("old", "card", 10 - month), paid("early", "card", 5))
    staged.load(at(10), paid("honest", "honest", 5))
    staged.load(at(200), stolen("card", effective=-2 * month, published=190))
    loads = sorted(staged.loads, key=lambda load: load[0])
    put_in((each for each in loads if each[0] < LATER), connection, warehouse)
    connection.execute("UPDATE refresh.progress SET as_of = %s", [f"{at(1_010):%F %T.%f}"])
    load((each for each in loads if each[0] >= LATER), connection)
    session = Asked(warehouse)
    assert [p.payment_id for p in loaded(session).read(LATER).payments] == ["pay_early"]
    [statement] = [each for each in session.statements if "FROM typed.payment_event" in each]
    assert "card_token IN (" in statement
    # An alert that is judged is as old as its payment.
    load([(at(300), alert_of("old", "card", 10 - month))], connection)
    read = loaded(Asked(warehouse)).read(LATER).payments
    assert {p.payment_id for p in read} == {"pay_old", "pay_early"}


def test_of_a_card_without_a_new_status_only_payments_with_something_new_are_read(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    staged = FakeStagedEvents()
    staged.load(at(0), stolen("card"))
    staged.load(at(10), paid("done", "card", 5), alert_of("done", "card", 5))
    # An id that looks like a parameter is one all the same.
    staged.load(at(10), paid("life-:since", "card", 6))
    staged.load(at(200), paid("life-:since", "card", 190, copy=1, status="CAPTURED"))
    loads = sorted(staged.loads, key=lambda load: load[0])
    put_in((each for each in loads if each[0] < LATER), connection, warehouse)
    connection.execute("UPDATE refresh.progress SET as_of = %s", [f"{at(1_010):%F %T.%f}"])
    load((each for each in loads if each[0] >= LATER), connection)
    read = loaded(Asked(warehouse)).read(LATER)
    assert {(p.payment_id, p.new) for p in read.payments} == {
        ("pay_life-:since", False),
        ("pay_life-:since", True),
    }
    assert found(audit(read, kept=KEPT)) == found(audit(staged.read(LATER), kept=KEPT))


def test_a_registry_that_is_published_again_is_not_read_again(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    report = read_event(stolen("card").encode(), now=READ_AT)
    put_in([(at(10), report)], connection, warehouse)
    load([(at(200), report), (at(201), read_event(heartbeat(0).encode(), now=READ_AT))], connection)
    read = loaded(Asked(warehouse)).read(LATER)
    assert (read.as_of, read.statuses) == (at(201), [])


# ---------- the function on AWS ----------

CONTEXT = SimpleNamespace(
    function_name="audit",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:audit",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 300_000,
)
INVOCATION: dict[str, Any] = json.loads((ROOT / "events/invocations/scheduled.json").read_bytes())


class Deployed:
    """The function, its Data API answered by PostgreSQL and all else by moto."""

    def __init__(self, api: FakeRedshiftData, handler: ModuleType, clients: AwsClients) -> None:
        self.api = api
        self.handler = handler
        self.clients = clients

    def run(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.handler.handler(INVOCATION, CONTEXT)
        return answer

    def put(self) -> list[dict[str, Any]]:
        return [json.loads(r["Data"]) for r in records_on(self.clients.kinesis(), "events")]

    def cursor(self) -> str | None:
        key = {"pk": {"S": f"{KEY_PREFIX}audit"}}
        item = self.clients.dynamodb().get_item(TableName="control", Key=key).get("Item")
        return None if item is None else item["text"]["S"]


@pytest.fixture
def deployed(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STREAM_NAME": "events",
        "CONTROL_TABLE": "control",
        "WAREHOUSE_KIND": "serverless",
        "WAREHOUSE_NAME": "cardwatch-1",
        "DATABASE_NAME": "cardwatch",
        "READER_SECRET": "arn:aws:secretsmanager:us-east-1:1:secret:auditor",
        "RETENTION_DAYS": "90",
        "LOOK_BACK_DAYS": "7",
        "GROUP_SECONDS": "300",
        "DIGEST_SECONDS": "60",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    api = FakeRedshiftData(PostgresEngine(connection), looks=0, page_rows=500)
    monkeypatch.setattr(AwsClients, "redshift_data", lambda _: api)
    with mock_aws():
        clients = AwsClients()
        clients.kinesis().create_stream(StreamName="events", ShardCount=1)
        create_key_table(clients, "control")
        module = cold_start("audit")
        yield Deployed(api, module, clients)


def reported_just_now(connection: psycopg.Connection[Any]) -> str:
    """Load a payment and then its card's report by the clock; give the alert that it owes."""
    now = datetime.now(UTC).replace(microsecond=0)
    ago = (now - at(0)).total_seconds()
    payment = paid("early", "card", ago - 600)
    report = stolen("card", effective=ago - 3_600, published=ago - 120)
    for loaded_at, text in [(minutes(now, 9), payment), (minutes(now, 1), report)]:
        stage(connection, {"event": json.loads(text), "loaded": loaded_at}, now=now)
    return alert_of("early", "card", ago - 600).event_id


def minutes(now: datetime, before: float) -> str:
    return f"{now - timedelta(minutes=before):%F %T.%f}"


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_the_function_puts_the_alert_of_a_payment_before_its_card_s_report(
    deployed: Deployed, connection: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    owed = reported_just_now(connection)
    assert deployed.cursor() is None
    answer = deployed.run()
    assert (answer["owed"], answer["repaired"], answer["defects"]) == (1, 1, 0)
    [event] = deployed.put()
    assert (event["type"], event["event_id"]) == ("PAYMENT_ALERT", owed)
    assert event["event_json_data"]["found_by"] == "look_back"
    assert {"AuditDefects", "AuditFindings", "AlertsRepaired", "AuditBehindSeconds"} <= (
        metric_names(capsys.readouterr().out)
    )
    assert deployed.cursor() is not None
    # The next round comes before its alert is staged, the one after that behind it.
    assert deployed.run()["repaired"] == 1
    assert {each["event_id"] for each in deployed.put()} == {owed}
    now = datetime.now(UTC)
    stage(connection, {"event": event, "loaded": minutes(now, 0)}, now=now)
    assert deployed.run()["repaired"] == 0


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_warehouse_that_refuses_leaves_the_cursor_and_ends_the_round_with_the_reason(
    deployed: Deployed, connection: psycopg.Connection[Any]
) -> None:
    reported_just_now(connection)
    deployed.api.faults = [("execute_statement", refusal("AccessDeniedException", "not yours"))]
    with pytest.raises(WarehouseUnavailableError, match="not yours"):
        deployed.run()
    assert (deployed.cursor(), deployed.put()) == (None, [])
    assert deployed.run()["repaired"] == 1
