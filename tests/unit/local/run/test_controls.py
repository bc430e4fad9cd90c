import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.local.errors import LocalStackError
from cardwatch.local.run.controls import StackControls
from cardwatch.local.services.deploy import StackOutputs

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@dataclass(slots=True)
class Emulator:
    """Answers every call with `status` and `answer`, once it is let."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def controls(self) -> StackControls:
        names = StackOutputs.__dataclass_fields__
        outputs = StackOutputs(**dict.fromkeys(names, "named"))  # type: ignore[arg-type]
        session = boto3.Session("a-key", "a-secret", region_name="eu-central-1")
        endpoint = f"http://127.0.0.1:{self.port}"
        return StackControls(AwsClients(session, endpoint_url=endpoint), outputs)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    state = Emulator()
    state.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            state.calls.append(self.path)
            state.answers.wait(20)
            body = json.dumps(state.answer).encode()
            self.send_response(state.status)
            for name, value in {**state.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    state.answers.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_notifier_that_answers_too_late_is_called_once_and_ends_no_start(
    emulator: Emulator,
) -> None:
    emulator.answers.clear()
    emulator.controls().call_notifier(patience_seconds=0.2)
    assert len(emulator.calls) == 1


@pytest.mark.parametrize(
    ("kind", "ends_the_start"), [("Sandbox.Timedout", False), ("Runtime.ImportModuleError", True)]
)
def test_a_notifier_that_fails_ends_the_start_but_one_that_was_slow_does_not(
    emulator: Emulator,
    kind: str,
    ends_the_start: bool,  # noqa: FBT001
) -> None:
    emulator.headers = {"X-Amz-Function-Error": "Unhandled"}
    emulator.answer = {"errorType": kind, "errorMessage": "it did not go well"}
    controls = emulator.controls()
    if ends_the_start:
        with pytest.raises(LocalStackError, match="the notifier fails"):
            controls.call_notifier()
    else:
        controls.call_notifier()


def test_an_emulator_that_refuses_is_named_with_what_was_asked_of_it(emulator: Emulator) -> None:
    emulator.status = 400
    emulator.answer = {"__type": "ValidationException", "message": "no such table"}
    controls = emulator.controls()
    with pytest.raises(LocalStackError, match=r"payments could not be switched: .*no such table"):
        controls.set_payments(on=True)
    with pytest.raises(LocalStackError, match="the simulator could not be started"):
        controls.start_simulator()
    with pytest.raises(LocalStackError, match="the notifier could not be called"):
        controls.call_notifier()
