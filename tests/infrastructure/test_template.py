"""template.yaml and samconfig.toml against the code they deploy, on AWS and on one machine."""

import json
import re
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import NOON
from tests.infrastructure.conftest import ROOT, Template
from tests.infrastructure.deployment import (
    ON_AWS,
    Deployment,
    deployment,
    everything,
    one_machine,
    transformed,
)

from cardwatch.audit.rounds import CURSOR
from cardwatch.aws import ledger
from cardwatch.aws.cursors import KEY_PREFIX
from cardwatch.bootstrap.audit import STATEMENT_SECONDS
from cardwatch.cards.card_file import read_card_file
from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
from cardwatch.contract.streams import EVENT_TYPES
from cardwatch.deployment.template import Evaluation, read_template
from cardwatch.local.eventsource.ends import parameters_from
from cardwatch.local.services.deploy import SAM, StackOutputs
from cardwatch.paging.slack import pause
from cardwatch.settings import (
    AuditSettings,
    BankingSettings,
    CanarySettings,
    NotifierSettings,
    PageActsSettings,
    Settings,
    SimulatorSettings,
    SlackSettings,
    StagerSettings,
    WarehouseLoadSettings,
    WarehouseRefreshSettings,
    program_environment,
)
from cardwatch.simulation.control import Handover
from cardwatch.simulation.events import TICKS_PER_SECOND, EventGenerator
from cardwatch.simulation.faults import NAMES, parse_fault_profile
from cardwatch.simulation.loop import SimulatorInvocation
from cardwatch.simulation.profiles import UnknownNameError
from cardwatch.simulation.scenarios import SCENARIOS, parse_scenarios
from cardwatch.webhook import PATIENCE_SECONDS
from properties import Properties
from queries import find_queries, settings_of

SETTINGS: dict[str, type[Settings]] = {
    "SimulatorFunction": SimulatorSettings,
    "CanaryFunction": CanarySettings,
    "BankingStack/BankingFunction": BankingSettings,
    "PagingStack/NotifierFunction": NotifierSettings,
    "PagingStack/SlackFunction": SlackSettings,
    "ActsStack/PageActsFunction": PageActsSettings,
    "DeliveryStack/StagerFunction": StagerSettings,
    "WarehouseStack/WarehouseLoadFunction": WarehouseLoadSettings,
    "WarehouseStack/WarehouseRefreshFunction": WarehouseRefreshSettings,
    "AuditStack/AuditFunction": AuditSettings,
}
NOTIFIER = "PagingStack/NotifierFunction"
ONE_AT_A_TIME = {
    "WarehouseStack/WarehouseLoadFunction",
    "WarehouseStack/WarehouseRefreshFunction",
}
"""One beside another waits for its turn in the warehouse, and ends."""
NOT_HANDED_ON: dict[str, set[Any]] = {
    # They make no stack, and 5 s are refused where there may be one.
    "Warehouse": {"none"},
    "AuditMinutes": {0},
    "DeliveryBufferSeconds": {5},
}
PLATFORMS = {"aws": everything, "local": one_machine}
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())


def variables(deployed: Deployment, function: str) -> dict[str, Any]:
    properties = deployed.resources[function]["Properties"]
    return dict(properties["Environment"]["Variables"])


def functions(deployed: Deployment) -> set[str]:
    """Give the functions with the layer; custom resources have none, and tests of their own."""
    return {f for f, p in deployed.of_type("AWS::Lambda::Function").items() if p.get("Layers")}


def configured(environment: str) -> dict[str, str]:
    """Give the parameters of one of samconfig.toml's environments."""
    given = CONFIG[environment]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(item.split("=", 1) for item in given)


def refused(**parameters: str) -> list[str]:
    """Give what CloudFormation says of these parameters before it makes anything."""
    content = read_template(ROOT / "template.yaml")
    given = {"AWS::Region": "us-east-1", **parameters}
    problems = []
    for name, value in parameters.items():
        rules = content["Parameters"].get(name, {})
        allowed = [str(v) for v in rules.get("AllowedValues", [value])]
        if (
            value not in allowed
            or not re.fullmatch(rules.get("AllowedPattern", ".*"), value)
            or (
                rules.get("Type") == "Number"
                and not (
                    rules.get("MinValue", float(value))
                    <= float(value)
                    <= rules.get("MaxValue", 1e9)
                )
            )
        ):
            problems.append(name)
    evaluation = Evaluation(content, given)
    for rule in content["Rules"].values():
        if "RuleCondition" in rule and not evaluation.value(rule["RuleCondition"]):
            continue
        problems += [
            assertion["AssertDescription"]
            for assertion in rule["Assertions"]
            if not holds(evaluation, assertion["Assert"])
        ]
    return problems


def holds(evaluation: Evaluation, node: Any) -> bool:  # noqa: ANN401  a rule's expression
    """Evaluate an assertion; Fn::Contains is of rules alone."""
    [(name, argument)] = node.items()
    if name == "Fn::Contains":
        members, value = argument
        return str(evaluation.value(value)) in [str(member) for member in members]
    if name == "Fn::Or":
        return any(holds(evaluation, part) for part in argument)
    if name == "Fn::Not":
        return not holds(evaluation, argument[0])
    return bool(evaluation.value(node))


# ---------- the whole ----------


