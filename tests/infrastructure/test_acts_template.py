"""infra/acts.yaml: what the links in pages lead to, and what it may do."""

from typing import Any

import pytest
from tests.infrastructure.deployment import ON_AWS, Deployment, deployment, everything

from cardwatch.acts.keyring import KEPT_FOR
from cardwatch.acts.links import HOLDS_FOR
from cardwatch.acts.records import PageActs
from cardwatch.paging.records import SNOOZES_KEY, Group, Resolution

NOTIFIER = "PagingStack/NotifierFunction"
ACTS = "ActsStack/PageActsFunction"


def variables(deployed: Deployment, function: str) -> dict[str, Any]:
    return dict(deployed.resources[function]["Properties"]["Environment"]["Variables"])


def without_links() -> Deployment:
    return deployment(**{name: value for name, value in ON_AWS.items() if name != "PageLinks"})


def test_without_a_word_there_is_no_address_and_pages_carry_no_link() -> None:
    deployed = without_links()
    assert [path for path in deployed.resources if path.startswith("ActsStack")] == []
    assert deployed.of_type("AWS::ApiGatewayV2::Api") == {}
    given = variables(deployed, NOTIFIER)
    assert (given["PAGE_LINKS_ADDRESS"], given["LINK_KEY_SECRET"]) == ("", "")


def test_the_links_of_pages_lead_to_the_api_and_are_signed_with_the_key_that_it_knows() -> None:
    deployed = everything()
    given = variables(deployed, NOTIFIER)
    assert deployed.referred(given["PAGE_LINKS_ADDRESS"]) == {"ActsStack/PageActsApi"}
    key = {"ActsStack/LinkKeySecret"}
    assert deployed.referred(given["LINK_KEY_SECRET"]) == key
    assert deployed.referred(variables(deployed, ACTS)["LINK_KEY_SECRET"]) == key


def test_a_link_is_looked_at_and_acted_on_and_nothing_else() -> None:
    routes = everything().of_type("AWS::ApiGatewayV2::Route").values()
    assert {route["RouteKey"] for route in routes} == {"GET /pages/{link}", "POST /pages/{link}"}


def test_this_api_alone_calls_the_function() -> None:
    deployed = everything()
    (permission,) = deployed.of_type("AWS::Lambda::Permission").values()
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert deployed.referred(permission["FunctionName"]) == {ACTS}
    assert deployed.referred(permission["SourceArn"]) == {"ActsStack/PageActsApi"}


def test_whoever_guesses_is_slowed_down() -> None:
    (stage,) = everything().of_type("AWS::ApiGatewayV2::Stage").values()
    assert 0 < stage["DefaultRouteSettings"]["ThrottlingRateLimit"] <= 50
    assert 0 < stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] <= 50


def test_no_log_of_the_api_has_a_link_in_it() -> None:
    (stage,) = everything().of_type("AWS::ApiGatewayV2::Stage").values()
    assert "AccessLogSettings" not in stage


def test_what_comes_from_outside_changes_no_page_and_no_alert() -> None:
    (write,) = [
        statement
        for role, statement in everything().statements()
        if role == "ActsStack/PageActsRole" and "dynamodb:PutItem" in statement["Action"]
    ]
    keys = write["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert keys == [PageActs.key("*"), Group.key("*"), Resolution.key("*"), SNOOZES_KEY]


def test_the_person_hears_of_it_before_the_api_gives_up() -> None:
    function = everything().resources[ACTS]["Properties"]
    (integration,) = everything().of_type("AWS::ApiGatewayV2::Integration").values()
    assert function["Timeout"] < integration.get("TimeoutInMillis", 30_000) / 1000


def test_acts_are_remembered_longer_than_links_hold() -> None:
    for function in (ACTS, NOTIFIER):
        days = int(variables(everything(), function)["LEDGER_TTL_DAYS"])
        assert days * 24 * 3600 > HOLDS_FOR.total_seconds() + KEPT_FOR.total_seconds()


@pytest.mark.parametrize("role", ["ActsStack/PageActsRole", "PagingStack/NotifierRole"])
def test_whoever_needs_the_key_may_read_it(role: str) -> None:
    deployed = everything()
    readable = {
        path
        for holder, statement in deployed.statements()
        if holder == role and "secretsmanager:GetSecretValue" in statement["Action"]
        for path in deployed.referred(statement["Resource"])
    }
    assert readable == {"ActsStack/LinkKeySecret"}
