"""Several events in one record: none is lost without a word."""

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kpl import aggregated

from cardwatch.contract.framing import holds_several, split_record
from cardwatch.contract.streams import RejectedRecord, read_event

NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "events/examples"
PAYMENT = json.loads((EXAMPLES / "payment_event.v1/valid/city_beyond_ascii.json").read_bytes())
MARK = b"\xef\xbb\xbf"
BETWEEN = ["", "\n", "\r\n", " ", "\t", "\n\n", "\n \n"]


def payment(number: int) -> bytes:
    data = {**PAYMENT["event_json_data"], "payment_id": f"pay_{number}"}
    event = {**PAYMENT, "event_id": f"e{number}", "event_json_data": data}
    return json.dumps(event, ensure_ascii=bool(number % 2)).encode()


def ids(parts: tuple[bytes, ...]) -> list[str]:
    return [read_event(part, now=NOW).event_id for part in parts]


def reason(raw: bytes) -> str | None:
    try:
        read_event(raw, now=NOW)
    except RejectedRecord as rejected:
        return rejected.reason
    return None


documents = st.lists(
    st.tuples(st.integers(0, 99), st.sampled_from(BETWEEN)), min_size=2, max_size=8
)


@given(documents, st.sampled_from(BETWEEN), st.sampled_from([b"", MARK]))
def test_documents_end_to_end_or_on_lines_come_apart_in_order(
    pieces: list[tuple[int, str]], first: str, mark: bytes
) -> None:
    raw = b"".join(payment(n) + between.encode() for n, between in pieces)
    raw = mark + first.encode() + raw
    assert ids(split_record(raw)) == [f"e{n}" for n, _ in pieces]
    assert holds_several(raw)
    assert reason(raw) == "several_events"


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8))
def test_an_aggregated_record_comes_apart_in_order(numbers: list[int]) -> None:
    raw = aggregated(*map(payment, numbers))
    assert ids(split_record(raw)) == [f"e{n}" for n in numbers]
    assert reason(raw) == "several_events"


def test_lines_within_an_aggregated_record_come_apart_too() -> None:
    raw = aggregated(payment(1) + b"\n" + payment(2), payment(3))
    assert ids(split_record(raw)) == ["e1", "e2", "e3"]


@pytest.mark.parametrize("count", [2, 3])
def test_the_objects_of_an_array_are_events_of_their_own(count: int) -> None:
    raw = b"[" + b", ".join(payment(n) for n in range(count)) + b"]"
    assert ids(split_record(raw)) == [f"e{n}" for n in range(count)]
    assert reason(raw) == "several_events"


@given(st.integers(1, 16))
def test_of_an_aggregated_record_with_a_damaged_digest_the_events_are_still_found(cut: int) -> None:
    parts = split_record(aggregated(payment(1), payment(2))[:-cut])
    assert [part for part in parts if part in {payment(1), payment(2)}] == [payment(1), payment(2)]


@given(st.binary(max_size=100))
def test_a_message_that_is_no_protobuf_is_one_record_or_comes_apart(message: bytes) -> None:
    digest = hashlib.md5(message, usedforsecurity=False).digest()
    split_record(b"\xf3\x89\x9a\xc2" + message + digest)


@given(st.binary(max_size=300))
def test_nothing_of_any_bytes_is_lost_but_blanks_and_commas(raw: bytes) -> None:
    parts = split_record(raw)
    assert parts
    if len(parts) > 1 and not raw.lstrip().startswith(b"["):
        assert b"".join(b"".join(parts).split()) in b"".join(raw.split())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/valid/*.json")), ids=lambda p: p.stem)
def test_a_record_with_one_event_is_left_as_it_is(path: Path) -> None:
    raw = path.read_bytes()
    assert split_record(raw) == (raw,)
    assert not holds_several(raw)


def test_a_broken_line_hides_no_other_and_alone_makes_no_several_events() -> None:
    broken = payment(1)[:-20]
    raw = b"\n".join((broken, payment(2), broken, payment(3)))
    assert [p for p in split_record(raw) if p != broken] == [payment(2), payment(3)]
    assert reason(raw) == "several_events"
    assert reason(b"\n".join((payment(2), broken))) == "not_json"
    assert reason(payment(2) + b"]") == "not_json"


@pytest.mark.parametrize(
    "raw",
    [b"[" * 500_000, b'{"a":' * 200_000, b"[]" * 400_000, b"x\n" * 400_000, b"[{}," * 250_000],
)
def test_a_record_made_to_be_slow_is_not(raw: bytes) -> None:
    began = time.process_time()
    split_record(raw)
    assert time.process_time() - began < 5
