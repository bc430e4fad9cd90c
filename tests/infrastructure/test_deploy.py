"""Building and deploying to the emulator."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.infrastructure.conftest import PARAMETERS, ROOT, Stack
from tests.infrastructure.deployment import deployment
from tests.slack_server import slack_server

from cardwatch.deployment.template import read_template
from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource.ends import read_parameters
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services import deploy, ministack
from cardwatch.settings import LocalSettings

pytestmark = pytest.mark.stack


def test_a_second_deploy_with_nothing_changed_does_nothing(stack: Stack) -> None:
    assert stack.said == ["building the functions", "deploying the stack"]
    said: list[str] = []
    outputs = deploy.deploy(stack.settings, stack.root, progress=said.append, parameters=PARAMETERS)
    assert said == ["functions are up to date", "the stack is up to date"]
    assert outputs == stack.outputs


@pytest.fixture
def without_sam(stack: Stack, tmp_path: Path) -> Path:
    """The stack's project, as it was deployed, where nothing can be built or deployed anew."""
    root = tmp_path / "project"
    root.mkdir()
    for name in (*deploy.SOURCES, str(stack.settings.cards)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not (root / name).exists() and not name.startswith(".venvs"):
            source = stack.root / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, root / name)
    (root / ".venvs").mkdir(exist_ok=True)
    shutil.rmtree(root / ".venvs" / "ministack", ignore_errors=True)
    (root / ".venvs" / "ministack").symlink_to(ROOT / ".venvs" / "ministack")
    shutil.copytree(stack.root / deploy.BUILT, root / deploy.BUILT)
    return root


def on_a_new_emulator(root: Path, var: Path, **parameters: str) -> tuple[list[str], Any]:
    """Deploy to an emulator that was just started; give what was said, and the templates."""
    settings = LocalSettings(var=var, aws_port=free_port())
    run = RunFolder(var)
    run.acquire()
    said: list[str] = []
    try:
        with Supervisor(run) as supervisor:
            supervisor.start(ministack.program(settings, ROOT))
            supervisor.wait_ready("ministack", timeout_seconds=60)
            wanted = {**PARAMETERS, **parameters}
            deploy.deploy(settings, root, progress=said.append, parameters=wanted)
            return said, deployed_of(settings)
    finally:
        run.release()


def deployed_of(settings: LocalSettings) -> Any:  # noqa: ANN401  boto3's own types
    """Give what a stack is: its template, parameters and tags, and the code of its functions."""
    session, endpoint = ministack.session(settings), ministack.endpoint(settings)
    cloudformation = session.client("cloudformation", endpoint_url=endpoint)
    [found] = cloudformation.describe_stacks(StackName=settings.stack_name)["Stacks"]
    template = cloudformation.get_template(StackName=settings.stack_name, TemplateStage="Original")[
        "TemplateBody"
    ]
    functions = session.client("lambda", endpoint_url=endpoint).list_functions()["Functions"]
    ledger = deploy.read_outputs(settings).ledger_table
    forgets = session.client("dynamodb", endpoint_url=endpoint).describe_time_to_live(
        TableName=ledger
    )["TimeToLiveDescription"]
    assert forgets == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found["Parameters"]}
    return template, parameters, found["Tags"], sorted(f["CodeSha256"] for f in functions)


def test_an_empty_emulator_gets_the_same_stack_again_without_sam(
    stack: Stack, without_sam: Path, tmp_path: Path
) -> None:
    said, deployed = on_a_new_emulator(without_sam, tmp_path / "var")
    assert said == ["functions are up to date", "deploying the stack, as SAM did before"]
    assert deployed == deployed_of(stack.settings)


@pytest.mark.parametrize("change", ["template", "code", "parameter"])
def test_what_changed_is_deployed_anew(without_sam: Path, tmp_path: Path, change: str) -> None:
    parameters = {}
    match change:
        case "template":
            with (without_sam / "template.yaml").open("a") as file:
                file.write("# changed\n")
        case "code":
            (without_sam / "src" / "cardwatch" / "new.py").touch()
        case _:
            parameters["PaymentsPerSecond"] = "21"
    with pytest.raises(LocalStackError, match="SAM command line is not installed"):
        on_a_new_emulator(without_sam, tmp_path / "var", **parameters)


