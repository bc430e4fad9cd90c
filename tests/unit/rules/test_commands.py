from pathlib import Path

import pytest
from tests.card_numbers import NUMBERS

from cardwatch.cli import main

RULES = Path(__file__).parents[3] / "rules.yaml"


def test_a_rules_file_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "validate", str(RULES)]) == 0
    assert capsys.readouterr().out == f"{RULES}: version 1, 5 rules\n"


def test_each_problem_of_a_file_is_told_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    text = RULES.read_text(encoding="utf-8").replace("more_than: 5", "more_than: 11")
    wrong.write_text(text.replace("window_seconds: 600", "window_seconds: 601"))
    assert main(["rules", "validate", str(wrong)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    lines = text.splitlines()
    velocity = lines.index("    more_than: 11") + 1
    window = lines.index("    window_seconds: 600") + 1
    other = "the job can do no other"
    attempts = f"must be from 4 to 10 within 60 s: {other}"
    assert said.err.splitlines() == [
        f"{wrong}:{velocity}: rules.user_velocity.more_than {attempts}",
        f"{wrong}:{window}: rules.spend_over_limit.window_seconds must be one of 600: {other}",
    ]


def test_a_card_number_in_a_file_is_not_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = Path("wrong.yaml")
    wrong.write_text(f"version: 1\ntime:\n  from: at\n  format: iso\n  {NUMBERS[0]}: yes\n")
    Path("rules.yaml").write_text(f"version: 1\n{NUMBERS[0]}: yes\n")
    Path("payments.csv").write_text("a,b\n1,2\n")
    for command in (
        ["rules", "validate", "rules.yaml"],
        ["events", "import", "payments.csv", "--mapping", str(wrong), "--out", "out.jsonl"],
    ):
        assert main(command) == 1
        said = capsys.readouterr()
        assert f"*{NUMBERS[0][-4:]}" in said.err
        assert NUMBERS[0] not in said.err


def test_rules_are_tried_on_a_file_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = tmp_path / "none.jsonl"
    assert main(["rules", "try", str(RULES), str(nothing), "--against", str(RULES)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "none.jsonl" in line
