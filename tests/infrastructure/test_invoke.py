"""`cardwatch invoke` against the running stack."""

import json

import pytest
from tests.infrastructure.conftest import ROOT, Stack

from cardwatch.local.invoke import invoke
from cardwatch.local.services import ministack

pytestmark = pytest.mark.stack


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
def test_what_is_deployed_is_invoked_there_and_its_log_is_shown(
    stack: Stack, name: str, event: str, expected: object
) -> None:
    function = invoke.find(invoke.functions(stack.root, stack.settings), name)
    deployed = invoke.deployed_name(function, stack.settings)
    assert deployed == stack.outputs.notifier_function
    asked = invoke.read_event(ROOT / f"events/invocations/{event}.json")
    done = invoke.invoke(function, deployed, asked, stack.settings)
    assert json.loads(done.answer) == expected
    assert not done.failed
    assert done.log


def test_what_the_function_raises_is_a_failed_invocation(stack: Stack) -> None:
    function = invoke.find(invoke.functions(stack.root, stack.settings), "StagerFunction")
    deployed = invoke.deployed_name(function, stack.settings)
    assert deployed is not None
    done = invoke.invoke(function, deployed, {"records": 1}, stack.settings)
    assert done.failed
    assert "errorType" in json.loads(done.answer)


def test_a_custom_resource_s_function_is_not_deployed_on_one_machine(stack: Stack) -> None:
    known = invoke.functions(stack.root, stack.settings)
    function = known["DetectionStack/FlinkCodeFunction"]
    assert invoke.deployed_name(function, stack.settings) is None


def test_a_custom_resource_s_function_is_held_for_an_invocation_and_answers_cloudformation(
    stack: Stack,
) -> None:
    function = invoke.functions(stack.root, stack.settings)["DetectionStack/FlinkCodeFunction"]
    event = invoke.read_event(ROOT / "events/invocations/flink-code-create.json")
    with (
        invoke.held(function, {}, stack.settings, stack.root) as name,
        invoke.answered_here(event) as (asked, answers),
    ):
        done = invoke.invoke(function, name, asked, stack.settings)
    assert not done.failed
    # One machine builds no Flink application, so there is none to copy.
    assert "no Flink application" in json.loads(answers[0])["Reason"]
    assert invoke.refused(answers)
    client = ministack.clients(stack.settings).lambda_()
    assert name not in {each["FunctionName"] for each in client.list_functions()["Functions"]}


def test_a_held_function_has_its_layer_and_the_variables_that_it_is_given(stack: Stack) -> None:
    function = invoke.find(invoke.functions(stack.root, stack.settings), "StagerFunction")
    given = {"CARD_REGISTRY_TABLE": "nowhere", "STREAM_NAME": "nowhere"}
    variables = invoke.environment(function, given)
    with invoke.held(function, variables, stack.settings, stack.root) as name:
        done = invoke.invoke(function, name, {"records": []}, stack.settings)
    assert json.loads(done.answer) == {"records": []}