def change_set(stack: Stack, **parameters: str) -> Any:  # noqa: ANN401  boto3's own type
    """Ask for the changes that other parameters would make to the deployed template."""
    cloudformation = client(stack, "cloudformation")
    name = stack.settings.stack_name
    body = cloudformation.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    [described] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    given = {p["ParameterKey"]: p["ParameterValue"] for p in described["Parameters"]}
    made = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName="again",
        TemplateBody=body if isinstance(body, str) else json.dumps(body),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {**given, **parameters}.items()
        ],
        Tags=described["Tags"],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    found = cloudformation.describe_change_set(ChangeSetName=made["Id"])
    cloudformation.delete_change_set(ChangeSetName=made["Id"])
    return found


def test_a_change_set_of_what_is_deployed_has_no_changes(stack: Stack) -> None:
    found = change_set(stack)
    assert found["Changes"] == []
    assert "didn't contain changes" in found["StatusReason"]


def test_another_rate_changes_the_simulator_and_replaces_nothing(stack: Stack) -> None:
    found = change_set(stack, PaymentsPerSecond="21")
    changed = {
        c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in found["Changes"]
    }
    assert changed["SimulatorFunction"]["Replacement"] == "False"
    replaced = {n for n, c in changed.items() if c.get("Replacement") == "True"}
    assert replaced == set()


def test_the_emulator_has_every_resource_of_the_template(stack: Stack) -> None:
    wanted = {
        path.rpartition("/")[2]: resource["Type"]
        for path, resource in deployment(Platform="local", **PARAMETERS).resources.items()
        if "PagesQueueStack/" not in path
    }
    cloudformation = client(stack, "cloudformation")
    found: dict[str, str] = {}
    for summary in cloudformation.describe_stacks()["Stacks"]:
        assert summary["StackStatus"] == "CREATE_COMPLETE", summary["StackName"]
        pages = cloudformation.get_paginator("list_stack_resources").paginate(
            StackName=summary["StackName"]
        )
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                found[resource["LogicalResourceId"]] = resource["ResourceType"]
    # SAM names a layer's version by its content.
    layer = {name for name in wanted if name.startswith("CardwatchLayer")}
    assert {n: t for n, t in wanted.items() if n not in layer}.items() <= found.items()
    assert "AWS::Lambda::LayerVersion" in found.values()


VIOLATIONS = {
    # Each of template.yaml's rules, broken once.
    "SomebodyIsPaged": ({"Platform": "aws", "Slack": "off"}, "Nobody would be paged"),
    "BufferSuitsFirehose": (
        {"Platform": "aws", "Slack": "on", "DeliveryBufferSeconds": "5"},
        "DeliveryBufferSeconds=5 is for one machine",
    ),
    "MaximumAboveBase": (
        {"Slack": "on", "WarehouseRpus": "8"},
        "WarehouseMaxRpus is below WarehouseRpus",
    ),
    "ZonesForServerless": (
        {"Platform": "aws", "Slack": "on", "Warehouse": "serverless"},
        "three availability zones",
    ),
    "DatabaseIsASecret": (
        {"Platform": "aws", "Slack": "on", "AccountsDatabase": "local"},
        "AccountsDatabase=local is for one machine",
    ),
    "SubnetsHaveSecurityGroups": (
        {"Slack": "on", "BankSubnets": "subnet-1"},
        "BankSubnets and BankSecurityGroups go together",
    ),
}
REGIONS = {"ZonesForServerless": "us-west-1"}


def test_every_rule_is_broken_by_one_of_these() -> None:
    rules = read_template(ROOT / "template.yaml")["Rules"]
    assert set(VIOLATIONS) == set(rules)


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_a_rule_that_is_broken_refuses_the_deploy_and_says_why(stack: Stack, rule: str) -> None:
    parameters, told = VIOLATIONS[rule]
    deployed = client(stack, "cloudformation").get_template(
        StackName=stack.settings.stack_name, TemplateStage="Original"
    )["TemplateBody"]
    body = deployed if isinstance(deployed, str) else json.dumps(deployed)
    cloudformation = ministack.session(stack.settings).client(
        "cloudformation",
        endpoint_url=ministack.endpoint(stack.settings),
        region_name=REGIONS.get(rule, stack.settings.region),
    )
    with pytest.raises(ClientError, match=told):
        cloudformation.create_stack(
            StackName=f"refused-{rule.lower()}",
            TemplateBody=body,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    stacks = cloudformation.describe_stacks()["Stacks"]
    assert not [s for s in stacks if s["StackName"].startswith("refused-")]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"StreamShards": "3"}, "StreamShards"),
        ({"RiskTeamEmail": "nobody"}, "must be one e-mail address"),
        ({"FaultProfile": "late, malformed"}, "must be none, all, or names"),
    ],
)
def test_a_wrong_parameter_is_refused_and_says_why(
    stack: Stack, parameters: dict[str, str], told: str
) -> None:
    with pytest.raises(ClientError, match=told):
        change_set(stack, **parameters)