def test_sam_validate_finds_nothing_to_complain_of() -> None:
    ended = subprocess.run(
        [str(ROOT / SAM), "validate", "--lint"],
        env=program_environment({"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_one_machine_has_is_what_aws_has_but_for_the_queue_that_stands_for_e_mail() -> None:
    local, aws = set(one_machine().resources), set(everything().resources)
    assert {path for path in local - aws if "/PagesQueueStack" not in path} == set()
    only_on_aws = {path.split("/")[0] for path in aws - local}
    assert only_on_aws == {
        "ActsStack",  # off by default
        "AuditStack",  # which the run does itself
        "BankingStack",  # a bank's own database, which the embedded one stands for
        "DeliveryStack",  # Firehose, which a program of ours stands for
        "DetectionStack",
        "ObservabilityStack",
        "RiskDeskStack",
        "PagingStack",  # e-mail, Slack, and the consumer
        "WarehouseStack",
    }


def test_nothing_that_the_emulator_lacks_is_deployed_to_it() -> None:
    lacking = ("AWS::Kinesis::StreamConsumer", "AWS::Redshift", "AWS::KinesisFirehose")
    types = {resource["Type"] for resource in one_machine().resources.values()}
    assert [kind for kind in types if kind.startswith(lacking)] == []


def test_no_warehouse_means_delivery_all_the_same_and_the_rest_whole() -> None:
    without = deployment(**ON_AWS, Warehouse="none")
    missing = set(everything().resources) - set(without.resources)
    # The audit of it and the alarms go with it.
    gone = {"WarehouseStack", "AuditStack", "ObservabilityStack"}
    assert {path.split("/")[0] for path in missing} == gone
    assert without.of_type("AWS::KinesisFirehose::DeliveryStream")


@pytest.mark.parametrize("warehouse", ["cluster", "serverless"])
def test_a_warehouse_that_comes_later_changes_nothing_of_what_delivers_to_it(
    warehouse: str,
) -> None:
    """So that from Warehouse=none to one is an update in which no event goes by."""
    before = deployment(**ON_AWS, Warehouse="none").resources
    after = everything(warehouse).resources
    for path, resource in before.items():
        if path.startswith(("DataStack/", "DeliveryStack/", "PagingStack/", "DetectionStack/")):
            assert after[path] == resource, path


def test_without_a_bank_s_database_nothing_of_it_is_there_and_the_simulator_publishes() -> None:
    without = deployment(**{**ON_AWS, "AccountsDatabase": ""})
    gone = set(everything().resources) - set(without.resources)
    assert {path.split("/")[0] for path in gone} == {"BankingStack", "ObservabilityStack"}
    assert not [path for path in without.resources if "Bank" in path]
    assert variables(without, "SimulatorFunction")["ACCOUNTS"] == "on"
    assert variables(everything(), "SimulatorFunction")["ACCOUNTS"] == "off"


def test_on_one_machine_the_run_publishes_accounts_without_the_function() -> None:
    local = deployment(Platform="local", AccountsDatabase="local")
    assert set(local.resources) == set(one_machine().resources)
    assert variables(local, "SimulatorFunction")["ACCOUNTS"] == "off"


def test_the_bank_is_reached_through_its_network_where_one_is_given() -> None:
    function = "BankingStack/BankingFunction"
    network = everything().resources[function]["Properties"]["VpcConfig"]
    assert network == {"SubnetIds": ["subnet-1a", "subnet-1b"], "SecurityGroupIds": ["sg-1"]}
    outside = deployment(**{**ON_AWS, "BankSubnets": "", "BankSecurityGroups": ""})
    assert "VpcConfig" not in outside.resources[function]["Properties"]
    assert "ec2:" not in json.dumps(outside.resources["BankingStack/BankingRole"])
    assert "BankingStack/NetworkPolicy" not in outside.resources


def test_without_minutes_for_it_there_is_no_audit_and_all_else_is_the_same() -> None:
    without = deployment(**ON_AWS, AuditMinutes="0").resources
    gone = set(everything().resources) - set(without)
    assert {path.split("/")[0] for path in gone} == {"AuditStack", "ObservabilityStack"}
    for path, resource in without.items():
        if path.split("/")[0] != "ObservabilityStack":
            assert everything().resources[path] == resource, path


@pytest.mark.parametrize(
    ("minutes", "rate"),
    [("1", "rate(1 minute)"), ("5", "rate(5 minutes)"), ("15", "rate(15 minutes)")],
)
def test_the_audit_runs_as_often_as_it_is_asked_to(minutes: str, rate: str) -> None:
    deployed = deployment(**ON_AWS, AuditMinutes=minutes)
    schedule = deployed.of_type("AWS::Scheduler::Schedule")["AuditStack/AuditSchedule"]
    assert schedule["ScheduleExpression"] == rate


@pytest.mark.parametrize("warehouse", ["cluster", "serverless"])
def test_the_audit_asks_the_warehouse_and_writes_alerts_and_its_cursor_and_no_more(
    warehouse: str,
) -> None:
    deployed = everything(warehouse)
    may = [s for role, s in deployed.statements() if role == "AuditStack/AuditRole"]
    on_what = {
        a: s for s in may for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    assert {action for action in on_what if not action.startswith(("kms:", "logs:"))} == {
        "kinesis:PutRecords",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "redshift-data:ExecuteStatement",
        "redshift-data:BatchExecuteStatement",
        "redshift-data:DescribeStatement",
        "redshift-data:GetStatementResult",
        "redshift-data:CancelStatement",
        "secretsmanager:GetSecretValue",
    }
    keys = on_what["dynamodb:PutItem"]["Condition"]["ForAllValues:StringEquals"]
    assert keys == {"dynamodb:LeadingKeys": [f"{KEY_PREFIX}{CURSOR}"]}
    kind = {"cluster": "Cluster", "serverless": "Workgroup"}[warehouse]
    asked = deployed.referred(on_what["redshift-data:ExecuteStatement"]["Resource"])
    assert asked == {f"WarehouseStack/{kind}"}
    assert deployed.referred(on_what["kinesis:PutRecords"]["Resource"]) == {"EventStream"}


def test_the_audit_knows_how_long_the_notifier_lets_alerts_wait() -> None:
    deployed = deployment(**ON_AWS, GroupSeconds="120", DigestSeconds="30", WarehouseDays="30")
    told, audit = variables(deployed, NOTIFIER), variables(deployed, "AuditStack/AuditFunction")
    for name in ("GROUP_SECONDS", "DIGEST_SECONDS"):
        assert audit[name] == told[name]
    refresh = variables(deployed, "WarehouseStack/WarehouseRefreshFunction")
    assert audit["RETENTION_DAYS"] == refresh["RETENTION_DAYS"] == "30"


def test_a_round_of_the_audit_ends_in_the_function_s_time() -> None:
    timeout = everything().resources["AuditStack/AuditFunction"]["Properties"]["Timeout"]
    assert timeout >= 2 * STATEMENT_SECONDS + 30


def test_without_slack_nothing_of_it_is_there() -> None:
    without = deployment(**{**ON_AWS, "Slack": "off"})
    assert [path for path in without.resources if "Slack" in path] == []


def test_the_risk_desk_comes_and_goes_without_a_change_to_what_pages_stolen_cards() -> None:
    without = deployment(**{**ON_AWS, "RiskDesk": "off"}).resources
    gone = {path for path in everything().resources if path not in without}
    assert {path for path in gone if not path.startswith(("RiskDeskStack", "Observability"))} == {
        "ScoresStream",
        "DeliveryStack/ScoresDelivery",
    }
    told_of_scores = {"DeliveryStack", "DeliveryStack/DeliveryPolicy"}
    for path, resource in without.items():
        if path.split("/")[0] != "ObservabilityStack" and path not in told_of_scores:
            assert everything().resources[path] == resource, path


def test_each_application_runs_the_detections_of_its_name() -> None:
    applications = everything().of_type("AWS::KinesisAnalyticsV2::Application")
    asked = {}
    for path, application in applications.items():
        groups = application["ApplicationConfiguration"]["EnvironmentProperties"]["PropertyGroups"]
        [detection] = [g for g in groups if g["PropertyGroupId"] == "cardwatch.detection"]
        asked[path.split("/")[0]] = detection["PropertyMap"]["application"]
    assert asked == {"DetectionStack": "stolen_cards", "RiskDeskStack": "risk_desk"}
    queries = find_queries(settings=settings_of(Properties({}, ""))).values()
    assert {query.application for query in queries} - {None} == set(asked.values())


def test_a_nested_stack_is_given_every_parameter_that_it_cannot_do_without() -> None:
    root = read_template(ROOT / "template.yaml")
    stacks = {n: r for n, r in root["Resources"].items() if r["Type"].endswith("::Stack")}
    assert {r["Properties"]["TemplateURL"] for r in stacks.values()} == {
        f"infra/{path.name}"
        for path in (ROOT / "infra").glob("*.yaml")
        if path.stem not in {"queue", "dashboard"}  # of paging's stack, and one of its own
    }
    for name, stack in stacks.items():
        inner = read_template(ROOT / stack["Properties"]["TemplateURL"]).get("Parameters", {})
        given = set(stack["Properties"].get("Parameters", {}))
        assert given - set(inner) == set(), name
        needed = {p for p, parameter in inner.items() if "Default" not in parameter}
        assert needed - given == set(), name


def test_what_a_parameter_may_be_is_what_the_stack_that_it_goes_to_takes() -> None:
    root = read_template(ROOT / "template.yaml")
    for stack in root["Resources"].values():
        if not stack["Type"].endswith("::Stack"):
            continue
        inner = read_template(ROOT / stack["Properties"]["TemplateURL"]).get("Parameters", {})
        for name, value in stack["Properties"].get("Parameters", {}).items():
            if not isinstance(value, Mapping) or value.get("Ref") not in root["Parameters"]:
                continue
            outer = root["Parameters"][value["Ref"]]
            taken = inner[name]
            assert outer.get("Default") == taken.get("Default", outer.get("Default")) or (
                name == "Warehouse"
            ), name
            if "AllowedValues" in outer and "AllowedValues" in taken:
                values = set(outer["AllowedValues"]) - NOT_HANDED_ON.get(name, set())
                assert values <= set(taken["AllowedValues"]), name
            if "MinValue" in outer:
                assert outer["MinValue"] >= taken["MinValue"], name
                assert outer["MaxValue"] <= taken["MaxValue"], name


# ---------- parameters ----------


def test_every_parameter_is_described_grouped_and_bounded(template: Template) -> None:
    interface = template.content["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template.parameters)
    for name, parameter in template.parameters.items():
        assert parameter["Description"], name
        assert "Default" in parameter, f"{name}: `sam deploy` would ask for it"
        bounds = {"AllowedValues", "AllowedPattern"} & set(parameter)
        assert bounds or {"MinValue", "MaxValue"} <= set(parameter), name
        if "AllowedPattern" in parameter:
            assert parameter["ConstraintDescription"].startswith("must be"), name


@pytest.mark.parametrize(
    ("parameter", "model", "field"),
    [
        ("PaymentsPerSecond", SimulatorSettings, "payments_per_second"),
        ("PagesPerMinute", NotifierSettings, "pages_per_minute"),
        ("RulePageSeconds", NotifierSettings, "rule_page_seconds"),
        ("GroupSeconds", NotifierSettings, "group_seconds"),
        ("DigestSeconds", NotifierSettings, "digest_seconds"),
        ("ActHoldsSeconds", NotifierSettings, "act_holds_seconds"),
        ("EscalateAfterSeconds", NotifierSettings, "escalate_after_seconds"),
        ("PageMaxAgeSeconds", NotifierSettings, "page_max_age_seconds"),
    ],
)
def test_a_parameter_takes_no_number_that_the_settings_refuse(
    template: Template, parameter: str, model: type[Settings], field: str
) -> None:
    schema = model.model_json_schema()["properties"][field]
    limits = template.parameters[parameter]
    assert float(limits["MinValue"]) >= schema["minimum"]
    assert float(limits["MaxValue"]) <= schema["maximum"]


@pytest.mark.parametrize("environment", ["default", "prod", "local"])
def test_an_environment_s_parameters_are_taken(environment: str) -> None:
    given = configured(environment)
    if environment != "local":
        given["RiskTeamEmail"] = "risk@example.com"
    assert refused(**given) == []
    assert set(given) <= set(read_template(ROOT / "template.yaml")["Parameters"])


@pytest.mark.parametrize(
    "profile", ["none", "all", *NAMES, ",".join(NAMES), "lat", "late,none", ""]
)
def test_a_fault_profile_is_taken_exactly_where_the_simulator_takes_it(profile: str) -> None:
    try:
        known = parse_fault_profile(profile) != () or profile == "none"
    except UnknownNameError:
        known = False
    assert refused(Slack="on", FaultProfile=profile) == ([] if known else ["FaultProfile"])


@pytest.mark.parametrize("played", ["none", "all", *SCENARIOS, ",".join(SCENARIOS), "bust", ""])
def test_scenarios_are_taken_exactly_where_the_simulator_takes_them(played: str) -> None:
    try:
        known = parse_scenarios(played) != () or played == "none"
    except UnknownNameError:
        known = False
    assert refused(Slack="on", Scenarios=played) == ([] if known else ["Scenarios"])


def test_the_default_environment_is_the_template_s_defaults() -> None:
    # Parameters on the command line take the place of all of an environment's.
    assert configured("default") == {}


def test_each_environment_may_make_what_nested_stacks_with_functions_need() -> None:
    for environment in ("default", "prod", "local"):
        given = CONFIG[environment]["deploy"]["parameters"]["capabilities"]
        assert set(given) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}
        assert CONFIG[environment]["validate"]["parameters"]["lint"] is True


def test_by_default_about_one_payment_a_minute_is_on_a_stolen_card(template: Template) -> None:
    cards = read_card_file(ROOT / "data/cards.txt", now=NOON)
    stolen = sum(card.status == "STOLEN" for card in cards) / len(cards)
    rate = float(template.parameters["PaymentsPerSecond"]["Default"])
    assert 0.9 <= rate * stolen * 60 <= 1.1
    generator = EventGenerator(
        read_tokenized_cards(ROOT / "data/cards.txt", Tokenizer(b"k" * 32), now=NOON), seed=7
    )
    two_hours = range(2 * 3600 * TICKS_PER_SECOND)
    made = sum(len(generator.payments(tick, rate)) for tick in two_hours)
    assert made == pytest.approx(rate * 2 * 3600, rel=0.01)
    assert "about one page a minute" in template.parameters["PaymentsPerSecond"]["Description"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "Nobody would be paged: give RiskTeamEmail"),
        ({"RiskTeamEmail": "risk"}, "RiskTeamEmail"),
        ({"RiskTeamEmail": "a@example.com,b@example.com"}, "RiskTeamEmail"),
        ({"RiskTeamEmail": "risk@example.com."}, "RiskTeamEmail"),
        ({"Slack": "https://hooks.slack.com/services/T/B/x"}, "Slack"),
        ({"PageMaxAgeSeconds": "86401"}, "PageMaxAgeSeconds"),
        ({"DeliveryBufferSeconds": "5"}, "on AWS give 60 or more"),
        ({"AccountsDatabase": "postgresql://reader@bank/bank"}, "AccountsDatabase"),
        ({"AccountsDatabase": "local"}, "on AWS give the ARN of a secret"),
        ({"BankSubnets": "subnet-1a"}, "give both or neither"),
        ({"BankSecurityGroups": "sg-1"}, "give both or neither"),
        ({"BankSubnets": "subnet-1a, subnet-1b", "BankSecurityGroups": "sg-1"}, "BankSubnets"),
        ({"StreamShards": "3"}, "StreamShards"),
        ({"WarehouseRpus": "8"}, "WarehouseMaxRpus is below WarehouseRpus: give at least 8"),
        ({"WarehouseRpus": "16", "WarehouseMaxRpus": "8"}, "give at least 16"),
        ({"FaultProfile": "late, malformed"}, "FaultProfile"),
        ({"Warehouse": "serverless", "AWS::Region": "us-west-1"}, "three availability zones"),
    ],
)
def test_a_wrong_parameter_or_combination_is_refused_before_anything_is_made(
    parameters: dict[str, str], said: str
) -> None:
    whole = {"RiskTeamEmail": "risk@example.com"} if parameters else {}
    problems = refused(**{**whole, **parameters})
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    "parameters",
    [
        {"RiskTeamEmail": "risk.team+pages@mail.example.co.uk"},
        {"Slack": "on"},
        {"Platform": "local", "DeliveryBufferSeconds": "5", "AccountsDatabase": "local"},
        {
            "Slack": "on",
            "AccountsDatabase": ON_AWS["AccountsDatabase"],
            "BankSubnets": "subnet-1a,subnet-1b",
            "BankSecurityGroups": "sg-1",
        },
        {"Slack": "on", "StreamShards": "16"},
        {"Slack": "on", "WarehouseRpus": "16", "WarehouseMaxRpus": "32"},
    ],
)
def test_a_right_combination_is_not(parameters: dict[str, str]) -> None:
    assert refused(**parameters) == []


def test_the_job_has_a_task_for_every_shard_whatever_their_number(template: Template) -> None:
    """With fewer, shards would share a watermark and make each other late."""
    for shards in template.parameters["StreamShards"]["AllowedValues"]:
        deployed = deployment(**ON_AWS, StreamShards=str(shards))
        applications = deployed.of_type("AWS::KinesisAnalyticsV2::Application").values()
        assert len(applications) == 2
        for application in applications:
            flink = application["ApplicationConfiguration"]["FlinkApplicationConfiguration"]
            assert flink["ParallelismConfiguration"]["Parallelism"] == str(shards)
        streams = deployed.of_type("AWS::Kinesis::Stream").values()
        assert [stream["ShardCount"] for stream in streams] == [str(shards)] * 2


@pytest.mark.parametrize("name", ["DetectionStack", "RiskDeskStack"])
def test_the_look_back_covers_the_longest_window_and_the_registry(
    template: Template, name: str
) -> None:
    stack = template.resources[name]["Properties"]["Parameters"]
    registry = int(variables(everything(), "SimulatorFunction")["REGISTRY_PERIOD_MINUTES"])
    stream_hours = everything().resources["EventStream"]["Properties"]["RetentionPeriodHours"]
    again = variables(everything(), "BankingStack/BankingFunction")["AGAIN_MINUTES"]
    assert int(again) == registry, "accounts come round as cards do"
    assert 60 * 60 + registry * 60 < int(stack["LookBackSeconds"]) < stream_hours * 3600


# ---------- functions ----------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_function_has_the_variables_that_its_settings_read_and_no_others(
    platform: str,
) -> None:
    deployed = PLATFORMS[platform]()
    found = functions(deployed)
    only_on_aws = {
        "ActsStack/PageActsFunction",
        "PagingStack/SlackFunction",
        "BankingStack/BankingFunction",
        "AuditStack/AuditFunction",
        *ONE_AT_A_TIME,
    }
    assert found == set(SETTINGS) - (only_on_aws if platform == "local" else set())
    for function in found:
        ours = {n for n in variables(deployed, function) if not n.startswith("POWERTOOLS_")}
        assert ours == {name.upper() for name in SETTINGS[function].model_fields}, function


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_template_s_own_values_are_valid_settings(platform: str) -> None:
    deployed = PLATFORMS[platform]()
    for function in functions(deployed):
        given = {n.lower(): str(v) for n, v in variables(deployed, function).items()}
        SETTINGS[function].model_validate(given)


