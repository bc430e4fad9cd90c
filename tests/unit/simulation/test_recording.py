"""Recordings: exact counts, stream order, the same bytes every time."""

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.paying_cards import CARDS, make_cards

from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.simulation.faults import NAMES
from cardwatch.simulation.recording import DEFAULT_START, write_events

NOW = DEFAULT_START + timedelta(days=1)


def kinds(path: Path) -> Counter[str]:
    return Counter(read_event(line, now=NOW).type for line in path.read_bytes().splitlines())


def payment_ids(path: Path) -> set[str]:
    events = (read_event(line, now=NOW) for line in path.read_bytes().splitlines())
    return {e.event_json_data.payment_id for e in events if isinstance(e.event_json_data, Payment)}


def test_what_became_of_a_payment_stands_behind_it_in_the_recording(tmp_path: Path) -> None:
    write_events(tmp_path / "e", CARDS, count=4000, payments_per_second=100)
    lives: dict[str, list[str]] = {}
    for line in (tmp_path / "e").read_bytes().splitlines():
        data = read_event(line, now=NOW).event_json_data
        if isinstance(data, Payment):
            lives.setdefault(data.payment_id, []).append(data.status)
    assert {"-".join(life) for life in lives.values()} == {
        "AUTHORIZED",
        "DECLINED",
        "AUTHORIZED-CAPTURED",
        "AUTHORIZED-CAPTURED-REFUNDED",
    }


def test_a_recording_is_the_registry_then_exactly_the_payments_with_heartbeats(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "events.jsonl"
    made = write_events(path, CARDS, count=1234, payments_per_second=100, shards=2)
    types = [read_event(line, now=NOW).type for line in path.read_bytes().splitlines()]
    assert types[: len(CARDS)] == ["CARD_STATUS"] * len(CARDS)
    assert types[len(CARDS) : 2 * len(CARDS)] == ["ACCOUNT"] * len(CARDS)
    assert (made.payments, made.lines, made.seconds) == (1234, len(types), 12.4)
    assert len(payment_ids(path)) == 1234
    assert types.count("HEARTBEAT") == 2 * 12


@pytest.mark.parametrize(("count", "rate"), [(1, 0.5), (7, 0.5), (1000, 5000), (1001, 333)])
def test_the_count_is_exact_at_any_rate(tmp_path: Path, count: int, rate: float) -> None:
    write_events(tmp_path / "e", CARDS, count=count, payments_per_second=rate)
    assert len(payment_ids(tmp_path / "e")) == count


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz"])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        write_events(tmp_path / folder / name, CARDS, count=2000, seed=3, faults=NAMES)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_gz_name_gives_a_compressed_file_with_the_same_lines(tmp_path: Path) -> None:
    for name in ("e.jsonl", "e.jsonl.gz"):
        write_events(tmp_path / name, CARDS, count=100)
    assert (
        gzip.decompress((tmp_path / "e.jsonl.gz").read_bytes())
        == (tmp_path / "e.jsonl").read_bytes()
    )


def test_faults_add_lines_and_take_no_payment_away(tmp_path: Path) -> None:
    made = write_events(tmp_path / "e", CARDS, count=5000, payments_per_second=50, faults=NAMES)
    lines = (tmp_path / "e").read_bytes().split(b"\n")[:-1]
    ids: set[str] = set()
    rejected = 0
    for line in lines:
        try:
            data = read_event(line, now=NOW).event_json_data
        except RejectedRecord:
            rejected += 1
        else:
            if isinstance(data, Payment):
                ids.add(data.payment_id)
    assert made.lines == len(lines)
    assert rejected > 200
    assert len(ids) == 5000 + 200  # two bursts in a hundred seconds


def test_every_status_holds_from_the_start(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match=r"last effective_from of the cards, 2026-01-01T00:01"):
        write_events(tmp_path / "e", make_cards(2, 1), count=1, start=start)


@pytest.mark.parametrize(("count", "rate"), [(0, 20.0), (1, 0.0001), (1, -1.0)])
def test_a_recording_of_nothing_is_refused(tmp_path: Path, count: int, rate: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        write_events(tmp_path / "e", CARDS, count=count, payments_per_second=rate)
