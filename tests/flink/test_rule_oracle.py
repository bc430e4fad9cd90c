"""The risk desk's rules over counts and sums against their specification in plain Python."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.flink.rule_oracle import Breach, breaches
from tests.flink.running import Flink
from tests.flink.scenarios import Arrival, heartbeat, in_order, payment, rule

from cardwatch.contract.rule_alert import rule_alert_id
from cardwatch.rules.file import CARD_WINDOWS, LEAST_ATTEMPTS, MOST_ATTEMPTS

pytestmark = pytest.mark.flink

RULES = "card_testing,spend_over_limit,user_velocity"
AMOUNTS = ["0", "0.50", "4.99", "5.00", "5.01", "60", "700", "2999.99", "3000", "-20", "abc", None]
LARGE = ["1000", "1500", "2000", "3000.01", "4500", "9000", "20000"]
TESTS = [*AMOUNTS[:5], "7.50", "10.00", "10.01"]
OF_KIND: dict[str, list[str | None]] = {"testing": [*TESTS], "spending": [*LARGE]}
CURRENCIES = ["EUR", "EUR", "EUR", "JPY", "KWD", "CLF", None]
STATUSES = ["AUTHORIZED", "AUTHORIZED", "AUTHORIZED", "DECLINED", "CAPTURED", "REFUNDED", None]
PAUSES = [60_000, 60_001, 90_000, 300_000, 599_000, 600_000, 600_001, 900_000]
LATE = [0, 0, 0, 0, 400, 3_000, 30_000, 70_000]
STRAY = [50_000, 55_000, 59_000]
HOUR = 3_600_000


def stream(seed: int, payments: int = 600) -> list[str]:
    """Payments of few people at few merchants: in bursts with pauses between, at one millisecond,
    out of order, late, copied.
    """
    draw = random.Random(seed)
    arrivals = []
    tested: list[int] = []
    paid = []
    time = 0
    for number in range(payments):
        kind = ("testing", "spending", "mixed", "paying", "delayed")[number // 13 % 5]
        testing = kind == "testing"
        if number % 13 == 0 or (kind == "spending" and draw.random() < 0.3):
            time += draw.choice(PAUSES)
        time += draw.choice([0, 0, 1, 500, 2_000, 9_000, *([20_000] if kind == "mixed" else [])])
        if testing and draw.random() < 0.1:
            time += 20_000
        elif testing and tested and draw.random() < 0.2:  # a full minute after another
            time = max(time, draw.choice(tested[-3:]) + 60_000)
        tested += [time] if testing else []
        paid += [time] if not testing else []
        person = draw.randrange(4) if kind == "mixed" else seed % 4
        stray = draw.choice(STRAY) if kind == "paying" and draw.random() < 0.25 else 0
        name = number if draw.random() < 0.9 else draw.randrange(max(1, number))
        line = payment(
            f"{name}",
            f"card_{draw.randrange(99 if testing else 9)}",
            time - stray,
            amount=draw.choice(OF_KIND.get(kind, AMOUNTS)),
            currency="EUR" if kind == "spending" else draw.choice(CURRENCIES),
            copy=number,
            status=draw.choice(STATUSES),
            account_id=draw.choice([f"acc_{person}", f"acc_{person}", None, ""]),
            user_id=draw.choice([f"usr_{person}", f"usr_{person}", f"usr_{person}", None]),
            merchant_id="mer_tried" if testing else draw.choice([f"mer_{draw.randrange(3)}", None]),
        )
        delay = HOUR if kind == "delayed" or draw.random() < 0.05 else draw.choice(LATE)
        arrivals.append(Arrival(time + delay, line))
    arrivals += [Arrival(at, heartbeat(at)) for at in range(0, time + HOUR, 7_000)]
    of_cards = versions("card_testing", seed, tested, until=time)
    of_users = versions("user_velocity", seed, paid, until=time)
    return in_order([*arrivals, *of_cards, *of_users])


def versions(name: str, seed: int, times: Iterable[int], until: int) -> Iterator[Arrival]:
    """Versions of a rule, at some of the times, each put again some times afterwards, as the slices
    do.
    """
    draw = random.Random(f"versions of {seed}, {name}")
    for number, at in enumerate(sorted(draw.sample(sorted({*times}), HOW_MANY[name])), 2):
        line = rule(
            name,
            number,
            at,
            state=draw.choice(["on", "on", "on", "on", "off"]),
            paging=draw.choice(["on", "off", "shadow", "shadow"]),
            **DATA[name](draw),
        )
        yield Arrival(at, line)
        yield from (Arrival(draw.randrange(at, until + HOUR), line) for _ in range(2))


def data_of_card_testing(draw: random.Random) -> dict[str, object]:
    """Give a count and a window, one time in ten one that the job cannot do."""
    return {
        "more_than": draw.randrange(2, 7),
        "window_seconds": draw.choice(CARD_WINDOWS) if draw.random() < 0.9 else 45,
        "amounts": {"EUR": draw.choice(["0", "5", "7.50", "10", "20"]), "JPY": "800"}
        | draw.choice([{}, {"KWD": "3", "CLF": "10"}]),
    }


def data_of_user_velocity(draw: random.Random) -> dict[str, object]:
    """Give a count and a window, one time in ten what the job cannot do."""
    window = draw.choice([*LEAST_ATTEMPTS])
    return {
        "more_than": draw.randrange(LEAST_ATTEMPTS[window], MOST_ATTEMPTS + 1),
        "window_seconds": window,
        **(draw.choice(UNDOABLE) if draw.random() < 0.1 else {}),
    }


DATA = {"card_testing": data_of_card_testing, "user_velocity": data_of_user_velocity}
HOW_MANY = {"card_testing": 25, "user_velocity": 60}
UNDOABLE = [{"more_than": 2}, {"more_than": 11}, {"more_than": 0}, {"window_seconds": 45}]


def breach_of(alert: dict[str, Any]) -> Breach:
    data = alert["event_json_data"]
    window = [data["window_start"], data["window_end"]]
    return Breach(
        data["rule"],
        data["entity_kind"],
        data["entity_id"],
        data["currency"],
        milliseconds(alert["event_date_origin"]),
        None if None in window else (milliseconds(window[0]), milliseconds(window[1])),
        Decimal(data["observed"]),
        data["payment_count"],
        tuple(data["payment_ids"]),
        data["rule_version"],
        data["paging"],
    )


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def seen_by_windows(found: Iterable[Breach]) -> Counter[Breach]:
    """Give what rules with a window saw: which payment of a millisecond came last is not of it."""
    return Counter(replace(b, happened=0, payments=()) for b in found if b.window is not None)


def test_windows_see_the_same_breaches_at_any_parallelism(flink: Flink) -> None:
    lines = stream(6)
    expected = seen_by_windows(breaches(lines))
    assert len(expected) > 20
    for parallelism in (2, 4):
        alerts = flink.detect(lines, detections=RULES, parallelism=parallelism)
        assert seen_by_windows(map(breach_of, alerts)) == expected, parallelism


def test_every_breach_alerts_once_and_nothing_else_does(flink: Flink) -> None:
    alerted: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for seed in range(14, 20):
        lines = stream(seed)
        alerts = flink.detect(lines, detections=RULES)
        found = [breach_of(alert) for alert in alerts]
        assert set(found) == breaches(lines, met=met), seed
        assert len(found) == len(set(found)), seed
        for alert in alerts:
            data = alert["event_json_data"]
            assert alert["event_id"] == data["alert_id"]
            assert data["alert_id"] == rule_alert_id(
                data["rule"],
                data["rule_version"],
                data["entity_kind"],
                data["entity_id"],
                currency=data["currency"],
                first_payment_id=data["payment_ids"][0],
            )
        alerted.update(breach.rule for breach in found)
    assert set(alerted) == set(RULES.split(","))
    assert min(alerted.values()) > 20, alerted
    rare = (
        "cards: at one millisecond",
        "cards: ended by time alone",
        "cards: in shadow",
        "cards: full minutes after one that stays",
        "cards: of a merchant",
        "cards: of a user",
        "cards: of several windows",
        "cards: one that is no test by the last one's version",
        *(f"cards: within {window} s" for window in CARD_WINDOWS),
        "spend: a step jumped over",
        "spend: at one millisecond",
        "spend: ended by time alone",
        "spend: ended by time in part",
        "spend: fell back to a step jumped over",
        "velocity: again",
        "velocity: an old one between",
        "velocity: begins, by what came before the version too",
        "velocity: goes on, by what came before the version too",
        "velocity: in shadow",
        "velocity: not in order",
        "velocity: of a row the first and the last alone",
        "velocity: of all the first and the last alone",
        "velocity: of old ones",
        *(f"velocity: within {window} s" for window in LEAST_ATTEMPTS),
    )
    assert all(met[kind] >= 3 for kind in rare), met