def test_every_function_says_its_name_in_logs_and_metrics() -> None:
    deployed = everything()
    for function in functions(deployed):
        name = variables(deployed, function)["POWERTOOLS_SERVICE_NAME"].replace("_", "")
        assert f"{name}function" == function.rpartition("/")[2].lower()


def test_every_function_writes_into_its_own_log_group_and_may_no_other() -> None:
    deployed = everything()
    for function in functions(deployed):
        properties = deployed.resources[function]["Properties"]
        [group] = deployed.referred(properties["LoggingConfig"]["LogGroup"])
        assert group == f"{function.removesuffix('Function')}Logs"
        [role] = deployed.referred(properties["Role"])
        may_log = [
            statement["Resource"]
            for path, statement in deployed.statements()
            if path == role and any("logs:" in action for action in statement["Action"])
        ]
        assert [deployed.referred(resource) for resource in may_log] == [{group}]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_how_long_logs_are_kept_is_one_parameter(platform: str) -> None:
    chosen = {**ON_AWS, "Platform": platform, "LogRetentionDays": "400"}
    groups = deployment(**chosen).of_type("AWS::Logs::LogGroup")
    assert {str(group["RetentionInDays"]) for group in groups.values()} == {"400"}


@pytest.mark.parametrize("transactions", ["on", "off"])
def test_only_the_simulator_reads_the_token_key_and_who_reads_a_bank_s_transactions(
    transactions: str,
) -> None:
    deployed = deployment(**{**ON_AWS, "BankTransactions": transactions})
    readers = {
        path for path, statement in deployed.statements() if "TokenKeySecret" in str(statement)
    }
    bank = {"BankingStack/BankingRole"} if transactions == "on" else set()
    assert readers == {"SimulatorRole"} | bank
    told = {f for f in functions(deployed) if "TokenKeySecret" in str(variables(deployed, f))}
    assert told == {role.replace("Role", "Function") for role in readers}


