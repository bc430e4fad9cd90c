import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
import typer.main
from tests.card_numbers import NUMBERS
from typer.core import TyperGroup

from cardwatch.cli import main
from cardwatch.cli.application import app
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.run.status import Status, status_path, write_status
from cardwatch.local.witness.receipts import PageReceived, Receipts

Said = Callable[[], tuple[str, str]]


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARDWATCH_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CARDWATCH_AWS_PORT", "18449")
    return tmp_path / "var"


def one_line(text: str) -> str:
    assert "Traceback" not in text
    (line,) = text.strip().splitlines()
    return line


def commands(group: TyperGroup, *above: str) -> Iterator[tuple[str, ...]]:
    """Give every command that does something, as a person types it."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


APP = cast("TyperGroup", typer.main.get_command(app))


@pytest.mark.parametrize("command", list(commands(APP)), ids=" ".join)
def test_every_commands_help_has_examples_that_call_it(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"cardwatch {' '.join(command)}" in text.split("Examples:")[1]


def test_help_lists_every_command_with_what_it_does_in_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:")[1].split("Examples:")[0]
    told = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", listed, re.MULTILINE))
    assert set(told) == {name for name, c in APP.commands.items() if not c.hidden}
    assert not any(text.endswith("...") for text in told.values())


def test_wrong_usage_says_which_option_and_how_to_get_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status", "--nonsense"]) == 2
    text = capsys.readouterr().err
    assert "--nonsense" in text
    assert "-h" in text


def test_wrong_usage_shows_no_card_number_that_somebody_wrote(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["replay", "--out", "here", NUMBERS[0], NUMBERS[1]], [NUMBERS[2]]):
        assert main(words) == 2
    shown = capsys.readouterr().err
    assert "Usage: cardwatch" in shown
    assert not any(number in shown for number in NUMBERS)


@pytest.mark.parametrize(
    "wrong", ["--minutes=0", "--minutes=601", "--minutes=soon", "--seed=-1", "--rate=0"]
)
def test_faults_for_no_time_or_no_payments_are_wrong_usage(
    var: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    assert main(["chaos", wrong]) == 2
    assert wrong.partition("=")[0] in capsys.readouterr().err
    assert not var.exists()


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_no_utc_has_is_wrong_usage(
    time: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--since", time]) == 2
    assert "is no time with a zone" in capsys.readouterr().err


def test_cards_are_written_with_exactly_the_asked_share_stolen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cards.txt"
    options = ["--count", "40", "--stolen-percent", "25", "--seed", "3", "--out", str(out)]
    assert main(["cards", "generate", *options]) == 0
    assert capsys.readouterr().out == f"{out}: 40 cards, 10 of them stolen\n"
    assert sum(",STOLEN," in line for line in out.read_text().splitlines()) == 10


def test_an_unwritable_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["cards", "generate", "--out", str(tmp_path / "file" / "cards.txt")]) == 1
    assert str(tmp_path / "file") in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("command", ["up", "chaos"])
def test_a_start_outside_the_project_says_where_to_go(
    var: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command]) == 1
    assert "template.yaml is missing" in one_line(capsys.readouterr().err)
    assert not var.exists()


def test_an_unknown_fault_is_refused_with_the_names_there_are(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (var.parent / "template.yaml").touch()
    assert main(["up", "--faults", "gremlins"]) == 1
    line = one_line(capsys.readouterr().err)
    assert "gremlins" in line
    assert "duplicates" in line


@pytest.mark.parametrize("command", ["up", "chaos"])
def test_a_missing_card_file_is_one_line_before_anything_starts(
    var: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (var.parent / "template.yaml").touch()
    assert main([command]) == 1
    assert "cards.txt" in one_line(capsys.readouterr().err)
    assert not var.exists()


def test_a_document_without_a_place_for_the_faults_is_one_line_before_any_is_tried(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (var.parent / "template.yaml").touch()
    assert main(["cards", "generate", "--count", "4", "--out", "data/cards.txt"]) == 0
    (var.parent / "faults.md").write_text("# Faults\n")
    assert main(["chaos", "--document", "faults.md"]) == 1
    assert "the document has no" in one_line(capsys.readouterr().err)
    assert not (var / "chaos").exists()


def test_a_wrong_setting_is_one_line_that_names_it(
    var: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDWATCH_AWS_PORT", "80")
    assert main(["status"]) == 1
    assert "CARDWATCH_AWS_PORT" in one_line(capsys.readouterr().err)
    assert not var.exists()


def test_debug_shows_where_an_error_came_from(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del var
    assert main(["--debug", "up"]) == 1
    assert "Traceback" in capsys.readouterr().err


OVER_A_STACK = [
    ["redrive"],
    ["backfill"],
    ["ack", "page_1", "--by", "Ana"],
    ["snooze", "--list"],
]


@pytest.mark.parametrize("command", OVER_A_STACK, ids=lambda command: command[0])
def test_without_a_running_stack_a_command_says_how_to_start_it(
    var: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    del var
    assert main(command) == 1
    line = one_line(capsys.readouterr().err)
    assert "18449" in line
    assert "cardwatch up" in line


def test_an_audit_without_a_warehouse_says_how_to_start_one(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit"]) == 1
    line = one_line(capsys.readouterr().err)
    assert str(var) in line
    assert "cardwatch up" in line


@pytest.mark.parametrize("since", ["yesterday", "2026-11-21T07:00:00", "15", "-5m", "99999d"])
def test_an_audit_since_no_point_in_time_is_told_what_one_looks_like(
    capsys: pytest.CaptureFixture[str], since: str
) -> None:
    assert main(["audit", f"--since={since}"]) == 2
    assert "2026-11-21T07:00:00Z" in capsys.readouterr().err


@pytest.mark.parametrize("command", OVER_A_STACK, ids=lambda command: command[0])
def test_a_stack_on_aws_that_cannot_be_read_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main([*command, "--stack", "nosuch"]) == 1
    line = one_line(capsys.readouterr().err)
    assert "stack nosuch cannot be read in region eu-west-1" in line
    assert "credentials" in line


def test_a_page_is_not_called_fraud_and_none_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ack", "page_1", "--by", "Ana", "--fraud", "--false-positive", "OTHER"]
    assert main(command) == 1
    assert "give one of" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["snooze"], "say what to snooze"),
        (["snooze", "rule:card_testing", "--by", "Ana", "--why", "known"], "like 15m, 4h or 7d"),
        (["snooze", "rule:card_testing", "--for", "soon"], "like 15m, 4h or 7d"),
    ],
)
def test_a_snooze_of_nothing_or_without_an_end_is_told_what_is_missing(
    capsys: pytest.CaptureFixture[str], command: list[str], told: str
) -> None:
    assert main(command) == 1
    assert told in one_line(capsys.readouterr().err)


def test_replay_of_a_missing_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.jsonl"
    assert main(["replay", str(missing), "--out", str(tmp_path / "out")]) == 1
    assert str(missing) in one_line(capsys.readouterr().err)


def test_status_before_the_first_run_says_how_to_start(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del var
    assert main(["status"]) == 1
    assert "cardwatch up" in one_line(capsys.readouterr().err)


def running(var: Path) -> None:
    RunFolder(var).note("supervisor", os.getpid())
    now = datetime.now(UTC).isoformat()
    write_status(status_path(var), Status("running", "", now, 12.0))


def test_status_of_a_run_is_for_people_and_for_programs(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(var)
    assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith("state          running\n")
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "running"


def test_status_of_a_run_that_was_killed_is_not_what_it_said_last(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(var)
    RunFolder(var).forget("supervisor")
    assert main(["status"]) == 1
    assert "died" in capsys.readouterr().out
    assert main(["down"]) == 0
    capsys.readouterr()
    assert main(["status"]) == 1
    assert "stopped" in capsys.readouterr().out


def test_status_fails_while_something_is_in_trouble(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(var)
    now = datetime.now(UTC).isoformat()
    write_status(status_path(var), Status("running", "", now, 12.0, troubles=("Flink: gone",)))
    assert main(["status"]) == 1
    assert "Flink: gone" in capsys.readouterr().out


def test_status_fails_once_something_was_given_up(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(var)
    now = datetime.now(UTC).isoformat()
    write_status(
        status_path(var), Status("running", "", now, 12.0, given_up={"objects refused": 2})
    )
    assert main(["status"]) == 1
    assert "objects refused 2" in capsys.readouterr().out


def test_up_in_the_background_beside_a_run_says_so_and_leaves_its_log(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (var.parent / "template.yaml").touch()
    log = var / "log" / "up.out"
    log.parent.mkdir(parents=True)
    log.write_text("what the run says\n")
    going = RunFolder(var)
    going.acquire()
    try:
        assert main(["up", "--detach"]) == 1
    finally:
        going.release()
    line = one_line(capsys.readouterr().err)
    assert f"already going on (process {os.getpid()})" in line
    assert log.read_text() == "what the run says\n"


def test_down_with_nothing_running_is_fine(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del var
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "nothing was running\n"


def test_pages_are_shown_as_they_were_received(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipts = Receipts(var / "receipts")
    received = datetime(2026, 11, 21, 7, 0, 6, tzinfo=UTC)
    text = "A payment on a stolen card\n\nCard: 424242******4242\n"
    receipts.write(PageReceived(received, "m", "p", "Stolen card", text, ("a",), repeat=False))
    receipts.close()
    assert main(["pages"]) == 0
    out = capsys.readouterr().out
    assert "Received: 2026-11-21 07:00:06 UTC\nSubject:  Stolen card\n\nA payment" in out
    assert "Card: 424242******4242" in out


def test_pages_before_the_first_one_says_so(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del var
    assert main(["pages"]) == 0
    assert "no page was received yet" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("command", ["up", "run"])
def test_the_connector_edge_without_a_jar_says_how_to_get_one_before_anything_starts(
    var: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (var.parent / "template.yaml").touch()
    assert main(["cards", "generate", "--count", "10"]) == 0
    capsys.readouterr()
    assert main([command, "--edge", "connector"]) == 1
    line = one_line(capsys.readouterr().err)
    for words in ("flink_app/lib", "make connector", "pom.xml", "without EDGE"):
        assert words in line
    assert not var.exists()
