"""The audit of a run without an end, over the real warehouse."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.fakes import FakeClock, FakeEventStream
from tests.flink.scenarios import heartbeat
from tests.unit.audit.support import alert_of, at, paid, stolen
from tests.unit.banking.support import FakeCursors
from tests.warehouse.test_audit import minutes
from tests.warehouse.test_views import stage

from cardwatch.local.auditor import Auditor
from cardwatch.local.warehouse import WarehouseServer

NOW = datetime.now(UTC).replace(microsecond=0)
AGE = (NOW - at(0)).total_seconds()
"""What the events' own zero is behind now."""


@dataclass
class World:
    server: WarehouseServer
    stream: FakeEventStream = field(default_factory=FakeEventStream)
    cursors: FakeCursors = field(default_factory=FakeCursors)

    def __post_init__(self) -> None:
        self.auditor = Auditor(
            self.server,
            stream=self.stream,
            cursors=self.cursors,
            kept=timedelta(days=90),
            clock=FakeClock(NOW),
        )

    def put(self) -> list[str]:
        return [entry.partition_key for entry in self.stream.entries]


@pytest.fixture
def world(server: WarehouseServer) -> Iterator[World]:
    world = World(server)
    yield world
    world.auditor.stop()


def load(connection: psycopg.Connection[Any], *lines: tuple[float, str]) -> None:
    """Load lines so many minutes ago."""
    for before, line in lines:
        event = {"event": json.loads(line), "loaded": minutes(NOW, before)}
        stage(connection, event, now=NOW)


def test_a_payment_before_its_card_s_report_is_put_without_a_command(
    world: World, connection: psycopg.Connection[Any]
) -> None:
    load(
        connection,
        (2, paid("early", "card", AGE - 120)),
        (0, stolen("card", effective=AGE - 3_600, published=AGE - 5)),
    )
    world.auditor.look()
    assert world.put() == [alert_of("early", "card", AGE - 120).event_id]
    assert world.auditor.troubles() == ()
    assert world.cursors.kept["audit"].version == 1


def test_what_must_not_be_is_a_trouble_of_the_run(
    world: World, connection: psycopg.Connection[Any]
) -> None:
    load(
        connection,
        (9, stolen("card", effective=AGE - 3_600, published=AGE - 600)),
        (8, paid("lost", "card", AGE - 500)),
        (0, heartbeat(int(AGE * 1_000))),
    )
    world.auditor.look()
    assert world.put() == [alert_of("lost", "card", AGE - 500).event_id]
    [trouble] = world.auditor.troubles()
    assert "1 missing (lost)" in trouble


def test_an_alert_that_the_stream_does_not_take_is_a_trouble_until_it_does(
    world: World, connection: psycopg.Connection[Any]
) -> None:
    load(
        connection,
        (2, paid("early", "card", AGE - 120)),
        (0, stolen("card", effective=AGE - 3_600, published=AGE - 5)),
    )
    world.stream.refuse = "InternalFailure"
    world.auditor.look()
    [trouble] = world.auditor.troubles()
    assert "1 alerts not on the stream" in trouble
    world.stream.refuse = None
    world.auditor.look()
    assert (len(world.put()), world.auditor.troubles()) == (1, ())


def test_a_warehouse_that_is_down_is_a_trouble_and_ends_nothing(
    stopped_server: WarehouseServer,
) -> None:
    world = World(stopped_server)
    world.auditor.look()
    [trouble] = world.auditor.troubles()
    assert trouble.startswith("audit: ")
    world.auditor.stop()