def test_no_scheduled_invocation_runs_late_or_twice() -> None:
    for deployed in (everything(), one_machine()):
        schedules = deployed.of_type("AWS::Scheduler::Schedule")
        called = {f for s in schedules.values() for f in deployed.referred(s["Target"]["Arn"])}
        assert called >= {"SimulatorFunction", NOTIFIER}
        bounded = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
        for schedule in schedules.values():
            assert schedule["Target"]["RetryPolicy"] == bounded
            [function] = deployed.referred(schedule["Target"]["Arn"]) & called
            minutes = 5 if function == "WarehouseStack/WarehouseRefreshFunction" else 1
            expected = f"rate({minutes} minute{'s' * (minutes > 1)})"
            assert schedule["ScheduleExpression"] == expected, "with the defaults"
        queued = deployed.of_type("AWS::Lambda::EventInvokeConfig")
        for function in called:
            [limits] = [q for q in queued.values() if function in deployed.referred(q)]
            assert {name: limits[name] for name in bounded} == bounded


@pytest.mark.parametrize("function", ["SimulatorFunction", "CanaryFunction"])
def test_on_aws_who_works_by_the_minute_is_told_the_one_it_was_meant_for(function: str) -> None:
    def target(deployed: Deployment) -> dict[str, Any]:
        schedules = deployed.of_type("AWS::Scheduler::Schedule")
        return dict(schedules[f"{function}EveryMinute"]["Target"])

    told = json.loads(target(everything())["Input"])
    # https://docs.aws.amazon.com/scheduler: context attributes
    assert told == {"time": "<aws.scheduler.scheduled-time>"}
    meant = SimulatorInvocation.from_event({"time": "2026-11-21T12:00:00Z"}, holder="h", seconds=1)
    assert Handover(meant.generation, "h", 0).generation == NOON.timestamp() * 1000
    # The emulator would pass the placeholder on as it is; its own event has `time`.
    assert "Input" not in target(one_machine())


