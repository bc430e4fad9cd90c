"""The handler that publishes from the bank's database, on AWS by moto and a bank in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest
from moto import mock_aws
from tests.deployed import cold_start, create_key_table
from tests.fakes import FakeClock
from tests.handlers.emf import metric_names
from tests.stream_records import records_on
from tests.unit.banking.support import CANARY, CARD, FakeBank

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.token_keys import TokenKeyError
from cardwatch.banking.ports import Bank, BankUnavailableError
from cardwatch.bootstrap import banking
from cardwatch.clock import SystemClock
from cardwatch.observability import BankingMetric
from cardwatch.settings import SettingsError

ROOT = Path(__file__).parents[2]
DSN = "postgresql://cardwatch:a-password@bank.example/bank"
INVOCATION: dict[str, Any] = json.loads((ROOT / "events/invocations/scheduled.json").read_bytes())
CONTEXT = SimpleNamespace(
    function_name="banking",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:banking",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 300_000,
)


@dataclass
class World:
    clients: AwsClients
    bank: FakeBank
    dsns: list[str]
    """With which the bank was connected to."""

    def load(self) -> ModuleType:
        return cold_start("banking")

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(r["Data"]) for r in records_on(self.clients.kinesis(), "events")]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STREAM_NAME": "events",
        "CONTROL_TABLE": "control",
        "DATABASE_SECRET": "bank",
        "TRANSACTIONS": "off",
        "TOKEN_KEY_SECRET": "",
        "SETTLE_SECONDS": "60",
        "AGAIN_MINUTES": "15",
        "AGAIN_PER_RUN": "1000",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    clock = FakeClock(SystemClock().now() - timedelta(seconds=30))
    bank, dsns = FakeBank(clock), list[str]()

    @contextmanager
    def connected(dsn: str, *, settle: timedelta) -> Iterator[Bank]:
        assert settle == timedelta(seconds=60)
        dsns.append(dsn)
        yield bank

    monkeypatch.setattr(banking, "connected", connected)
    with mock_aws():
        clients = AwsClients()
        clients.kinesis().create_stream(StreamName="events", ShardCount=2)
        create_key_table(clients, "control")
        clients.secrets().create_secret(Name="bank", SecretString=f"{DSN}\n")
        clients.secrets().create_secret(Name="key", SecretString="k" * 64)
        yield World(clients, bank, dsns)


def test_a_scheduled_call_publishes_what_changed_and_counts_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.bank.put("acc_1")
    world.bank.put("acc_2", currency="euro")
    world.bank.clock.advance(30)
    handler = world.load().handler
    answer = handler(INVOCATION, CONTEXT)
    # As a change, and in the first round through all accounts.
    assert (answer["published"], answer["refused"], answer["undelivered"]) == (2, 2, 0)
    printed = capsys.readouterr().out
    assert metric_names(printed) == set(get_args(BankingMetric))
    assert {event["event_json_data"]["account_id"] for event in world.events()} == {"acc_1"}
    assert handler(INVOCATION, CONTEXT)["published"] == 0
    printed += capsys.readouterr().out
    assert "a-password" not in printed
    assert not any(word in printed for word in CANARY.split())


def test_the_secret_is_read_at_every_call_so_that_a_new_password_is_taken(world: World) -> None:
    handler = world.load().handler
    handler(INVOCATION, CONTEXT)
    world.clients.secrets().put_secret_value(SecretId="bank", SecretString="another")
    handler(INVOCATION, CONTEXT)
    assert world.dsns == [DSN, "another"]


def test_transactions_become_payments_where_they_are_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRANSACTIONS", "on")
    monkeypatch.setenv("TOKEN_KEY_SECRET", "key")
    world.bank.put("pay_1", table="banking.transactions")
    world.bank.clock.advance(30)
    world.load().handler(INVOCATION, CONTEXT)
    [event] = world.events()
    assert (event["type"], event["event_json_data"]["payment_id"]) == ("PAYMENT_EVENT", "pay_1")
    assert CARD.reveal() not in json.dumps(event) + capsys.readouterr().out


def test_transactions_without_a_key_stop_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSACTIONS", "on")
    monkeypatch.setenv("TOKEN_KEY_SECRET", "nowhere")
    with pytest.raises(TokenKeyError, match="nowhere"):
        world.load()


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize("secret", ["", "nowhere"])
def test_a_secret_that_is_not_there_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("DATABASE_SECRET", secret)
    if not secret:
        with pytest.raises(SettingsError, match="DATABASE_SECRET"):
            world.load()
        return
    handler = world.load().handler
    with pytest.raises(BankUnavailableError, match="secret nowhere, cannot be read"):
        handler(INVOCATION, CONTEXT)
