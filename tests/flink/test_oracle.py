"""The job against the specification in plain Python, on scenarios that nobody thought of."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.flink.oracle import detect
from tests.flink.running import Flink
from tests.flink.scenarios import DAY, Arrival, heartbeat, in_order, payment, status

pytestmark = pytest.mark.flink

SECONDS = 40
APART = 2 * 3_600_000
"""Between two scenarios of one run: longer than any window, so that they do not meet."""

times = st.integers(0, SECONDS * 1000)
delays = st.one_of(
    st.integers(0, 900),  # within the watermark's delay
    st.integers(0, 20_000),
    st.integers(3_590_000, 3_620_000),  # about as long as the summary's window
)
cards = st.integers(0, 2)
currencies = st.sampled_from(["EUR", "EUR", "JPY", "KWD", "CLF", None])
amounts = st.sampled_from(["12.50", "0.005", "-7.1250", "1e3", "abc", None, "999999999999999.9999"])
origins = st.sampled_from(
    [
        None,
        "",
        "soon",
        "2026-01-15T10:00:05.000",
        "2026-01-15T10:00:05.000+02:00",
        "2019-12-31T23:59:59.999Z",
        "2036-01-15T10:00:00.000Z",
    ]
)

Lines = Callable[[int, int], list[Arrival]]
"""Gives the lines of one step; takes the scenario's number and start."""


@st.composite
def payments(draw: st.DrawFn) -> Lines:
    name, card, time = draw(st.integers(0, 10_000)), draw(cards), draw(times)
    amount, currency = draw(amounts), draw(currencies)
    copies = draw(st.lists(st.tuples(delays, st.sampled_from([0, 0, 0, 4_000])), max_size=2))
    late = draw(delays)

    def lines(number: int, start: int) -> list[Arrival]:
        return [
            Arrival(
                start + time + moved + delay,
                payment(
                    f"{number}_{name}",
                    f"{number}_{card}",
                    start + time + moved,
                    amount=amount,
                    currency=currency,
                    copy=k,
                ),
            )
            for k, (delay, moved) in enumerate([(late, 0), *copies])
        ]

    return lines


@st.composite
def statuses(draw: st.DrawFn) -> Lines:
    card, word = draw(cards), draw(st.sampled_from(["STOLEN", "STOLEN", "ACTIVE"]))
    published, delay = draw(times), draw(delays)
    age = draw(st.one_of(st.just(0), st.integers(0, 3_000), st.integers(0, 30 * DAY)))
    again = draw(st.lists(times, max_size=2))

    def lines(number: int, start: int) -> list[Arrival]:
        return [
            Arrival(
                start + time + delay,
                status(f"{number}_{card}", word, start + published - age, start + time),
            )
            for time in [published, *(published + later for later in again)]
        ]

    return lines


@st.composite
def invalid(draw: st.DrawFn) -> Lines:
    card, time = draw(cards), draw(times)
    origin = draw(origins)

    def lines(number: int, start: int) -> list[Arrival]:
        name = f"{number}_bad_{time}"
        future = status(f"{number}_{card}", "STOLEN", start + time + 500, start + time)
        return [
            Arrival(start + time, payment(name, f"{number}_{card}", 0, origin=origin or None)),
            Arrival(start + time, "{not json"),
            Arrival(start + time, future),
        ]

    return lines


@st.composite
def heartbeats(draw: st.DrawFn) -> Lines:
    time = draw(times)
    return lambda _, start: [Arrival(start + time, heartbeat(start + time))]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Fail with the first records that differ: two long lists side by side tell nothing."""
    found_by_id = {r["event_id"]: r for r in found}
    expected_by_id = {r["event_id"]: r for r in expected}
    assert len(found_by_id) == len(found), "an event_id came twice"
    differing = [
        (found_by_id.get(key), expected_by_id.get(key))
        for key in sorted(found_by_id.keys() | expected_by_id.keys())
        if found_by_id.get(key) != expected_by_id.get(key)
    ]
    assert not differing, f"{len(differing)} differ (found, expected): {differing[:3]}"


steps = st.one_of(
    payments(), payments(), payments(), statuses(), statuses(), heartbeats(), invalid()
)
scenarios = st.lists(steps, min_size=5, max_size=40)


@given(st.lists(scenarios, min_size=25, max_size=25))
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # each try is a Flink job: a failing one is looked at, not shrunk
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)
def test_the_job_finds_what_the_specification_says(flink: Flink, many: list[list[Lines]]) -> None:
    lines: list[str] = []
    for number, scenario in enumerate(many):
        lines += in_order(a for step in scenario for a in step(number, number * APART))
    assert_same(flink.detect(lines), detect(lines))
