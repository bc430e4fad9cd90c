"""Holds the event schemas to the last released ones, so that no release breaks a reader unnoticed.

    python tools/compatibility.py              exit 1 and name each break
    python tools/compatibility.py --release    the same; without a break, release the schemas

events/released holds the schemas as they were last released. What is allowed since follows from who
reads what (docs/decisions/0024):

- whatever a released schema allows is allowed still: it lies on the stream, in S3 and in replays;
- of what cardwatch itself writes, readers outside may rely on every word: new are optional fields
  alone, which a reader that does not know them leaves aside.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any, Final

from greenery.parse import NoMatch, parse

from cardwatch.contract.streams import EVENT_TYPES

ROOT: Final = Path(__file__).resolve().parents[1]
SCHEMAS: Final = ROOT / "events" / "schemas"
RELEASED: Final = ROOT / "events" / "released"
REMEDY: Final = "keep this version as it was and add the change as the next one, beside it"

Schema = dict[str, Any]

_LAST_HYPHEN: Final = re.compile(r"(?<!\\)-\]")
"""`[+-]`: the library wants its hyphen escaped."""
_READ_BY_PEOPLE: Final = {"$defs", "$schema", "title", "description", "default"}
_AT_MOST: Final = {"maxLength", "maximum", "maxItems"}
_AT_LEAST: Final = {"minLength", "minimum", "minItems"}
_COMPARED: Final = {
    *("type", "enum", "const", "pattern", "anyOf", "items"),
    *("properties", "required", "additionalProperties"),
    *_AT_MOST,
    *_AT_LEAST,
}


def breaks(released: Schema, current: Schema, *, may_widen: bool) -> Iterator[str]:
    """Give one line for each place where `current` breaks what `released` said.

    `may_widen`: it may allow more than before, as a reader may; otherwise more are optional fields
    alone. A change that cannot be compared counts as a break. Both are JSON Schemas without
    recursion, their objects closed; raises ValueError for a word that this does not know.
    """
    released, current = _inlined(released, released), _inlined(current, current)
    narrower = set(_outside(released, current, ""))
    wider = set() if may_widen else set(_outside(_known(current, released), released, ""))
    yield from (f"{place} was allowed and is refused now" for place in sorted(narrower))
    for place in sorted(wider - narrower):
        yield f"{place} was promised to readers and may be missing or different now"


def _outside(inner: Schema, outer: Schema, place: str) -> Iterator[str]:
    """Give the places where `inner` allows what `outer` may refuse."""
    choices = inner.get("anyOf", [inner])
    others = outer.get("anyOf", [outer])
    if len(choices) > 1 or len(others) > 1:
        for choice in choices:
            if all(any(_outside(choice, other, place)) for other in others):
                yield place
        return
    if not _allows(outer, inner):
        yield place
    else:
        yield from _fields_outside(inner, outer, place)
        if "items" in inner:
            yield from _outside(inner["items"], outer["items"], place)


def _fields_outside(inner: Schema, outer: Schema, place: str) -> Iterator[str]:
    own, others = inner.get("properties", {}), outer.get("properties", {})
    needed = set(outer.get("required", ())) - set(inner.get("required", ()))
    for name in [*own, *(needed - set(own))]:
        where = f"{place}.{name}".removeprefix(".")
        if name in needed or name not in others:
            yield where
        else:
            yield from _outside(own[name], others[name], where)


def _allows(outer: Schema, inner: Schema) -> bool:
    """Say whether all that `inner` allows passes the words of `outer`, fields and items aside."""
    if unknown := {*inner, *outer} - _COMPARED:
        msg = f"no rule compares the word {min(unknown)} of a JSON Schema: add one"
        raise ValueError(msg)
    if any({*side} >= {"properties"} and side["additionalProperties"] for side in (inner, outer)):
        msg = "an object of the contract is open; only closed ones are compared"
        raise ValueError(msg)
    if (allowed := _values(outer)) is not None:
        own = _values(inner)
        return own is not None and own <= allowed
    return (
        inner.get("type") == outer.get("type", inner.get("type"))
        and all(inner.get(word, inf) <= outer[word] for word in _AT_MOST & {*outer})
        and all(inner.get(word, -inf) >= outer[word] for word in _AT_LEAST & {*outer})
        and ("pattern" not in outer or _matches_within(inner.get("pattern"), outer["pattern"]))
    )


def _values(schema: Schema) -> set[object] | None:
    return (
        {schema["const"]}
        if "const" in schema
        else set(schema["enum"])
        if "enum" in schema
        else None
    )


def _matches_within(inner: str | None, outer: str) -> bool:
    """Say whether each text that matches one pattern matches the other, as far as can be proved."""
    if inner is None or inner == outer:
        return inner == outer
    if not all(pattern[0] == "^" and pattern[-1] == "$" for pattern in (inner, outer)):
        return False
    try:
        machines = [parse(_LAST_HYPHEN.sub(r"\-]", text[1:-1])).to_fsm() for text in (inner, outer)]
        within: bool = machines[0].issubset(machines[1])
    except NoMatch:
        return False
    return within


def _known(current: Schema, released: Schema) -> Schema:
    """Take away optional fields that the released schema does not know, on every level."""
    known = released.get("properties", {})
    kept = {
        name: _known(value, known.get(name, {}))
        for name, value in current.get("properties", {}).items()
        if name in known or name in current.get("required", ())
    }
    items = current.get("items")
    return {
        **current,
        **({"properties": kept} if "properties" in current else {}),
        **({"items": _known(items, released.get("items", {}))} if items else {}),
    }


def _inlined(part: Any, whole: Schema) -> Any:  # noqa: ANN401  any part of a JSON document
    """Put definitions where they are referred to; leave out what only people read."""
    if isinstance(part, list):
        return [_inlined(item, whole) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(whole["$defs"][part["$ref"].rpartition("/")[2]], whole)
    return {
        key: (
            {name: _inlined(value, whole) for name, value in value.items()}
            if key == "properties"
            else _inlined(value, whole)
        )
        for key, value in part.items()
        if key not in _READ_BY_PEOPLE
    }


def failures(released: Path, schemas: Path) -> Iterator[str]:
    """Give one line for each break between two folders of schemas."""
    for path in sorted(released.glob("*.schema.json")):
        current = schemas / path.name
        if not current.exists():
            yield f"{path.name} was released and is gone: {REMEDY}"
            continue
        before, now = json.loads(path.read_bytes()), json.loads(current.read_bytes())
        may_widen = EVENT_TYPES[before["title"]].written_by == "producers"
        for line in breaks(before, now, may_widen=may_widen):
            yield f"{path.name}: {line}: {REMEDY}"


def main() -> int:
    """Compare, and release when that was asked; the exit status is 1 when something breaks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", action="store_true", help="make the schemas the released ones")
    release = parser.parse_args().release
    found = list(failures(RELEASED, SCHEMAS))
    for line in found:
        print(line, file=sys.stderr)
    if release and not found:
        for path in sorted(SCHEMAS.glob("*.schema.json")):
            shutil.copyfile(path, RELEASED / path.name)
            print(f"released {path.name}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
