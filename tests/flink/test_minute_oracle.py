"""The minutes of merchants and users against their specification in plain Python."""

import random
from decimal import Decimal
from typing import Literal

import pytest
from tests.flink.minute_oracle import minutes
from tests.flink.running import Flink, in_a_replays_order
from tests.flink.scenarios import Arrival, heartbeat, in_order, payment

pytestmark = pytest.mark.flink

AMOUNTS = ["0.50", "4.99", "700", "2999.999", "-20", "abc", None, "999999999999999"]
CURRENCIES = ["EUR", "EUR", "EUR", "JPY", "KWD", "XAU", "", None]
STATUSES = ["AUTHORIZED", "AUTHORIZED", "DECLINED", "CAPTURED", "REFUNDED", None]


def stream(seed: int, payments: int = 600) -> list[str]:
    """Payments of few people at few merchants: out of order, late, copied, refunded."""
    draw = random.Random(seed)
    arrivals = [Arrival(second * 1000, heartbeat(second * 1000)) for second in range(0, 900, 7)]
    time = 0
    for number in range(payments):
        time += draw.choice([0, 1, 300, 1_000, 4_000])
        name = number if draw.random() < 0.8 else draw.randrange(max(1, number))
        line = payment(
            f"{name}",
            f"card_{draw.randrange(9)}",
            time,
            amount=draw.choice(AMOUNTS),
            currency=draw.choice(CURRENCIES),
            copy=number,
            status=draw.choice(STATUSES),
            user_id=draw.choice(["usr_1", "usr_2", "usr_3", None, "u" * 129]),
            merchant_id=draw.choice(["mer_1", "mer_2", "mer_3", "mer_4", None, ""]),
        )
        arrivals.append(Arrival(time + draw.choice([0, 0, 0, 400, 3_000, 70_000]), line))
    return in_order(arrivals)


@pytest.mark.parametrize("kind", ["merchant", "user"])
def test_every_minute_is_told_once_with_what_was_paid_in_it(
    flink: Flink, kind: Literal["merchant", "user"]
) -> None:
    for seed in range(2):
        lines = stream(seed)
        found = flink.detect(lines, detections=f"{kind}_minute")
        expected = minutes(lines, kind)
        assert found == sorted(expected, key=in_a_replays_order)
        assert len(found) > 50
        assert any(m["event_json_data"]["refunded_amount"] for m in found)
        assert any(m["event_json_data"]["card_count"] > 3 for m in found)


def test_of_each_minute_those_with_the_most_payments_are_told_up_to_the_setting(
    flink: Flink,
) -> None:
    lines = stream(7)
    found = flink.detect(lines, detections="merchant_minute", minute_rows=3)
    assert found == sorted(minutes(lines, "merchant", rows=3), key=in_a_replays_order)
    assert len(found) < len(minutes(lines, "merchant"))


def test_what_is_told_of_the_minutes_adds_up_to_what_was_paid(flink: Flink) -> None:
    lines = [
        payment(str(n), n % 3, n * 700, amount=str(Decimal(n) / 100), merchant_id=f"mer_{n % 5}")
        for n in range(400)
    ]
    found = [m["event_json_data"] for m in flink.detect(lines, detections="merchant_minute")]

    def total(name: str) -> Decimal:
        return sum((Decimal(minute[name]) for minute in found), Decimal(0))

    assert total("payment_count") == 400
    assert total("amount") == sum(Decimal(n) / 100 for n in range(400))
