"""The token bucket keeps below what deactivates an e-mail subscription."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import NOON

from cardwatch.paging.throttle import TokenBucket, burst


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


@pytest.mark.parametrize("per_minute", [1, 30, 300])
def test_over_time_it_grants_the_pages_per_minute(per_minute: int) -> None:
    times = granted(per_minute, [0.05] * 20 * 600)
    assert len(times) == pytest.approx(10 * per_minute + burst(per_minute), abs=2)
    assert all(a <= b for a, b in pairwise(times))


def test_a_clock_that_goes_back_neither_grants_nor_takes_tokens() -> None:
    empty = TokenBucket(tokens=0, at=NOON)
    assert empty.take(30, NOON - timedelta(hours=1)) is None
    rest = empty.take(30, NOON + timedelta(seconds=2))
    assert rest is not None
    assert rest.take(30, NOON - timedelta(hours=1)) is None
