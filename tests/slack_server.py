"""Slack's side of an incoming webhook, on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/services/T000/B000/very-secret"


@dataclass
class SlackServer:
    """Takes posts; each of `answers` (status, headers, body) meets one, then all are taken."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    """What was taken."""
    requests: list[str] = field(default_factory=list)
    """The paths of everything that came, content types included."""
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, nothing is answered."""


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    slack = SlackServer()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            slack.requests.append(f"{self.path} {self.headers['Content-Type']}")
            if slack.silent.is_set():
                ended.wait(30)
                return
            status, headers, answer = slack.answers.pop(0) if slack.answers else (200, {}, b"ok")
            if status == 200:
                slack.posted.append(body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            """Answer a heartbeat, or note that somebody followed a redirect to here."""
            slack.requests.append(f"{self.path} by GET")
            if slack.silent.is_set():
                ended.wait(30)
                return
            status, headers, _ = slack.answers.pop(0) if slack.answers else (200, {}, b"")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        slack.url = f"http://127.0.0.1:{server.server_port}{PATH}"
        try:
            yield slack
        finally:
            ended.set()
            server.shutdown()
