"""`cardwatch invoke` against the running stack."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from tests.infrastructure.conftest import ROOT, Stack

from cardwatch.local.invoke import invoke
from cardwatch.local.services import ministack

pytestmark = pytest.mark.stack


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "invoke.log").open("w") as sink:
        yield sink


def test_the_variables_that_refer_to_resources_are_the_running_stack_s(stack: Stack) -> None:
    known = invoke.functions(stack.root, stack.settings)
    notifier = invoke.environment(invoke.find(known, "NotifierFunction"), stack.settings, {})
    assert notifier["STREAM_NAME"] == stack.outputs.stream_name
    assert notifier["LEDGER_TABLE"] == stack.outputs.ledger_table
    assert notifier["TOPIC_ARN"] == stack.outputs.topic_arn
    client = ministack.session(stack.settings).client(
        "lambda", endpoint_url=ministack.endpoint(stack.settings)
    )
    deployed = client.get_function_configuration(FunctionName=stack.outputs.notifier_function)
    assert notifier == deployed["Environment"]["Variables"]


def test_the_running_stack_s_variables_have_the_form_that_sam_takes(stack: Stack) -> None:
    known = invoke.functions(stack.root, stack.settings)
    found = invoke.variables(known, stack.settings)
    assert set(found) >= {"SimulatorFunction", "NotifierFunction", "StagerFunction"}
    assert found["SimulatorFunction"]["CONTROL_TABLE"] == stack.outputs.control_table


@pytest.mark.parametrize(
    ("name", "event", "expected"),
    [
        ("NotifierFunction", "kinesis-poison", {"batchItemFailures": []}),
        ("NotifierFunction", "scheduled", {"batchItemFailures": []}),
    ],
)
def test_the_built_function_runs_in_a_plain_process(
    stack: Stack, log: TextIO, name: str, event: str, expected: object
) -> None:
    function = invoke.find(invoke.functions(stack.root, stack.settings), name)
    done = invoke.invoke(
        function,
        invoke.read_event(ROOT / f"events/invocations/{event}.json"),
        invoke.environment(function, stack.settings, {}),
        settings=stack.settings,
        root=stack.root,
        log=log,
    )
    assert json.loads(done.answer) == expected
    assert not done.failed


def test_a_custom_resource_s_function_runs_as_well_and_answers_cloudformation(
    stack: Stack, log: TextIO
) -> None:
    function = invoke.functions(stack.root, stack.settings)["DetectionStack/FlinkCodeFunction"]
    event = invoke.read_event(ROOT / "events/invocations/flink-code-create.json")
    with invoke.answered_here(event) as (asked, answers):
        done = invoke.invoke(
            function,
            asked,
            {},
            settings=stack.settings,
            root=stack.root,
            log=log,
        )
    assert not done.failed
    # One machine builds no Flink application, so there is none to copy.
    assert "no Flink application" in json.loads(answers[0])["Reason"]
    assert invoke.refused(answers)
