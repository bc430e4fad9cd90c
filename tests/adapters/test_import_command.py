"""`cardwatch events import` onto the stream of a running stack, which is the emulator's."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from tests.adapters.test_deployed import outputs
from tests.card_numbers import NUMBERS
from tests.stream_records import records_on
from tests.unit.imports.support import STOLEN, THREE_ROWS

from cardwatch.aws.clients import AwsClients
from cardwatch.cards.number import CardNumber
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.cli import main
from cardwatch.local.services.deploy import StackOutputs

pytestmark = pytest.mark.stack

KEY = "the key of the running stack, in letters"


@pytest.fixture
def stack(emulator: AwsClients, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a stack and its stream, as the environment names it to a command."""
    name = f"cardwatch-{uuid4().hex[:8]}"
    emulator.kinesis().create_stream(StreamName=name, ShardCount=1)
    emulator.secrets().create_secret(Name=name, SecretString=KEY)
    given = {
        "".join(word.capitalize() for word in item.name.split("_")): "5"
        for item in fields(StackOutputs)
    }
    template: dict[str, Any] = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": outputs(given | {"StreamName": name, "TokenKeySecret": name}),
    }
    cloudformation = emulator.cloudformation()
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    port = urlsplit(emulator.s3().meta.endpoint_url).port
    monkeypatch.setenv("CARDWATCH_AWS_PORT", str(port))
    monkeypatch.setenv("CARDWATCH_STACK_NAME", name)
    return name


def test_payments_are_on_the_stream_behind_the_stolen_card_under_the_stacks_key(
    stack: str, emulator: AwsClients, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payments, stolen = tmp_path / "payments.csv", tmp_path / "stolen.txt"
    payments.write_text(THREE_ROWS, newline="")
    stolen.write_text(STOLEN)
    options = ["--mapping", "sparkov", "--stolen", str(stolen), "--to-stream"]
    assert main(["events", "import", str(payments), *options]) == 0
    said = capsys.readouterr().out
    assert "3 payments and 1 status written to the stream, 0 rejected" in said
    records = records_on(emulator.kinesis(), stack)
    kinds = [json.loads(record["Data"])["type"] for record in records]
    assert kinds == ["CARD_STATUS", *["PAYMENT_EVENT"] * 3]
    token = Tokenizer(KEY.encode()).token(CardNumber(STOLEN))
    assert [record["PartitionKey"] == token for record in records] == [True, False, True, False]
    assert not any(number.encode() in record["Data"] for number in NUMBERS for record in records)
