"""The fault proxy before a small Kinesis-like server: what each fault does to a call."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.failures import FAILURES
from cardwatch.local.chaos import api_faults
from cardwatch.local.chaos.fault_proxy import Server, Switch, read_hits, write_switches
from cardwatch.local.processes.ports import free_port
from local_stream import StreamAddress

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
FOR_LONG = 4_000_000_000.0


@dataclass
class Upstream:
    """Keeps the records that it is given, in order, and answers as Kinesis does."""

    records: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self.calls.append(operation)
            if operation != "PutRecords":
                return {"Records": [], "MillisBehindLatest": 0, "Reached": operation}
            names = [record["PartitionKey"] for record in body["Records"]]
            self.records += names
        told = [{"SequenceNumber": name, "ShardId": "shardId-000000000000"} for name in names]
        return {"FailedRecordCount": 0, "Records": told}


class Proxied:
    """The proxy before the server, and a client of it that tries once."""

    def __init__(self, folder: Path) -> None:
        upstream = self.upstream = Upstream()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                answer = json.dumps(upstream.answer(operation, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(b"plain")

            do_HEAD = do_GET  # noqa: N815  the library finds it by its name

            def log_message(self, *_: object) -> None:
                pass

        self.folder = folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.proxy = Server(0, self.server.server_address[1], folder)
        self.port = int(self.proxy.server_address[1])
        for one in (self.server, self.proxy):
            threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        self.client = boto3.client(
            "kinesis",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  opens nothing
            config=Config(retries={"total_max_attempts": 1}, read_timeout=2, proxies={}),
        )

    def switch(self, kind: str) -> None:
        write_switches(self.folder, [Switch(5, kind, FOR_LONG, seed=1)])

    def put(self, *names: str) -> Any:  # noqa: ANN401  boto3's
        records: Any = [{"Data": b"{}", "PartitionKey": name} for name in names]
        return self.client.put_records(StreamName="events", Records=records)

    def close(self) -> None:
        self.client.close()
        for one in (self.proxy, self.server):
            one.shutdown()
            one.server_close()


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    proxied = Proxied(tmp_path)
    yield proxied
    proxied.close()


NAMES = tuple("abcdefghij")


def test_without_a_fault_a_call_passes_as_it_is(proxied: Proxied) -> None:
    answer = proxied.put(*NAMES)
    assert proxied.upstream.records == list(NAMES)
    assert [record["SequenceNumber"] for record in answer["Records"]] == list(NAMES)
    assert read_hits(proxied.folder) == []


def test_what_is_no_api_of_json_passes_too_with_and_without_a_body(proxied: Proxied) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=5)
    for method, body in (("GET", b"plain"), ("HEAD", b""), ("GET", b"plain")):
        connection.request(method, "/bucket/key")
        got = connection.getresponse()
        assert (got.status, got.getheader("Content-Length"), got.read()) == (200, "5", body)
    connection.close()


def test_a_put_that_is_refused_in_parts_says_which_and_stores_the_others(proxied: Proxied) -> None:
    proxied.switch("records refused in parts")
    answer = proxied.put(*NAMES)
    failed = [name for name, r in zip(NAMES, answer["Records"], strict=True) if "ErrorCode" in r]
    assert 0 < len(failed) == answer["FailedRecordCount"] < len(NAMES)
    assert proxied.upstream.records == [name for name in NAMES if name not in failed]
    assert [hit.operation for hit in read_hits(proxied.folder)] == ["kinesis.PutRecords"]


def test_a_put_in_another_order_is_answered_in_the_callers(proxied: Proxied) -> None:
    proxied.switch("written in another order")
    answer = proxied.put(*NAMES)
    assert [record["SequenceNumber"] for record in answer["Records"]] == list(NAMES)
    assert proxied.upstream.records != list(NAMES)
    assert sorted(proxied.upstream.records) == list(NAMES)


def test_a_put_whose_answer_is_lost_was_done_once(proxied: Proxied) -> None:
    proxied.switch("written, answer lost")
    outcomes = []
    for name in NAMES:
        try:
            proxied.put(name)
            outcomes.append(True)
        except BotoCoreError:
            outcomes.append(False)
    assert set(outcomes) == {True, False}
    assert proxied.upstream.records == list(NAMES)


def test_a_put_that_is_done_twice_is_stored_twice(proxied: Proxied) -> None:
    proxied.switch("written twice")
    proxied.put("a", "b")
    assert proxied.upstream.records == ["a", "b", "a", "b"]


def test_what_is_not_reachable_was_not_done(proxied: Proxied) -> None:
    proxied.switch("nothing reachable")
    with pytest.raises(BotoCoreError):
        proxied.put("a")
    assert proxied.upstream.calls == []


@pytest.mark.parametrize("whose", ["cardwatch", "flink"])
def test_an_answer_that_is_cut_off_is_a_failure_and_not_an_answer_without_records(
    proxied: Proxied, whose: str
) -> None:
    endpoint = f"http://127.0.0.1:{proxied.port}"
    session = boto3.Session("test", "test", region_name="us-east-1")
    ours = AwsClients(session, endpoint_url=endpoint).kinesis()
    theirs = StreamAddress("events", "us-east-1", endpoint).client()
    client = ours if whose == "cardwatch" else theirs
    proxied.switch("reads cut off")
    failed = 0
    for _ in range(10):
        try:
            answer = client.get_records(ShardIterator="one")
            assert answer["Records"] == []
        except (*FAILURES, BotoCoreError):
            failed += 1
    assert failed == len(read_hits(proxied.folder)) > 0
    assert len(proxied.upstream.calls) == 10


def test_an_expired_iterator_is_refused_as_aws_does(proxied: Proxied) -> None:
    proxied.switch("iterators expire")

    def read_until_refused() -> None:
        for _ in range(20):
            proxied.client.get_records(ShardIterator="one")

    with pytest.raises(ClientError) as refused:
        read_until_refused()
    assert refused.value.response["Error"]["Code"] == "ExpiredIteratorException"


def test_a_fault_of_rare_calls_hits_a_few_and_lets_the_others_pass(proxied: Proxied) -> None:
    proxied.switch("objects refused")
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=5)
    told = []
    for _ in range(40):
        connection.request("GET", "/bucket/key")
        got = connection.getresponse()
        got.read()
        told.append(got.status)
    connection.close()
    assert told.count(503) == len(read_hits(proxied.folder)) == 4
    assert told[-1] == 200


def test_a_fault_is_over_when_its_time_is(proxied: Proxied) -> None:
    write_switches(proxied.folder, [Switch(5, "writes fail", 1.0, seed=1)])
    proxied.put("a")
    assert proxied.upstream.records == ["a"]


def request(operation: str, body: dict[str, Any], path: str = "/") -> api_faults.Request:
    return api_faults.Request("POST", path, {"x-amz-target": operation}, json.dumps(body).encode())


def done(asked: api_faults.Request) -> api_faults.Answer:
    return api_faults.Answer(200, (), asked.body)


def test_a_conflict_names_one_item_of_the_transaction() -> None:
    asked = request("DynamoDB_20120810.TransactWriteItems", {"TransactItems": [{}, {}, {}]})
    fault = api_faults.FAULTS["transactions conflict"]
    assert fault.of(asked)
    answer = fault.effect(asked, done, Random(1), api_faults.Memory())
    said = json.loads(answer.body)
    assert (answer.status, said["__type"]) == (400, "TransactionCanceledException")
    codes = [reason["Code"] for reason in said["CancellationReasons"]]
    assert sorted(codes) == ["None", "None", "TransactionConflict"]


def test_a_batch_is_delivered_again_after_the_one_behind_it() -> None:
    path = "/2015-03-31/functions/stack-NotifierFunction-1/invocations"
    first = api_faults.Request("POST", path, {}, b'{"Records": [{"kinesis": 1}]}')
    second = api_faults.Request("POST", path, {}, b'{"Records": [{"kinesis": 2}]}')
    fault = api_faults.FAULTS["batch delivered again, later"]
    memory = api_faults.Memory()
    memory.learn(first, done(first))
    delivered: list[api_faults.Request] = []

    def forward(asked: api_faults.Request) -> api_faults.Answer:
        delivered.append(asked)
        return done(asked)

    assert fault.of(second)
    assert fault.effect(second, forward, Random(1), memory).body == second.body
    assert delivered == [second, first]


def test_the_simulator_and_the_schedule_are_no_batches() -> None:
    fault = api_faults.FAULTS["notifier throttled"]
    notifier = "/2015-03-31/functions/stack-NotifierFunction-1/invocations"
    assert not fault.of(api_faults.Request("POST", notifier, {}, b"{}"))
    other = notifier.replace("Notifier", "Stager")
    assert not fault.of(api_faults.Request("POST", other, {}, b'{"kinesis": 1}'))


def test_a_body_that_comes_in_chunks_reaches_the_emulator_whole(proxied: Proxied) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=5)
    for _ in range(2):  # what ends the body, a trailer too, is not taken for the next call
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("X-Amz-Target", "Kinesis_20131202.PutRecords")
        connection.endheaders()
        body = b'{"Records": [{"PartitionKey": "a"}]}'
        connection.send(b"14;kind=first\r\n" + body[:20] + b"\r\n")
        connection.send(b"%x\r\n" % len(body[20:]) + body[20:] + b"\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert json.loads(connection.getresponse().read())["FailedRecordCount"] == 0
    connection.close()
    assert proxied.upstream.records == ["a", "a"]


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/bucket/key")
        return connection.getresponse().read() == b"plain"
    except OSError:
        return False
    finally:
        connection.close()


def test_as_a_program_it_passes_calls_on_until_it_is_told_to_end(proxied: Proxied) -> None:
    port, emulator = free_port(), int(proxied.server.server_address[1])
    words = [str(port), str(emulator), str(proxied.folder)]
    with subprocess.Popen(
        [sys.executable, "-m", "cardwatch.local.chaos.fault_proxy", *words]
    ) as program:
        deadline = time.monotonic() + 60
        while not answers(port) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert answers(port)
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 0


@dataclass
class Raw:
    """A body as botocore reads it."""

    body: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.body


class Refusing:
    """Clients whose every call is hit by one fault, and that try once."""

    def __init__(self, kind: str) -> None:
        self.fault = api_faults.FAULTS[kind]

    def client(self, service: Any) -> Any:  # noqa: ANN401  boto3's
        session = boto3.Session("test", "test", region_name="us-east-1")
        client: Any = session.client(service, config=Config(retries={"total_max_attempts": 1}))
        client.meta.events.register("before-send", self.send)
        return client

    def send(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401  botocore's
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        body: Any = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        path = urlsplit(request.url).path
        asked = api_faults.Request(request.method, path, headers, body)
        assert self.fault.of(asked)
        answer = self.fault.effect(asked, done, Random(1), api_faults.Memory())
        told: Any = dict(answer.headers)
        raw: Any = Raw(answer.body)
        return AWSResponse(request.url, answer.status, told, raw)


KEY = {"page_id": {"S": "p"}}
TRANSACTION = [{"Delete": {"TableName": "t", "Key": KEY}}]
RECORD = {"Data": b"{}", "PartitionKey": "a"}
TOPIC = "arn:aws:sns:us-east-1:000000000000:pages"
REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "pages refused": ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}),
    "pages throttled": ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}),
    "subscriptions unreadable": ("sns", "list_subscriptions_by_topic", {"TopicArn": TOPIC}),
    "notifier throttled": (
        "lambda",
        "invoke",
        {"FunctionName": "NotifierFunction", "Payload": b'{"Records": [{"kinesis": 1}]}'},
    ),
    "objects refused": ("s3", "get_object", {"Bucket": "bucket", "Key": "key"}),
    "ledger throttled": ("dynamodb", "transact_write_items", {"TransactItems": TRANSACTION}),
    "transactions conflict": ("dynamodb", "transact_write_items", {"TransactItems": TRANSACTION}),
    "tables fail": ("dynamodb", "get_item", {"TableName": "t", "Key": KEY}),
    "writes fail": ("kinesis", "put_records", {"StreamName": "events", "Records": [RECORD]}),
    "reads throttled": ("kinesis", "get_records", {"ShardIterator": "one"}),
}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("pages refused", "InternalError"),
        ("pages throttled", "Throttled"),
        ("subscriptions unreadable", "InternalError"),
        ("notifier throttled", "TooManyRequestsException"),
        ("objects refused", "SlowDown"),
        ("ledger throttled", "ProvisionedThroughputExceededException"),
        ("transactions conflict", "TransactionCanceledException"),
        ("tables fail", "InternalServerError"),
        ("writes fail", "InternalFailure"),
        ("reads throttled", "ProvisionedThroughputExceededException"),
    ],
)
def test_a_refusal_is_to_aws_s_own_client_the_error_that_the_service_gives(
    kind: str, code: str
) -> None:
    service, operation, words = REFUSED[kind]
    with pytest.raises(ClientError) as refused:
        getattr(Refusing(kind).client(service), operation)(**words)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["Error"]["Message"]


def invoked(number: int) -> api_faults.Request:
    path = "/2015-03-31/functions/stack-NotifierFunction-1/invocations"
    return api_faults.Request("POST", path, {}, b'{"Records": [{"kinesis": %d}]}' % number)


@dataclass
class Emulator:
    """Does what it is asked, unless it is full."""

    full: bool = False
    asked: list[api_faults.Request] = field(default_factory=list)

    def __call__(self, request: api_faults.Request) -> api_faults.Answer:
        self.asked.append(request)
        if self.full:
            return api_faults.refusal(request, 400, "LimitExceededException", "full")
        return done(request)


def hit(effect: api_faults.Effect, asked: api_faults.Request, by: Emulator) -> api_faults.Answer:
    return effect(asked, by, Random(1), api_faults.Memory())


def test_a_batch_may_be_with_the_notifier_twice_at_the_same_time() -> None:
    both = threading.Barrier(2)
    delivered: list[api_faults.Request] = []

    def forward(asked: api_faults.Request) -> api_faults.Answer:
        both.wait(10)  # until the other one is there too
        delivered.append(asked)
        return done(asked)

    fault = api_faults.FAULTS["batch delivered twice at once"]
    assert fault.of(invoked(1))
    answer = fault.effect(invoked(1), forward, Random(1), api_faults.Memory())
    assert (answer.body, delivered) == (invoked(1).body, [invoked(1)] * 2)


def test_a_first_batch_has_none_before_it_that_could_come_again() -> None:
    emulator = Emulator()
    hit(api_faults.FAULTS["batch delivered again, later"].effect, invoked(1), emulator)
    assert emulator.asked == [invoked(1)]


@pytest.mark.parametrize("kind", ["records refused in parts", "written in another order"])
def test_what_the_emulator_refuses_by_itself_is_told_as_it_is(kind: str) -> None:
    emulator = Emulator(full=True)
    names = [{"PartitionKey": name} for name in NAMES]
    asked = request("Kinesis_20131202.PutRecords", {"Records": names})
    answer = hit(api_faults.FAULTS[kind].effect, asked, emulator)
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "LimitExceededException")


def test_a_put_of_one_record_that_is_refused_in_parts_is_refused_whole() -> None:
    emulator = Emulator()
    asked = request("Kinesis_20131202.PutRecords", {"Records": [{"PartitionKey": "a"}]})
    answer = hit(api_faults.partly_refused, asked, emulator)
    told = json.loads(answer.body)
    assert (told["FailedRecordCount"], len(told["Records"])) == (1, 1)
    assert emulator.asked == []


def test_a_late_answer_comes_after_it_was_done_and_a_slow_one_before() -> None:
    waits: list[tuple[float, int]] = []
    emulator = Emulator()

    def pause(seconds: float) -> None:
        waits.append((seconds, len(emulator.asked)))

    asked = request("SNS.Publish", {})
    hit(api_faults.answered_late(pause), asked, emulator)
    hit(api_faults.slow(pause), asked, emulator)
    (late, done_by_then), (slow, done_before) = waits
    assert late > 5, "longer than any client waits that does not try again"
    assert 0 < slow <= 1.5
    assert (done_by_then, done_before, len(emulator.asked)) == (1, 1, 2)


def test_of_two_shards_one_is_slow_and_an_iterator_that_nobody_knows_is_not() -> None:
    waits: list[float] = []
    memory = api_faults.Memory()
    for shard in ("shardId-000000000000", "shardId-000000000001"):
        asked = request("Kinesis_20131202.GetShardIterator", {"ShardId": shard})
        told = json.dumps({"ShardIterator": f"of {shard}"}).encode()
        memory.learn(asked, api_faults.Answer(200, (), told))
    waited = []
    for iterator in ("of shardId-000000000000", "of shardId-000000000001", "unknown"):
        asked = request("Kinesis_20131202.GetRecords", {"ShardIterator": iterator})
        before = len(waits)
        api_faults.slow_shard(waits.append)(asked, Emulator(), Random(1), memory)
        waited.append(len(waits) - before)
    assert waited == [0, 1, 0]


def test_the_oldest_iterators_are_forgotten() -> None:
    memory = api_faults.Memory()
    for number in range(api_faults.ITERATORS_KEPT + 1):
        asked = request("Kinesis_20131202.GetShardIterator", {"ShardId": f"shard {number}"})
        told = json.dumps({"ShardIterator": str(number)}).encode()
        memory.learn(asked, api_faults.Answer(200, (), told))

    def shard_of(iterator: int) -> str:
        asked = request("Kinesis_20131202.GetRecords", {"ShardIterator": str(iterator)})
        return memory.shard_of(asked)

    assert (shard_of(0), shard_of(1)) == ("", "shard 1")
    assert len(memory.iterators) == api_faults.ITERATORS_KEPT
