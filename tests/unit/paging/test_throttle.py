"""The token bucket keeps below what deactivates an e-mail subscription."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import NOON

from cardwatch.paging.throttle import MAX_CLOCK_DIFFERENCE, TokenBucket, reserved


def granted(per_minute: int, gaps: list[float]) -> list[float]:
    """Ask after each gap; give the seconds at which a token was granted."""
    bucket = TokenBucket.full(per_minute, NOON)
    now, times = NOON, []
    for gap in gaps:
        now += timedelta(milliseconds=int(gap * 1000))
        rest = bucket.take(per_minute, now)
        if rest is not None:
            bucket = rest
            times.append((now - NOON).total_seconds())
    return times


@given(st.integers(1, 300), st.lists(st.floats(0, 3), max_size=200))
def test_no_second_sees_more_than_nine_pages(per_minute: int, gaps: list[float]) -> None:
    times = granted(per_minute, gaps)
    assert all(sum(start <= t < start + 1 for t in times) <= 9 for start in times)


@given(st.integers(1, 300), st.lists(st.floats(0, 3) | st.floats(0, 90), max_size=200))
def test_no_minute_sees_more_than_its_pages(per_minute: int, gaps: list[float]) -> None:
    times = granted(per_minute, gaps)
    assert all(sum(start <= t < start + 60 for t in times) <= per_minute for start in times)


@pytest.mark.parametrize("per_minute", [1, 2, 30, 300])
def test_the_first_minute_of_a_storm_has_all_its_pages_and_each_after_it_most_of_them(
    per_minute: int,
) -> None:
    times = granted(per_minute, [0.05] * 20 * 600)
    assert sum(t < 60 for t in times) == per_minute
    assert len(times) >= 10 * per_minute * 2 / 3
    assert all(a <= b for a, b in pairwise(times))


def test_a_clock_that_goes_back_neither_grants_nor_takes_tokens() -> None:
    empty = TokenBucket(tokens=0, at=NOON)
    assert empty.take(30, NOON - MAX_CLOCK_DIFFERENCE) is None
    rest = empty.take(30, NOON + timedelta(seconds=3))
    assert rest is not None
    assert rest.take(30, NOON - MAX_CLOCK_DIFFERENCE / 2) is None


def test_a_clock_that_was_hours_ahead_stops_paging_for_no_time() -> None:
    spent = TokenBucket(tokens=0, at=NOON + timedelta(hours=1))
    now, granted_at = NOON, []
    bucket = spent
    for second in range(3600):
        now = NOON + timedelta(seconds=second)
        rest = bucket.take(30, now)
        if rest is not None:
            bucket = rest
            granted_at.append(second)
    assert granted_at[0] == 0
    assert granted_at == [t // 1 for t in granted(30, [0.0, *[1.0] * 3599])]


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=200))
def test_what_is_not_urgent_leaves_half_of_what_may_go_out_at_once(
    asks: list[tuple[float, bool]],
) -> None:
    bucket, now = TokenBucket.full(30, NOON), NOON
    for gap, urgent in asks:
        now += timedelta(milliseconds=int(gap * 1000))
        rest = bucket.take(30, now, reserved=0 if urgent else reserved(30))
        if rest is not None:
            assert urgent or rest.tokens >= reserved(30)
            bucket = rest
