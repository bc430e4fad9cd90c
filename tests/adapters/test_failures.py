"""Whatever a call to AWS fails with, an adapter raises its port's own error, and says of what."""

import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from tests.fakes import NOON, FakeClock

from cardwatch.aws.card_registry import DynamoDBCardRegistry
from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.aws.delivered_objects import S3DeliveredObjects
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.failures import Failure, code, passes, reason
from cardwatch.aws.ledger import DynamoDBPageLedger
from cardwatch.aws.page_queue import SecretsManagerWebhookAddress
from cardwatch.aws.pager import SnsPager
from cardwatch.aws.simulator_control import DynamoDBSimulatorControl
from cardwatch.aws.subscriptions import SnsSubscriptions
from cardwatch.aws.token_keys import SecretsManagerTokenKeys, TokenKeyError
from cardwatch.backoff import Backoff
from cardwatch.paging.ports import (
    LedgerItem,
    LedgerUnavailableError,
    PageMessage,
    PageNotSentError,
)
from cardwatch.paging.slack import WebhookFailedError
from cardwatch.paging.subscriptions import SubscriptionsUnavailableError
from cardwatch.ports import NotKeptError, StreamEntry, StreamUnavailableError
from cardwatch.recovery.ports import BucketUnavailableError
from cardwatch.simulation.control import ControlUnavailableError, Handover
from cardwatch.staging.ports import KnownStatus, RegistryUnavailableError


class HastySession(boto3.Session):
    """A session whose clients try once, so that a failure comes at once."""

    def client(self, service_name, *, config=None, **arguments):  # type: ignore[no-untyped-def, override]  # noqa: ANN001, ANN003, ANN201
        hasty = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
        config = config.merge(hasty) if config else hasty
        return super().client(service_name, config=config, **arguments)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every call as a service does to whom it does not allow it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "x-amz-target" in self.headers:
            body, kind = b'{"__type": "AccessDeniedException"}', "application/x-amz-json-1.0"
        else:
            body, kind = b"<Error><Code>AccessDenied</Code></Error>", "text/xml"
            if self.command == "POST":  # SNS wraps it once more
                body = b"<ErrorResponse>" + body + b"</ErrorResponse>"
        self.send_response(403)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815  the base class's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["nobody answers", "access is denied"])
