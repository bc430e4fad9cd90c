"""What a fault does to a call of the AWS API: pure, between a request and whoever answers it.

The answers are AWS's own, so that what is tried is how the clients take them:

- PutRecords fails in parts, each failed record with its ErrorCode ("PutRecords", Kinesis API
  Reference), and promises no order ("Adding Multiple Records with PutRecords", Developer Guide);
- an iterator expires five minutes after it was given ("GetRecords");
- a transaction that meets another one is TransactionCanceledException, with a reason for each of
  its items ("TransactWriteItems", DynamoDB API Reference);
- a mapping delivers a batch once more, also after a newer one (Lambda Developer Guide).
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs

ITERATORS_KEPT: Final = 2_000
TIMED_OUT_SECONDS: Final = 6.0
"""Longer than the clients that do not try again by themselves wait, 5 s at most."""
SLOW_SECONDS: Final = 1.5
PART: Final = 3
"""One record in so many of a PutRecords is refused."""


class ConnectionLostError(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def operation(self) -> str:
        """Name what is asked of which service, like `kinesis.PutRecords`."""
        target = self.headers.get("x-amz-target", "")
        if target:
            service, _, name = target.partition(".")
            return f"{_SERVICES.get(service.partition('_')[0], service)}.{name}"
        if "/functions/" in self.path and self.path.endswith("/invocations"):
            return "lambda.Invoke"
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return f"sns.{parse_qs(self.body.decode()).get('Action', [''])[0]}"
        return f"s3.{self.method}"


_SERVICES: Final = {"Kinesis": "kinesis", "DynamoDB": "dynamodb", "AmazonSQS": "sqs"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: bool = False
    """The connection is lost half-way through the body."""


Forward = Callable[[Request], Answer]


@dataclass(slots=True)
class Memory:
    """What the proxy remembers of calls before: which shard an iterator is of, the last batch."""

    iterators: OrderedDict[str, str] = field(default_factory=OrderedDict)
    batch: Request | None = None
    """The last one that the notifier was called with."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, request: Request, answer: Answer) -> None:
        """Take in a call that was answered."""
        operation = request.operation
        if operation == "kinesis.GetShardIterator" and answer.status == OK:
            iterator = json.loads(answer.body).get("ShardIterator", "")
            with self.lock:
                self.iterators[iterator] = json.loads(request.body).get("ShardId", "")
                if len(self.iterators) > ITERATORS_KEPT:
                    self.iterators.popitem(last=False)
        elif is_batch(request):
            self.batch = request

    def shard_of(self, request: Request) -> str:
        """Give the shard that a GetRecords reads; empty where that is not known."""
        with self.lock:
            return self.iterators.get(json.loads(request.body).get("ShardIterator", ""), "")


OK: Final = 200
Effect = Callable[[Request, Forward, Random, Memory], Answer]
Pause = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class ApiFault:
    """A fault of some calls."""

    of: Callable[[Request], bool]
    """Whether it may hit a call."""
    effect: Effect
    share: float = 1.0
    """Of the calls that it may hit, how many it hits."""
    in_doubt: bool = False
    """Whether who is hit after publishing cannot know, or note, that it did: a marked repeat."""
    most: int | None = None
    """How many calls it hits at most: for calls that are rare, and waited for."""


def is_batch(request: Request) -> bool:
    """Say whether a call is a batch of records for the notifier."""
    return "NotifierFunction" in request.path and b'"kinesis"' in request.body


def asks(*operations: str) -> Callable[[Request], bool]:
    """Give the calls of some operations."""
    return lambda request: request.operation in operations


def refused(status: int, code: str, text: str = "tried by the fault proxy") -> Effect:
    """Give an effect: the call is refused, and nothing was done."""

    def refuse(request: Request, _forward: Forward, _random: Random, _memory: Memory) -> Answer:
        return refusal(request, status, code, text)

    return refuse


def refusal(request: Request, status: int, code: str, text: str, **more: object) -> Answer:
    """Answer with an error, in the words of the service's protocol."""
    service = request.operation.partition(".")[0]
    if service in {"sns", "s3"}:
        error = f"<Code>{code}</Code><Message>{text}</Message>"
        if service == "sns":
            error = f"<ErrorResponse><Error><Type>Receiver</Type>{error}</Error></ErrorResponse>"
        else:
            error = f"<Error>{error}</Error>"
        return Answer(status, (("Content-Type", "text/xml"),), error.encode())
    body = json.dumps({"__type": code, "message": text, **more}).encode()
    headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code))
    return Answer(status, headers, body)


