"""What one table's rows become on the stream, run by run."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from tests.fakes import FakeClock
from tests.unit.banking.support import CANARY, CARD, FakeBank, FakeCursors, FakeStream

from cardwatch.banking.accounts import ACCOUNTS
from cardwatch.banking.publisher import Published, Publisher
from cardwatch.banking.publishing import Publishing
from cardwatch.banking.telemetry import MeasuredPublishing
from cardwatch.banking.transactions import transactions
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.contract.account import account_event_id
from cardwatch.contract.streams import read_event
from cardwatch.ports import CursorUnavailableError, SavedCursor

PERIOD = timedelta(minutes=15)
TOKENIZER = Tokenizer(b"k" * 32)


def always() -> bool:
    return True


class World:
    """A bank, a stream and cursors, and runs over them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bank = FakeBank(self.clock)
        self.stream = FakeStream()
        self.cursors = FakeCursors()

    def publisher(self, *, page_rows: int = 500) -> Publisher:
        return Publisher(
            ACCOUNTS,
            bank=self.bank,
            stream=self.stream,
            cursors=self.cursors,
            clock=self.clock,
            until=self.bank.horizon().until,
            page_rows=page_rows,
        )

    def changes(self, *, page_rows: int = 500) -> Published:
        return self.publisher(page_rows=page_rows).changes(always)

    def again(self, most: int = 100) -> Published:
        return self.publisher().again(always, period=PERIOD, most=most)

    def publishing(self, *, with_transactions: bool = False) -> Publishing:
        return Publishing(
            connect=self.bank.connect,
            stream=self.stream,
            cursors=self.cursors,
            clock=self.clock,
            period=PERIOD,
            most_again=100,
            transactions=transactions(TOKENIZER) if with_transactions else None,
        )

    def published(self) -> list[str]:
        return [entry.partition_key for entry in self.stream.entries]

    def taken(self) -> list[str]:
        """Give the accounts on the stream since this was asked last."""
        keys = self.published()
        self.stream.entries.clear()
        return keys


@pytest.fixture
def world() -> World:
    return World()


def test_a_row_becomes_an_account_by_the_contract_without_the_holders_name(world: World) -> None:
    row = world.bank.put("acc_1")
    world.clock.advance(5)
    assert world.changes().published == 1
    [entry] = world.stream.entries
    event = read_event(entry.data, now=world.clock.now())
    assert event.type == "ACCOUNT"
    assert event.event_id == account_event_id("acc_1", row.updated_at)
    assert event.event_date_origin == world.clock.now()
    data = json.loads(event.data_text())
    assert data["account_name"] == "Q*** V***"
    assert data["valid_from"] == "2026-11-21T12:00:00.000Z"
    assert data["opened_at"] == "2019-03-01T09:00:00.000Z"
    assert data["credit_limit"] == "2500.0000"
    assert not any(part in entry.data.decode() for part in CANARY.replace("-", " ").split())


def test_rows_that_share_a_time_are_all_published_however_the_pages_fall(world: World) -> None:
    for number in range(7):
        world.bank.put(f"acc_{number}")
    world.clock.advance(5)
    world.changes(page_rows=3)
    assert world.published() == [f"acc_{number}" for number in range(7)]


def test_a_second_run_publishes_only_what_changed_since(world: World) -> None:
    world.bank.put("acc_1")
    world.bank.put("acc_2")
    world.clock.advance(5)
    world.changes()
    world.bank.put("acc_1", status="BLOCKED")
    world.clock.advance(5)
    world.stream.entries.clear()
    world.changes()
    assert world.published() == ["acc_1"]


def test_a_row_is_read_when_it_has_settled_and_not_before(world: World) -> None:
    world.clock.advance(0.0005)
    world.bank.put("acc_1")
    world.clock.advance(0.9)
    assert world.changes().published == 0
    world.clock.advance(0.2)
    assert world.changes().published == 1


