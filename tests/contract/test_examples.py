"""Every example holds against every reader of the contract; nothing in events/ is unused."""

import json
from pathlib import Path

import jsonschema
import pytest
from tests.examples import EVENTS, INVALID, NOW, VALID, label, reason

from cardwatch.contract.fields import format_time, parse_time
from cardwatch.contract.streams import (
    EVENT_TYPES,
    RejectedRecord,
    RejectionReason,
    read_event,
)


def schema_of(path: Path) -> dict[str, object]:
    text = (EVENTS / "schemas" / f"{path.parts[-3]}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, object] = json.loads(text)
    return schema


@pytest.mark.parametrize("path", VALID, ids=label)
def test_a_valid_example_is_read_and_written_back_with_the_same_meaning(path: Path) -> None:
    raw = path.read_bytes()
    event = read_event(raw, now=NOW)
    said = json.loads(raw)
    # The same instant, in the one form that cardwatch writes.
    said["event_date_origin"] = format_time(parse_time(said["event_date_origin"]))
    assert json.loads(event.to_bytes()) == said
    assert f"{event.type.lower()}.v1" == path.parts[-3]


@pytest.mark.parametrize("path", VALID, ids=label)
def test_a_valid_example_fits_the_published_json_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(schema_of(path)).validate(json.loads(path.read_bytes()))


@pytest.mark.parametrize("path", INVALID, ids=label)
def test_an_invalid_example_is_rejected_for_the_reason_in_its_name(path: Path) -> None:
    with pytest.raises(RejectedRecord) as rejected:
        read_event(path.read_bytes(), now=NOW)
    assert rejected.value.reason == reason(path)


def test_every_type_has_a_schema_and_examples_of_both_kinds_and_no_folder_is_unused() -> None:
    expected = {f"{name.lower()}.v1" for name in EVENT_TYPES}
    assert {path.name for path in (EVENTS / "examples").iterdir()} == expected
    assert {p.name for p in (EVENTS / "schemas").iterdir()} == {
        f"{name}.schema.json" for name in expected
    }
    assert {path.parts[-3] for path in VALID} == expected
    assert {path.parts[-3] for path in INVALID} == expected


def test_every_reason_for_rejection_has_an_example() -> None:
    assert {reason(path) for path in INVALID} == {str(r) for r in RejectionReason}