def partly_refused(request: Request, forward: Forward, random: Random, _: Memory) -> Answer:
    """Take some records of a PutRecords, and refuse the others."""
    asked = json.loads(request.body)
    records = asked["Records"]
    out = {at for at in range(len(records)) if random.randrange(PART) == 0}
    out = out or {random.randrange(len(records))}
    taken = [record for at, record in enumerate(records) if at not in out]
    answer: dict[str, Any] = {"Records": [], "FailedRecordCount": 0}
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/x-amz-json-1.1"),)
    if taken:
        got = forward(replace(request, body=json.dumps({**asked, "Records": taken}).encode()))
        if got.status != OK:
            return got
        answer, headers = json.loads(got.body), got.headers
    stored = iter(answer["Records"])
    code = "ProvisionedThroughputExceededException"
    failed = {"ErrorCode": code, "ErrorMessage": "tried by the fault proxy"}
    answer["Records"] = [failed if at in out else next(stored) for at in range(len(records))]
    answer["FailedRecordCount"] += len(out)
    return Answer(OK, headers, json.dumps(answer).encode())


def reordered(request: Request, forward: Forward, random: Random, _: Memory) -> Answer:
    """Take the records of a PutRecords in another order; the answer keeps the caller's."""
    asked = json.loads(request.body)
    order = list(range(len(asked["Records"])))
    random.shuffle(order)
    records = [asked["Records"][at] for at in order]
    got = forward(replace(request, body=json.dumps({**asked, "Records": records}).encode()))
    if got.status != OK:
        return got
    answer = json.loads(got.body)
    places = dict(zip(order, answer["Records"], strict=True))
    answer["Records"] = [places[at] for at in range(len(order))]
    return replace(got, body=json.dumps(answer).encode())


def twice(request: Request, forward: Forward, _random: Random, _memory: Memory) -> Answer:
    """Do it twice, one after the other."""
    forward(request)
    return forward(request)


def twice_at_once(request: Request, forward: Forward, _random: Random, _memory: Memory) -> Answer:
    """Do it twice at the same time."""
    other = threading.Thread(target=forward, args=(request,))
    other.start()
    answer = forward(request)
    other.join()
    return answer


def the_last_once_more(request: Request, forward: Forward, _: Random, memory: Memory) -> Answer:
    """Deliver a batch, and then the one before it again."""
    before = memory.batch
    answer = forward(request)
    if before is not None and before != request:
        forward(before)
    return answer


def answer_lost(request: Request, forward: Forward, _random: Random, _memory: Memory) -> Answer:
    """Do it, and lose the answer."""
    forward(request)
    raise ConnectionLostError


def answered_late(pause: Pause = time.sleep) -> Effect:
    """Give an effect: it is done, and answered when nobody waits any more."""

    def late(request: Request, forward: Forward, _random: Random, _memory: Memory) -> Answer:
        answer = forward(request)
        pause(TIMED_OUT_SECONDS)
        return answer

    return late


def answer_cut(request: Request, forward: Forward, _random: Random, _memory: Memory) -> Answer:
    """Do it, and lose the connection in the middle of the answer."""
    return replace(forward(request), cut=True)


def slow(pause: Pause = time.sleep) -> Effect:
    """Give an effect: it is done late, which is in time for those who wait."""

    def wait(request: Request, forward: Forward, random: Random, _memory: Memory) -> Answer:
        pause(SLOW_SECONDS * random.random())
        return forward(request)

    return wait


def slow_shard(pause: Pause = time.sleep) -> Effect:
    """Give an effect: every second shard answers late."""

    def wait(request: Request, forward: Forward, _random: Random, memory: Memory) -> Answer:
        if memory.shard_of(request)[-1:] in {"1", "3", "5", "7", "9"}:
            pause(SLOW_SECONDS)
        return forward(request)

    return wait