def test_a_second_environment_stands_beside_the_first_in_the_same_account(stack: Stack) -> None:
    """As `--config-env prod` beside the default one: nothing that has a name has the same."""
    beside = stack.settings.model_copy(update={"stack_name": f"{stack.settings.stack_name}-prod"})
    cloudformation = client(stack, "cloudformation")
    before = names_of(stack, stack.settings.stack_name)
    try:
        outputs = deploy.deploy(
            beside, stack.root, progress=lambda _line: None, parameters=PARAMETERS
        )
        other = names_of(stack, beside.stack_name)
        assert {logical for logical, _ in before} == {logical for logical, _ in other}
        assert {name for _, name in before} & {name for _, name in other} == set()
        assert outputs.stream_name != stack.outputs.stream_name
        assert names_of(stack, stack.settings.stack_name) == before
        assert change_set(stack)["Changes"] == []
    finally:
        cloudformation.delete_stack(StackName=beside.stack_name)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=beside.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


def names_of(stack: Stack, name: str) -> set[tuple[str, str]]:
    """Give the physical names of a stack's resources and of those in it, by their paths."""
    cloudformation = client(stack, "cloudformation")
    found: set[tuple[str, str]] = set()
    waiting = [("", name)]
    while waiting:
        above, within = waiting.pop()
        for resource in cloudformation.describe_stack_resources(StackName=within)["StackResources"]:
            path = f"{above}{resource['LogicalResourceId']}"
            if resource["ResourceType"] in {
                "AWS::Lambda::LayerVersion",
                "AWS::IAM::Policy",
                "AWS::ApiGatewayV2::Stage",
            }:
                # Versions of one layer stand side by side; a policy is within its role, a stage
                # within its API.
                continue
            if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                waiting.append((f"{path}/", resource["PhysicalResourceId"]))
            else:
                found.add((path, resource["PhysicalResourceId"]))
    return found


def test_a_page_goes_from_the_topic_through_the_queue_into_the_channel_once(stack: Stack) -> None:
    secret = stack.settings.stack_name
    for name in ("PagingStack", "SlackWebhookSecret"):
        secret = client(stack, "cloudformation").describe_stack_resource(
            StackName=secret, LogicalResourceId=name
        )["StackResourceDetail"]["PhysicalResourceId"]
    with slack_server() as slack:
        # The first page comes before anybody stored the address, as after a first deployment.
        publish(stack, "first")
        time.sleep(1)
        client(stack, "secretsmanager").put_secret_value(SecretId=secret, SecretString=slack.url)
        slack.answers += [(500, {}, b"oops"), (429, {"Retry-After": "1"}, b"rate_limited")]
        for subject in ("second", "third"):
            publish(stack, subject)
        expected = {"first", "second", "third"}
        deadline = time.monotonic() + 40
        while len(slack.posted) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
        posted = [json.loads(body)["text"].partition("\n")[0] for body in slack.posted]
    assert sorted(posted) == sorted(expected), "each once, whatever Slack answered before"


def publish(stack: Stack, subject: str) -> None:
    client(stack, "sns").publish(
        TopicArn=stack.outputs.topic_arn, Subject=subject, Message=f"Page: {subject}\n"
    )


def client(stack: Stack, service: Any) -> Any:  # noqa: ANN401  boto3's overloads want a literal
    return ministack.session(stack.settings).client(
        service, endpoint_url=ministack.endpoint(stack.settings)
    )


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
    assert parameters.patterns == ({"type": ["PAYMENT_ALERT", "RULE_ALERT"]},)
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
