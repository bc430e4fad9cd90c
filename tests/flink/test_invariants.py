"""What must hold for any stream, on streams large enough to fill Flink's buffers."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.flink.oracle import detect, detect_alerts
from tests.flink.running import Flink, in_a_replays_order
from tests.flink.scenarios import DAY, Arrival, heartbeat, in_order, payment, status

from cardwatch.contract.fields import parse_time

pytestmark = pytest.mark.flink

CARDS = 200
STOLEN = range(0, CARDS, 4)


def registry(at: int) -> list[Arrival]:
    return [
        Arrival(at, status(card, "STOLEN" if card in STOLEN else "ACTIVE", -30 * DAY + card, at))
        for card in range(CARDS)
    ]


def payments(
    count: int, apart_ms: float, *, disorder_ms: int = 0, cards: int = CARDS
) -> list[Arrival]:
    rng = random.Random(7)
    jitter = random.Random(disorder_ms)
    return [
        Arrival(
            time + (jitter.randrange(disorder_ms) if disorder_ms else 0),
            payment(str(i), rng.randrange(cards), time, currency=rng.choice(["EUR", "JPY"])),
        )
        for i in range(count)
        for time in [int(i * apart_ms)]
    ]


def alerts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in records if r["type"] == "PAYMENT_ALERT"]


def find_alerts(flink: Flink, *shards: list[str], **settings: int) -> list[dict[str, Any]]:
    """Detect payments on stolen cards alone: an hour of summaries of many takes long."""
    return flink.detect(*shards, detections="payment_alert", **settings)


def assert_same_at_any_parallelism(
    find: Callable[..., list[dict[str, Any]]], expected: list[dict[str, Any]]
) -> None:
    for parallelism in (1, 2, 4):
        found = find(parallelism=parallelism)
        assert found == sorted(expected, key=in_a_replays_order), parallelism


def test_statuses_that_are_learned_mid_stream_judge_by_order_of_arrival_at_any_parallelism(
    flink: Flink,
) -> None:
    """They are a month behind the watermark: which payments they judge must be no race."""
    rng = random.Random(9)
    learned = [
        Arrival(at, status(card, "STOLEN" if card % 2 else "ACTIVE", -30 * DAY + card, at))
        for card in range(1_500)
        for at in [rng.randrange(6_000)]
    ]
    lines = in_order([*payments(30_000, 0.2, cards=1_500), *learned])
    expected = detect_alerts(lines)
    assert 6_000 < len(expected) < 9_000, "cards are stolen from the middle of it on"
    assert_same_at_any_parallelism(partial(find_alerts, flink, lines), expected)


def test_a_card_with_half_of_all_traffic_is_judged_alike_at_any_parallelism(flink: Flink) -> None:
    rows = payments(8_000, 1)
    busy = [Arrival(row.at, payment(f"busy_{i}", 0, row.at)) for i, row in enumerate(rows)]
    changes = [
        Arrival(at, status(0, "ACTIVE" if at % 2_000 else "STOLEN", at, at))
        for at in range(1_000, 8_000, 1_000)
    ]
    lines = in_order([*registry(-1), *changes, *rows, *busy])
    expected = detect(lines)
    assert_same_at_any_parallelism(partial(flink.detect, lines), expected)
    on_it = sum(r["event_json_data"]["account_id"] == "acc_0" for r in alerts(expected))
    assert 3_000 < on_it < 6_000


def test_a_theft_reported_twice_clears_nothing_at_any_parallelism(flink: Flink) -> None:
    """By the first report until the second; a clearing in between clears what comes after it."""
    known = [Arrival(-1, status(card, "STOLEN", -DAY, -1)) for card in range(40)]
    again = [
        Arrival(at, status(card, "STOLEN", at, at)) for card in range(40) for at in (2_000, 3_000)
    ]
    cleared = [Arrival(1_000, status(card, "ACTIVE", 1_000, 1_000)) for card in range(0, 40, 2)]
    rows = payments(4_000, 1, cards=40)
    lines = in_order([*known, *again, *cleared, *rows])
    expected = detect_alerts(lines)
    paid = Counter(
        (int(record["event_json_data"]["account_id"].removeprefix("acc_")) % 2, second)
        for record in expected
        for second in [parse_time(record["event_date_origin"]).second]
    )
    assert {second for card, second in paid if card} == {0, 1, 2, 3}
    assert {second for card, second in paid if not card} == {0, 2, 3}
    assert_same_at_any_parallelism(partial(find_alerts, flink, lines), expected)


def three_shards() -> list[list[str]]:
    """Cards and their payments on three shards; what stands on the second is a minute older."""
    shards = []
    for number, behind in enumerate((0, 60_000, 0)):
        rng = random.Random(number)
        cards = [f"{number}_{card}" for card in range(40)]
        known = [status(card, "STOLEN", -30 * DAY, -behind) for card in cards[::2]]
        rows = [
            payment(f"{number}_{i}", rng.choice(cards), i * 5 - behind, amount="1.00")
            for i in range(4_000)
        ]
        shards.append([*known, *rows])
    return shards


@pytest.mark.parametrize("idle_timeout_ms", [30_000, 1])
def test_a_slow_shard_or_one_taken_for_idle_changes_late_and_never_an_id(
    flink: Flink, idle_timeout_ms: int
) -> None:
    shards = three_shards()
    expected = {r["event_id"] for lines in shards for r in detect_alerts(lines)}
    assert len(expected) > 5_000
    # As one task reads shards, one after the other: all of the second is a minute late.
    in_a_row = [line for lines in shards for line in lines]
    one_by_one = find_alerts(flink, in_a_row, idle_timeout_ms=idle_timeout_ms)
    assert sum(r["event_json_data"]["late"] for r in one_by_one) > 1_500
    side_by_side = [
        find_alerts(flink, *shards, parallelism=parallelism, idle_timeout_ms=idle_timeout_ms)
        for parallelism in (2, 4)
    ]
    for found in (one_by_one, *side_by_side):
        assert len(found) == len(expected), "an alert came twice"
        assert {r["event_id"] for r in found} == expected


def test_disorder_of_payments_within_the_watermarks_delay_changes_nothing(flink: Flink) -> None:
    changes = [
        *registry(-1),
        *(Arrival(2_000, status(card, "ACTIVE", 2_000, 2_000)) for card in STOLEN[::2]),
        *(Arrival(3_000, status(card, "STOLEN", 3_000, 3_000)) for card in range(1, CARDS, 8)),
    ]
    in_time = flink.detect(in_order([*changes, *payments(2_000, 2.5)]))
    shuffled = flink.detect(in_order([*changes, *payments(2_000, 2.5, disorder_ms=900)]))
    assert len(alerts(in_time)) > 300
    assert shuffled == in_time
    assert not any(r["event_json_data"]["late"] for r in alerts(shuffled))


def test_copies_of_payments_change_nothing(flink: Flink) -> None:
    rng = random.Random(3)
    once = [*registry(-1), *payments(1_000, 10)]
    again = [Arrival(row.at + rng.randrange(30_000), row.line) for row in once]
    alone = flink.detect(in_order(once))
    assert flink.detect(in_order([*once, *again])) == alone


def test_every_stolen_payment_has_exactly_one_alert_however_late_it_is(flink: Flink) -> None:
    rng = random.Random(5)
    rows = [
        Arrival(row.at + rng.choice([0, 500, 5_000, 60_000, 7_200_000]), row.line)
        for row in payments(1_000, 20)
    ]
    beats = [Arrival(at, heartbeat(at)) for at in range(0, 7_300_000, 10_000)]
    found = find_alerts(flink, in_order([*registry(-1), *rows, *beats]))
    rng = random.Random(7)
    cards = [(rng.randrange(CARDS), rng.choice(["EUR", "JPY"]))[0] for _ in range(1_000)]
    stolen = Counter(f"pay_{i}" for i, card in enumerate(cards) if card in STOLEN)
    assert Counter(r["event_json_data"]["payment_id"] for r in found) == stolen
    assert any(r["event_json_data"]["late"] for r in found)


@pytest.mark.parametrize("delay_ms", [0, 2_500])
def test_the_watermarks_delay_is_a_setting(flink: Flink, delay_ms: int) -> None:
    lines = [
        status("c", "STOLEN", -DAY, 0),
        payment("in_time", "c", 1_000),
        heartbeat(5_000 + delay_ms - 100),
        payment("just_in_time", "c", 2_000),
        heartbeat(5_000 + delay_ms),
        payment("late", "c", 2_000),
    ]
    found = find_alerts(flink, lines, watermark_delay_ms=delay_ms)
    late = {r["event_json_data"]["payment_id"]: r["event_json_data"]["late"] for r in found}
    assert late == {"pay_in_time": False, "pay_just_in_time": False, "pay_late": True}
