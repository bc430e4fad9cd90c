"""Faults: named, seeded, each with its effect, and none touches the good payments."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paying_cards import CARDS, FIRST, START

from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope, RejectedRecord, read_event
from cardwatch.ports import StreamEntry
from cardwatch.simulation.events import TICKS_PER_MINUTE, TICKS_PER_SECOND, EventGenerator
from cardwatch.simulation.faults import (
    NAMES,
    OVERSIZED_BYTES,
    fault_profile,
    parse_fault_profile,
)

RATE = 40.0
MINUTE = range(FIRST, FIRST + TICKS_PER_MINUTE)
SENT = START + timedelta(minutes=1)

Line = tuple[StreamEntry, Envelope | str]


def run(*names: str, seed: int = 7) -> list[Line]:
    """Give one minute of payments, each with what the contract's reader makes of it."""
    generator = EventGenerator(CARDS, seed=seed, faults=fault_profile(names))
    lines: list[Line] = []
    for tick in MINUTE:
        for entry in generator.payments(tick, RATE):
            try:
                lines.append((entry, read_event(entry.data, now=SENT)))
            except RejectedRecord as rejected:
                lines.append((entry, str(rejected.reason)))
    return lines


def valid(lines: list[Line]) -> list[Envelope]:
    return [event for _, event in lines if isinstance(event, Envelope)]


def reasons(lines: list[Line]) -> Counter[str]:
    return Counter(reason for _, reason in lines if isinstance(reason, str))


def payment_id(event: Envelope) -> str:
    assert isinstance(event.event_json_data, Payment)
    return event.event_json_data.payment_id


GOOD = run()
COUNT = 2400


def test_without_faults_all_is_good() -> None:
    assert len(valid(GOOD)) == len(GOOD) == COUNT


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_changes_the_stream_and_is_the_same_every_time(name: str) -> None:
    assert run(name) == run(name) != GOOD


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"out_of_order", "late"}))
def test_a_fault_that_adds_leaves_every_good_record_as_it_was_and_in_order(name: str) -> None:
    rest = iter([entry for entry, _ in run(name)])
    assert all(entry in rest for entry, _ in GOOD)


