"""The example invocations say what the services send."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.deployment import everything

from cardwatch.contract.alert import PaymentAlert, alert_id
from cardwatch.contract.rule_alert import RuleAlert, rule_alert_id
from cardwatch.contract.streams import EVENT_TYPES, RejectedRecord, read_event
from cardwatch.local.invoke.invoke import find, functions
from cardwatch.paging.slack import NotAPageError, message
from cardwatch.settings import LocalSettings

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def invocation(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events/invocations" / f"{name}.json").read_text())
    return event


def verdicts(datas: list[str]) -> list[str]:
    """Give the type of each record, or "poison"."""
    found = []
    for data in datas:
        try:
            event = read_event(base64.b64decode(data, validate=True), now=NOW)
        except RejectedRecord:
            found.append("poison")
        else:
            found.append(event.type)
            if isinstance(event.event_json_data, PaymentAlert):
                alert = event.event_json_data
                assert alert.alert_id == event.event_id
                assert alert.alert_id == alert_id(alert.payment_id, alert.card_token)
            if isinstance(event.event_json_data, RuleAlert):
                rule = event.event_json_data
                assert rule.alert_id == event.event_id
                assert rule.alert_id == rule_alert_id(
                    rule.rule,
                    rule.rule_version,
                    rule.entity_kind,
                    rule.entity_id,
                    currency=rule.currency,
                    first_payment_id=rule.payment_ids[0],
                )
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kinesis-good", ["PAYMENT_ALERT"] * 3),
        ("kinesis-mixed", ["PAYMENT_ALERT", "poison", "PAYMENT_ALERT", "poison"]),
        ("kinesis-poison", ["poison"] * 4),
    ],
)
def test_a_kinesis_batch_holds_what_its_name_says(name: str, expected: list[str]) -> None:
    records = invocation(name)["Records"]
    assert verdicts([r["kinesis"]["data"] for r in records]) == expected
    numbers = [int(r["kinesis"]["sequenceNumber"]) for r in records]
    assert numbers == sorted(set(numbers))
    assert all(r["eventID"].endswith(f":{r['kinesis']['sequenceNumber']}") for r in records)


def test_the_firehose_batch_holds_every_type_and_poison() -> None:
    records = invocation("firehose")["records"]
    found = verdicts([r["data"] for r in records])
    types = len(EVENT_TYPES)
    assert set(found[:types]) == set(EVENT_TYPES)
    assert found[types:] == ["poison"] * 3
    assert len({r["recordId"] for r in records}) == len(records)


def test_the_scheduled_event_is_the_scheduler_s() -> None:
    event = invocation("scheduled")
    assert event["source"] == "aws.scheduler"
    assert datetime.fromisoformat(event["time"]) < NOW


CUSTOM_RESOURCES = {
    "flink-code": "DetectionStack/FlinkCode",
    "flink-pause": "DetectionStack/ApplicationPause",
    "flink-application": "DetectionStack/ApplicationRun",
    "warehouse-schema": "WarehouseStack/WarehouseSchema",
}


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
@pytest.mark.parametrize("name", CUSTOM_RESOURCES)
def test_a_custom_resource_s_event_has_what_the_template_gives_it(name: str, kind: str) -> None:
    resource = everything().resources[CUSTOM_RESOURCES[name]]
    event = invocation(f"{name}-{kind.lower()}")
    assert event["RequestType"] == kind
    assert event["ResourceType"] == resource["Type"]
    assert event["LogicalResourceId"] == CUSTOM_RESOURCES[name].rsplit("/", 1)[-1]
    assert set(event["ResourceProperties"]) == set(resource["Properties"])
    assert ("PhysicalResourceId" in event) == (kind != "Create")
    changed = event["ResourceProperties"] != event.get("OldResourceProperties")
    assert ("OldResourceProperties" in event) == (kind == "Update")
    assert changed


def test_every_custom_resource_has_its_life_cycle() -> None:
    resources = everything().resources
    custom = {p for p, r in resources.items() if r["Type"].startswith("Custom::")}
    # The risk desk's are of the same template.
    nested_again = {p for p in custom if p.startswith("RiskDeskStack/")}
    assert custom - nested_again == set(CUSTOM_RESOURCES.values())
    assert {p.replace("RiskDeskStack", "DetectionStack") for p in nested_again} <= custom


def test_slack_s_batch_holds_a_page_and_what_is_none() -> None:
    page, other = invocation("slack")["Records"]
    assert json.loads(page["body"])["Subject"]
    assert json.loads(message(page["body"]))["text"]
    with pytest.raises(NotAPageError):
        message(other["body"])
    for record in (page, other):
        assert record["eventSource"] == "aws:sqs"
        digest = hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()
        assert record["md5OfBody"] == digest


def test_the_example_variables_are_those_that_only_a_deployed_stack_knows() -> None:
    given: dict[str, dict[str, str]] = invocation("env")
    known = functions(ROOT, LocalSettings())
    references = {f.logical_id: set(f.references) for f in known.values() if f.references}
    # Nor is there a bank's secret by default.
    references["BankingFunction"] |= {"DATABASE_SECRET"}
    assert {name: set(variables) for name, variables in given.items()} == references


def test_every_function_has_an_invocation_in_the_readme() -> None:
    commands = re.findall(
        r"cardwatch invoke (\S+) (events/invocations/\S+\.json)",
        (ROOT / "README.md").read_text(encoding="utf-8"),
    )
    known = functions(ROOT, LocalSettings())
    told = [find(known, name) for name, _ in commands]
    untold = [f.path for f in known.values() if f.properties not in [t.properties for t in told]]
    assert untold == []
    assert [path for _, path in commands if not (ROOT / path).is_file()] == []


def test_every_event_file_is_told_in_the_document_of_the_functions() -> None:
    told = (ROOT / "docs/functions.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "events/invocations").glob("*.json")}
    assert {name for name in files if f"`{name}`" not in told} == set()
