"""How the soak's clock goes on, and what it says of memory."""

from datetime import UTC, datetime, timedelta

import pytest
from tools.soak import LINK, LinkSeen, Plan, memory_findings
from tools.soak_memory import Growth, Sample, growth_of, median_slope

from cardwatch.acts.links import sign
from cardwatch.acts.ports import LinkKey


def test_the_steps_together_are_the_hours_that_were_asked_for() -> None:
    plan = Plan(hours=48, speed=10)
    assert plan.step == timedelta(hours=2.5)
    assert plan.steps == 20
    assert plan.steps * plan.step >= timedelta(hours=48)


def test_fewer_hours_than_the_stream_keeps_would_show_nothing() -> None:
    with pytest.raises(ValueError, match="HOURS must be 26"):
        Plan(hours=24, speed=10)


@pytest.mark.parametrize("speed", [0, -1, 24.5])
def test_a_step_never_makes_what_is_under_way_too_old_to_be_paged(speed: float) -> None:
    with pytest.raises(ValueError, match="at most 24 hours a minute"):
        Plan(hours=48, speed=speed)
    assert Plan(hours=48, speed=24).step == timedelta(hours=6)


@pytest.mark.parametrize("leak", [0.0, 0.4, 3.0])
def test_a_leak_shows_through_what_collections_of_garbage_do(leak: float) -> None:
    sawtooth = [(x / 4, 200 + leak * x / 4 + (x % 5) * 6) for x in range(80)]
    assert median_slope(sawtooth) == pytest.approx(leak, abs=0.25)


def test_growth_is_told_by_simulated_and_by_real_hours() -> None:
    samples = [Sample(hours=h, seconds=h * 6, megabytes=50 + 2 * h) for h in range(10, 30)]
    growth = growth_of("delivery", 7, samples)
    assert growth.mb_per_hour == pytest.approx(2)
    assert growth.mb_per_real_hour == pytest.approx(1200)
    assert (growth.first_mb, growth.last_mb) == (70, 108)


def test_one_process_that_grows_too_much_breaks_the_promise_and_is_named() -> None:
    [finding] = memory_findings([grown("delivery", 1.2), grown("event-source", 0.99)], processes=5)
    assert not finding.kept
    assert "delivery +1.20 MB/h" in finding.found
    assert "event-source" not in finding.found
    assert "3 shorter ones not judged" in finding.found


def test_processes_that_grow_by_less_keep_it() -> None:
    [finding] = memory_findings([grown("delivery", 0.5), grown("event-source", -2)], processes=2)
    assert finding.kept
    assert "delivery +0.50 MB/h" in finding.found


def test_memory_that_nobody_looked_at_long_enough_is_no_kept_promise() -> None:
    [finding] = memory_findings([], processes=3)
    assert not finding.kept


def test_a_page_s_link_names_the_key_that_signed_it() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    link = sign("a" * 64, now, LinkKey("0f1e-2d3", bytes(32)))
    text = f"What to do: call.\nhttp://x.execute-api.localhost:4566/pages/{link}\nEnd."
    found = LINK.search(text)
    assert found
    assert LinkSeen(found[0], now).key_id == "0f1e-2d3"


def grown(name: str, by: float) -> Growth:
    return Growth(name, 1, 10, 20, mb_per_hour=by, mb_per_real_hour=by * 100, samples=40)
