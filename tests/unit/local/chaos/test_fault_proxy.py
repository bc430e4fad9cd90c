"""The fault proxy before a small Kinesis-like server: what each fault does to a call."""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.failures import FAILURES
from cardwatch.local.chaos import api_faults
from cardwatch.local.chaos.fault_proxy import Server, Switch, read_hits, write_switches
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
