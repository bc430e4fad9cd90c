"""`cardwatch rules …` over a deployed stack, which is the emulator's."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from tests.adapters.test_deployed import outputs
from tests.stream_records import records_on

from cardwatch.aws.clients import AwsClients
from cardwatch.cli import main

pytestmark = pytest.mark.stack

RULES = (Path(__file__).parents[2] / "rules.yaml").read_text(encoding="utf-8")


class Desk:
    """A stack with a stream and a bucket of its name, and a rules file to publish on it."""

    def __init__(self, clients: AwsClients, folder: Path) -> None:
        self.name = f"cardwatch-{uuid4().hex[:8]}"
        self.file = folder / "my.yaml"
        self._clients = clients
        clients.kinesis().create_stream(StreamName=self.name, ShardCount=1)
        clients.s3().create_bucket(Bucket=self.name)
        given = {"StreamName": self.name, "DeliveryBucket": self.name, "DeadLetterBucket": "none"}
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": outputs(given),
        }
        cloudformation = clients.cloudformation()
        cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )

    def rules(self, command: str, *options: str, version: int = 2, euro: str = "5000") -> int:
        """Run a command over the stack, with a file of this version and limit."""
        text = RULES.replace("version: 1", f"version: {version}")
        self.file.write_text(text.replace("EUR: 5000", f"EUR: {euro}"))
        given = [str(self.file)] if command in {"diff", "publish"} else []
        return main(["rules", command, *given, *options, "--stack", self.name])

    def on_stream(self) -> list[tuple[str, int, str]]:
        """Give each RULE event on the stream: the rule, its version, its paging."""
        records = records_on(self._clients.kinesis(), self.name)
        data = [json.loads(record["Data"])["event_json_data"] for record in records]
        return [(d["rule"], d["rule_version"], d["settings"]["paging"]) for d in data]


@pytest.fixture
def desk(
    aws_environment: None, emulator: AwsClients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Desk:
    del aws_environment
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.s3().meta.endpoint_url)
    return Desk(emulator, tmp_path)


def test_a_version_is_compared_published_and_rolled_back(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.rules("diff") == 0
    assert "no version is published" in capsys.readouterr().out

    assert desk.rules("publish", "--note", "dear days") == 0
    assert desk.rules("diff", version=3, euro="7000") == 0
    assert "large_amount.EUR: 5000 -> 7000" in capsys.readouterr().out

    assert desk.rules("publish", version=3, euro="7000") == 0
    assert desk.rules("publish", "--shadow", version=4, euro="900") == 0
    assert desk.rules("rollback") == 0
    of_one = [(v, paging) for rule, v, paging in desk.on_stream() if rule == "large_amount"]
    assert of_one == [(2, "on"), (3, "on"), (4, "shadow"), (5, "on")]

    capsys.readouterr()
    assert desk.rules("history") == 0
    told = capsys.readouterr().out
    numbered = [line.split() for line in told.splitlines() if not line.startswith("      ")]
    assert [line[0] for line in numbered] == ["5", "4", "3", "2"]
    assert "in force, rolled back to version 2" in told
    assert "dear days" in told
    assert "large_amount.EUR: 7000 -> 5000" in told


def test_a_bad_file_is_refused_with_its_line_and_what_was_in_force_stays(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.rules("publish") == 0
    before = desk.on_stream()
    capsys.readouterr()
    assert desk.rules("publish", version=3, euro="12.345") == 1
    said = capsys.readouterr()
    assert said.out == ""
    line = next(n for n, text in enumerate(RULES.splitlines(), 1) if "EUR:" in text)
    assert f"my.yaml:{line}: rules.large_amount.limits.EUR" in said.err
    assert desk.rules("publish", euro="7000") == 1
    assert "make version 3" in capsys.readouterr().err
    assert desk.on_stream() == before


def test_the_same_file_again_is_put_again(desk: Desk) -> None:
    assert desk.rules("publish") == 0
    assert desk.rules("publish") == 0
    assert desk.on_stream() == 2 * desk.on_stream()[: len(desk.on_stream()) // 2]
