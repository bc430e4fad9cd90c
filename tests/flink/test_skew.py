"""One account with half of all traffic: what is said of the others, and of it, stays what it is."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from tests.flink.rule_oracle import breaches
from tests.flink.running import Flink
from tests.flink.scenarios import DAY, Arrival, in_order, payment, status, token
from tests.flink.score_oracle import attribute
from tests.flink.test_oracle import assert_same
from tests.flink.test_rule_oracle import RULES, breach_of
from tests.flink.test_score_oracle import DETECTIONS, is_score, on_a_stolen_card

pytestmark = pytest.mark.flink

MINUTE = 60_000
PAYMENTS = 3_000
"""Of the one, and of all the others."""
BUSY = "busy"
ITS = {token(BUSY), f"acc_{BUSY}", f"usr_{BUSY}", f"mer_{BUSY}"}


def attempt(draw: random.Random, number: int, time: int, person: object) -> Arrival:
    """Give an attempt of a person, who has one card, one account and one merchant.

    Declined ones are made at a merchant that seven others share: so cards are counted there.
    """
    declined = draw.random() < 0.3 and isinstance(person, int)
    amount = draw.choice([15, 40, 90, 250] if draw.random() < 0.95 else [1_500, 3_500])
    line = payment(
        f"{number}_{person}",
        person,
        time,
        amount=f"{amount}.{draw.randrange(100):02d}",
        merchant_id=f"mer_tried_{int(str(person)) // 8}" if declined else f"mer_{person}",
        status="DECLINED" if declined else "AUTHORIZED",
        country=draw.choice(["MT"] * 30 + ["DE"]),
    )
    return Arrival(time, line)


def others() -> Iterator[Arrival]:
    """Give twenty minutes of 300 people, of whom sixty at a time are about."""
    draw = random.Random(11)
    for card in range(0, 300, 7):
        yield Arrival(-1, status(card, "STOLEN", -DAY + card, -1))
    for number in range(PAYMENTS):
        time = number * 400
        about = time // (2 * MINUTE) * 30 % 300
        yield attempt(draw, number, time, (about + draw.randrange(60)) % 300)


def of_the_busy() -> Iterator[Arrival]:
    """Give as many payments of one, who pauses now and then."""
    draw = random.Random(12)
    for number in range(PAYMENTS):
        time = number * 200 + number // 1_000 * 3 * MINUTE + 60
        yield attempt(draw, number, time, BUSY)


def is_busy(record: dict[str, Any]) -> bool:
    data = record["event_json_data"]
    return bool(ITS & {data.get("entity_id"), data.get("card_token")})


def of_others(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if not is_busy(record)]


def test_an_account_with_half_of_all_traffic_changes_and_loses_no_alert_of_the_others(
    flink: Flink,
) -> None:
    lines = in_order([*others(), *of_the_busy()])
    found = flink.detect(lines, parallelism=2, detections=RULES)
    told = [breach_of(record) for record in of_others(found)]
    assert set(told) == breaches(in_order(others()))
    assert len(told) == len(set(told))
    assert {breach_of(record) for record in found} == breaches(lines)

    fired = Counter(breach.rule for breach in told)
    assert fired.keys() == set(RULES.split(","))
    assert min(fired.values()) > 15, fired
    of_it = Counter(r["event_json_data"]["rule"] for r in found if is_busy(r))
    assert of_it["user_velocity"] >= 3
    assert of_it["spend_over_limit"] > 3


def test_an_account_with_half_of_all_traffic_changes_no_score_of_the_others(flink: Flink) -> None:
    lines = in_order([*others(), *of_the_busy()])
    expected = attribute(lines)
    found = flink.detect(lines, detections=DETECTIONS)
    assert_same(of_others(found), attribute(in_order(others())))
    assert_same(found, expected)
    assert sum(not is_score(record) for record in of_others(found)) > 15
    assert sum(is_score(record) for record in found if is_busy(record)) == PAYMENTS

    # What depends on nothing but the card is so at any parallelism (docs/decisions/0034).
    beside = flink.detect(lines, parallelism=2, detections="payment_attributed")
    assert len(beside) == 2 * PAYMENTS
    of_cards = {r["event_id"]: on_a_stolen_card(r) for r in expected if is_score(r)}
    assert {r["event_id"]: on_a_stolen_card(r) for r in beside} == of_cards