def test_the_simulator_outlasts_a_successor_that_comes_a_minute_late(template: Template) -> None:
    assert template.functions["SimulatorFunction"]["Timeout"] >= 60 + 60 + 30


def test_reserved_concurrency_is_off_where_the_account_s_quota_may_be_too_small() -> None:
    reserved = {
        function: everything().resources[function]["Properties"].get("ReservedConcurrentExecutions")
        for function in functions(everything())
        if function not in ONE_AT_A_TIME
    }
    assert all(reserved.values())
    without = deployment(**{**ON_AWS, "ReservedConcurrency": "off"})
    for function in functions(without):
        assert "ReservedConcurrentExecutions" not in without.resources[function]["Properties"]


def test_no_function_starves_of_the_concurrency_that_is_reserved_for_it(
    template: Template,
) -> None:
    for shards in template.parameters["StreamShards"]["AllowedValues"]:
        deployed = deployment(**{**ON_AWS, "StreamShards": str(shards)})

        def reserved(function: str, deployed: Deployment = deployed) -> int:
            return int(deployed.resources[function]["Properties"]["ReservedConcurrentExecutions"])

        mapping = deployed.resources["PagingStack/AlertMapping"]["Properties"]
        at_once = shards * mapping.get("ParallelizationFactor", 1)
        assert reserved(NOTIFIER) > at_once + 1, "the schedule's, and one to spare"
        # While a successor is late or unseen, the one that runs goes on.
        assert reserved("SimulatorFunction") >= 2
        # Amazon Data Firehose Developer Guide, quotas: five outstanding calls per shard.
        assert reserved("DeliveryStack/StagerFunction") >= 5 * shards
        calls = deployed.resources["PagingStack/SlackMapping"]["Properties"]["ScalingConfig"]
        assert reserved("PagingStack/SlackFunction") >= calls["MaximumConcurrency"]
        limited = functions(deployed) - ONE_AT_A_TIME
        total = sum(reserved(function) for function in limited)
        assert total <= 900, "Lambda keeps 100 of an account's 1,000 unreserved"


