"""What the job forgets, and what it never does."""

from typing import Any

import pytest
from tests.flink.running import Flink
from tests.flink.scenarios import DAY, account, heartbeat, payment, status

pytestmark = pytest.mark.flink

SCORES = "payment_attributed"
CARD = 7
SOON = 1
"""Milliseconds: long over by the time that the lines between have passed."""
BETWEEN = [heartbeat(1_000)] * 100_000
"""Reading them takes longer than what came before waits in buffers, 100 ms at each exchange."""


def scores(flink: Flink, *lines: str, **settings: int) -> list[dict[str, Any]]:
    found = flink.detect(lines, detections=SCORES, **settings)
    return [record["event_json_data"] for record in found]


def factors(score: dict[str, Any]) -> set[str]:
    return {factor["factor"] for factor in score["factors"]}


def test_a_payment_is_forgotten_in_time_and_scored_again_under_its_id(flink: Flink) -> None:
    lines = [payment("1", CARD, 0), *BETWEEN, payment("1", CARD, 0, copy=1)]
    assert len(scores(flink, *lines)) == 1
    again = flink.detect(lines, detections=SCORES, lifetime_ms=SOON)
    assert len(again) == 2
    assert len({record["event_id"] for record in again}) == 1


def test_a_day_s_spend_is_forgotten_in_time(flink: Flink) -> None:
    known = account(CARD, 0, 0, spent="0", credit_limit="150")
    spent: dict[str, Any] = {"account_id": f"acc_{CARD}", "amount": "100"}
    lines = [
        known,
        payment("1", CARD, 1_000, **spent),
        *BETWEEN,
        payment("2", CARD, 2_000, **spent),
    ]
    (second,) = [each for each in scores(flink, *lines) if each["payment_id"] == "pay_2"]
    assert "over_limit" in factors(second)
    found = scores(flink, *lines, lifetime_ms=SOON)
    (second,) = [each for each in found if each["payment_id"] == "pay_2"]
    assert "over_limit" not in factors(second)
    assert "over_limit" not in second["not_judged"]


def test_a_card_its_account_and_their_habits_are_never_forgotten(flink: Flink) -> None:
    theirs: dict[str, Any] = {"account_id": f"acc_{CARD}", "amount": "10"}
    lines = [
        account(CARD, -DAY, 0),
        status(CARD, "STOLEN", -DAY, 0),
        *(payment(str(n), CARD, n, **theirs) for n in range(5)),
        *BETWEEN,
        payment("x", CARD, 900, **theirs | {"amount": "1000", "country": "DE"}),
    ]
    found = scores(flink, *lines, lifetime_ms=SOON)
    (last,) = [each for each in found if each["payment_id"] == "pay_x"]
    assert last["account_known"]
    assert factors(last) >= {
        "stolen_card",
        "velocity_card",
        "velocity_user",
        "amount_deviation",
        "first_in_country",
    }
