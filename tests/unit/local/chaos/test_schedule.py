"""The schedule of faults is a seed's, tries every kind in turn, and leaves calm between."""

from collections import Counter

import pytest

from cardwatch.local.chaos.api_faults import FAULTS, SPARSE
from cardwatch.local.chaos.schedule import (
    ACTS,
    CALM_EVERY_SECONDS,
    CALM_SECONDS,
    RESHARDS,
    TAIL_SECONDS,
    plan,
)

API = tuple(FAULTS)


def test_a_seed_decides_what_is_tried_when() -> None:
    assert plan(7, 1200, api=API) == plan(7, 1200, api=API)
    assert plan(7, 1200, api=API) != plan(8, 1200, api=API)


@pytest.mark.parametrize("seed", range(20))
def test_twenty_minutes_try_every_kind_and_some_two_hundred_faults(seed: int) -> None:
    tried = Counter(injection.kind for injection in plan(seed, 1200, api=API, sparse=SPARSE))
    assert tried.total() > 220
    # Of a lane that has room for one round and a part of the next, none is tried twice as often.
    assert set(FAULTS) <= set(tried)
    assert set(ACTS) <= set(tried)


@pytest.mark.parametrize("seed", range(20))
def test_faults_come_in_order_and_are_over_before_each_calm_and_before_the_end(seed: int) -> None:
    injections = plan(seed, 600, api=API, sparse=SPARSE)
    assert [i.number for i in injections] == list(range(len(injections)))
    assert sorted(i.at for i in injections) == [i.at for i in injections]
    for injection in injections:
        over = injection.at + injection.lasts
        assert over <= 600 - TAIL_SECONDS + 0.1
        calm_from = (injection.at // CALM_EVERY_SECONDS + 1) * CALM_EVERY_SECONDS - CALM_SECONDS
        assert injection.at < calm_from + 0.1
        assert over <= calm_from + 0.1


def test_what_cannot_be_tried_here_is_left_out() -> None:
    some = {kind: act for kind, act in ACTS.items() if "clock" not in kind}
    tried = {i.kind for i in plan(3, 1200, api=("writes fail",), acts=some)}
    assert tried == {"writes fail", *some}


@pytest.mark.parametrize("seed", range(5))
def test_shards_are_doubled_and_halved_in_turn(seed: int) -> None:
    reshards = [i.kind for i in plan(seed, 3600, api=API) if i.kind in RESHARDS]
    assert len(reshards) > 8
    assert reshards == [RESHARDS[turn % 2] for turn in range(len(reshards))]


def test_where_nothing_can_be_tried_nothing_is_scheduled() -> None:
    assert plan(3, 1200, api=(), acts={}) == ()
