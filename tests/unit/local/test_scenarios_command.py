"""`cardwatch scenarios run`, on a running stack whose time is moved, and where none runs."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from tests.emulated_kinesis import STREAM, EmulatedKinesis
from tests.fakes import FakeClock

from cardwatch import clock as clocks
from cardwatch.cli import main
from cardwatch.local.live_golden import PAGES_PER_MINUTE
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.services.deploy import StackOutputs

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

OWN = {"PAGES_PER_MINUTE": "30", "TOPIC_ARN": "arn:1"}
TEA = """
question: Is a card that nobody reported left alone?
cards: [ben]
events:
  - {at: 1 s, payment: tea, card: ben}
expect:
  alerts: []
  pages: []
  summaries: [{from: 1 h 10 s, payments: 0}]
"""
SHOES = """
question: Does a stolen card's payment alert?
cards: [anna]
events:
  - {at: 0 s, reported: anna, from: -1 d}
  - {at: 1 s, payment: shoes, card: anna}
expect: {alerts: [shoes], pages: []}
"""
SPLIT = TEA.replace("events:", "disturbances: [{at: 1 s, disturbance: a shard is split}]\nevents:")
NOT_LIVE = TEA.replace("events:", "not_live: a millisecond decides\nevents:")


@dataclass
class Emulator:
    """The stack's CloudFormation, its notifier's Lambda, and the emulator's own Kinesis."""

    kinesis: EmulatedKinesis
    clock: FakeClock = field(default_factory=FakeClock)
    settings: dict[str, str] = field(default_factory=lambda: dict(OWN))
    paged_by: list[dict[str, str]] = field(default_factory=list)
    """The notifier's settings at each call of it."""
    notifier_fails: bool = False
    notifier_is_there: bool = True

    def time(self) -> float:
        return self.clock.now().timestamp()

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if "x-amz-target" in headers:
            call = self.kinesis.module.handle_request(method, "/", headers, body, {})
            status, answered, content = asyncio.run(call)
            return status, dict(answered), content
        if path == "/":
            assert parse_qs(body.decode())["Action"] == ["DescribeStacks"]
            return 200, {"Content-Type": "text/xml"}, _described().encode()
        assert path.startswith("/2015-03-31/functions/named/")
        if path.endswith("/configuration"):
            return self._configuration(body if method == "PUT" else None)
        self.paged_by.append(dict(self.settings))
        if self.notifier_fails:
            failed = {"errorType": "ValueError", "errorMessage": "no such setting"}
            return 200, {"X-Amz-Function-Error": "Unhandled"}, json.dumps(failed).encode()
        return 200, {}, b"{}"

    def _configuration(self, change: bytes | None) -> tuple[int, dict[str, str], bytes]:
        if not self.notifier_is_there:
            kind = {"x-amzn-ErrorType": "ResourceNotFoundException"}
            return 404, kind, b'{"Message": "Function not found"}'
        if change is not None:
            self.settings = json.loads(change)["Environment"]["Variables"]
        found = {"FunctionName": "named", "Environment": {"Variables": self.settings}}
        return 200, {}, json.dumps(found).encode()


def _described() -> str:
    outputs = dict.fromkeys(StackOutputs.__dataclass_fields__, "named")
    numbers = {"delivery_buffer_seconds": "60", "delivery_buffer_megabytes": "1"}
    members = "".join(
        f"<member><OutputKey>{''.join(word.capitalize() for word in name.split('_'))}</OutputKey>"
        f"<OutputValue>{value}</OutputValue></member>"
        for name, value in (outputs | numbers | {"stream_name": STREAM}).items()
    )
    return (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>"
        "<StackName>cardwatch</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
        f"<Outputs>{members}</Outputs>"
        "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project's folder without scenarios, where nothing runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARDWATCH_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CARDWATCH_AWS_PORT", "18449")
    (tmp_path / "template.yaml").touch()
    (tmp_path / "scenarios").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def kinesis() -> EmulatedKinesis:
    return EmulatedKinesis()


@pytest.fixture
def emulator(
    project: Path, kinesis: EmulatedKinesis, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Have a stack run here, in a time that passes when the command sleeps."""
    state = Emulator(kinesis)
    kinesis.module.time = state
    monkeypatch.setattr(clocks, "SystemClock", lambda: state.clock)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered, content = state.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in {**answered, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("CARDWATCH_AWS_PORT", str(server.server_port))
    RunFolder(project / "var").note("supervisor", os.getpid())
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def run(project: Path, *options: str, **scenarios: str) -> int:
    for name, text in scenarios.items():
        (project / "scenarios" / f"{name}.yaml").write_text(text)
    return main(["scenarios", "run", *options])


def test_live_says_what_is_kept_what_was_not_awaited_and_what_is_not_had(
    project: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, "--live", tea=TEA, exact=NOT_LIVE) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "kept  tea: Is a card that nobody reported left alone?",
        "        not live: summaries from 1 h 10 s on",
        "not live  exact: a millisecond decides",
        "1 scenarios, 0 broken, 1 not played",
    ]
    assert said.err == "round 1 of 1: tea\n"
    assert [each["PAGES_PER_MINUTE"] for each in emulator.paged_by] == [f"{PAGES_PER_MINUTE}"]
    assert emulator.settings == OWN


def test_live_a_broken_scenario_is_told_and_is_the_exit_status(
    project: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, "--live", "--show", shoes=SHOES) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "broken  shoes: Does a stolen card's payment alert?"
    assert said[1].strip() == "alert: none for shoes"
    assert said[-1] == "1 scenarios, 1 broken"
    assert emulator.settings == OWN


def test_live_a_notifier_that_fails_under_the_scenarios_settings_breaks_them_and_keeps_its_own(
    project: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.notifier_fails = True
    assert run(project, "--live", tea=TEA) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1].strip() == "the notifier fails on its schedule's event"
    assert emulator.settings == OWN


def test_live_a_stack_whose_notifier_is_gone_is_one_line(
    project: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.notifier_is_there = False
    assert run(project, "--live", tea=TEA) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the notifier's settings could not be read (ResourceNotFoundException" in line


def test_live_where_nothing_runs_is_one_line_with_the_remedy(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, "--live", tea=TEA) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"nothing runs here ({project / 'var'})" in line
    assert "cardwatch up" in line


def test_what_disturbs_a_stack_is_not_replayed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, split=SPLIT) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not played  split: a replay has no stack to disturb; see --live",
        "0 scenarios, 0 broken, 1 not played",
    ]


def test_patience_that_is_no_length_of_time_is_wrong_usage(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, "--live", "--patience", "soon", tea=TEA) == 2
    assert "'soon' is no length of time like 90s, 8m or 2h" in capsys.readouterr().err


def test_a_scenario_that_cannot_be_read_is_told_with_its_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(project, tea="question: [") == 1
    assert "tea.yaml" in capsys.readouterr().err