def test_the_layer_is_built_for_the_runtime_that_is_the_default(template: Template) -> None:
    makefile = (ROOT / "src/Makefile").read_text()
    [version] = re.findall(r"^LAMBDA_PYTHON \?= (\S+)$", makefile, re.MULTILINE)
    assert template.parameters["PythonRuntime"]["Default"] == f"python{version}"


def test_each_function_folder_is_one_handler_and_its_makefile() -> None:
    for folder in (ROOT / "functions").iterdir():
        assert {p.name for p in Path(folder).iterdir() if p.name != "__pycache__"} == {
            "handler.py",
            "Makefile",
        }


# ---------- paging ----------


def test_the_mapping_is_bounded_by_age_alone_and_keeps_what_it_gives_up_whole() -> None:
    for deployed in (everything(), one_machine()):
        mapping = deployed.resources["PagingStack/AlertMapping"]["Properties"]
        age = variables(deployed, NOTIFIER)["PAGE_MAX_AGE_SECONDS"]
        assert mapping["MaximumRecordAgeInSeconds"] == age
        assert mapping["MaximumRetryAttempts"] == -1
        failed = mapping["DestinationConfig"]["OnFailure"]["Destination"]
        assert deployed.referred(failed) == {"DataStack/DeadLetterBucket"}
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        patterns = [json.loads(f["Pattern"]) for f in mapping["FilterCriteria"]["Filters"]]
        assert patterns == [{"data": {"type": ["PAYMENT_ALERT", "RULE_ALERT"]}}]
        assert "PAYMENT_ALERT" in EVENT_TYPES


