"""The simulator as Lambda calls it, on AWS by moto."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from moto import mock_aws
from tests.deployed import cold_start, create_key_table
from tests.fakes import NOON, FakeClock
from tests.handlers.emf import metric_names
from tests.stream_records import records_on
from tests.unit.rules.test_publication import version

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.rule_history import S3RuleHistory
from cardwatch.aws.token_keys import TokenKeyError
from cardwatch.bootstrap.simulator import build_simulator
from cardwatch.cards.card_file import CardFileError, read_card_file
from cardwatch.clock import SystemClock
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.observability import SimulatorMetric, get_logger, get_metrics
from cardwatch.settings import SettingsError, SimulatorSettings

ROOT = Path(__file__).parents[2]
CARD_FILE = ROOT / "data/cards.txt"


@dataclass(frozen=True)
class Context:
    """A context whose function sends for a second and a half."""

    function_name: str = "simulator"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:simulator"
    aws_request_id: str = "3f0c6f0e-6a43-4d3c-9a0b-0d8f3f1e9f11"

    def get_remaining_time_in_millis(self) -> int:
        return 31_500


@dataclass
class Stack:
    clients: AwsClients
    handler: ModuleType

    def invoke(self, **event: object) -> dict[str, Any]:
        answer: dict[str, Any] = self.handler.handler(event, Context())
        return answer

    def simulate_at_noon(self) -> dict[str, Any]:
        """Do what the handler does, in a time that only its own waiting moves."""
        simulate = build_simulator(
            SimulatorSettings.from_env(),
            logger=get_logger("simulator"),
            metrics=get_metrics("simulator"),
            clock=FakeClock(),
            clients=self.clients,
        )
        return simulate({"time": NOON.isoformat()}, 31.5)

    def raw_records(self) -> list[bytes]:
        return [record["Data"] for record in records_on(self.clients.kinesis(), "events")]

    def events(self) -> list[Envelope]:
        return [read_event(raw, now=SystemClock().now()) for raw in self.raw_records()]


Deploy = Callable[..., Stack]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    with mock_aws():

        def make(**settings: str) -> Stack:
            for name, value in {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "POWERTOOLS_SERVICE_NAME": "simulator",
                "STREAM_NAME": "events",
                "CONTROL_TABLE": "control",
                "TOKEN_KEY_SECRET": "token-key",
                "DEAD_LETTER_BUCKET": "dead-letters",
                "DELIVERY_BUCKET": "delivered",
                "CARD_FILE": str(CARD_FILE),
                **settings,
            }.items():
                monkeypatch.setenv(name, value)
            clients = AwsClients()
            clients.kinesis().create_stream(StreamName="events", ShardCount=2)
            clients.s3().create_bucket(Bucket="dead-letters")
            clients.s3().create_bucket(Bucket="delivered")
            create_key_table(clients, "control")
            clients.secrets().create_secret(Name="token-key", SecretString="k" * 64)
            return Stack(clients, cold_start("simulator"))

        yield make


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_the_first_invocation_sends_the_registry_payments_and_heartbeats_to_each_shard(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = deploy(PAYMENTS_PER_SECOND="40")
    answer = stack.simulate_at_noon()
    events = stack.events()
    kinds = [event.type for event in events]
    assert answer == {
        "end": "time_up",
        "sent": len(events),
        "retried": 0,
        "undelivered": 0,
        "skipped_ticks": 0,
        "payments": kinds.count("PAYMENT_EVENT"),
        "heartbeats": kinds.count("HEARTBEAT"),
    }
    assert len({e.event_id for e in events if e.type == "CARD_STATUS"}) == 1000
    assert kinds.count("PAYMENT_EVENT") == 62
    assert kinds.count("HEARTBEAT") == 2
    printed = capsys.readouterr().out
    assert metric_names(printed) == set(get_args(SimulatorMetric))
    metrics = [json.loads(x) for x in printed.splitlines() if '"_aws"' in x]
    for name, value in (
        ("EventsSent", len(events)),
        ("PaymentsSent", answer["payments"]),
        ("HeartbeatsSent", answer["heartbeats"]),
    ):
        assert sum(sum(line[name]) for line in metrics) == value


def test_no_card_number_is_on_the_stream_or_in_what_is_printed(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = deploy(PAYMENTS_PER_SECOND="200", FAULT_PROFILE="all")
    stack.invoke(time=now())
    printed = capsys.readouterr()
    text = b"\n".join(stack.raw_records()).decode(errors="replace") + printed.out + printed.err
    cards = read_card_file(CARD_FILE, now=SystemClock().now())
    assert [card for card in cards if card.number.reveal() in text] == []


def test_a_schedule_that_waited_too_long_sends_nothing(deploy: Deploy) -> None:
    stack = deploy()
    answer = stack.invoke(time=(datetime.now(UTC) - timedelta(minutes=2)).isoformat())
    assert (answer["end"], stack.raw_records()) == ("stale", [])


def test_a_second_delivery_of_a_schedule_sends_nothing(deploy: Deploy) -> None:
    stack = deploy()
    time = now()
    stack.invoke(time=time)
    sent = len(stack.raw_records())
    assert stack.invoke(time=time)["end"] == "superseded"
    assert len(stack.raw_records()) == sent


def test_payments_that_are_off_leave_heartbeats_and_registry(deploy: Deploy) -> None:
    stack = deploy(PAYMENTS="off")
    stack.invoke(time=now())
    assert {event.type for event in stack.events()} == {"CARD_STATUS", "ACCOUNT", "HEARTBEAT"}


def test_the_switch_in_the_table_wins_over_the_settings(deploy: Deploy) -> None:
    stack = deploy(PAYMENTS="on")
    off = {"pk": {"S": "control"}, "payments": {"S": "off"}}
    stack.clients.dynamodb().put_item(TableName="control", Item=off)
    stack.invoke(time=now())
    assert {event.type for event in stack.events()} == {"CARD_STATUS", "ACCOUNT", "HEARTBEAT"}


def test_the_rules_in_use_are_published_again_byte_for_byte(deploy: Deploy) -> None:
    stack = deploy(PAYMENTS="off")
    history = S3RuleHistory(stack.clients.s3(), "delivered", SystemClock())
    for each in (version(2), version(3, 3_000), version(4, paging="shadow")):
        history.add(each)
    stack.invoke(time=now())
    again = [raw for raw in stack.raw_records() if b'"RULE"' in raw]
    kept = version(3, 3_000).to_bytes() + version(4, paging="shadow").to_bytes()
    assert sorted(again) == sorted(kept.splitlines())


def test_rules_that_cannot_be_read_hold_up_nothing_and_are_told(
    deploy: Deploy, caplog: pytest.LogCaptureFixture
) -> None:
    stack = deploy(PAYMENTS="off")
    stack.clients.s3().put_object(Bucket="delivered", Key="rules/000000002.jsonl", Body=b"{}")
    stack.simulate_at_noon()
    assert "HEARTBEAT" in {event.type for event in stack.events()}
    assert "rules not published again" in caplog.messages


def test_what_the_stream_does_not_take_is_kept_whole(deploy: Deploy) -> None:
    stack = deploy()
    stack.clients.kinesis().delete_stream(StreamName="events")
    answer = stack.invoke(time=now())
    kept = stack.clients.s3().list_objects_v2(Bucket="dead-letters")["Contents"]
    assert answer["sent"] == 0
    assert answer["undelivered"] >= 1000
    assert {item["Key"].split("/")[1] for item in kept} == {"simulator"}


def test_an_event_without_a_time_is_refused(deploy: Deploy) -> None:
    stack = deploy()
    with pytest.raises(ValueError, match="needs time"):
        stack.invoke()


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"FAULT_PROFILE": "lates"}, SettingsError, "FAULT_PROFILE: no such fault: lates; valid"),
        ({"CARD_FILE": "nowhere.txt"}, CardFileError, "no card file nowhere.txt; make one with"),
        ({"TOKEN_KEY_SECRET": "nowhere"}, TokenKeyError, "secret nowhere, cannot be read"),
        ({"PAYMENTS_PER_SECOND": "0"}, SettingsError, "PAYMENTS_PER_SECOND: "),
        ({"STREAM_NAME": ""}, SettingsError, "STREAM_NAME: "),
    ],
)
def test_what_is_wrong_with_the_deployment_is_said_at_the_cold_start(
    deploy: Deploy, settings: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        deploy(**settings)