def failing(request: pytest.FixtureRequest) -> Iterator[AwsClients]:
    """Clients of an AWS that does not answer, or refuses."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    address = f"http://127.0.0.1:{server.server_port}"
    if request.param == "nobody answers":
        server.server_close()
    else:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    session = HastySession("test", "test", region_name="us-east-1")
    yield AwsClients(session, endpoint_url=address)
    if request.param != "nobody answers":
        server.shutdown()
        server.server_close()


CARD = "4f0c" * 8
MESSAGE = PageMessage("page_1", "subject", "text", ("a" * 64,), "FIRST", repeat=False)


def ledger(aws: AwsClients) -> DynamoDBPageLedger:
    return DynamoDBPageLedger(aws.dynamodb(), "the-ledger", FakeClock(), keep_for=timedelta(days=1))


def letters(aws: AwsClients) -> S3DeadLetters:
    return S3DeadLetters(aws.s3(), "the-bucket", FakeClock())


def stream(aws: AwsClients) -> KinesisEventStream:
    return KinesisEventStream(aws.kinesis(), "the-stream", FakeClock(), backoff=Backoff(tries=2))


CALLS: dict[str, tuple[type[Exception], Callable[[AwsClients], object]]] = {
    "ledger.read": (LedgerUnavailableError, lambda aws: ledger(aws).read(["a"])),
    "ledger.commit": (
        LedgerUnavailableError,
        lambda aws: ledger(aws).commit([LedgerItem("a", 0, "S", "{}", None, NOON)]),
    ),
    "ledger.waiting": (LedgerUnavailableError, lambda aws: ledger(aws).waiting("page", limit=1)),
    "dead_letters.keep": (NotKeptError, lambda aws: letters(aws).keep("s", [b"x"], reason="r")),
    "dead_letters.sources": (BucketUnavailableError, lambda aws: letters(aws).sources()),
    "dead_letters.objects": (BucketUnavailableError, lambda aws: list(letters(aws).objects("s"))),
    "dead_letters.letters_in": (BucketUnavailableError, lambda aws: letters(aws).letters_in("n")),
    "dead_letters.remove": (BucketUnavailableError, lambda aws: letters(aws).remove("name")),
    "delivered.list": (
        BucketUnavailableError,
        lambda aws: S3DeliveredObjects(aws.s3(), "b").list("events/"),
    ),
    "delivered.get": (
        BucketUnavailableError,
        lambda aws: S3DeliveredObjects(aws.s3(), "b").get("k"),
    ),
    "stream.shard_hash_keys": (StreamUnavailableError, lambda aws: stream(aws).shard_hash_keys()),
    "registry.read": (
        RegistryUnavailableError,
        lambda aws: DynamoDBCardRegistry(aws.impatient_dynamodb(), "t").read([CARD]),
    ),
    "registry.write": (
        RegistryUnavailableError,
        lambda aws: DynamoDBCardRegistry(aws.impatient_dynamodb(), "t").write(
            KnownStatus(CARD, stolen=True, effective_from=NOON)
        ),
    ),
    "control.read": (
        ControlUnavailableError,
        lambda aws: DynamoDBSimulatorControl(aws.impatient_dynamodb(), "t").read(),
    ),
    "control.write": (
        ControlUnavailableError,
        lambda aws: DynamoDBSimulatorControl(aws.impatient_dynamodb(), "t").write_handovers(
            (Handover(1, "h", 2),), after=None
        ),
    ),
    "subscriptions.all": (
        SubscriptionsUnavailableError,
        lambda aws: SnsSubscriptions(aws.sns(), "arn:aws:sns:us-east-1:000000000000:t").all(),
    ),
    "token_keys.current": (
        TokenKeyError,
        lambda aws: SecretsManagerTokenKeys(aws.secrets(), "s").current(),
    ),
    "webhook_address": (
        WebhookFailedError,
        lambda aws: SecretsManagerWebhookAddress(aws.impatient_secrets(), "s")(),
    ),
    "pager.send": (
        PageNotSentError,
        lambda aws: SnsPager(aws.sns(), "arn:aws:sns:us-east-1:000000000000:t").send(MESSAGE),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_adapter_raises_its_port_s_own_error_and_says_why(
    failing: AwsClients, name: str
) -> None:
    expected, call = CALLS[name]
    with pytest.raises(expected, match=r"EndpointConnectionError|AccessDenied") as raised:
        call(failing)
    assert "\n" not in str(raised.value)


def test_what_the_stream_does_not_take_comes_back_and_raises_nothing(failing: AwsClients) -> None:
    outcome = stream(failing).put([StreamEntry(b"x", "key")])
    assert outcome.delivered == 0
    (lost,) = outcome.undelivered
    assert lost.error_code in {"EndpointConnectionError", "AccessDeniedException"}


def refused(error_code: str, status: int = 400, message: str = "") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": error_code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "Call",
    )


@pytest.mark.parametrize(
    ("error", "name", "may_pass"),
    [
        (refused("ThrottlingException"), "ThrottlingException", True),
        (refused("AccessDenied", 403), "AccessDenied", False),
        (refused("NeverHeardOf", 503), "NeverHeardOf", True),
        (refused("Ours"), "Ours", False),
        (EndpointConnectionError(endpoint_url="x"), "EndpointConnectionError", True),
        (ReadTimeoutError(endpoint_url="x"), "ReadTimeoutError", True),
        (ResponseParserError("x"), "ResponseParserError", True),
        (ParamValidationError(report="x"), "ParamValidationError", False),
    ],
)
def test_a_failure_has_a_name_and_passes_when_it_is_not_our_mistake(
    error: Failure, name: str, *, may_pass: bool
) -> None:
    assert code(error) == name
    assert passes(error) is may_pass


def test_a_service_may_have_refusals_of_its_own_that_pass() -> None:
    assert passes(refused("Ours"), {"Ours"})
    assert reason(refused("Ours", message="in its own words")) == "Ours: in its own words"


def test_the_waits_of_a_backoff_are_spread_grow_and_end() -> None:
    backoff = Backoff(tries=50, first_seconds=0.1, longest_seconds=2.0, patience_seconds=20.0)
    clock = FakeClock()
    tried = list(backoff.attempts(clock))
    assert tried == list(range(1, len(tried) + 1))
    assert len(set(clock.slept)) == len(clock.slept) == len(tried) - 1
    assert all(
        wait <= backoff.longest_wait(failures) for failures, wait in enumerate(clock.slept, start=1)
    )
    assert 15 < sum(clock.slept) < 20 < sum(clock.slept) + 2
    assert backoff.longest_wait(10_000) == 2.0