def test_on_aws_the_notifier_reads_as_a_consumer_of_its_own() -> None:
    mapping = everything().resources["PagingStack/AlertMapping"]["Properties"]
    assert everything().referred(mapping["EventSourceArn"]) == {"PagingStack/AlertConsumer"}
    assert mapping["Enabled"] is True
    consumer = everything().resources["PagingStack/AlertConsumer"]["Properties"]
    assert everything().referred(consumer["StreamARN"]) == {"EventStream"}


def test_the_mapping_is_off_on_one_machine_where_its_stand_in_takes_every_parameter() -> None:
    properties = dict(one_machine().resources["PagingStack/AlertMapping"]["Properties"])
    assert properties["Enabled"] is False
    assert one_machine().referred(properties["EventSourceArn"]) == {"EventStream"}
    taken_by_the_stand_in = {
        "EventSourceArn",
        "StartingPosition",
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "FilterCriteria",
        "FunctionResponseTypes",
        "BisectBatchOnFunctionError",
        "MaximumRetryAttempts",
        "MaximumRecordAgeInSeconds",
        "DestinationConfig",
    }
    assert set(properties) - {"Enabled", "FunctionName"} <= taken_by_the_stand_in
    described = {
        **properties,
        "UUID": "u",
        "FunctionArn": "f",
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
    }
    parameters_from(described, role_arn="r", region="us-east-1")


def test_a_notifier_that_ran_out_of_time_has_ended_when_its_lease_does() -> None:
    lease = int(variables(everything(), NOTIFIER)["LEASE_SECONDS"])
    assert everything().resources[NOTIFIER]["Properties"]["Timeout"] < lease


def test_the_ledger_remembers_longer_than_the_stream_can_be_replayed(template: Template) -> None:
    stream_hours = everything().resources["EventStream"]["Properties"]["RetentionPeriodHours"]
    days = int(variables(everything(), NOTIFIER)["LEDGER_TTL_DAYS"])
    age = int(template.parameters["PageMaxAgeSeconds"]["MaxValue"])
    assert age <= stream_hours * 3600, "retries cannot outlast the record"
    assert days * 24 > stream_hours


def test_the_ledger_table_is_the_one_that_the_adapter_expects() -> None:
    table = everything().resources["DataStack/LedgerTable"]["Properties"]
    assert table["KeySchema"] == [{"AttributeName": ledger.KEY, "KeyType": "HASH"}]
    [index] = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == ledger.UNFINISHED_INDEX
    assert table["TimeToLiveSpecification"]["AttributeName"] == ledger.EXPIRES_AT
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


@pytest.mark.parametrize(("email", "expected"), [("risk@example.com", "1"), ("", "0")])
def test_the_notifier_expects_the_subscription_that_the_template_makes(
    email: str, expected: str
) -> None:
    deployed = deployment(**{**ON_AWS, "RiskTeamEmail": email})
    made = [
        subscription
        for path, subscription in deployed.of_type("AWS::SNS::Subscription").items()
        if subscription["Protocol"] == "email" and path == "PagingStack/EmailSubscription"
    ]
    assert variables(deployed, NOTIFIER)["EMAIL_SUBSCRIPTIONS"] == expected
    assert [s["Endpoint"] for s in made] == [email] * int(expected)


@pytest.mark.parametrize("email", ["head-of-risk@example.com", ""])
def test_with_an_address_to_escalate_to_there_is_a_topic_that_the_notifier_knows(
    email: str,
) -> None:
    deployed = deployment(**{**ON_AWS, "EscalationEmail": email})
    topic = "PagingStack/EscalationTopic"
    said = variables(deployed, NOTIFIER)["ESCALATION_TOPIC_ARN"]
    assert deployed.referred(said) == ({topic} if email else set())
    assert (topic in deployed.resources) is bool(email)
    if email:
        made = deployed.resources["PagingStack/EscalationSubscription"]["Properties"]
        assert (made["Endpoint"], made["Protocol"]) == (email, "email")
        assert deployed.referred(made["TopicArn"]) == {topic}


@pytest.mark.parametrize(
    ("platform", "stack", "topics"),
    [
        ("aws", "PagingStack/SlackQueueStack", {"PagingStack/PageTopic"}),
        (
            "local",
            "PagingStack/PagesQueueStack",
            {"PagingStack/PageTopic", "PagingStack/EscalationTopic"},
        ),
    ],
)
def test_the_topic_fills_the_queue_and_nobody_else_may(
    platform: str, stack: str, topics: set[str]
) -> None:
    deployed = PLATFORMS[platform]()
    subscription = deployed.resources[f"{stack}/Subscription"]["Properties"]
    assert deployed.referred(subscription["TopicArn"]) == {"PagingStack/PageTopic"}
    assert deployed.referred(subscription["Endpoint"]) == {f"{stack}/Queue"}
    # Raw, a page would arrive without its subject.
    assert subscription["RawMessageDelivery"] is False
    dead = deployed.referred(subscription["RedrivePolicy"]["deadLetterTargetArn"])
    assert dead == {f"{stack}/DeadLetterQueue"}
    policy = deployed.resources[f"{stack}/QueuePolicy"]["Properties"]["PolicyDocument"]
    [allowed] = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "sns.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert deployed.referred(allowed["Condition"]["ArnEquals"]["aws:SourceArn"]) == topics


