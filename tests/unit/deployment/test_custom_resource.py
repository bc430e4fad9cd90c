"""The protocol of custom resources: CloudFormation is always answered, once, in time."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeClock
from tests.managed_flink import Context

from cardwatch.deployment import custom_resource
from cardwatch.deployment.custom_resource import (
    BODY_BYTES,
    NEVER_MADE,
    Answer,
    Request,
    ResourceFailedError,
    put_answer,
    respond,
)

Handle = Callable[[Request], Answer]


def event(kind: str = "Create", **more: object) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "RequestId": "request-1",
        "ResponseURL": "https://answers.example/signed",
        "StackId": "stack",
        "LogicalResourceId": "Thing",
        "ResourceProperties": {"ServiceToken": "arn", "ServiceTimeout": "900", "Size": "3"},
        **more,
    }


def answer_to(asked: Mapping[str, Any], handle: Handle) -> dict[str, Any]:
    bodies: list[bytes] = []
    respond(asked, Context(FakeClock()), handle, put=lambda _address, body: bodies.append(body))
    [body] = bodies
    assert len(body) <= BODY_BYTES
    answer: dict[str, Any] = json.loads(body)
    return answer


def failing(error: Exception) -> Handle:
    def handle(_: Request) -> Answer:
        raise error

    return handle


def test_what_was_made_is_answered_with_its_id_its_data_and_what_identifies_the_request() -> None:
    assert answer_to(event(), lambda _: Answer("thing-1", {"Key": "k"})) == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "thing-1",
        "StackId": "stack",
        "RequestId": "request-1",
        "LogicalResourceId": "Thing",
        "Data": {"Key": "k"},
    }


def test_a_handler_sees_the_resource_s_own_properties_and_those_before() -> None:
    seen: list[Request] = []

    def handle(request: Request) -> Answer:
        seen.append(request)
        return Answer("thing-1")

    old = {"ServiceToken": "arn", "Size": "2"}
    answer_to(event("Update", PhysicalResourceId="thing-1", OldResourceProperties=old), handle)
    [request] = seen
    assert (request.kind, request.physical_id) == ("Update", "thing-1")
    assert (request.properties, request.old_properties) == ({"Size": "3"}, {"Size": "2"})
    assert request.remaining_seconds() == 900 - custom_resource.HANDLER_MARGIN_SECONDS


def test_a_failure_s_text_is_the_reason() -> None:
    answer = answer_to(event(), failing(ResourceFailedError("no room: make some")))
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "no room: make some")


def test_an_unforeseen_failure_tells_its_kind_and_where_the_log_is_but_not_its_text() -> None:
    answer = answer_to(event(), failing(ValueError("password=hunter2")))
    assert answer["Status"] == "FAILED"
    assert "hunter2" not in json.dumps(answer)
    for part in ("ValueError", "/aws/lambda/flink-application", "2026/11/21/[1]abc"):
        assert part in answer["Reason"]


@given(st.text(max_size=9000))
def test_a_reason_of_any_length_and_content_fits_into_the_answer(reason: str) -> None:
    answer = answer_to(event(), failing(ResourceFailedError(reason)))
    assert answer["Reason"] == reason or answer["Reason"] == (
        reason[: len(answer["Reason"]) - 3] + "..."
    )


def test_data_that_do_not_fit_into_the_answer_are_said_to_be_too_many() -> None:
    answer = answer_to(event(), lambda _: Answer("thing-1", {"Text": "x" * 5000}))
    assert answer["Status"] == "FAILED"
    assert "4096" in answer["Reason"]


def test_the_delete_of_what_a_failed_create_never_made_succeeds_whatever_happens() -> None:
    identity = answer_to(event(), failing(ResourceFailedError("bad property")))[
        "PhysicalResourceId"
    ]
    assert identity.startswith(NEVER_MADE)
    seen: list[str | None] = []

    def handle(request: Request) -> Answer:
        seen.append(request.physical_id)
        return failing(ResourceFailedError("bad property"))(request)

    answer = answer_to(event("Delete", PhysicalResourceId=identity), handle)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", identity)
    assert seen == [None]


def test_a_create_that_left_something_behind_names_it_for_the_rollback() -> None:
    error = ResourceFailedError("half done", physical_id="thing-1")
    assert answer_to(event(), failing(error))["PhysicalResourceId"] == "thing-1"


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_a_failed_change_keeps_the_id(kind: str) -> None:
    error = ResourceFailedError("no", physical_id="other")
    answer = answer_to(event(kind, PhysicalResourceId="thing-1"), failing(error))
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "thing-1")


def test_another_kind_of_request_is_refused() -> None:
    answer = answer_to(event("Explode"), lambda _: Answer("thing-1"))
    assert answer["Status"] == "FAILED"
    assert "'Explode'" in answer["Reason"]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, ["Size", "Thing", "missing"]),
        ({"Size": ""}, ["Size", "missing"]),
        ({"Size": "11"}, ["Size", "from 1 to 10", "'11'"]),
        ({"Size": "-1"}, ["from 1 to 10"]),
        ({"Size": "²"}, ["from 1 to 10"]),
    ],
)
def test_a_wrong_property_is_named_with_the_remedy(
    properties: dict[str, str], words: list[str]
) -> None:
    def handle(request: Request) -> Answer:
        return Answer(str(request.whole_number("Size", least=1, most=10)))

    answer = answer_to(event(ResourceProperties=properties), handle)
    assert answer["Status"] == "FAILED"
    for word in [*words, "template"]:
        assert word in answer["Reason"]


def test_a_handler_that_hangs_is_answered_for_before_the_function_ends() -> None:
    bodies: list[bytes] = []
    answered = threading.Event()

    def put(_: str, body: bytes) -> None:
        bodies.append(body)
        answered.set()

    def hang(_: Request) -> Answer:
        assert answered.wait(10)
        return Answer("thing-1")

    short = Context(FakeClock(), seconds=custom_resource.ANSWER_MARGIN_SECONDS + 0.2)
    respond(event(), short, hang, put=put)
    [body] = bodies  # what the handler gave at last is not answered as well
    answer = json.loads(body)
    assert answer["Status"] == "FAILED"
    assert "did not finish within its 20 s" in answer["Reason"]
    assert "/aws/lambda/flink-application" in answer["Reason"]


def test_an_answer_that_cannot_be_sent_is_an_error_of_the_function() -> None:
    def put(_: str, __: bytes) -> None:
        msg = "CloudFormation was not answered: URLError"
        raise OSError(msg)

    with pytest.raises(OSError, match="was not answered"):
        respond(event(), Context(FakeClock()), lambda _: Answer("thing-1"), put=put)


class Answers(http.server.BaseHTTPRequestHandler):
    """Where answers are PUT: gives the statuses in turn."""

    statuses: list[int]
    received: list[tuple[str, str | None, bytes]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).received.append((self.path, self.headers["Content-Type"], body))
        self.send_response(type(self).statuses.pop(0))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answers(*statuses: int) -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    class Scripted(Answers):
        pass

    Scripted.statuses, Scripted.received = list(statuses), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/answer?signed=1", Scripted.received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.usefixtures("quick")
def test_an_answer_is_put_again_after_a_server_s_error() -> None:
    with answers(500, 503, 200) as (address, received):
        put_answer(address, b"{}")
    assert received == [("/answer?signed=1", "", b"{}")] * 3


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.usefixtures("quick")
def test_an_answer_that_is_refused_is_not_put_again() -> None:
    with answers(403) as (address, received), pytest.raises(OSError, match="HTTPError"):
        put_answer(address, b"{}")
    assert len(received) == 1


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.usefixtures("quick")
def test_an_unreachable_address_is_tried_five_times_and_its_signature_kept_out_of_the_log() -> None:
    with answers() as (address, _):
        pass
    with pytest.raises(OSError, match="URLError") as raised:
        put_answer(address, b"{}")
    assert "signed" not in str(raised.value)
