"""Generates everything that is derived from the contract, or checks that it is up to date.

    python tools/contract.py            write what is derived from the contract
    python tools/contract.py --check    exit 1 and name each file that differs from the contract

A type that a target cannot hold is an error: nothing is guessed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cardwatch.contract.streams import EVENT_TYPES, Envelope

ROOT = Path(__file__).resolve().parents[1]

Generated = Iterator[tuple[Path, str]]


def json_schemas() -> Generated:
    """One JSON Schema per event type: the envelope with that type's data."""
    for name, event_type in EVENT_TYPES.items():
        envelope = Envelope.model_json_schema()
        data = event_type.data.model_json_schema()
        definitions = data.pop("$defs", {})
        properties = envelope["properties"]
        properties["type"] = {**properties["type"], "const": name}
        properties["type"].pop("enum", None)
        properties["event_json_data"] = data
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "description": f"Generated from the contract by `make contract`. {data['description']}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": envelope["required"],
        }
        if definitions:
            schema["$defs"] = definitions
        path = ROOT / "events" / "schemas" / f"{name.lower()}.v1.schema.json"
        yield path, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


GENERATORS: tuple[Callable[[], Generated], ...] = (json_schemas,)


def main() -> int:
    """Write the generated files, or compare them; the exit status is 1 when one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = []
    for generate in GENERATORS:
        for path, text in generate():
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            if check:
                stale.append(path.relative_to(ROOT))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"wrote {path.relative_to(ROOT)}")
    for path in stale:
        print(
            f"{path} differs from the contract: run `make contract` and commit the result",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
