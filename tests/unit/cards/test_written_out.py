"""Card numbers are written out where they are read and told apart, and in no other test."""

import re
from pathlib import Path

from tests.card_numbers import NUMBERS, in_groups

from cardwatch.contract.card_numbers import is_card_number

TESTS = Path(__file__).parents[2]
READER = TESTS / "unit" / "cards"
WRITTEN = re.compile(r"(?<![0-9A-Za-z])(?:\d{13,19}|\d{4}(?:[ -]\d{4}){3})(?![0-9])")


def written_out(text: str) -> list[str]:
    """Give the card numbers that stand in a text as they stand on a card or in a file."""
    return [
        found
        for found in WRITTEN.findall(text)
        if is_card_number(found.replace(" ", "").replace("-", ""))
    ]


def test_no_test_but_the_readers_has_a_card_number_written_out() -> None:
    files = [path for path in TESTS.rglob("*.*") if path.suffix in {".py", ".jsonl", ".json"}]
    assert len(files) > 100
    holding = {path for path in files if written_out(path.read_text(encoding="utf-8"))}
    assert {path for path in holding if READER not in path.parents} == set()
    assert READER / "test_card_file.py" in holding


def test_one_is_found_in_groups_and_in_a_row() -> None:
    for written in (NUMBERS[0], in_groups(NUMBERS[1]), in_groups(NUMBERS[2], "-")):
        assert written_out(f'number = "{written}"') == [written]
    assert written_out("at 1768471265000, id 11111111-2222-3333-4444-555555555555") == []