def test_with_all_faults_every_good_payment_is_still_there_under_its_own_id() -> None:
    assert {e.event_id for e in valid(GOOD)} <= {e.event_id for e in valid(run(*NAMES))}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("far_future", {"future_time"}),
        ("missing_timestamp", {"missing_time", "bad_time", "too_old"}),
        ("malformed_json", {"not_json"}),
        ("non_utf8", {"not_utf8"}),
        ("unknown_type", {"unknown_type"}),
        ("wrong_types", {"invalid_data", "not_an_object", "unsupported_version"}),
        ("oversized", {"invalid_data"}),
    ],
)
def test_a_poison_fault_is_rejected_for_its_reasons_and_takes_no_good_ids(
    name: str, expected: set[str]
) -> None:
    lines = run(name)
    assert set(reasons(lines)) == expected
    assert len(valid(lines)) == COUNT


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("duplicates", COUNT // 20),
        ("far_future", COUNT // 100),
        ("missing_timestamp", COUNT // 100),
        ("malformed_json", COUNT // 100),
        ("non_utf8", COUNT // 200),
        ("unknown_type", COUNT // 100),
        ("wrong_types", COUNT // 100),
        ("oversized", 1),
        ("burst", 100),
    ],
)
def test_a_fault_comes_at_its_rate(name: str, count: int) -> None:
    assert len(run(name)) - COUNT == count


def test_duplicates_are_the_same_payment_under_the_same_and_other_event_ids_and_times() -> None:
    copies = Counter[tuple[bool, bool]]()
    events = valid(run("duplicates"))
    for event, again in pairwise(events):
        if payment_id(event) == payment_id(again):
            same_id = event.event_id == again.event_id
            same_time = event.event_date_origin == again.event_date_origin
            assert event.event_json_data == again.event_json_data
            copies[same_id, same_time] += 1
    assert copies == {(True, True): 40, (False, True): 40, (False, False): 40}


def shifts(name: str) -> list[timedelta]:
    stamped = zip(valid(GOOD), valid(run(name)), strict=True)
    return [a.event_date_origin - b.event_date_origin for a, b in stamped if a != b]


def test_out_of_order_stays_within_the_watermark_delay() -> None:
    moved = shifts("out_of_order")
    assert len(moved) == COUNT // 10
    assert timedelta(milliseconds=50) <= min(moved) < max(moved) <= timedelta(milliseconds=800)


def test_out_of_order_copies_stay_within_the_watermark_delay_too() -> None:
    newest = datetime(2020, 1, 1, tzinfo=UTC)
    for event in valid(run("out_of_order", "duplicates", "burst")):
        assert newest - event.event_date_origin < timedelta(seconds=1)
        newest = max(newest, event.event_date_origin)


def test_late_payments_come_after_their_window_has_closed() -> None:
    moved = shifts("late")
    assert len(moved) == COUNT // 50
    assert timedelta(seconds=8) <= min(moved) < max(moved) <= timedelta(seconds=40)


def test_a_burst_is_a_hundred_good_payments_on_one_stolen_card_within_five_seconds() -> None:
    known = {event.event_id for event in valid(GOOD)}
    burst = [event for event in valid(run("burst")) if event.event_id not in known]
    tokens = {e.event_json_data.card_token for e in burst if isinstance(e.event_json_data, Payment)}
    times = [event.event_date_origin for event in burst]
    assert len({payment_id(event) for event in burst}) == 100
    assert len(tokens) == 1
    assert tokens <= {card.token for card in CARDS if card.status == "STOLEN"}
    assert max(times) - min(times) < timedelta(seconds=5)


def test_there_is_no_burst_without_a_stolen_card() -> None:
    active = [card for card in CARDS if card.status == "ACTIVE"]
    generator = EventGenerator(active, seed=7, faults=fault_profile(["burst"]))
    assert sum(len(generator.payments(tick, RATE)) for tick in MINUTE) == COUNT


def test_an_oversized_record_still_fits_the_stream() -> None:
    (big,) = [entry for entry, _ in run("oversized") if len(entry.data) > 10_000]
    assert len(big.data) == OVERSIZED_BYTES < 1024 * 1024 - len(big.partition_key)


def test_no_record_is_empty_or_breaks_a_line() -> None:
    assert all(entry.data and b"\n" not in entry.data for entry, _ in run(*NAMES))


def test_faults_do_not_reach_heartbeats_and_registry() -> None:
    plain = EventGenerator(CARDS, seed=7)
    faulty = EventGenerator(CARDS, seed=7, faults=fault_profile(NAMES))
    for tick in range(FIRST, FIRST + TICKS_PER_SECOND):
        assert plain.tick(tick, None, ["0"]) == faulty.tick(tick, None, ["0"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("none", ()),
        ("", ()),
        ("all", NAMES),
        ("late,duplicates", ("duplicates", "late")),
        (" burst , burst ", ("burst",)),
        ("all,late", NAMES),
    ],
)
def test_a_profile_is_names_separated_by_commas(text: str, names: tuple[str, ...]) -> None:
    assert parse_fault_profile(text) == names


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(match=r"no such fault: lates; valid names are none") as e:
        parse_fault_profile("lates,burst")
    assert all(name in str(e.value) for name in NAMES)


def test_none_goes_with_nothing_else() -> None:
    with pytest.raises(match="does not go with"):
        parse_fault_profile("none,late")


def test_no_faults_is_no_profile() -> None:
    assert fault_profile(()) is None


@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 1000))
def test_any_profile_on_any_seed_gives_records(names: set[str], seed: int) -> None:
    generator = EventGenerator(CARDS, seed=seed, faults=fault_profile(sorted(names)))
    for tick in range(FIRST + 100, FIRST + 104):
        for entry in generator.payments(tick, 200):
            assert entry.data
            assert entry.partition_key


def test_a_copy_of_a_payment_is_valid_json_like_the_payment() -> None:
    assert all(json.loads(entry.data) for entry, _ in run("duplicates", "late", "out_of_order"))
