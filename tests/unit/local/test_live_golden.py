"""The way of golden scenarios to the running stack: the emulator's own Kinesis, moto's Lambda."""

import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.emulated_kinesis import STREAM, EmulatedKinesis
from tests.examples import EVENTS
from tests.fakes import NOON, FakeClock
from tests.unit.canary.support import canary_alert
from tests.unit.golden.support import scenario
from tests.unit.paging.support import alert_event, rule_alert_event

from cardwatch.aws.clients import AwsClients
from cardwatch.golden.live import HOUR, LiveStackError, Received
from cardwatch.golden.scenario import Paging
from cardwatch.golden.script import Record
from cardwatch.local.errors import LocalStackError
from cardwatch.local.live_golden import PAGES_PER_MINUTE, LocalLiveStack, NotLive, play_live
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.witness.receipts import PageEventSeen, PageReceived, Receipts
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

NOTIFIER = "notifier"
OWN = {"GROUP_SECONDS": "300", "PAGES_PER_MINUTE": "30", "TOPIC_ARN": "arn:1"}
SUMMARY = (EVENTS / "examples/payment_alert_summary.v1/valid/two_currencies.json").read_bytes()
SESSION = boto3.Session("a-key", "a-secret", region_name="us-east-1")
BENS_TEA = scenario("  - {at: 1 s, payment: tea, card: ben}")
PATIENCE = timedelta(minutes=8)
NAMES: dict[str, Any] = dict.fromkeys(StackOutputs.__dataclass_fields__, "named")
OUTPUTS = replace(StackOutputs(**NAMES), stream_name=STREAM, notifier_function=NOTIFIER)


class Clients(AwsClients):
    """moto's, but for the stream."""

    def __init__(self, kinesis: EmulatedKinesis) -> None:
        super().__init__(SESSION)
        self._emulated = kinesis

    def kinesis(self) -> "KinesisClient":
        return self._emulated.client


@dataclass
class World:
    """A stack whose stream and programs live in one moved time."""

    var: Path
    kinesis: EmulatedKinesis
    clock: FakeClock = field(default_factory=FakeClock)
    warmed: list[dict[str, str]] = field(default_factory=list)
    """The notifier's settings each time a worker of it was started."""
    warm_fails: bool = False

    def __post_init__(self) -> None:
        self.kinesis.module.time = self
        self.clients = Clients(self.kinesis)
        self.stack = LocalLiveStack(
            LocalSettings(var=self.var), self.clients, OUTPUTS, clock=self.clock, warm=self._warm
        )

    def time(self) -> float:
        return self.clock.now().timestamp()

    def _warm(self) -> None:
        if self.warm_fails:
            msg = "the notifier fails on its schedule's event"
            raise LocalStackError(msg)
        self.warmed.append(self.settings())

    def settings(self) -> dict[str, str]:
        found = self.clients.lambda_().get_function_configuration(FunctionName=NOTIFIER)
        return dict(found["Environment"]["Variables"])

    def put(self, *records: bytes) -> None:
        for number, data in enumerate(records):
            self.kinesis.client.put_record(StreamName=STREAM, Data=data, PartitionKey=f"{number}")

    def hash_keys(self) -> list[tuple[int, int]]:
        """Give what each open shard takes."""
        shards = self.kinesis.client.list_shards(StreamName=STREAM)["Shards"]
        return sorted(
            (
                int(each["HashKeyRange"]["StartingHashKey"]),
                int(each["HashKeyRange"]["EndingHashKey"]),
            )
            for each in shards
            if "EndingSequenceNumber" not in each["SequenceNumberRange"]
        )

    def play(self, **scenarios: Any) -> tuple[dict[str, tuple[str, ...]], NotLive, list[str]]:  # noqa: ANN401  scenarios
        """Give what is broken of each, what is not live, and what was told meanwhile."""
        told: list[str] = []
        played, not_live = play_live(
            scenarios, self.stack, clock=self.clock, patience=PATIENCE, progress=told.append
        )
        return {name: each.broken for name, each in played.items()}, not_live, told


@pytest.fixture(scope="module")
def kinesis() -> EmulatedKinesis:
    return EmulatedKinesis()


