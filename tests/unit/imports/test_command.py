"""`cardwatch events import`, as a person types it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_numbers import NUMBERS
from tests.unit.imports.support import STOLEN, THREE_ROWS, sparkov, sparkov_row

from cardwatch.cli import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARDWATCH_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CARDWATCH_AWS_PORT", "18449")
    (tmp_path / "payments.csv").write_text(THREE_ROWS, newline="")
    (tmp_path / "stolen.txt").write_text(STOLEN)
    (tmp_path / "key").write_text(bytes(range(32)).hex())
    return tmp_path


def run(*options: str) -> int:
    return main(["events", "import", "payments.csv", "--mapping", "sparkov", *options])


KEY = ("--key-file", "key")
OUT = ("--out", "events.jsonl")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capsys
    out, err = capsys.readouterr()
    assert not any(number in out + err for number in NUMBERS)


def error(said: pytest.CaptureFixture[str]) -> str:
    (line,) = said.readouterr().err.splitlines()
    assert "Traceback" not in line
    return line


def test_three_rows_are_written_with_a_report_and_no_number_is_in_any_file(
    here: Path, said: pytest.CaptureFixture[str]
) -> None:
    files = ("--stolen", "stolen.txt", "--labels", "truth.jsonl", "--report", "rejected.jsonl")
    assert run(*KEY, *OUT, *files) == 0
    assert said.readouterr().out.splitlines() == [
        "3 rows read: 3 payments and 1 status written to events.jsonl, 0 rejected",
        "payments from 2020-12-29T00:00:18.000Z to 2020-12-29T00:00:51.000Z",
        "payments on the stolen cards: 1",
        "labels: 1 fraud, 2 good, 0 none",
    ]
    written = {
        name: (here / name).read_text()
        for name in ("events.jsonl", "truth.jsonl", "rejected.jsonl")
    }
    kinds = [json.loads(line)["type"] for line in written["events.jsonl"].splitlines()]
    assert kinds == ["CARD_STATUS", *["PAYMENT_EVENT"] * 3]
    assert len(written["truth.jsonl"].splitlines()) == 3
    assert written["rejected.jsonl"] == ""
    assert not any(number in text for number in NUMBERS for text in written.values())


def test_a_packed_file_is_written_by_its_name(here: Path) -> None:
    assert run(*KEY, "--out", "events.jsonl.gz", "--start", "2026-01-01T01:00:00+01:00") == 0
    with gzip.open(here / "events.jsonl.gz", "rt") as file:
        first = json.loads(next(file))
    assert first["event_date_origin"] == "2026-01-01T00:00:00.000Z"


def test_when_nothing_is_written_the_status_is_1_and_an_earlier_file_stays(
    here: Path, said: pytest.CaptureFixture[str]
) -> None:
    (here / "payments.csv").write_text(sparkov(sparkov_row(cc_num="2.29116E+15")))
    (here / "events.jsonl").write_text("before")
    assert run(*KEY, *OUT, "--report", "rejected.jsonl") == 1
    told = said.readouterr().out
    assert "line 2: bad_card: cc_num: the card number must be digits only: a spreadsheet" in told
    assert (here / "events.jsonl").read_text() == "before"
    assert json.loads((here / "rejected.jsonl").read_text())["line"] == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (KEY, "--out FILE or --to-stream, one of the two"),
        ((*KEY, *OUT, "--to-stream"), "--out FILE or --to-stream, one of the two"),
        ((*KEY, "--out", "payments.csv"), "must be different files"),
        (OUT, "give --key-file FILE, or use a running stack's"),
        (("--key-file", "nokey", *OUT), "nokey: No such file"),
        ((*KEY, *OUT, "--mapping", "sparkvo"), "name one of ieee_cis, paysim, sparkov"),
        ((*KEY, *OUT, "--mapping", "paysim"), "has no columns step, nameOrig"),
        ((*KEY, *OUT, "--start", "2026-01-01"), "--start must be ISO-8601"),
        ((*KEY, *OUT, "--labels", "l", "--label-column", "fraud"), "has no column fraud; it has"),
        ((*KEY, *OUT, "--stolen", "nolist"), "nolist: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_remedy(
    here: Path, said: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    assert run(*options) == 1
    assert told in error(said)
    assert not (here / "events.jsonl").exists()


def test_a_missing_file_is_one_line(here: Path, said: pytest.CaptureFixture[str]) -> None:
    (here / "payments.csv").unlink()
    assert run(*KEY, *OUT) == 1
    assert "payments.csv: No such file" in error(said)


def test_a_traceback_shows_no_number_either(here: Path, said: pytest.CaptureFixture[str]) -> None:
    (here / "stolen.txt").write_text(f"{STOLEN}\n{NUMBERS[0]}x\n")
    command = ["--debug", "events", "import", "payments.csv", "--mapping", "sparkov"]
    assert main([*command, *KEY, *OUT, "--stolen", "stolen.txt"]) == 1
    shown = said.readouterr().err
    assert "Traceback" in shown
    assert not any(number in shown for number in NUMBERS)
