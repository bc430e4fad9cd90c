"""Building and deploying to the emulator."""

import json
from pathlib import Path

import pytest
from tests.infrastructure.conftest import ROOT, Stack

from cardwatch.local import deploy, ministack
from cardwatch.local.event_source import read_parameters
from cardwatch.local.supervisor import LocalStackError
from cardwatch.settings import LocalSettings

pytestmark = pytest.mark.stack


def test_a_second_deploy_with_nothing_changed_does_nothing(stack: Stack) -> None:
    assert stack.said == ["building the functions", "deploying the stack"]
    said: list[str] = []
    outputs = deploy.deploy(stack.settings, stack.root, progress=said.append)
    assert said == ["functions are up to date", "the stack is up to date"]
    assert outputs == stack.outputs


def test_a_changed_source_is_built_again(stack: Stack) -> None:
    before = deploy.source_digest(stack.root, stack.settings.cards)
    handler = stack.root / "functions/stager/handler.py"
    text = handler.read_text()
    handler.write_text(text + "\n# changed\n")
    assert deploy.source_digest(stack.root, stack.settings.cards) != before
    handler.write_text(text)
    assert deploy.source_digest(stack.root, stack.settings.cards) == before


def test_another_card_file_is_another_build(stack: Stack, tmp_path: Path) -> None:
    other = tmp_path / "cards.txt"
    other.write_text((stack.root / stack.settings.cards).read_text() + "\n")
    before = deploy.source_digest(stack.root, stack.settings.cards)
    assert deploy.source_digest(stack.root, other) != before


def test_the_deployed_mapping_has_the_template_s_parameters(stack: Stack) -> None:
    client = ministack.session(stack.settings).client(
        "lambda", endpoint_url=ministack.endpoint(stack.settings)
    )
    parameters = read_parameters(client, stack.outputs)
    assert parameters.stream_arn == stack.outputs.stream_arn
    assert parameters.failure_bucket == stack.outputs.dead_letter_bucket
    assert parameters.patterns == ({"type": ["PAYMENT_ALERT"]},)
    assert parameters.maximum_record_age_seconds == 86_400
    assert parameters.maximum_retry_attempts is None
    assert parameters.bisect_batch_on_function_error
    assert parameters.report_batch_item_failures
    assert not parameters.from_latest


@pytest.mark.parametrize(
    ("output", "event"),
    [
        ("notifier_function", "kinesis-poison"),
        ("notifier_function", "scheduled"),
        ("stager_function", "firehose"),
        ("simulator_function", "scheduled"),
    ],
)
def test_each_deployed_function_takes_its_example_invocation(
    stack: Stack, output: str, event: str
) -> None:
    client = ministack.session(stack.settings).client(
        "lambda", endpoint_url=ministack.endpoint(stack.settings)
    )
    answer = client.invoke(
        FunctionName=getattr(stack.outputs, output),
        Payload=(ROOT / f"events/invocations/{event}.json").read_bytes(),
    )
    payload = answer["Payload"].read().decode()
    assert "FunctionError" not in answer, payload
    json.loads(payload)


def test_a_failing_build_names_the_reason_and_the_log(stack: Stack, tmp_path: Path) -> None:
    settings = LocalSettings(
        var=tmp_path, aws_port=stack.settings.aws_port, cards=ROOT / stack.settings.cards
    )
    (tmp_path / ".venvs").symlink_to(ROOT / ".venvs")
    (tmp_path / "template.yaml").write_text("Resources: [")
    with pytest.raises(LocalStackError, match=r"`sam build` failed: .*see .*build\.log"):
        deploy.build(settings, tmp_path, progress=lambda _line: None)


def test_without_an_emulator_the_remedy_is_named(tmp_path: Path) -> None:
    settings = LocalSettings(var=tmp_path, aws_port=1024)  # nobody listens there
    with pytest.raises(LocalStackError, match="cardwatch up"):
        deploy.read_outputs(settings)
