"""What the reader of the contract promises beyond the examples."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import NOW, VALID

from cardwatch.contract.fields import Contract, format_time, parse_time
from cardwatch.contract.streams import (
    EVENT_TYPES,
    MAX_CLOCK_SKEW,
    Envelope,
    RejectedRecord,
    RejectionReason,
    read_event,
)

ORIGIN = datetime(2026, 11, 21, 7, 0, 3, 120_000, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "events/examples/payment_event.v1/valid/authorized.json"
TEST_NUMBER = "4" + "242" * 5


def payment(**data: object) -> bytes:
    event = json.loads(EXAMPLE.read_bytes())
    event["event_json_data"] |= data
    return json.dumps(event).encode()


def test_an_event_may_be_ahead_of_the_clock_by_the_allowed_skew_and_no_more() -> None:
    raw = EXAMPLE.read_bytes()
    assert read_event(raw, now=ORIGIN - MAX_CLOCK_SKEW).event_date_origin == ORIGIN
    with pytest.raises(RejectedRecord) as rejected:
        read_event(raw, now=ORIGIN - MAX_CLOCK_SKEW - timedelta(milliseconds=1))
    assert rejected.value.reason is RejectionReason.FUTURE_TIME


@pytest.mark.parametrize("field", [TEST_NUMBER, "city", "payment_id", "amount"])
def test_a_rejection_never_repeats_a_value_or_an_unknown_name_which_may_be_a_card_number(
    field: str,
) -> None:
    with pytest.raises(RejectedRecord) as rejected:
        read_event(payment(**{field: TEST_NUMBER + "x" * 200}), now=ORIGIN)
    assert TEST_NUMBER not in str(rejected.value)
    assert rejected.value.__cause__ is None
    assert rejected.value.__suppress_context__


@given(st.data())
def test_of_two_fields_with_one_name_the_last_counts_as_it_does_in_the_job(
    data: st.DataObject,
) -> None:
    """RFC 8259 leaves it open, and Flink's format takes the last."""
    event = json.loads(EXAMPLE.read_bytes())
    inner = data.draw(st.booleans())
    fields = event["event_json_data"] if inner else event
    name = data.draw(st.sampled_from(sorted(fields)))
    other: object = data.draw(st.none() | st.booleans() | st.integers() | st.text())

    def written(*pairs: tuple[str, object]) -> str:
        return "{" + ", ".join(f"{json.dumps(n)}: {json.dumps(v)}" for n, v in pairs) + "}"

    def record(*doubled: tuple[str, object]) -> bytes:
        text = written(*doubled, *((n, v) for n, v in fields.items() if n != name))
        if not inner:
            return text.encode()
        whole = written(*event.items())
        return whole.replace(written(*fields.items()), text).encode()

    last = record((name, other), (name, fields[name]))
    assert read_event(last, now=ORIGIN) == read_event(EXAMPLE.read_bytes(), now=ORIGIN)


@given(st.binary(max_size=300))
def test_any_bytes_are_either_an_event_or_rejected_with_a_reason(raw: bytes) -> None:
    outcome: object
    try:
        outcome = read_event(raw, now=ORIGIN).type
    except RejectedRecord as rejected:
        outcome = rejected.reason
    assert outcome in {*EVENT_TYPES, *RejectionReason}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(EVENT_TYPES)), json_values)
def test_any_data_under_a_right_envelope_is_read_or_rejected_never_an_error(
    name: str, data: object
) -> None:
    envelope = {
        "type": name,
        "event_id": "e1",
        "schema_version": 1,
        "event_date_origin": format_time(ORIGIN),
        "event_json_data": data,
    }
    with pytest.raises(RejectedRecord):
        read_event(json.dumps(envelope).encode(), now=ORIGIN)


@given(st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis adds the zone
def test_a_time_that_is_written_reads_back_cut_to_milliseconds(value: datetime) -> None:
    read_back = parse_time(format_time(value))
    assert timedelta(0) <= value - read_back < timedelta(milliseconds=1)


@given(st.text(max_size=64), st.sampled_from(VALID))
def test_data_as_the_contract_writes_it_is_no_longer_than_the_record_it_came_in(
    text: str, path: Path
) -> None:
    """So only a record that is too long need be written out to see whether its data is."""
    event = json.loads(path.read_bytes())
    for name, value in event["event_json_data"].items():
        if isinstance(value, str) and not value[:1].isdigit():
            event["event_json_data"][name] = text
    compact = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    try:
        raw = compact.encode()
        read = read_event(raw, now=NOW)
    except (UnicodeEncodeError, RejectedRecord):
        raw = path.read_bytes()
        read = read_event(raw, now=NOW)
    assert len(read.data_text().encode()) <= len(raw)


def test_models_are_frozen_described_and_closed() -> None:
    models: list[type[Contract]] = [Envelope, *(t.data for t in EVENT_TYPES.values())]
    for model in models:
        assert model.model_config["frozen"] is True
        assert model.model_config["extra"] == "forbid"
        undescribed = [name for name, field in model.model_fields.items() if not field.description]
        assert undescribed == []