def test_a_page_for_slack_is_tried_for_hours_and_then_kept_for_days() -> None:
    deployed = everything()
    queue = deployed.resources["PagingStack/SlackQueueStack/Queue"]["Properties"]
    redrive = queue["RedrivePolicy"]
    assert deployed.referred(redrive["deadLetterTargetArn"]) == {
        "PagingStack/SlackQueueStack/DeadLetterQueue"
    }
    tried = sum(pause(received) for received in range(1, redrive["maxReceiveCount"]))
    assert 5 * 3600 < tried < queue["MessageRetentionPeriod"]
    dead = deployed.resources["PagingStack/SlackQueueStack/DeadLetterQueue"]["Properties"]
    assert dead["MessageRetentionPeriod"] == 14 * 86_400, "the longest there is"


def test_the_way_to_slack_is_not_delivered_again_while_it_runs() -> None:
    deployed = everything()
    function = deployed.resources["PagingStack/SlackFunction"]["Properties"]
    queue = deployed.resources["PagingStack/SlackQueueStack/Queue"]["Properties"]
    mapping = deployed.resources["PagingStack/SlackMapping"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert deployed.referred(mapping["EventSourceArn"]) == {"PagingStack/SlackQueueStack/Queue"}
    assert function["Timeout"] > 2 * PATIENCE_SECONDS, "a batch gets further than its first page"


def test_the_webhook_s_address_is_in_no_template_and_no_variable() -> None:
    deployed = everything()
    secret = deployed.resources["PagingStack/SlackWebhookSecret"]["Properties"]
    assert "SecretString" not in secret
    assert "GenerateSecretString" not in secret
    step = transformed()["template.yaml"]["Outputs"]["SlackNextStep"]["Value"]
    assert "put-secret-value" in json.dumps(step)
    assert "SlackWebhookSecret" in json.dumps(step)


# ---------- what is kept, and what people need next ----------


def kept(deployed: Deployment) -> set[str]:
    """Give what the deletion policies keep; a bucket's policy stays with it, a version does not."""
    return {
        path
        for path, resource in deployed.resources.items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
        and resource["Type"] not in {"AWS::S3::BucketPolicy", "AWS::Lambda::Version"}
    }


@pytest.mark.parametrize("warehouse", ["cluster", "serverless", "none"])
def test_what_outlives_the_stack_is_named_by_an_output(warehouse: str) -> None:
    deployed = everything(warehouse)
    told = json.dumps(
        Evaluation(transformed()["template.yaml"], {**ON_AWS, "Warehouse": warehouse}).value(
            transformed()["template.yaml"]["Outputs"]["KeptByDelete"]["Value"]
        )
    )
    outputs = transformed()["data.yaml"]["Outputs"]
    for path in kept(deployed):
        stack, _, name = path.rpartition("/")
        if stack == "WarehouseStack":
            snapshot = deployed.resources[path]["DeletionPolicy"] == "Snapshot"
            assert ("snapshot" if snapshot else "audit logs") in told
            continue
        assert stack == "DataStack", path
        reference = re.compile(rf'"{name}"|\${{{name}}}')
        named = [o for o, v in outputs.items() if reference.search(json.dumps(v["Value"]))]
        assert any(f"DataStack.Outputs.{output}}}" in told for output in named), name
    assert ("audit logs" in told) == any("Warehouse" in path for path in kept(deployed))


def test_what_is_kept_is_kept_by_a_replacement_too_and_not_by_a_creation_that_fails() -> None:
    for path in kept(everything()):
        resource = everything().resources[path]
        assert resource["DeletionPolicy"] in {"RetainExceptOnCreate", "Snapshot"}, path
        assert resource["UpdateReplacePolicy"] in {"Retain", "Snapshot"}, path


def test_the_outputs_are_what_the_programs_of_one_machine_read(template: Template) -> None:
    names = {"".join(p.capitalize() for p in f.name.split("_")) for f in fields(StackOutputs)}
    for_people = {
        "ConfirmEmail",
        "Dashboard",
        "FlinkApplication",
        "KeptByDelete",
        "LinkKeySecret",
        "PageLinksAddress",
        "RiskDeskApplication",
        "SlackNextStep",
        "TokenKeySecret",
        "WarehouseAdminSecret",
        "WarehouseDatabase",
        "WarehouseEndpoint",
    }
    outputs = template.content["Outputs"]
    assert set(outputs) == names | for_people
    assert all(output["Description"] for output in outputs.values())


@pytest.mark.parametrize("bucket", ["DeliveryBucket", "DeadLetterBucket"])
def test_what_waits_for_a_person_waits_as_long_as_it_takes(bucket: str) -> None:
    properties = everything().resources[f"DataStack/{bucket}"]["Properties"]
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    expiring = tuple(rule["Prefix"] for rule in rules if "ExpirationInDays" in rule)
    for waiting in ("quarantine/", "events/errors/", "dead-letters/", "aws/lambda/"):
        assert not waiting.startswith(expiring or ("-",)), waiting
