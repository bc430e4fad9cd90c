"""Five reads a second of a shard, in front of a Kinesis that has no such limit.

Amazon Kinesis Data Streams Developer Guide, "Quotas and limits": each shard supports five read
transactions a second, shared by all that poll it; one more is refused with
ProvisionedThroughputExceededException. The emulator serves as many as it can, so whoever polls too
often looks fast there and is slow on AWS. Point a client at `LimitedReads.url` instead.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

READS_PER_SECOND = 5
REFUSED = "ProvisionedThroughputExceededException"
_TARGET = "X-Amz-Target"
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class LimitedReads:
    """What went through, by shard."""

    url: str = ""
    served: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _shard_of: dict[str, str] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may_read(self, iterator: str) -> bool:
        """Count a read of the iterator's shard; False when it is one too many in its second."""
        now = time.monotonic()
        with self._lock:
            shard = self._shard_of.get(iterator, "unknown")
            recent = self._recent.setdefault(shard, deque())
            while recent and now - recent[0] >= 1:
                recent.popleft()
            if len(recent) >= READS_PER_SECOND:
                self.refused[shard] += 1
                return False
            recent.append(now)
            self.served[shard] += 1
            return True

    def iterates(self, iterator: str, shard: str) -> None:
        """Remember which shard an iterator is of."""
        with self._lock:
            self._shard_of[iterator] = shard

    def goes_on(self, iterator: str, following: str) -> None:
        """Remember that an iterator follows on another."""
        with self._lock:
            self._shard_of[following] = self._shard_of.get(iterator, "unknown")


class _Server(ThreadingHTTPServer):
    """One limiter's server."""

    reads: LimitedReads
    endpoint: str


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        reads = self.server.reads
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get(_TARGET, "").rpartition(".")[2]
        asked = json.loads(body) if operation in {"GetRecords", "GetShardIterator"} else {}
        if operation == "GetRecords" and not reads.may_read(asked["ShardIterator"]):
            message = "Rate exceeded for shard"
            answer = json.dumps({"__type": REFUSED, "message": message}).encode()
            self._answer(HTTPStatus.BAD_REQUEST, {"x-amzn-errortype": REFUSED}, answer)
            return
        status, headers, answer = self._forward(body)
        if operation == "GetShardIterator" and status == HTTPStatus.OK:
            stream = asked.get("StreamName") or asked.get("StreamARN", "").rpartition("/")[2]
            shard = f"{stream}/{asked['ShardId']}"
            reads.iterates(json.loads(answer)["ShardIterator"], shard)
        if operation == "GetRecords" and status == HTTPStatus.OK:
            following = json.loads(answer).get("NextShardIterator")
            if following:
                reads.goes_on(asked["ShardIterator"], following)
        self._answer(status, headers, answer)

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        request = urllib.request.Request(  # noqa: S310  the emulator's
            self.server.endpoint + self.path, body, headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  the emulator's
                return answer.status, dict(answer.headers.items()), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers.items()), error.read()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-type"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def limited_reads(endpoint: str) -> Iterator[LimitedReads]:
    """Stand in front of the Kinesis (and all else) at an endpoint; JSON, not CBOR."""
    reads = LimitedReads()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.reads, server.endpoint = reads, endpoint
    reads.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield reads
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
