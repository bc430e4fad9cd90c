"""The bank of the one-machine stack: its books, its people, and what of it reaches the stream."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.fakes import FakeClock
from tests.paying_cards import make_cards
from tests.unit.banking.support import FakeCursors, FakeStream

from cardwatch.contract.account import Account
from cardwatch.contract.streams import read_event
from cardwatch.local.bank import BankDatabase, LocalBank
from cardwatch.postgres import SLACK
from cardwatch.simulation.accounts import Accounts
from cardwatch.simulation.population import Population

CARDS = 30
SEED = 7
Connect = Callable[[], psycopg.Connection[Any]]


class World:
    def __init__(self, database: BankDatabase, *, days_ago: int = 0) -> None:
        # The database's clock is the machine's.
        self.clock = FakeClock(datetime.now(UTC) - timedelta(days=days_ago))
        self.stream = FakeStream()
        self.accounts = Accounts(Population(make_cards(CARDS, stolen=0), SEED), SEED)
        self.bank = LocalBank(
            database,
            self.accounts,
            CARDS,
            stream=self.stream,
            cursors=FakeCursors(),
            clock=self.clock,
        )
        self.bank.open()

    def publish(self) -> list[Account]:
        time.sleep(SLACK.total_seconds() + 0.1)
        self.clock.time = max(self.clock.time, datetime.now(UTC))
        self.stream.entries.clear()
        self.bank.publish(lambda: True)
        events = [read_event(e.data, now=self.clock.now()) for e in self.stream.entries]
        data = [event.event_json_data for event in events]
        return [account for account in data if isinstance(account, Account)]


@pytest.fixture
def world(database: BankDatabase) -> Iterator[World]:
    world = World(database)
    yield world
    world.bank.stop()


def test_it_publishes_every_account_as_the_simulator_would(world: World) -> None:
    published = {account.account_id: account for account in world.publish()}
    expected = [world.accounts.account(index, world.clock.now()) for index in range(CARDS)]
    assert published == {account.account_id: account for account in expected}


def test_no_part_of_a_holder_s_name_but_its_first_letter_leaves_the_database(
    world: World, people: Connect
) -> None:
    with people() as owner:
        owner.execute("UPDATE banking.accounts SET holder_name = 'Quirinalda Vexley-Thornbury'")
    world.publish()
    assert {
        json.loads(e.data)["event_json_data"]["account_name"] for e in world.stream.entries
    } == {"Q*** V***"}
    text = b"".join(entry.data for entry in world.stream.entries)
    assert not [part for part in (b"uirin", b"exley", b"hornbury") if part in text]


def test_what_the_bank_s_people_change_reaches_the_stream_as_versions(world: World) -> None:
    world.publish()
    before = {index: world.accounts.account(index, world.clock.now()) for index in range(CARDS)}
    world.clock.advance(60)
    world.bank.work()
    changed = [a for a in world.publish() if a not in before.values()]
    assert changed
    assert any(
        account.credit_limit
        != next(b.credit_limit for b in before.values() if b.account_id == account.account_id)
        for account in changed
    )


def test_at_midnight_every_account_has_a_version_with_what_was_spent(
    database: BankDatabase,
) -> None:
    world = World(database, days_ago=1)
    world.bank._changed_at = datetime.now(UTC)  # noqa: SLF001  its people have the day off
    world.clock.time = datetime.now(UTC)
    world.bank.work()
    spent = {a.account_id: (a.spent, a.spent_until) for a in world.publish()}
    now = [world.accounts.account(index, world.clock.now()) for index in range(CARDS)]
    assert spent == {a.account_id: (a.spent, a.spent_until) for a in now}


def test_a_database_that_is_away_is_a_trouble_until_it_is_back(
    world: World, people: Connect
) -> None:
    with people() as owner:
        owner.execute("ALTER TABLE banking.accounts RENAME TO away")
    world.bank.start()
    wait_until(lambda: "UndefinedTable" in str(world.bank.troubles()))
    with people() as owner:
        owner.execute("ALTER TABLE banking.away RENAME TO accounts")
    wait_until(lambda: world.bank.troubles() == ())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
