"""`cardwatch redrive` and `backfill` over a deployed stack, which is the emulator's."""

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from tests.adapters.test_deployed import outputs
from tests.examples import EVENTS
from tests.stream_records import records_on
from tests.unit.paging.support import alert_event

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.cli import main
from cardwatch.clock import SystemClock
from cardwatch.contract.streams import Envelope
from cardwatch.recovery.error_output import QUARANTINE, FailedRecord

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Deployed:
    """A stack's streams and buckets, each named after the stack."""

    name: str
    clients: AwsClients

    def dead_letters(self) -> S3DeadLetters:
        return S3DeadLetters(self.clients.s3(), f"{self.name}-dead", SystemClock())

    @property
    def scores(self) -> str:
        return f"{self.name}-scores"

    def on_stream(self, name: str | None = None) -> list[str]:
        records = records_on(self.clients.kinesis(), name or self.name)
        return [json.loads(record["Data"])["event_id"] for record in records]


@pytest.fixture
def deployed(
    aws_environment: None, emulator: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> Deployed:
    """What the environment gives, as on a person's machine."""
    del aws_environment
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.s3().meta.endpoint_url)
    name = f"cardwatch-{uuid4().hex[:8]}"
    for stream in (name, f"{name}-scores"):
        emulator.kinesis().create_stream(StreamName=stream, ShardCount=1)
    buckets = {"DeliveryBucket": f"{name}-delivered", "DeadLetterBucket": f"{name}-dead"}
    for bucket in buckets.values():
        emulator.s3().create_bucket(Bucket=bucket)
    template: dict[str, Any] = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": outputs({"StreamName": name, "ScoresStreamName": f"{name}-scores", **buckets}),
    }
    cloudformation = emulator.cloudformation()
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return Deployed(name, emulator)


def alert() -> Envelope:
    return alert_event(at=datetime.now(UTC).replace(microsecond=0))


def test_redrive_sends_what_is_valid_and_says_what_stays(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = alert()
    deployed.dead_letters().keep("notifier", [sent.to_bytes()], reason="throttled")
    deployed.dead_letters().keep("notifier", [b"{"], reason="not_json")

    assert main(["redrive", "--stack", deployed.name, "--dry-run"]) == 1
    assert "2 objects; would send 1 PAYMENT_ALERT" in capsys.readouterr().out
    assert deployed.on_stream() == []

    assert main(["redrive", "--stack", deployed.name]) == 1
    said = capsys.readouterr().out
    assert "2 objects; sent 1 PAYMENT_ALERT" in said
    assert "still break the contract and stay: 1 not_json" in said
    assert deployed.on_stream() == [sent.event_id]
    assert len(list(deployed.dead_letters().objects("notifier"))) == 1


def test_redrive_is_content_when_nothing_stays(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.dead_letters().keep("notifier", [alert().to_bytes()], reason="throttled")
    assert main(["redrive", "--stack", deployed.name]) == 0
    assert main(["redrive", "--stack", deployed.name]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 objects; sent 1 PAYMENT_ALERT",
        "0 objects; sent nothing",
    ]


def test_backfill_sends_what_was_quarantined_and_is_valid_now(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    now, valid = datetime.now(UTC), alert()
    score = (
        EVENTS / "examples/payment_attributed.v1/valid/nothing_speaks_against_it.json"
    ).read_bytes()
    lines = [
        FailedRecord(raw, now, 4, now, "Lambda.FunctionError", "it failed", "arn:stager").to_line()
        for raw in (valid.to_bytes(), score, b"{")
    ]
    body = gzip.compress(b"".join(lines))
    deployed.clients.s3().put_object(
        Bucket=f"{deployed.name}-delivered", Key=f"{QUARANTINE}2026/11/21/00/one.gz", Body=body
    )
    assert main(["backfill", "--stack", deployed.name, "--only", "quarantine"]) == 1
    said = capsys.readouterr().out
    assert "quarantine: 1 objects; sent 1 PAYMENT_ALERT, 1 PAYMENT_ATTRIBUTED" in said
    assert deployed.on_stream() == [valid.event_id]
    assert deployed.on_stream(deployed.scores) == [json.loads(score)["event_id"]]


@pytest.mark.parametrize("command", ["redrive", "backfill"])
def test_a_stack_that_is_not_there_is_one_line_that_names_it(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    del deployed
    assert main([command, "--stack", "nobody-made-this"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "nobody-made-this" in line


def test_without_a_warehouse_there_is_nothing_to_load_and_that_is_said(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backfill", "--stack", deployed.name, "--only", "objects"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert deployed.name in line
    assert "warehouse" in line
