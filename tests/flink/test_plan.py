"""What the plan of the job must look like, and which options it sets where."""

from typing import Any

import pytest
from tests.flink.running import Flink
from tests.managed_flink import ALLOWED_OPTIONS

pytestmark = pytest.mark.flink


STOLEN_CARDS, RISK_DESK = "stolen_cards", "risk_desk"
SCORES = "payment_attributed,high_score"
of_each_application = pytest.mark.parametrize("application", [STOLEN_CARDS, RISK_DESK])


def operators(flink: Flink, word: str, **asked: str) -> list[str]:
    nodes = flink.plan(**asked or {"application": STOLEN_CARDS})
    return [node["contents"] for node in nodes if word in node["contents"]]


@pytest.mark.parametrize("asked", [{}, *({"application": a} for a in (STOLEN_CARDS, RISK_DESK))])
def test_the_events_are_read_once(flink: Flink, asked: dict[str, str]) -> None:
    assert len([n for n in flink.plan(**asked) if n["pact"] == "Data Source"]) == 1


def test_the_detections_share_one_judgement_of_the_payments(flink: Flink) -> None:
    assert len(operators(flink, "OverAggregate")) == 1


def test_no_stolen_card_waits_for_another_stream(flink: Flink) -> None:
    assert not operators(flink, "Join")


def test_a_payment_that_nothing_speaks_against_is_scored_without_waiting_for_the_rules(
    flink: Flink,
) -> None:
    """There is a way from the aggregates over payments to the sink that no join is on."""
    nodes = {node["id"]: node for node in flink.plan(detections="payment_attributed")}
    [join] = [id_ for id_, node in nodes.items() if "TemporalJoin(" in node["contents"]]
    [sink] = [id_ for id_, node in nodes.items() if "StreamingFileWriter" in node["contents"]]
    reached: set[int] = set()
    ahead = [sink]
    while ahead:
        at = ahead.pop()
        if at not in reached | {join}:
            reached.add(at)
            ahead += [way["id"] for way in nodes[at].get("predecessors", ())]
    assert any("OverAggregate" in nodes[at]["contents"] for at in reached)


def test_a_score_and_its_alert_share_every_operator_over_the_payments(flink: Flink) -> None:
    alone = operators(flink, "OverAggregate", detections="payment_attributed")
    both = operators(flink, "OverAggregate", detections=SCORES)
    assert alone
    # Without the number that each has in its plan.
    assert sorted(map(_contents, both)) == sorted(map(_contents, alone))


def test_no_score_waits_for_the_watermark_but_for_the_version_of_its_points(flink: Flink) -> None:
    for contents in operators(flink, "OverAggregate", detections=SCORES):
        assert "orderBy=[seen_at" in contents
    for waiting in ("Window", "Sort", "Match", "Rank"):
        assert not operators(flink, waiting, detections=SCORES)
    [of_versions] = operators(flink, "Deduplicate", detections=SCORES)
    assert "key=[rule_bucket]" in of_versions


@of_each_application
def test_no_task_gathers_the_rows_but_what_windows_made_of_them(
    flink: Flink, application: str
) -> None:
    nodes = {node["id"]: node for node in flink.plan(application=application)}
    ways = [
        (way["ship_strategy"], nodes[way["id"]])
        for node in nodes.values()
        for way in node.get("predecessors", ())
    ]
    assert {strategy for strategy, _ in ways} <= {"FORWARD", "HASH", "GLOBAL"}
    for strategy, producer in ways:
        assert strategy != "GLOBAL" or "WindowAggregate" in _maker(producer, nodes)


def _contents(operator: str) -> str:
    return operator.partition(":")[2]


def _maker(node: dict[str, Any], nodes: dict[int, dict[str, Any]]) -> str:
    """Give the operator that made the rows which this one only computes with."""
    while "Calc" in node["contents"]:
        (way,) = node["predecessors"]
        node = nodes[way["id"]]
    contents: str = node["contents"]
    return contents


def test_one_window_counts_the_cards_and_finds_the_first_five(flink: Flink) -> None:
    assert (
        len(operators(flink, "GlobalWindowAggregate(groupBy=[card_token], window=[CUMULATE")) == 1
    )


@of_each_application
def test_no_python_runs_between_the_edges_and_everything_goes_to_one_sink(
    flink: Flink, application: str
) -> None:
    assert not operators(flink, "Python", application=application)
    assert len(operators(flink, "StreamingFileWriter", application=application)) == 1


def test_the_risk_desks_rules_over_several_payments_share_what_tells_their_copies_apart(
    flink: Flink,
) -> None:
    kept = operators(flink, "Deduplicate", application=RISK_DESK)
    # One for all of them, and the large amounts' own, which few payments reach.
    assert len([contents for contents in kept if "declined" in contents]) == 1


def test_rules_meet_payments_in_64_buckets(flink: Flink) -> None:
    joins = operators(flink, "Join", application=RISK_DESK)
    assert joins
    assert all("TemporalJoin(" in join and "rule_bucket" in join for join in joins)
    assert len(operators(flink, "UNNEST_ROWS$1($cor0.everywhere)", application=RISK_DESK)) == 1


def test_the_stolen_cards_job_knows_nothing_of_rules(flink: Flink) -> None:
    # Its columns come with the records, and go where records become arrivals.
    of_rules = [word for word in ("rule_bucket", "in_force") if operators(flink, word)]
    assert of_rules == []


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
