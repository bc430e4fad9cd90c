"""What the plan of the job must look like, and which options it sets where."""

from typing import Any

import pytest
from tests.flink.running import Flink
from tests.managed_flink import ALLOWED_OPTIONS

pytestmark = pytest.mark.flink


STOLEN_CARDS, RISK_DESK = "stolen_cards", "risk_desk"
of_each_application = pytest.mark.parametrize("application", [STOLEN_CARDS, RISK_DESK])


def operators(flink: Flink, application: str, word: str) -> list[str]:
    return [node["contents"] for node in flink.plan(application) if word in node["contents"]]


@of_each_application
def test_the_events_are_read_once(flink: Flink, application: str) -> None:
    assert len([n for n in flink.plan(application) if n["pact"] == "Data Source"]) == 1


def test_the_detections_share_one_judgement_of_the_payments(flink: Flink) -> None:
    assert len(operators(flink, STOLEN_CARDS, "OverAggregate")) == 1


def test_a_score_is_made_of_ten_operators_that_its_alerts_share(flink: Flink) -> None:
    assert len(operators(flink, RISK_DESK, "OverAggregate")) == 10


@of_each_application
def test_no_payment_waits_for_another_stream(flink: Flink, application: str) -> None:
    assert not operators(flink, application, "Join")


@of_each_application
def test_no_task_gathers_the_rows_but_what_windows_made_of_them(
    flink: Flink, application: str
) -> None:
    nodes = {node["id"]: node for node in flink.plan(application)}
    ways = [
        (way["ship_strategy"], nodes[way["id"]])
        for node in nodes.values()
        for way in node.get("predecessors", ())
    ]
    assert {strategy for strategy, _ in ways} <= {"FORWARD", "HASH", "GLOBAL"}
    for strategy, producer in ways:
        assert strategy != "GLOBAL" or "WindowAggregate" in _maker(producer, nodes)


def _maker(node: dict[str, Any], nodes: dict[int, dict[str, Any]]) -> str:
    """Give the operator that made the rows which this one only computes with."""
    while "Calc" in node["contents"]:
        (way,) = node["predecessors"]
        node = nodes[way["id"]]
    contents: str = node["contents"]
    return contents


def test_one_window_counts_the_cards_and_finds_the_first_five(flink: Flink) -> None:
    assert (
        len(
            operators(
                flink,
                STOLEN_CARDS,
                "GlobalWindowAggregate(groupBy=[card_token], window=[CUMULATE",
            )
        )
        == 1
    )


@of_each_application
def test_no_python_runs_between_the_edges(flink: Flink, application: str) -> None:
    assert not operators(flink, application, "Python")


@of_each_application
def test_everything_goes_to_one_sink(flink: Flink, application: str) -> None:
    assert len(operators(flink, application, "StreamingFileWriter")) == 1


@pytest.mark.parametrize("edge", ["connector", "files"])
def test_on_managed_flink_no_option_outside_its_allow_list_is_set(flink: Flink, edge: str) -> None:
    options = flink.options(edge, managed=True)["options"]
    assert options
    for option in options:
        assert any(f"{option}.".startswith(f"{allowed}.") for allowed in ALLOWED_OPTIONS), option


def test_flink_options_of_the_properties_are_set_locally_only(flink: Flink) -> None:
    asked = {"parallelism.default": "3"}
    locally = flink.options("files", managed=False, flink=asked)["options"]
    assert locally.items() >= asked.items()
    refused = flink.options("files", managed=True, flink=asked)["refused"]
    assert "parallelism.default" in refused
    assert "cardwatch.flink" in refused