def unreachable(_request: Request, _forward: Forward, _random: Random, _memory: Memory) -> Answer:
    """Lose the connection before anything was done."""
    raise ConnectionLostError


def conflicting(request: Request, _forward: Forward, random: Random, _memory: Memory) -> Answer:
    """Cancel a transaction, because another one changes one of its items."""
    items = json.loads(request.body).get("TransactItems", [{}])
    reasons = [{"Code": "None"} for _ in items]
    at = random.randrange(len(items))
    reasons[at] = {
        "Code": "TransactionConflict",
        "Message": "Transaction is ongoing for the item",
    }
    codes = ", ".join(reason["Code"] for reason in reasons)
    text = (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    code = "TransactionCanceledException"
    return refusal(request, 400, code, text, Message=text, CancellationReasons=reasons)


_PUT = asks("kinesis.PutRecords")
_READ = asks("kinesis.GetRecords", "kinesis.GetShardIterator")
_LEDGER = asks("dynamodb.TransactWriteItems")
_TABLES = asks("dynamodb.GetItem", "dynamodb.BatchGetItem", "dynamodb.Query", "dynamodb.PutItem")
_PUBLISH = asks("sns.Publish")
_OBJECTS = asks("s3.PUT", "s3.GET")
_THROUGHPUT: Final = "ProvisionedThroughputExceededException"

FAULTS: Final[Mapping[str, ApiFault]] = {
    "records refused in parts": ApiFault(_PUT, partly_refused),
    "writes throttled": ApiFault(_PUT, refused(400, _THROUGHPUT), 0.7),
    "writes fail": ApiFault(_PUT, refused(500, "InternalFailure"), 0.7),
    "written, answer lost": ApiFault(_PUT, answer_lost, 0.5),
    "written, timed out": ApiFault(_PUT, answered_late(), 0.3),
    "written twice": ApiFault(_PUT, twice),
    "written in another order": ApiFault(_PUT, reordered),
    "reads throttled": ApiFault(_READ, refused(400, _THROUGHPUT), 0.7),
    "iterators expire": ApiFault(
        asks("kinesis.GetRecords"), refused(400, "ExpiredIteratorException"), 0.7
    ),
    "reads cut off": ApiFault(asks("kinesis.GetRecords"), answer_cut, 0.5),
    "a slow shard": ApiFault(asks("kinesis.GetRecords"), slow_shard()),
    "transactions conflict": ApiFault(_LEDGER, conflicting, 0.5, in_doubt=True, most=4),
    "ledger throttled": ApiFault(_LEDGER, refused(400, _THROUGHPUT), 0.5, in_doubt=True, most=4),
    "ledger written, answer lost": ApiFault(_LEDGER, answer_lost, 0.5, in_doubt=True, most=4),
    "tables fail": ApiFault(_TABLES, refused(500, "InternalServerError"), 0.5),
    "pages refused": ApiFault(_PUBLISH, refused(500, "InternalError"), most=4),
    "pages throttled": ApiFault(_PUBLISH, refused(400, "Throttled"), most=4),
    "paged, answer lost": ApiFault(_PUBLISH, answer_lost, in_doubt=True, most=4),
    "paged, timed out": ApiFault(_PUBLISH, answered_late(), in_doubt=True, most=4),
    "subscriptions unreadable": ApiFault(
        asks("sns.ListSubscriptionsByTopic"), refused(500, "InternalError"), most=4
    ),
    "batch delivered twice at once": ApiFault(is_batch, twice_at_once, most=4),
    "batch delivered again, later": ApiFault(is_batch, the_last_once_more, most=4),
    "batch done, answer lost": ApiFault(is_batch, answer_lost, 0.7, most=4),
    "notifier throttled": ApiFault(is_batch, refused(429, "TooManyRequestsException"), 0.7, most=4),
    "objects refused": ApiFault(_OBJECTS, refused(503, "SlowDown"), 0.5, most=4),
    "everything slow": ApiFault(lambda _: True, slow(), 0.5, in_doubt=True),
    "nothing reachable": ApiFault(lambda _: True, unreachable, in_doubt=True),
}
"""By what people call it."""
SPARSE: Final = frozenset(kind for kind, fault in FAULTS.items() if fault.most is not None)
"""Kinds whose calls are rare."""
