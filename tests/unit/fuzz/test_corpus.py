"""Inputs that were found by the code that they reach, played again without the finder."""

import json
from pathlib import Path

import pytest
from tests.unit.fuzz.targets import TARGETS

KEPT = Path(__file__).parent / "corpus"


def kept(target: str) -> list[bytes]:
    """Read a target's inputs: each line is a JSON text with one character for each byte."""
    lines = (KEPT / f"{target}.jsonl").read_text(encoding="ascii").splitlines()
    return [json.loads(line).encode("latin-1") for line in lines]


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_breaks_what_must_hold(name: str) -> None:
    target = TARGETS[name]
    inputs = [*target.seeds(), *kept(name)]
    assert inputs
    for data in inputs:
        target.run(data)


def test_each_target_has_kept_inputs_and_there_are_no_others() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(TARGETS)
    assert all(map(kept, TARGETS))
