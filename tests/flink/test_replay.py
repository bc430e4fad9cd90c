"""`cardwatch replay`: what it writes, and what it says when it cannot."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.card_numbers import NUMBERS
from tests.flink.oracle import detect
from tests.flink.scenarios import DAY, Arrival, heartbeat, in_order, payment, status
from tests.unit.imports.support import STOLEN, THREE_ROWS

from cardwatch.cards.number import CardNumber
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.contract.streams import Envelope
from cardwatch.local.replay import ReplayError, replay

pytestmark = pytest.mark.flink

SHORT = "-XX:TieredStopAtLevel=1"
"""For a JVM of few events: time spent in the optimizing compiler does not come back."""


@pytest.fixture(autouse=True)
def short_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", SHORT)


def quiet(_: str) -> None:
    return


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_replay_writes_the_detections_in_order_and_what_the_contract_rejects(
    tmp_path: Path,
) -> None:
    rng = random.Random(1)
    rows = [
        Arrival(time + rng.choice([0, 0, 500, 30_000]), payment(str(i), rng.randrange(9), time))
        for i in range(200)
        for time in [i * 100]
    ]
    rows.append(Arrival(1_000, payment("large", 8, 1_000, amount="20000")))
    known = [Arrival(-1, status(card, "STOLEN", -DAY, 0)) for card in range(5)]
    lines = [*in_order([*known, *rows]), heartbeat(60_000), "{broken", "", "[]"]
    source = tmp_path / "_input with a space.jsonl.gz"
    source.write_bytes(gzip.compress("\n".join(lines).encode()))
    said: list[str] = []
    report = replay(source, tmp_path / "out", progress=said.append)

    expected = detect(lines)
    for record in expected:
        record["event_json_data"].pop("late", None)
    alerts = records(tmp_path / "out" / "alerts.jsonl")
    summaries = records(tmp_path / "out" / "summaries.jsonl")
    assert [*alerts, *summaries] == expected
    for record in summaries:
        Envelope.model_validate(record)
    for record in alerts:
        fields = record["event_json_data"]
        fields.update(detected_at="2026-01-15T10:00:00.000Z", late=False)
        Envelope.model_validate(record)
    assert records(tmp_path / "out" / "rejected.jsonl") == [
        {"line": 208, "reason": "not_json", "detail": "not a JSON document at character 1"},
        {"line": 210, "reason": "not_an_object", "detail": "the document is not an object"},
    ]
    assert (report.lines, report.rejected) == (210, 2)
    assert (report.alerts, report.summaries) == (len(alerts), len(summaries))
    of_rules = [alert["event_json_data"] for alert in records(tmp_path / "out/rule_alerts.jsonl")]
    large = [alert for alert in of_rules if alert["rule"] == "large_amount"]
    assert [alert["payment_ids"] for alert in large] == [["pay_large"]]
    # Nine people with 200 payments within 20 s.
    velocity = {a["entity_id"] for a in of_rules if a["rule"] == "user_velocity"}
    assert velocity == {f"usr_{person}" for person in range(9)}
    assert report.rule_alerts == len(of_rules)
    scored = [r["event_json_data"] for r in records(tmp_path / "out" / "scores.jsonl")]
    assert {data["payment_id"] for data in scored} == {
        json.loads(row.line)["event_json_data"]["payment_id"] for row in rows
    }
    assert report.scores == len(scored) == len(rows)
    minutes = [r["event_json_data"] for r in records(tmp_path / "out" / "minutes.jsonl")]
    assert sum(minute["payment_count"] for minute in minutes) == len(rows)
    assert report.minutes == len(minutes)
    assert report.lines_per_second > 0
    assert said[-1] == "sorting the detections"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alerts.jsonl",
        "minutes.jsonl",
        "rejected.jsonl",
        "rule_alerts.jsonl",
        "scores.jsonl",
        "summaries.jsonl",
    ]


def test_an_input_that_cannot_be_read_is_said_in_one_line_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    text = tmp_path / "text.csv"
    text.write_text("a,b")
    empty = tmp_path / "empty.jsonl.gz"
    empty.write_bytes(b"")
    for path in (tmp_path / "missing.jsonl", folder, text, empty):
        with pytest.raises(ReplayError, match="give") as raised:
            replay(path, tmp_path / "out", progress=quiet)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_events_end_to_end_in_a_folder_of_packed_files_are_replayed_like_their_lines(
    tmp_path: Path,
) -> None:
    rows = [status(1, "STOLEN", -DAY, 0), *(payment(str(n), 1, n * 1000) for n in range(5))]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(rows), encoding="utf-8")
    backup = tmp_path / "backup"
    (backup / "2026").mkdir(parents=True)
    (backup / "2026" / "1").write_bytes(gzip.compress("".join(rows[:3]).encode()))
    (backup / "2026" / "2").write_bytes(gzip.compress("".join(rows[3:]).encode()))
    reports = [
        replay(source, tmp_path / f"out-{source.name}", progress=quiet)
        for source in (lines, backup)
    ]
    assert [(r.lines, r.rejected, r.alerts) for r in reports] == [(6, 0, 5)] * 2
    for name in ("alerts.jsonl", "summaries.jsonl", "rejected.jsonl"):
        one, other = (tmp_path / f"out-{given}" / name for given in ("lines.jsonl", "backup"))
        assert one.read_bytes() == other.read_bytes()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(ReplayError, match="--out"):
        replay(source, taken, progress=quiet)


def test_a_missing_flink_environment_names_the_remedy(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("")
    with pytest.raises(ReplayError, match="make setup"):
        replay(source, tmp_path / "out", progress=quiet, root=tmp_path)


def test_a_failed_replay_leaves_earlier_results_alone(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl.gz"
    source.write_bytes(gzip.compress(b"{}\n" * 50_000)[:-20])
    out = tmp_path / "out"
    out.mkdir()
    (out / "alerts.jsonl").write_text("earlier\n")
    with pytest.raises(ReplayError, match="cannot read"):
        replay(source, out, progress=quiet)
    assert [path.name for path in out.iterdir()] == ["alerts.jsonl"]
    assert (out / "alerts.jsonl").read_text() == "earlier\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_replay_leaves_no_process_and_no_folder_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    source = tmp_path / "input.jsonl"
    source.write_text(heartbeat(0) + "\n", encoding="utf-8")
    cardwatch = Path(sys.executable).with_name("cardwatch")
    # What ignores a signal hands that on, and a shell's background ignores SIGINT.
    before = signal.signal(number, signal.SIG_DFL)
    stopped = subprocess.Popen(
        [cardwatch, "replay", source, "--out", tmp_path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(number, before)
    replaying = psutil.Process(stopped.pid)
    started: list[psutil.Process] = []
    until = time.monotonic() + 60
    try:
        while not (started := replaying.children(recursive=True)):
            assert time.monotonic() < until, "it started no job"
            time.sleep(0.05)
        stopped.send_signal(number)
        assert stopped.wait(30) != 0
        gone, alive = psutil.wait_procs(started, timeout=10)
        assert gone
        assert not alive
    finally:
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        stopped.kill()
        stopped.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["input.jsonl"]


FOREIGN = {
    "TZ": "America/New_York",
    "LC_ALL": "tr_TR.UTF-8",
    "JAVA_TOOL_OPTIONS": (
        f"{SHORT} -Duser.timezone=Asia/Kathmandu -Duser.language=ar -Duser.country=SA"
    ),
}
"""A machine that is set up for other zones, letters and digits."""
KEY = bytes(range(32)).hex()
IMPORT = (
    "events import payments.csv --mapping sparkov --stolen stolen.txt --key-file key "
    "--out events.jsonl --labels truth.jsonl --report rejected.jsonl"
)


def made_by(folder: Path, environment: dict[str, str], *commands: str) -> dict[str, bytes]:
    """Give what commands write in a folder, by name, and what they say under no name.

    The folder has three payments, one of them on a card of its list of stolen ones.
    """
    folder.mkdir()
    (folder / "payments.csv").write_text(THREE_ROWS, newline="")
    (folder / "stolen.txt").write_text(STOLEN)
    (folder / "key").write_text(KEY)
    given = set(folder.iterdir())
    said = b""
    for command in commands:
        ran = subprocess.run(
            [sys.executable, "-m", "cardwatch.cli", *command.split()],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            check=True,
            timeout=240,
        )
        said += ran.stdout + ran.stderr
    written = {path for path in folder.rglob("*") if path.is_file()} - given
    return {"": said} | {str(p.relative_to(folder)): p.read_bytes() for p in written}


def test_three_imported_rows_with_a_stolen_card_are_one_alert_in_any_zone_and_locale(
    tmp_path: Path,
) -> None:
    here = made_by(tmp_path / "here", {}, IMPORT)
    abroad = made_by(tmp_path / "abroad", FOREIGN, IMPORT, "replay events.jsonl --out replayed")
    assert not any(number.encode() in text for number in NUMBERS for text in abroad.values())
    assert here.items() - abroad.items() == {("", here[""])}, "but for what the replay said"

    expected = detect(abroad["events.jsonl"].decode().splitlines())
    for record in expected:
        record["event_json_data"].pop("late", None)
    detections = abroad["replayed/alerts.jsonl"] + abroad["replayed/summaries.jsonl"]
    assert [json.loads(line) for line in detections.splitlines()] == expected
    (alert,) = map(json.loads, abroad["replayed/alerts.jsonl"].splitlines())
    said = alert["event_json_data"]
    assert (said["card_last4"], said["amount"], said["currency"]) == (STOLEN[-4:], "107.23", "USD")
    assert said["card_token"] == Tokenizer(bytes.fromhex(KEY)).token(CardNumber(STOLEN))
    assert abroad["replayed/rule_alerts.jsonl"] == abroad["replayed/rejected.jsonl"] == b""