@pytest.fixture
def world(tmp_path: Path, kinesis: EmulatedKinesis) -> Iterator[World]:
    """Give a stack with an empty stream of two shards."""
    yield World(tmp_path, kinesis)
    with suppress(ClientError):
        kinesis.client.delete_stream(StreamName=STREAM)
    kinesis.client.create_stream(StreamName=STREAM, ShardCount=2)


@pytest.fixture
def notifier(world: World) -> Iterator[World]:
    """Deploy a notifier with settings of its own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("handler.py", "")
    with mock_aws():
        role = SESSION.client("iam").create_role(RoleName="notifier", AssumeRolePolicyDocument="{}")
        world.clients.lambda_().create_function(
            FunctionName=NOTIFIER,
            Runtime="python3.12",
            Role=role["Role"]["Arn"],
            Handler="handler.handle",
            Code={"ZipFile": packed.getvalue()},
            Environment={"Variables": OWN},
        )
        yield world


def record(data: bytes, key: str) -> Record:
    return Record(0, data, partition_key=key)


# ---------- the stream ----------


def test_records_are_on_the_stream_those_of_one_key_in_their_order(world: World) -> None:
    world.stack.put([record(b"%d" % number, "k" if number % 2 else "l") for number in range(6)])
    got: list[bytes] = []
    for shard in world.kinesis.client.list_shards(StreamName=STREAM)["Shards"]:
        begin = world.kinesis.client.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        answer = world.kinesis.client.get_records(ShardIterator=begin["ShardIterator"])
        got += [each["Data"] for each in answer["Records"]]
    assert [data for data in got if int(data) % 2] == [b"1", b"3", b"5"]
    assert [data for data in got if not int(data) % 2] == [b"0", b"2", b"4"]


def test_a_stream_that_takes_no_records_is_told_with_how_many_and_why(world: World) -> None:
    world.kinesis.client.delete_stream(StreamName=STREAM)
    with pytest.raises(LiveStackError, match=r"did not take 2 records \(ResourceNotFound.*status"):
        world.stack.put([record(b"1", "k"), record(b"2", "k")])


def test_alerts_and_summaries_are_those_since_an_hour_before(world: World) -> None:
    first, second = alert_event(1), alert_event(2)
    world.put(first.to_bytes())
    world.clock.advance(1)
    world.put(second.to_bytes(), SUMMARY)
    said = world.stack.said(NOON + HOUR + timedelta(seconds=1))
    assert [each.record["event_id"] for each in said.alerts] == [second.event_id]
    assert [each.arrived for each in said.alerts] == [NOON + timedelta(seconds=1)]
    assert [each.record for each in said.summaries] == [json.loads(SUMMARY)]
    assert len(world.stack.said(NOON + HOUR).alerts) == 2


def test_an_alert_and_a_summary_are_said_once_when_they_came_first(world: World) -> None:
    for _ in range(2):
        world.put(alert_event(1).to_bytes(), SUMMARY)
        world.clock.advance(1)
    said = world.stack.said(NOON)
    assert [each.arrived for each in (*said.alerts, *said.summaries)] == [NOON, NOON]


def test_canaries_and_other_rules_alerts_and_what_nobody_can_read_are_left_out(
    world: World,
) -> None:
    world.put(
        canary_alert().to_bytes(),
        rule_alert_event(1).to_bytes(),
        b'{"type":"PAYMENT_ALERT"}',
        b'{"type":"PAYMENT_ALERT',
        b'["PAYMENT_ALERT"]',
        alert_event(1, merchant_id="PAYMENT_ALERT_SUMMARY").to_bytes(),
        rule_alert_event(2, explanation="PAYMENT_ALERT").to_bytes(),
    )
    said = world.stack.said(NOON)
    assert [each.record["event_id"] for each in said.alerts] == [alert_event(1).event_id]
    assert said.summaries == []


def test_pages_are_those_received_since_then_and_expired_alerts_those_too_old(
    world: World,
) -> None:
    receipts = Receipts(world.var / "receipts")
    for second, kind in ((-1, "FIRST"), (0, "FOLLOW_UP")):
        receipts.write(
            PageReceived(
                received=NOON + timedelta(seconds=second),
                message_id=kind,
                page_id=kind,
                subject="Stolen card",
                text="It was used",
                alert_ids=("a", "b"),
                repeat=second == 0,
                kind=kind,
            )
        )
    for state, why in (
        ("EXPIRED", "too_old"),
        ("EXPIRED", None),
        ("EXPIRED", "act"),
        ("SENT", None),
    ):
        receipts.write(
            PageEventSeen(NOON, "p", state, (f"{state} {why}",), repeat=False, reason=why)
        )
    receipts.close()
    said = world.stack.said(NOON)
    assert said.pages == [Received(NOON, "FOLLOW_UP", ("a", "b"), repeat=True)]
    assert list(said.expired_ids) == ["EXPIRED too_old", "EXPIRED None"]


def test_a_stream_that_cannot_be_read_is_told(world: World) -> None:
    world.kinesis.client.delete_stream(StreamName=STREAM)
    with pytest.raises(LiveStackError, match=f"the stream {STREAM} cannot be read"):
        world.stack.said(NOON)


# ---------- disturbances ----------


def test_of_a_split_the_widest_shard_is_two_halves_and_of_a_merge_the_narrowest_are_one(
    world: World,
) -> None:
    before = world.hash_keys()
    world.stack.disturb("a shard is split")
    world.stack.disturb("a shard is split")
    assert list(map(width_of, world.hash_keys())) == [2**126] * 4
    assert [first for first, _ in world.hash_keys()][::2] == [first for first, _ in before]
    world.stack.disturb("two shards are merged")
    world.stack.disturb("two shards are merged")
    assert sorted(map(width_of, world.hash_keys())) == [2**127] * 2
    world.stack.disturb("two shards are merged")
    assert world.hash_keys() == [(0, 2**128 - 1)]


def width_of(shard: tuple[int, int]) -> int:
    return shard[1] - shard[0] + 1


def test_what_came_before_a_split_and_a_merge_is_still_said(world: World) -> None:
    for number, disturbance in enumerate(["a shard is split", "two shards are merged"]):
        world.put(alert_event(number).to_bytes())
        world.stack.disturb(disturbance)
    world.put(alert_event(2).to_bytes())
    ids = {each.record["event_id"] for each in world.stack.said(NOON).alerts}
    assert ids == {alert_event(number).event_id for number in range(3)}


def test_the_only_shard_is_merged_with_none_and_that_is_told(world: World) -> None:
    world.stack.disturb("two shards are merged")
    with pytest.raises(LiveStackError, match="one shard alone"):
        world.stack.disturb("two shards are merged")


def test_what_the_stream_refuses_is_told_with_the_disturbance(world: World) -> None:
    world.kinesis.client.delete_stream(StreamName=STREAM)
    with pytest.raises(LiveStackError, match=r"^a shard is split: it could not be done \(Resource"):
        world.stack.disturb("a shard is split")


def test_the_taskmanager_is_killed_with_all_that_it_started_and_nothing_else(
    world: World,
) -> None:
    child = [sys.executable, "-c", "import time; time.sleep(60)"]
    parent = (
        f"import subprocess; child = subprocess.Popen({child})\n"
        "print('started', flush=True); child.wait()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) for _ in range(2)
    ]
    task_manager, other = started
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == b"started\n"
    run = RunFolder(world.var)
    run.note("flink-taskmanager", task_manager.pid)
    run.note("another", other.pid)
    try:
        world.stack.disturb("the TaskManager is killed")
        # What it started holds the other end of the pipe, and lives for a minute.
        rest, _ = task_manager.communicate(timeout=30)
        assert rest == b""
        assert task_manager.returncode == -signal.SIGKILL
        assert other.poll() is None
    finally:
        run.note("flink-taskmanager", other.pid)
        world.stack.disturb("the TaskManager is killed")
        other.communicate(timeout=30)


def test_without_a_taskmanager_it_is_told_that_none_runs(world: World) -> None:
    with pytest.raises(LiveStackError, match=r"flink-taskmanager does not run.*status"):
        world.stack.disturb("the TaskManager is killed")


# ---------- the notifier's settings ----------


def test_the_notifier_is_warm_under_the_scenarios_settings_and_keeps_all_others(
    notifier: World,
) -> None:
    notifier.stack.page_by(Paging.model_validate({"group_seconds": "20"}))
    assert notifier.warmed == [notifier.settings()]
    assert notifier.settings() == OWN | {
        "GROUP_SECONDS": "20",
        "PAGES_PER_MINUTE": str(PAGES_PER_MINUTE),
        "DIGEST_SECONDS": "60",
        "PAGE_MAX_AGE_SECONDS": "86400",
    }


def test_a_notifier_that_has_the_settings_already_is_not_changed_again(notifier: World) -> None:
    changed: list[str] = []

    class Counting(Clients):
        def lambda_(self) -> Any:  # noqa: ANN401  boto3's
            client = super().lambda_()
            client.meta.events.register(
                "provide-client-params.lambda.UpdateFunctionConfiguration",
                lambda **_: changed.append("it"),
            )
            return client

    stack = LocalLiveStack(
        LocalSettings(var=notifier.var),
        Counting(notifier.kinesis),
        OUTPUTS,
        clock=notifier.clock,
        warm=lambda: None,
    )
    for _ in range(2):
        stack.page_by(Paging())
    assert changed == ["it"]


def test_a_notifier_that_is_not_there_is_told(world: World) -> None:
    with mock_aws():
        with pytest.raises(LiveStackError, match="could not be given the scenarios' settings"):
            world.stack.page_by(Paging())
        with pytest.raises(LiveStackError, match=r"could not be read \(ResourceNotFound"):
            world.play(tea=BENS_TEA)


def test_a_notifier_that_is_gone_when_it_should_get_its_settings_back_is_told(
    notifier: World,
) -> None:
    with (
        pytest.raises(LiveStackError, match="could not be given its own settings back"),
        notifier.stack.own_settings_afterwards(),
    ):
        notifier.clients.lambda_().delete_function(FunctionName=NOTIFIER)


def lost(world: World) -> None:
    world.kinesis.client.delete_stream(StreamName=STREAM)


def gone(world: World) -> None:
    world.warm_fails = True


# ---------- playing ----------


def test_a_scenario_is_played_and_the_notifier_has_its_own_settings_again(notifier: World) -> None:
    stolen = scenario("  - {at: 1 s, payment: shoes, card: anna}", "{alerts: [shoes], pages: []}")
    broken, not_live, told = notifier.play(tea=BENS_TEA, shoes=stolen)
    assert broken == {"tea": (), "shoes": ("alert: none for shoes",)}
    assert not_live == {}
    assert told == ["round 1 of 1: tea, shoes"]
    assert [each["PAGES_PER_MINUTE"] for each in notifier.warmed] == [str(PAGES_PER_MINUTE)]
    assert notifier.settings() == OWN


def test_what_cannot_be_had_live_is_named_and_not_played(notifier: World) -> None:
    not_there = scenario("  - {at: 1 s, payment: tea, card: ben}", more="not_live: no such time")
    broken, not_live, told = notifier.play(mine=not_there)
    assert (broken, not_live, told) == ({}, {"mine": "no such time"}, [])
    assert notifier.warmed == []


@pytest.mark.parametrize(
    ("breaks", "why"), [(lost, "the stream did not take"), (gone, "the notifier fails")]
)
def test_a_stack_that_does_not_do_its_part_breaks_the_scenario_and_has_its_own_settings_again(
    notifier: World, breaks: Callable[[World], None], why: str
) -> None:
    breaks(notifier)
    broken, _, _ = notifier.play(tea=BENS_TEA)
    (said,) = broken["tea"]
    assert said.startswith(why)
    assert notifier.settings() == OWN


def test_the_notifier_has_its_own_settings_again_when_somebody_stops_the_playing(
    notifier: World,
) -> None:
    class Interrupted(FakeClock):
        def sleep(self, seconds: float) -> None:
            del seconds
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_live(
            {"tea": BENS_TEA},
            notifier.stack,
            clock=Interrupted(),
            patience=PATIENCE,
            progress=lambda _: None,
        )
    assert notifier.warmed != []
    assert notifier.settings() == OWN


# ---------- which stack ----------


def test_where_nothing_runs_in_the_run_folder_there_is_no_stack_whatever_answers_on_the_port(
    tmp_path: Path,
) -> None:
    RunFolder(tmp_path).note("flink-taskmanager", 1)
    with pytest.raises(LocalStackError, match=r"nothing runs here .*cardwatch up"):
        LocalLiveStack.of(LocalSettings(var=tmp_path), clock=FakeClock(), warm=lambda _: None)
