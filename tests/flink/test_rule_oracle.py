"""The risk desk's rules over counts and sums against their specification in plain Python."""

import random
from decimal import Decimal
from typing import Any

import pytest
from tests.flink.rule_oracle import Breach, breaches
from tests.flink.running import Flink
from tests.flink.scenarios import Arrival, heartbeat, in_order, payment

pytestmark = pytest.mark.flink

RULES = "card_testing,spend_over_limit,user_velocity"
AMOUNTS = ["0", "0.50", "4.99", "5.00", "5.01", "60", "700", "2999.99", "3000", "-20", "abc", None]
CURRENCIES = ["EUR", "EUR", "EUR", "JPY", "KWD", "CLF", None]
STATUSES = ["AUTHORIZED", "AUTHORIZED", "AUTHORIZED", "DECLINED", "CAPTURED", "REFUNDED", None]
MINUTE = 60_000


def stream(seed: int, payments: int = 400) -> list[str]:
    """Payments of few people at few merchants: in bursts, out of order, late, copied."""
    draw = random.Random(seed)
    arrivals = [Arrival(second * 1000, heartbeat(second * 1000)) for second in range(0, 2_400, 7)]
    time = 0
    for number in range(payments):
        testing = number % 80 < 14
        time += draw.choice([1, 2_000, 5_000] if testing else [0, 0, 1, 500, 2_000, 9_000, 20_000])
        person = draw.randrange(4)
        name = number if draw.random() < 0.9 else draw.randrange(max(1, number))
        line = payment(
            f"{name}",
            f"card_{draw.randrange(99 if testing else 9)}",
            time,
            amount=draw.choice(AMOUNTS[:5] if testing else AMOUNTS),
            currency=draw.choice(CURRENCIES),
            copy=number,
            status=draw.choice(STATUSES),
            account_id=draw.choice([f"acc_{person}", f"acc_{person}", None, ""]),
            user_id=draw.choice([f"usr_{person}", f"usr_{person}", f"usr_{person}", None]),
            merchant_id="mer_tried" if testing else draw.choice([f"mer_{draw.randrange(3)}", None]),
        )
        delay = draw.choice([0, 0, 0, 400, 3_000, 70_000])
        arrivals.append(Arrival(time + delay, line))
    return in_order(arrivals)


def breach_of(alert: dict[str, Any]) -> Breach:
    data = alert["event_json_data"]
    named = tuple(data["payment_ids"])
    return Breach(
        data["rule"],
        data["entity_id"],
        data["currency"],
        named[0],
        Decimal(data["observed"]),
        data["payment_count"],
        named,
    )


def test_every_breach_alerts_once_and_nothing_else_does(flink: Flink) -> None:
    seen: dict[str, int] = {}
    for seed in range(4):
        lines = stream(seed)
        alerts = flink.detect(lines, detections=RULES)
        found = [breach_of(alert) for alert in alerts]
        expected = breaches(lines)
        assert set(found) == expected, seed
        assert len(found) == len(set(found)), seed
        for breach in found:
            seen[breach.rule] = seen.get(breach.rule, 0) + 1
    assert set(seen) == set(RULES.split(","))
    assert min(seen.values()) > 10, seen