def test_of_two_versions_within_a_millisecond_the_last_one_alone_is_published(
    world: World,
) -> None:
    """They share an event id, so whoever reads would take the first and drop the second."""
    world.bank.put("acc_1", spent="1")
    world.clock.time += timedelta(microseconds=400)
    between = world.clock.now()
    world.clock.time += timedelta(microseconds=400)
    late = world.bank.begin()
    world.clock.advance(5)
    # What began between the two holds the horizon there.
    late.began = between
    assert world.changes().published == 0
    world.bank.roll_back(late)
    world.bank.put("acc_1", spent="2")
    row = world.bank.accounts["acc_1"]
    world.bank.accounts["acc_1"] = type(row)(
        row.key, between + timedelta(microseconds=100), row.values
    )
    world.changes()
    assert [event["event_json_data"]["spent"] for event in world.stream.events()] == ["2"]


def test_what_a_transaction_commits_late_under_an_earlier_time_is_published(world: World) -> None:
    late = world.bank.begin()
    world.bank.write(late, "acc_late")
    world.clock.advance(60)
    world.bank.put("acc_1")
    world.clock.advance(60)
    world.changes()
    assert world.published() == []
    world.bank.commit(late)
    world.changes()
    assert world.published() == ["acc_late", "acc_1"]


def test_where_the_bank_hides_its_transactions_rows_settle_by_the_clock_and_it_is_said(
    world: World,
) -> None:
    world.bank.blind = timedelta(seconds=60)
    late = world.bank.begin()
    world.bank.write(late, "acc_late")
    world.clock.advance(59)
    assert world.publishing().run(always).published.published == 0
    world.bank.commit(late)
    world.clock.advance(2)
    report = world.publishing().run(always)
    assert (report.blind, world.published()) == (True, ["acc_late"])
    _, told = measured(world)
    assert any("grant pg_read_all_stats" in str(line["message"]) for line in told)


def test_a_put_that_fails_in_part_moves_the_cursor_to_before_the_first_that_failed(
    world: World,
) -> None:
    for number in range(4):
        world.bank.put(f"acc_{number}")
    world.clock.advance(5)
    world.stream.refuse = {1, 3}
    done = world.changes()
    assert (done.published, done.undelivered, done.error_codes) == (1, 2, ("Throttled",))
    assert done.behind == timedelta(seconds=5)
    world.stream.refuse = ()
    assert world.changes().published == 3
    assert sorted(set(world.published())) == ["acc_0", "acc_1", "acc_2", "acc_3"]
    assert len(world.stream.versions()) == 4, "the repeats are the same events"


def test_of_two_runs_at_once_the_second_to_finish_leaves_the_cursor_alone(world: World) -> None:
    world.bank.put("acc_1")
    world.clock.advance(5)
    slow = world.publisher()

    def another() -> None:
        world.bank.put("acc_2")
        world.clock.advance(5)
        world.changes()

    world.stream.meanwhile = another
    done = slow.changes(always)
    assert done.overtaken
    position = world.cursors.position()
    assert position is not None
    assert position[1] == "acc_2"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"currency": "euro"}, "invalid_data"),
        ({"currency": None}, "invalid_data"),
        ({"opened_at": "infinity"}, "bad_time"),
        ({"opened_at": "2019-03-01 09:00:00"}, "bad_time"),
        ({"opened_at": "2031-01-01 00:00:00+00"}, "invalid_data"),
        ({"credit_limit": "NaN"}, "invalid_data"),
        ({"credit_limit": "-1"}, "invalid_data"),
        ({"status": "FROZEN"}, "invalid_data"),
    ],
)
def test_a_row_that_breaks_the_contract_is_passed_over_counted_and_told_without_its_values(
    world: World,
    values: dict[str, Any],
    reason: str,
) -> None:
    world.bank.put("acc_0")
    world.bank.put("acc_1", **values)
    world.bank.put("acc_2")
    world.clock.advance(5)
    answer, told = measured(world)
    assert (answer["published"], answer["refused"]) == (4, 2), "as a change, and in its turn"
    assert world.published() == ["acc_0", "acc_2"] * 2
    errors = [line for line in told if line["level"] == "ERROR"]
    assert {(line["key"], line["reason"]) for line in errors} == {("acc_1", reason)}
    assert not any(word in json.dumps(told) for word in CANARY.split())
    assert measured(world)[0]["refused"] == 0, "the cursor is behind it"


