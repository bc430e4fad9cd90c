"""The risk score against its specification in plain Python, on streams that nobody thought of."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.flink.running import Flink
from tests.flink.scenarios import (
    DAY,
    Arrival,
    account,
    heartbeat,
    in_order,
    payment,
    rule,
    status,
)
from tests.flink.score_oracle import POINTS, attribute
from tests.flink.test_oracle import assert_same

pytestmark = pytest.mark.flink

DETECTIONS = "payment_attributed,high_score"
PLACES = [
    ("MT", "35.8997", "14.5147"),
    ("DE", "52.52", "13.405"),
    ("AU", "-33.868800", "151.2093"),
    ("FJ", "-18", "-179.9999"),
    ("MT", "35.9", None),
    (None, "91", "14.5"),
]
MODES = ["CHIP", "CHIP", "CONTACTLESS", "ECOMMERCE", "RECURRING", None, "TELEPATHY"]
AMOUNTS = ["12.50", "12.5", "9.9999", "40", "0.005", "-7.1250", "0", "1e3", "abc", None]
HUGE = ["999999999999999.9999", "1000000000", "999999999.9999", "1e15", "1e100000000"]
CURRENCIES = ["EUR", "EUR", "EUR", "EUR", "JPY", "KWD", "???", None]
STATUSES = ["AUTHORIZED", "AUTHORIZED", "CAPTURED", "DECLINED", "DECLINED", "REFUNDED", None, "NEW"]
SPAN = 2 * DAY
MIDNIGHT = -10 * 3_600_000
YOUNG = "2025-12-16T11:00:00.000Z"
"""Thirty days before a moment of the streams."""


def stream(seed: int, *, payments: int = 1_500) -> list[str]:
    """Give two days of a few accounts: calm hours and bursts, all of it now and then amiss."""
    rng = random.Random(seed)
    arrivals = [Arrival(at, heartbeat(at)) for at in range(0, SPAN, 3_600_000)]
    arrivals += [row for name in range(6) for row in versions(rng, name)]
    arrivals += versions_of_the_rule(seed)
    for card in range(8):
        for _ in range(rng.randrange(4)):
            published = rng.randrange(SPAN)
            since = published - rng.choice([0, 60_000, DAY])
            word = rng.choice(["STOLEN", "ACTIVE"])
            arrivals += [
                Arrival(published + later, status(card, word, since, published + later))
                for later in {0, rng.randrange(DAY)}
            ]
    time = 0
    for number in range(payments):
        calm = number // 120 % 2
        time += rng.choice([11_999, 12_000, 15_000, 400_000] if calm else [0, 1, 900, 3_000])
        arrivals += records(rng, number, time % SPAN)
    return in_order(arrivals)


def versions_of_the_rule(seed: int) -> Iterator[Arrival]:
    """Versions of high_score, each put again some times afterwards, as the slices do."""
    rng = random.Random(f"versions of {seed}")
    for number, at in enumerate(sorted(rng.sample(range(SPAN), 20)), 2):
        line = rule(
            "high_score",
            number,
            at,
            state=rng.choice(["on", "on", "on", "off"]),
            paging=rng.choice(["on", "off", "shadow"]),
            severity=rng.choice(["low", "high", "critical"]),
            threshold=rng.choice([1, 10, 45, 60, 70, 100]),
            points={name: rng.choice([0, 1, 30, POINTS[name], 100]) for name in POINTS},
        )
        yield Arrival(at, line)
        yield from (Arrival(rng.randrange(at, SPAN), line) for _ in range(2))


def versions(rng: random.Random, name: int) -> Iterator[Arrival]:
    for _ in range(rng.randrange(8)):
        valid = rng.choice([-DAY, MIDNIGHT, MIDNIGHT + DAY, rng.randrange(SPAN)])
        changed: dict[str, Any] = {
            "spent": rng.choice(["0", "100.00", "-20.5", "4790.0001"]),
            "credit_limit": rng.choice(["0", "5000", "200.50", "999999999999999.9999"]),
            "currency": rng.choice(["EUR", "EUR", "EUR", "JPY"]),
            "account_name": rng.choice(
                ["J*** D***"] * 9 + ["Ż***", "|***", "J*** \t***", "Jane Doe", None]
            ),
            "status": rng.choice(["ACTIVE"] * 5 + ["BLOCKED", "GONE"]),
        }
        if rng.random() < 0.5:
            changed["opened_at"] = rng.choice(["2025-12-17T21:00:00+01:00", "2026-01-14", YOUNG])
        for published in {valid, valid + 5_000, valid + rng.randrange(DAY)}:
            yield Arrival(published, account(name, valid, published, **changed))


def records(rng: random.Random, number: int, time: int) -> Iterator[Arrival]:
    card = rng.choice([0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
    country, latitude, longitude = rng.choice([PLACES[0], PLACES[0], *PLACES])
    fields: dict[str, Any] = {
        "account_id": rng.choice([f"acc_{card % 7}"] * 9 + [None]),
        "user_id": rng.choice([f"usr_{card // 2}"] * 9 + [None]),
        "merchant_id": rng.choice([*["mer_1"] * 9, "mer_2", None]),
        "amount": rng.choice([*AMOUNTS * 10, *HUGE]),
        "currency": rng.choice(CURRENCIES),
        "country": country,
        "latitude": latitude,
        "longitude": longitude,
        "entry_mode": rng.choice(MODES),
    }
    life = [rng.choice(STATUSES), *rng.choices(STATUSES, k=rng.choice([0, 0, 0, 1, 2]))]
    for copy, word in enumerate(life):
        at = time + copy * rng.choice([0, 10, 100_000])
        late = rng.choice([0] * 8 + [500, 30_000, DAY])
        line = payment(str(number), card, at, copy=copy, **{**fields, "status": word})
        yield Arrival(at + late, line)


@pytest.mark.parametrize("seed", range(4))
def test_every_payment_has_exactly_one_score_and_the_reasons_of_the_specification(
    flink: Flink, seed: int
) -> None:
    lines = stream(seed)
    expected = attribute(lines)
    assert_same(flink.detect(lines, detections=DETECTIONS), expected)


def test_the_streams_make_every_factor_fire_and_be_left_out() -> None:
    data = [
        record["event_json_data"]
        for seed in range(4)
        for record in attribute(stream(seed))
        if record["type"] == "PAYMENT_ATTRIBUTED"
    ]
    fired = Counter(factor["factor"] for each in data for factor in each["factors"])
    assert all(fired[name] >= 10 for name in POINTS), fired
    left_out = Counter(name for each in data for name in each["not_judged"])
    assert left_out.keys() == POINTS.keys() - {"stolen_card"}
    assert sum(each["late"] for each in data) > 100
    scored_by = Counter(each["score_version"] for each in data)
    assert len(scored_by) > 10
    assert scored_by[None] > 100
    nothing = [each for each in data if each["score_version"] and not each["factors"]]
    assert len(nothing) > 10, "what speaks against a payment may have no points"


def test_the_streams_have_alerts_by_versions_in_force_and_in_shadow() -> None:
    alerts = [
        record["event_json_data"]
        for seed in range(4)
        for record in attribute(stream(seed))
        if record["type"] == "RULE_ALERT"
    ]
    paging = Counter(alert["paging"] for alert in alerts)
    assert all(paging[each] >= 20 for each in ("on", "off", "shadow")), paging
    assert len({(alert["rule_version"], alert["threshold"]) for alert in alerts}) > 10


def of_strangers() -> list[str]:
    """Give payments of which each is its card's, user's and account's only one."""
    rng = random.Random(17)
    known = [account(name, -DAY, 0) for name in range(0, 3_000, 2)]
    stolen = [status(name, "STOLEN", -DAY, 0) for name in range(0, 3_000, 3)]
    paid = [
        Arrival(at + rng.randrange(900), payment(str(name), name, at, merchant_id=f"mer_{name}"))
        for name in range(3_000)
        for at in [1_000 + name]
    ]
    copies = [Arrival(row.at + 2_000, row.line) for row in paid[::5]]
    return [*known, *stolen, *in_order([*paid, *copies])]


def test_at_any_parallelism_each_payment_has_one_score_and_stolen_cards_are_the_same(
    flink: Flink,
) -> None:
    """Between accounts and payments, which have keys of their own, the order may change."""
    lines = of_strangers()
    expected = {r["event_id"]: on_a_stolen_card(r) for r in attribute(lines) if is_score(r)}
    assert len(expected) == 3_000
    for parallelism in (1, 2, 4):
        found = flink.detect(lines, parallelism=parallelism, detections="payment_attributed")
        assert len(found) == len(expected), parallelism
        assert {r["event_id"]: on_a_stolen_card(r) for r in found} == expected, parallelism


def is_score(record: dict[str, Any]) -> bool:
    return bool(record["type"] == "PAYMENT_ATTRIBUTED")


def on_a_stolen_card(record: dict[str, Any]) -> bool:
    return any(f["factor"] == "stolen_card" for f in record["event_json_data"]["factors"])
