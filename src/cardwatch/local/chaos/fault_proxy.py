"""The fault proxy as a program: it stands at the stack's AWS port, with the emulator behind it.

`python -m cardwatch.local.chaos.fault_proxy PORT EMULATOR_PORT FOLDER`. What it does to calls is in
`api_faults`; which faults are on is in `faults.json` of the folder, and each call that was hit is a
line of `hits.jsonl`. SIGTERM ends it.
"""

import contextlib
import http.client
import json
import signal
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from cardwatch import files
from cardwatch.contract.fields import format_time
from cardwatch.local.chaos.api_faults import (
    FAULTS,
    Answer,
    ApiFault,
    ConnectionLostError,
    Memory,
    Request,
)

HOST: Final = "127.0.0.1"
SWITCHES: Final = "faults.json"
HITS: Final = "hits.jsonl"
LOOK_SECONDS: Final = 0.05
IDLE_SECONDS: Final = 1.0
"""A connection to the emulator that was quiet for so long may be closed by it at any moment."""
UPSTREAM_SECONDS: Final = 120.0
_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}
)
"""Of one connection, not of the call."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A fault that is on until a moment, in seconds since the epoch."""

    injection: int
    kind: str
    until: float
    seed: int


def write_switches(folder: Path, switches: list[Switch]) -> None:
    """Say which faults are on from now on."""
    files.replace(folder / SWITCHES, json.dumps([asdict(switch) for switch in switches]))


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that was hit."""

    injection: int
    kind: str
    operation: str


def read_hits(folder: Path) -> list[Hit]:
    """Give the calls that were hit, in order."""
    try:
        lines = (folder / HITS).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Hit(**{n: json.loads(line)[n] for n in Hit.__slots__}) for line in lines]


class Switchboard:
    """Which faults are on, and what they hit; for all connections' threads."""

    def __init__(self, folder: Path) -> None:
        """Be steered by the files in `folder`."""
        self.memory = Memory()
        self._folder = folder
        self._lock = threading.Lock()
        self._looked = 0.0
        self._switches: list[tuple[Switch, Random]] = []
        self._written = 0
        self._hits: Counter[int] = Counter()

    def fault_of(self, request: Request) -> tuple[ApiFault, Random] | None:
        """Give what hits a call, if anything does; it is written down."""
        with self._lock:
            self._look()
            for switch, random in self._switches:
                fault = FAULTS[switch.kind]
                if (
                    time.time() < switch.until
                    and (fault.most is None or self._hits[switch.injection] < fault.most)
                    and fault.of(request)
                    and random.random() < fault.share
                ):
                    self._note(switch, request)
                    return fault, random
        return None

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(FileNotFoundError):
            written = (self._folder / SWITCHES).stat().st_mtime_ns
            if written != self._written:
                listed = json.loads((self._folder / SWITCHES).read_text())
                self._switches = [(s, Random(s.seed)) for s in (Switch(**item) for item in listed)]  # noqa: S311  tries faults
                self._written = written

    def _note(self, switch: Switch, request: Request) -> None:
        self._hits[switch.injection] += 1
        line = {
            "at": format_time(datetime.now(UTC)),
            "injection": switch.injection,
            "kind": switch.kind,
            "operation": request.operation,
        }
        with (self._folder / HITS).open("a") as hits:
            hits.write(json.dumps(line) + "\n")


class Connection(BaseHTTPRequestHandler):
    """One client's connection, with one to the emulator behind it."""

    protocol_version = "HTTP/1.1"
    timeout = UPSTREAM_SECONDS
    disable_nagle_algorithm = True
    emulator_port: ClassVar[int]
    switchboard: ClassVar[Switchboard]
    _upstream: http.client.HTTPConnection | None = None
    _used = 0.0

    def do_GET(self) -> None:
        """Pass a call on, or do to it what the faults that are on ask for."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self._body())
        found = self.switchboard.fault_of(request)
        try:
            if found is None:
                answer = self._forward(request)
            else:
                fault, random = found
                answer = fault.effect(request, self._forward_apart, random, self.switchboard.memory)
            self.switchboard.memory.learn(request, answer)
        except (ConnectionLostError, OSError, http.client.HTTPException):
            self._lose()
            return
        self._answer(answer)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815  as above

    def log_message(self, *_: object) -> None:
        """Say nothing: what was hit is written down elsewhere."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _forward(self, request: Request) -> Answer:
        if self._upstream is None or time.monotonic() - self._used > IDLE_SECONDS:
            self._disconnect()
            self._upstream = self._connected()
        answer = _asked(self._upstream, request)
        self._used = time.monotonic()
        return answer

    def _forward_apart(self, request: Request) -> Answer:
        """Ask over a connection of its own: an effect may ask more than once, and at once."""
        with contextlib.closing(self._connected()) as connection:
            return _asked(connection, request)

    def _connected(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(HOST, self.emulator_port, timeout=UPSTREAM_SECONDS)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        bodiless = self.command == "HEAD"
        for name, value in answer.headers:
            if name.lower() not in _HOP or (bodiless and name.lower() == "content-length"):
                self.send_header(name, value)
        if not bodiless:
            self.send_header("Content-Length", str(len(answer.body)))
        with contextlib.suppress(OSError):  # who waited is gone
            self.end_headers()
            body = b"" if bodiless else answer.body
            self.wfile.write(body[: len(body) // 2] if answer.cut else body)
            if answer.cut:
                self._lose()

    def _lose(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """End both connections."""
        self._disconnect()
        with contextlib.suppress(OSError):
            super().finish()

    def _disconnect(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None


def _asked(connection: http.client.HTTPConnection, request: Request) -> Answer:
    connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.items():
        if name not in _HOP:
            connection.putheader(name, value)
    connection.putheader("content-length", str(len(request.body)))
    connection.endheaders(request.body)
    got = connection.getresponse()
    return Answer(got.status, tuple(got.getheaders()), got.read())


class Server(ThreadingHTTPServer):
    """The proxy, a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, emulator_port: int, folder: Path) -> None:
        """Listen on `port`, before the emulator that listens on `emulator_port`."""
        board = Switchboard(folder)
        handler = type(
            "BoundConnection", (Connection,), {"emulator_port": emulator_port, "switchboard": board}
        )
        super().__init__((HOST, port), handler)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that are killed while they ask."""


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    port, emulator_port, folder = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    server = Server(port, emulator_port, folder)
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    server.serve_forever(poll_interval=0.2)


if __name__ == "__main__":
    main(sys.argv[1:])
