"""What must hold for any stream, on streams large enough to fill Flink's buffers."""

import random
from collections import Counter
from typing import Any

import pytest
from tests.flink.oracle import detect
from tests.flink.running import Flink
from tests.flink.scenarios import DAY, Arrival, heartbeat, in_order, payment, status

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


def test_statuses_that_are_learned_mid_stream_judge_by_order_of_arrival_in_every_run(
    flink: Flink,
) -> None:
    """They are a month behind the watermark: which payments they judge must be no race.

    Judged by its event time alone, the payment just before a status is judged by it or not, as the
    join's two inputs happen to run: that made tens of alerts more or less in each run.
    """
    rng = random.Random(9)
    learned = [
        Arrival(at, status(card, "STOLEN" if card % 2 else "ACTIVE", -30 * DAY + card, at))
        for card in range(1_500)
        for at in [rng.randrange(6_000)]
    ]
    lines = in_order([*payments(30_000, 0.2, cards=1_500), *learned])
    expected = sorted(detect(lines), key=lambda r: r["type"])
    assert 8_000 < len(alerts(expected)) < 12_000, "cards are stolen from the middle of it on"
    assert flink.detect(lines) == expected
    assert flink.detect(lines, parallelism=2) == expected


def test_disorder_within_the_watermarks_delay_changes_nothing(flink: Flink) -> None:
    known = registry(-1)
    changes = [
        *(Arrival(2_000, status(card, "ACTIVE", 2_000, 2_000)) for card in STOLEN[::2]),
        *(Arrival(3_000, status(card, "STOLEN", 3_000, 3_000)) for card in range(1, CARDS, 8)),
    ]
    jitter = random.Random(1)
    moved = [Arrival(change.at + jitter.randrange(900), change.line) for change in changes]
    in_time = flink.detect(in_order([*known, *changes, *payments(2_000, 2.5)]))
    shuffled = flink.detect(in_order([*known, *moved, *payments(2_000, 2.5, disorder_ms=900)]))
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
    found = alerts(flink.detect(in_order([*registry(-1), *rows, *beats])))
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
    found = alerts(flink.detect(lines, watermark_delay_ms=delay_ms))
    late = {r["event_json_data"]["payment_id"]: r["event_json_data"]["late"] for r in found}
    assert late == {"pay_in_time": False, "pay_just_in_time": False, "pay_late": True}
