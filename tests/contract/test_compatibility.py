"""What may change in a released schema, and what may not."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import EVENTS, VALID
from tools.compatibility import RELEASED, SCHEMAS, breaks, failures

Schema = dict[str, Any]
Change = Callable[[Schema], object]


def schema(name: str) -> Schema:
    found: Schema = json.loads((SCHEMAS / f"{name}.v1.schema.json").read_bytes())
    return found


def data(whole: Schema) -> Schema:
    found: Schema = whole["properties"]["event_json_data"]
    return found


def fields(whole: Schema) -> Schema:
    found: Schema = data(whole)["properties"]
    return found


def changed(name: str, change: Change) -> tuple[Schema, Schema]:
    before, after = schema(name), schema(name)
    change(after)
    return before, after


def lines(name: str, change: Change, *, may_widen: bool) -> list[str]:
    return list(breaks(*changed(name, change), may_widen=may_widen))


NARROWER: list[tuple[str, Change]] = [
    ("event_json_data.amount", lambda s: fields(s).pop("amount")),
    ("event_json_data.terminal", lambda s: require_new(s, "terminal")),
    ("event_json_data.currency", lambda s: fields(s)["currency"].update(enum=["EUR", "USD"])),
    ("event_json_data.merchant_id", lambda s: fields(s)["merchant_id"].update(maxLength=63)),
    ("event_json_data.status", lambda s: fields(s)["status"]["enum"].pop()),
    ("event_json_data.country", lambda s: fields(s)["country"].update(pattern="^[A-Y]{2}$")),
    ("event_json_data.user_id", lambda s: fields(s)["user_id"].update(type="integer")),
    ("schema_version", lambda s: s["properties"]["schema_version"].update(const=2)),
]
WIDER: list[tuple[str, Change]] = [
    ("event_json_data.status", lambda s: fields(s)["status"]["enum"].append("PENDING")),
    ("event_json_data.country", lambda s: fields(s)["country"].update(pattern="^[A-Za-z]{2}$")),
    ("event_json_data.merchant_id", lambda s: fields(s)["merchant_id"].update(maxLength=129)),
    ("event_json_data.merchant_id", lambda s: data(s)["required"].remove("merchant_id")),
    ("event_json_data.amount", lambda s: nullable(s, "amount")),
]


def require_new(whole: Schema, name: str) -> None:
    fields(whole)[name] = {"type": "string"}
    data(whole)["required"].append(name)


def nullable(whole: Schema, name: str) -> None:
    fields(whole)[name] = {"anyOf": [fields(whole)[name], {"type": "null"}]}


def add_optional(whole: Schema) -> None:
    fields(whole)["terminal"] = {"type": "string", "maxLength": 20}


@pytest.mark.parametrize(("place", "change"), NARROWER)
@pytest.mark.parametrize("may_widen", [True, False])
def test_a_schema_that_refuses_what_was_allowed_breaks_at_that_place(
    place: str,
    change: Change,
    may_widen: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    found = lines("payment_event", change, may_widen=may_widen)
    assert found == [f"{place} was allowed and is refused now"]


@pytest.mark.parametrize(("place", "change"), WIDER)
def test_what_others_write_may_be_read_wider_but_not_what_cardwatch_writes(
    place: str, change: Change
) -> None:
    assert lines("payment_event", change, may_widen=True) == []
    [line] = lines("payment_event", change, may_widen=False)
    assert line.startswith(f"{place} was promised")


@pytest.mark.parametrize("name", ["payment_event", "payment_alert", "payment_alert_summary"])
@pytest.mark.parametrize("may_widen", [True, False])
def test_a_new_optional_field_breaks_nobody(
    name: str,
    may_widen: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    assert lines(name, add_optional, may_widen=may_widen) == []


def test_the_objects_in_a_list_are_compared_too() -> None:
    def count_dropped(whole: Schema) -> None:
        card = whole["$defs"]["TopCard"]
        card["required"].remove("payment_count")

    def field_added(whole: Schema) -> None:
        whole["$defs"]["TopCard"]["properties"]["country"] = {"type": "string"}

    assert lines("payment_alert_summary", field_added, may_widen=False) == []
    [line] = lines("payment_alert_summary", count_dropped, may_widen=False)
    assert line.startswith("event_json_data.top_cards.payment_count was promised")


def words(node: Any) -> Iterator[tuple[Schema, str]]:  # noqa: ANN401  any part of a JSON document
    """Give every word of a schema that narrows it, with the object that it stands in."""
    if isinstance(node, dict):
        for key, value in node.items():
            bound = key.startswith(("max", "min"))
            if bound or (key in {"required", "enum", "anyOf"} and len(value) > 1):
                yield node, key
            yield from words(value)
    elif isinstance(node, list):
        for value in node:
            yield from words(value)


@given(st.sampled_from(sorted(SCHEMAS.glob("*.json"))), st.randoms(use_true_random=False))
def test_what_is_called_compatible_still_takes_every_example(
    path: Path, rng: random.Random
) -> None:
    before = json.loads(path.read_bytes())
    after = copy.deepcopy(before)
    node, key = rng.choice(list(words(after)))
    if isinstance(node[key], list):
        node[key].pop(rng.randrange(len(node[key])))
    else:
        node[key] = max(0, node[key] + rng.choice([-1, 1]) * rng.choice([1, 5, 10**6]))
    examples = [p for p in VALID if f"{p.parts[-3]}.schema.json" == path.name]
    refused = [
        p
        for p in examples
        if not jsonschema.Draft202012Validator(after).is_valid(json.loads(p.read_bytes()))
    ]
    if refused:
        assert list(breaks(before, after, may_widen=True))


def test_a_pattern_that_cannot_be_compared_counts_as_a_break() -> None:
    before, after = changed("heartbeat", lambda s: fields(s)["source"].update(pattern="(?=a)b"))
    for one, other in [(before, after), (after, before)]:
        assert list(breaks(one, other, may_widen=True)) == [
            "event_json_data.source was allowed and is refused now"
        ]


def test_a_word_that_nothing_compares_is_an_error_and_no_pass() -> None:
    with pytest.raises(ValueError, match="the word format"):
        lines("heartbeat", lambda s: fields(s)["source"].update(format="uuid"), may_widen=True)


def test_a_released_type_that_is_gone_is_a_break(tmp_path: Path) -> None:
    for folder in ("released", "schemas"):
        (tmp_path / folder).mkdir()
    name = "heartbeat.v1.schema.json"
    (tmp_path / "released" / name).write_bytes((SCHEMAS / name).read_bytes())
    [line] = failures(tmp_path / "released", tmp_path / "schemas")
    assert line.startswith(f"{name} was released and is gone")


def test_the_contract_breaks_no_released_schema() -> None:
    assert list(failures(RELEASED, SCHEMAS)) == []


def test_every_released_schema_is_of_a_type_and_a_version_that_there_are() -> None:
    names = {path.name for path in RELEASED.glob("*.json")}
    assert {
        f"{name.lower()}.v1.schema.json" for name in ("PAYMENT_EVENT", "PAYMENT_ALERT")
    } <= names
    assert names <= {path.name for path in (EVENTS / "schemas").glob("*.json")}


def test_what_cardwatch_writes_is_promised_in_the_one_form_that_it_writes() -> None:
    alert = schema("payment_alert")
    written = "2026-11-21T07:00:03.120Z"
    for whole, other_forms_pass in [(alert, False), (schema("payment_event"), True)]:
        pattern = whole["properties"]["event_date_origin"]["pattern"]
        assert re.search(pattern, written)
        for text in ("2026-11-21T08:00:03.120+01:00", "2026-11-21T07:00:03Z"):
            assert bool(re.search(pattern, text)) is other_forms_pass
