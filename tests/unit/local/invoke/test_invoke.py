"""`cardwatch invoke` without a stack: what it knows of functions, what it says is missing."""

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cardwatch.local.invoke import invoke
from cardwatch.local.services import deploy
from cardwatch.settings import LocalSettings

TEMPLATE = """
Parameters:
  Platform: { Type: String, Default: aws }
  Rate: { Type: Number, Default: 20 }
Conditions:
  IsLocal: !Equals [!Ref Platform, local]
Globals:
  Function:
    Handler: handler.handler
    Timeout: 5
    Environment: { Variables: { LEVEL: INFO } }
    Layers: [!Ref Layer]
Resources:
  Table: { Type: AWS::DynamoDB::Table }
  Layer: { Type: AWS::Serverless::LayerVersion }
  WorkerFunction:
    Type: AWS::Serverless::Function
    Properties:
      MemorySize: 256
      Environment:
        Variables:
          RATE: !Ref Rate
          TABLE: !Ref Table
          WHERE: !If [IsLocal, !Ref Rate, !GetAtt Table.Arn]
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: infra/inner.yaml
      Parameters: { Given: !Ref Platform, Key: !GetAtt Table.Arn }
"""
INNER = """
Parameters: { Given: { Type: String }, Key: { Type: String } }
Resources:
  MakerFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: handler.handler
      Timeout: 1
      Environment: { Variables: { GIVEN: !Ref Given, KEY: !Ref Key } }
"""
SETTINGS = LocalSettings(aws_port=1024)  # nobody listens there


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/inner.yaml").write_text(INNER)
    (tmp_path / "samconfig.toml").write_text(
        'local.deploy.parameters.parameter_overrides = ["Platform=local"]'
    )
    return tmp_path


def test_functions_of_nested_stacks_are_found_by_path_and_by_name(root: Path) -> None:
    known = invoke.functions(root, SETTINGS)
    assert set(known) == {"WorkerFunction", "Inner/MakerFunction"}
    for name in ("Inner/MakerFunction", "MakerFunction", "maker"):
        assert invoke.find(known, name).path == "Inner/MakerFunction"


def test_an_unknown_function_is_answered_with_those_there_are(root: Path) -> None:
    with pytest.raises(
        invoke.InvokeError, match=r"no function typo .*: Inner/MakerFunction, WorkerF"
    ):
        invoke.find(invoke.functions(root, SETTINGS), "typo")


def test_the_variables_are_the_template_s_under_the_local_parameters(root: Path) -> None:
    known = invoke.functions(root, SETTINGS)
    worker = known["WorkerFunction"]
    assert worker.environment == {"LEVEL": "INFO", "RATE": "20", "WHERE": "20"}
    assert worker.references == {"TABLE": "Table"}
    assert worker.properties["Timeout"] == 5
    maker = known["Inner/MakerFunction"]
    assert maker.environment == {"GIVEN": "local"}
    assert maker.references == {"KEY": "Key"}


def test_a_variable_that_nobody_knows_is_named_with_its_remedies(root: Path) -> None:
    worker = invoke.functions(root, SETTINGS)["WorkerFunction"]
    with pytest.raises(
        invoke.InvokeError, match=r"needs TABLE \(Table\), .*cardwatch up.*--env-vars FILE"
    ):
        invoke.environment(worker, {})
    assert invoke.environment(worker, {"TABLE": "t", "RATE": "1"}) == {
        "LEVEL": "INFO",
        "RATE": "1",
        "TABLE": "t",
        "WHERE": "20",
    }


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_without_a_running_stack_no_function_is_deployed(root: Path) -> None:
    known = invoke.functions(root, SETTINGS)
    assert {invoke.deployed_name(function, SETTINGS) for function in known.values()} == {None}
    with pytest.raises(invoke.InvokeError, match="cardwatch up --detach"):
        invoke.variables(known, SETTINGS)


def test_a_file_of_variables_has_the_form_that_sam_takes(root: Path, tmp_path: Path) -> None:
    maker = invoke.functions(root, SETTINGS)["Inner/MakerFunction"]
    path = tmp_path / "env.json"
    path.write_text('{"Parameters": {"A": 1, "B": true}, "MakerFunction": {"A": "own"}}')
    assert invoke.read_variables(path, maker) == {"A": "own", "B": "true"}
    path.write_text('{"MakerFunction": "A=1"}')
    with pytest.raises(invoke.InvokeError, match="must map function names"):
        invoke.read_variables(path, maker)


@pytest.mark.parametrize("content", [None, "{"])
def test_an_event_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(invoke.InvokeError, match=r"event\.json"):
        invoke.read_event(path)


def test_a_function_that_is_not_built_is_told(root: Path) -> None:
    function = invoke.functions(root, SETTINGS)["WorkerFunction"]
    with (
        pytest.raises(invoke.InvokeError, match=r"WorkerFunction is not built .*sam build"),
        invoke.held(function, {}, SETTINGS, root),
    ):
        pass


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_without_an_emulator_a_built_function_is_not_held(root: Path) -> None:
    function = invoke.functions(root, SETTINGS)["WorkerFunction"]
    (root / deploy.BUILT / function.path).mkdir(parents=True)
    with (
        pytest.raises(invoke.InvokeError, match=r"WorkerFunction: .*cardwatch up --detach"),
        invoke.held(function, {}, SETTINGS, root),
    ):
        pass


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_custom_resource_s_answer_is_received() -> None:
    with invoke.answered_here({"ResponseURL": "https://example.invalid/"}) as (event, answers):
        request = urllib.request.Request(  # noqa: S310  our own address
            event["ResponseURL"], b'{"Status": "SUCCESS"}', method="PUT"
        )
        urllib.request.urlopen(request).close()  # noqa: S310  the same
        assert answers == ['{"Status": "SUCCESS"}']
    assert not invoke.refused(answers)
    assert invoke.refused(['{"Status": "FAILED"}'])


def test_another_event_is_left_alone() -> None:
    event: Mapping[str, Any] = {"Records": []}
    with invoke.answered_here(event) as (given, answers):
        assert given is event
        assert answers == []