def test_a_key_like_a_card_number_is_in_no_cursor_and_no_log(
    world: World,
) -> None:
    world.bank.put(CARD.reveal())
    world.clock.advance(5)
    answer, told = measured(world)
    assert answer["refused"] == 2
    kept = [cursor.text for cursor in world.cursors.kept.values()]
    assert not any(CARD.reveal()[:11] in text for text in (*kept, json.dumps(told)))


def test_an_account_from_before_the_contracts_first_instant_is_valid_from_that_one(
    world: World,
) -> None:
    row = world.bank.put("acc_1", spent_until="2015-01-01 00:00:00+00")
    old = row.updated_at.replace(year=2016)
    world.bank.accounts["acc_1"] = type(row)(
        row.key, old, {**row.values, "opened_at": "2014-01-01 00:00:00+00"}
    )
    assert world.changes().published == 1
    [event] = world.stream.events()
    assert event["event_json_data"]["valid_from"] == "2020-01-01T00:00:00.000Z"


def test_a_damaged_cursor_stops_the_run_and_says_what_helps(world: World) -> None:
    world.cursors.kept["accounts|changes"] = SavedCursor("?", 1)
    with pytest.raises(CursorUnavailableError, match="remove it to begin again"):
        world.changes()


def test_every_account_comes_round_once_a_period_under_the_same_ids(world: World) -> None:
    for number in range(100):
        world.bank.put(f"acc_{number:03d}")
    world.clock.advance(5)
    world.changes()
    versions = world.stream.versions()
    last: dict[str, int] = {}
    gaps = set()
    for minute in range(61):
        world.stream.entries.clear()
        world.again(most=9)
        assert len(world.published()) <= 9
        assert set(world.stream.versions()) <= set(versions)
        for key in world.published():
            gaps.add(minute - last.get(key, minute - 15))
            last[key] = minute
        world.clock.advance(60)
    assert gaps == {15}
    assert set(last) == set(world.bank.accounts)


def test_a_round_that_takes_longer_than_its_period_is_told(world: World) -> None:
    for number in range(50):
        world.bank.put(f"acc_{number:03d}")
    world.clock.advance(5)
    for _ in range(20):
        took = world.again(most=2).round_took
        world.clock.advance(60)
        assert took is None
    assert world.again(most=50).round_took == timedelta(minutes=20)
    world.bank.put("acc_900")
    world.clock.advance(60)
    _, told = measured(world, took=timedelta(minutes=20))
    assert any("come round too slowly" in str(line["message"]) for line in told)


def test_a_version_that_is_not_settled_is_not_published_again_either(world: World) -> None:
    world.bank.put("acc_1")
    world.again()
    assert world.published() == []


def test_what_the_stream_refuses_of_a_round_is_tried_by_the_next_run(world: World) -> None:
    for number in range(5):
        world.bank.put(f"acc_{number}")
    world.clock.advance(5)
    world.stream.refuse = {2}
    assert world.again().undelivered == 1
    world.stream.refuse = ()
    world.again()
    assert set(world.published()) == set(world.bank.accounts)


def test_transactions_are_off_unless_they_are_asked_for(world: World) -> None:
    world.bank.put("pay_1", table="banking.transactions")
    world.clock.advance(5)
    world.publishing().run(always)
    assert world.published() == []
    world.publishing(with_transactions=True).run(always)
    assert [event["type"] for event in world.stream.events()] == ["PAYMENT_EVENT"]


def measured(
    world: World, *, took: timedelta | None = None
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Run as the function does, and give the answer and the log; `took` is a round's that ended."""
    log = StringIO()
    publishing = world.publishing()
    if took is not None:
        world.cursors.kept["accounts|again"] = SavedCursor(
            json.dumps(
                {"began": (world.clock.now() - took).isoformat(), "after": "", "ended": False}
            ),
            1,
        )
    metrics = Metrics(namespace="cardwatch", service="banking")
    logger = Logger(service=f"banking-{id(log)}", stream=log)
    run = MeasuredPublishing(publishing, logger, metrics, world.clock.monotonic)
    answer = run.run(300.0)
    metrics.clear_metrics()
    return answer, [json.loads(line) for line in log.getvalue().splitlines()]
