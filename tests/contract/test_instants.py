"""Instants as producers write them: the same one is read by every reader, the rest is refused.

tests/instants.json has each text (or other JSON value) with its instant or its reason; the tests of
the job read the same file.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.contract.fields import format_time, parse_time
from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.staging.transform import copy_line

TESTS = Path(__file__).parents[1]
CASES: list[dict[str, Any]] = json.loads((TESTS / "instants.json").read_bytes())
READ = [case for case in CASES if "epoch_ms" in case]
REFUSED = [case for case in CASES if "reason" in case]
EXAMPLES = TESTS.parent / "events/examples"
NOW = datetime(2026, 12, 31, tzinfo=UTC)


def event(example: str, **fields: object) -> bytes:
    envelope = json.loads((EXAMPLES / example).read_bytes())
    data = envelope["event_json_data"]
    for name, value in fields.items():
        (data if name in data else envelope)[name] = value
    return json.dumps(envelope).encode()


def label(case: dict[str, Any]) -> str:
    return ascii(case["value"])


@pytest.mark.parametrize("case", READ, ids=label)
@pytest.mark.parametrize(
    "example", ["payment_event.v1/valid/authorized", "heartbeat.v1/valid/simulator"]
)
def test_every_form_of_an_instant_is_read_as_the_same_one_and_staged_the_contracts_way(
    case: dict[str, Any], example: str
) -> None:
    read = read_event(event(f"{example}.json", event_date_origin=case["value"]), now=NOW)
    expected = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=case["epoch_ms"])
    assert read.event_date_origin == expected
    written = json.loads(read.to_bytes())["event_date_origin"]
    assert written == f"{expected:%Y-%m-%dT%H:%M:%S}.{case['epoch_ms'] % 1000:03d}Z"
    assert json.loads(copy_line(read))["event_date_origin"] == written[:-1].replace("T", " ")


@pytest.mark.parametrize("case", READ, ids=label)
def test_a_time_within_the_data_is_read_and_staged_the_same_way(case: dict[str, Any]) -> None:
    raw = event(
        "card_status.v1/valid/stolen.json",
        effective_from=case["value"],
        event_date_origin="2026-12-01T00:00:00.000Z",
    )
    data = json.loads(json.loads(copy_line(read_event(raw, now=NOW)))["event_json_data"])
    assert data["effective_from"] == format_time(parse_time(case["value"]))


@pytest.mark.parametrize("case", REFUSED, ids=label)
def test_what_is_no_single_instant_is_refused_with_its_reason(case: dict[str, Any]) -> None:
    raw = event("payment_event.v1/valid/authorized.json", event_date_origin=case["value"])
    with pytest.raises(RejectedRecord) as rejected:
        read_event(raw, now=NOW)
    assert rejected.value.reason == case["reason"]


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes))


@given(
    st.datetimes(min_value=datetime(2020, 1, 2), max_value=datetime(2026, 12, 30)),  # noqa: DTZ001  the zone is below
    offsets,
    st.text("0123456789", max_size=9),
    st.sampled_from("+-"),
)
def test_any_offset_and_any_number_of_digits_is_the_instant_it_says_cut_to_milliseconds(
    local: datetime, offset: timedelta, fraction: str, sign_of_zero: str
) -> None:
    local = local.replace(microsecond=0)
    minutes = abs(int(offset.total_seconds())) // 60
    sign = sign_of_zero if not minutes else "-" if offset < timedelta(0) else "+"
    text = f"{local.isoformat()}{'.' if fraction else ''}{fraction}"
    text += f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    milliseconds = int(fraction.ljust(3, "0")[:3])
    expected = local.replace(tzinfo=UTC) - offset + timedelta(milliseconds=milliseconds)
    assert parse_time(text) == expected
    assert parse_time(format_time(parse_time(text))) == expected


@given(st.text("0123456789-+:.TZtz Wu\u0660\u00b2"), st.text(max_size=3))
def test_no_text_is_read_as_an_instant_that_it_does_not_spell(text: str, tail: str) -> None:
    try:
        instant = parse_time(text + tail)
    except ValueError:
        return
    assert format_time(instant)[:4].isdigit()
    assert (text + tail).isascii()


def test_a_refused_time_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        parse_time("4242-42-42T42:42:42")
    assert "4242" not in str(refused.value)
