"""One behaviour of the page ledger, asked of the fake, of moto and of the emulator."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.fakes import NOON, FakeClock, FakePageLedger

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.ledger import UNFINISHED_INDEX, DynamoDBPageLedger
from cardwatch.paging.ports import LedgerItem, LedgerUnavailableError, PageLedger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEEP_FOR = timedelta(days=14)


def create_table(clients: AwsClients) -> str:
    """Make a table like the template's LedgerTable."""
    name = f"ledger-{random.getrandbits(32):08x}"
    clients.dynamodb().create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "unfinished", "AttributeType": "S"},
            {"AttributeName": "since", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": UNFINISHED_INDEX,
                "KeySchema": [
                    {"AttributeName": "unfinished", "KeyType": "HASH"},
                    {"AttributeName": "since", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return name


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


EMULATOR = [pytest.param("emulator", marks=pytest.mark.stack)]
"""Of threads: moto takes a refused transaction back with what others wrote meanwhile."""
REAL = ["moto", *EMULATOR]
real_ones = pytest.mark.parametrize("ledger", REAL, indirect=True)
"""The fake serves one thread and forgets nothing."""


@pytest.fixture(params=["fake", *REAL])
def ledger(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[PageLedger]:
    if request.param == "fake":
        yield FakePageLedger()
    elif request.param == "emulator":
        clients = request.getfixturevalue("emulator")
        name = create_table(clients)
        yield DynamoDBPageLedger(clients.dynamodb(), name, clock, keep_for=KEEP_FOR)
    else:
        request.getfixturevalue("aws_environment")
        with mock_aws():
            clients = AwsClients()
            name = create_table(clients)
            yield DynamoDBPageLedger(clients.dynamodb(), name, clock, keep_for=KEEP_FOR)


def item(key: str, **changes: Any) -> LedgerItem:  # noqa: ANN401  any field of an item
    new = LedgerItem(key, 0, "HELD", '{"a": "\u00e9"}', None, NOON)
    return replace(new, **changes)


def test_an_item_is_read_as_it_was_written_with_the_next_version(ledger: PageLedger) -> None:
    wanted = item("a", unfinished="held", since=NOON + timedelta(milliseconds=123))
    assert ledger.commit([wanted])
    assert ledger.read(["a", "b", "a"]) == {"a": replace(wanted, version=1)}


def test_many_items_are_read_at_once(ledger: PageLedger) -> None:
    for start in range(0, 250, 50):
        assert ledger.commit([item(f"k{n}") for n in range(start, start + 50)])
    assert set(ledger.read([f"k{n}" for n in range(300)])) == {f"k{n}" for n in range(250)}


def test_reading_nothing_finds_nothing(ledger: PageLedger) -> None:
    assert ledger.read([]) == {}


def test_a_new_item_is_written_once(ledger: PageLedger) -> None:
    assert ledger.commit([item("a", state="first")])
    assert not ledger.commit([item("a", state="second")])
    assert ledger.read(["a"])["a"].state == "first"


def test_an_item_changes_only_from_the_version_it_was_read_in(ledger: PageLedger) -> None:
    ledger.commit([item("a")])
    read = ledger.read(["a"])["a"]
    assert ledger.commit([replace(read, state="second")])
    assert not ledger.commit([replace(read, state="third")])
    assert not ledger.commit([replace(read, version=7)])
    assert ledger.read(["a"])["a"].state == "second"


def test_all_items_are_written_or_none(ledger: PageLedger) -> None:
    ledger.commit([item("taken")])
    assert not ledger.commit([item("new"), item("taken")])
    assert set(ledger.read(["new", "taken"])) == {"taken"}
    assert ledger.commit([item("new"), replace(item("taken"), version=1)])


def test_a_hundred_items_are_one_transaction(ledger: PageLedger) -> None:
    assert ledger.commit([item(f"k{n}", body="x" * 3000) for n in range(100)])


def test_unfinished_items_are_found_by_kind_oldest_first_and_no_longer_when_done(
    ledger: PageLedger,
) -> None:
    for number in (3, 1, 2):
        since = NOON + timedelta(milliseconds=number)
        ledger.commit([item(f"k{number}", unfinished="held", since=since)])
    ledger.commit([item("page", unfinished="page"), item("done")])
    assert list(ledger.waiting("held", limit=10)) == ["k1", "k2", "k3"]
    assert list(ledger.waiting("held", limit=2)) == ["k1", "k2"]
    ledger.commit([replace(ledger.read(["k2"])["k2"], unfinished=None)])
    assert list(ledger.waiting("held", limit=10)) == ["k1", "k3"]
    assert list(ledger.waiting("event", limit=10)) == []


@pytest.mark.parametrize("ledger", EMULATOR, indirect=True)
def test_of_concurrent_writers_of_one_item_one_wins(ledger: PageLedger) -> None:
    barrier = threading.Barrier(6)
    won: list[int] = []

    def write(number: int) -> None:
        barrier.wait()
        if ledger.commit([item("a", state=str(number)), item(f"own{number}")]):
            won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert ledger.read(["a"])["a"].state == str(won[0])
    assert len(ledger.read([f"own{n}" for n in range(6)])) == 1


@real_ones
def test_what_has_expired_is_gone_although_ttl_has_not_deleted_it(
    ledger: PageLedger, clock: FakeClock
) -> None:
    ledger.commit([item("a", state="old")])
    clock.advance(KEEP_FOR.total_seconds() - 1)
    assert not ledger.commit([item("a", state="new")])
    clock.advance(2)
    assert ledger.read(["a"]) == {}
    assert ledger.commit([item("a", state="new")])
    assert ledger.read(["a"])["a"].state == "new"


class ScriptedDynamoDB:
    """Answers with what is hard to provoke in an emulator."""

    def __init__(self, *, cancelled_for: list[str] | None = None, left_over: int = 0) -> None:
        self.cancelled_for = cancelled_for
        self.left_over = left_over

    def transact_write_items(self, **_request: object) -> None:
        response: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": [{"Code": code} for code in self.cancelled_for or []],
        }
        raise ClientError(response, "TransactWriteItems")

    def batch_get_item(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401  the client's own
        [(table, asked)] = request["RequestItems"].items()
        keys = asked["Keys"]
        served, left = (keys[:1], keys[1:]) if self.left_over else (keys, [])
        self.left_over -= 1
        rows = [
            {
                **key,
                "version": {"N": "1"},
                "state": {"S": "HELD"},
                "body": {"S": "{}"},
                "since": {"N": "0"},
                "expires_at": {"N": "99999999999"},
            }
            for key in served
        ]
        unprocessed = {table: {"Keys": left, "ConsistentRead": True}} if left else {}
        return {"Responses": {table: rows}, "UnprocessedKeys": unprocessed}


def scripted(client: ScriptedDynamoDB, clock: FakeClock) -> DynamoDBPageLedger:
    return DynamoDBPageLedger(cast("DynamoDBClient", client), "t", clock, keep_for=KEEP_FOR)


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
def test_a_transaction_that_met_another_was_not_written(reason: str, clock: FakeClock) -> None:
    client = ScriptedDynamoDB(cancelled_for=["None", reason])
    assert scripted(client, clock).commit([item("a")]) is False


@pytest.mark.parametrize("reasons", [["ThrottlingError"], ["ConditionalCheckFailed", "X"], []])
def test_a_transaction_cancelled_for_anything_else_is_an_error(
    reasons: list[str], clock: FakeClock
) -> None:
    with pytest.raises(LedgerUnavailableError):
        scripted(ScriptedDynamoDB(cancelled_for=reasons), clock).commit([item("a")])


def test_keys_that_a_read_left_over_are_read_again_with_waits(clock: FakeClock) -> None:
    ledger = scripted(ScriptedDynamoDB(left_over=3), clock)
    assert set(ledger.read(["a", "b", "c", "d"])) == {"a", "b", "c", "d"}
    assert sum(clock.slept) > 0


def test_a_read_that_never_completes_is_an_error_and_not_a_missing_item(clock: FakeClock) -> None:
    class Stuck(ScriptedDynamoDB):
        def batch_get_item(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401  the same
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    with pytest.raises(LedgerUnavailableError, match="throttled"):
        scripted(Stuck(), clock).read(["a"])
