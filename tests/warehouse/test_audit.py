"""The audit over the real warehouse: it reads there what it is told of in its unit tests."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import psycopg
import pytest
from tests.fakes import FakeClock, FakeEventStream
from tests.flink.scenarios import heartbeat
from tests.unit.audit.support import READ_AT, FakeStagedEvents, at, page_of
from tests.unit.audit.test_completeness import KEPT, SEEDED, a_good_day, found
from tests.unit.paging.support import rule_alert_event
from tests.warehouse.test_views import refresh, stage

from cardwatch.audit.completeness import CAUSES, audit
from cardwatch.audit.ports import Staged
from cardwatch.audit.repair import repair
from cardwatch.audit.typed_events import TypedEvents
from cardwatch.cli import main
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.local.redshift_dialect import to_postgres
from cardwatch.local.warehouse import Warehouse, WarehouseServer

LATER = at(100)
"""What the tests look back to: a refresh of its own has what was loaded before."""


def put_in(
    loads: Iterable[tuple[datetime, Envelope]],
    connection: psycopg.Connection,
    warehouse: Warehouse,
) -> None:
    """Load events at their times, and refresh."""
    for loaded_at, event in loads:
        line = {"event": json.loads(event.to_bytes()), "loaded": f"{loaded_at:%F %T.%f}"}
        stage(connection, line, now=READ_AT)
    refresh(connection, warehouse)


@pytest.fixture
def staged(warehouse: Warehouse, connection: psycopg.Connection) -> FakeStagedEvents:
    """Every omission, in the warehouse and in the fake."""
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    other = rule_alert_event(at=at(12))
    staged.load(at(20), other, page_of("page_other", 20, other))
    staged.load(at(3_600), heartbeat(3_600_000))
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
