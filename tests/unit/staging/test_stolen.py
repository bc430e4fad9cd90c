"""Quarantined payments on stolen cards are found, whatever breaks, within bounds."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import NOON, FakeCardRegistry, FakeClock

from cardwatch.contract.card_status import CardStatus, Status
from cardwatch.staging.legible import legible_tokens
from cardwatch.staging.stolen import (
    LEARN_SECONDS,
    MAX_REMEMBERED,
    MAX_TOKENS_PER_BATCH,
    MAX_TOKENS_PER_RECORD,
    REMEMBER_SECONDS,
    Judgement,
    Learned,
    StolenCards,
)

EXAMPLES = Path(__file__).parents[3] / "events" / "examples"
CARD = "4f0c" * 8
OTHER = "a1b2" * 8


def token(number: int) -> str:
    return f"{number:032x}"


def status(card: str = CARD, says: Status = "STOLEN", minutes: int = 0) -> CardStatus:
    return CardStatus(
        card_token=card,
        card_last4="4242",
        status=says,
        effective_from=NOON + timedelta(minutes=minutes),
        reason="reported by holder",
    )


def payment(card: str = CARD) -> bytes:
    """Give a payment that breaks the contract and names its card."""
    data = {"payment_id": "pay_1", "card_token": card, "amount": 12.5}
    return json.dumps({"type": "PAYMENT_EVENT", "event_json_data": data}).encode()


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = FakeCardRegistry()
        self.stolen_cards = self.cold_start()

    def cold_start(self) -> StolenCards:
        return StolenCards(self.registry, self.clock)

    def stolen(self, raw: bytes = payment()) -> int:
        return self.cold_start().judge([raw]).stolen


def test_a_payment_on_a_card_reported_stolen_counts_and_one_on_another_card_does_not() -> None:
    world = World()
    world.stolen_cards.learn([status(), status(OTHER, "ACTIVE")])
    records = [payment(), payment(OTHER), payment(token(7)), payment()]
    assert world.stolen_cards.judge(records) == Judgement(stolen=2, cards=frozenset({CARD}))


def test_another_process_knows_what_one_has_learned() -> None:
    world = World()
    world.stolen_cards.learn([status()])
    assert world.stolen() == 1


@given(st.permutations([("STOLEN", 0), ("ACTIVE", 10), ("STOLEN", 20), ("ACTIVE", 20)]), st.data())
def test_the_newest_status_counts_in_whatever_order_and_by_whomever_it_is_seen(
    order: list[tuple[Status, int]], data: st.DataObject
) -> None:
    world = World()
    processes = [world.cold_start(), world.cold_start()]
    for says, minutes in order:
        process = data.draw(st.sampled_from(processes))
        process.learn([status(CARD, says, minutes)])
    assert world.stolen() == 1  # of the two that hold from the same instant STOLEN wins


def test_a_card_that_is_cleared_is_not_stolen_any_more() -> None:
    world = World()
    world.stolen_cards.learn([status()])
    world.stolen_cards.learn([status(says="ACTIVE", minutes=5)])
    assert world.stolen() == 0


def test_publishing_the_registry_again_asks_and_writes_nothing() -> None:
    world = World()
    published = [status(token(n)) for n in range(50)]
    world.stolen_cards.learn(published)
    assert (world.registry.read_keys, world.registry.writes) == (50, 50)
    world.stolen_cards.learn(published)
    assert (world.registry.read_keys, world.registry.writes) == (50, 50)
    world.cold_start().learn(published)
    assert (world.registry.read_keys, world.registry.writes) == (100, 50)


def test_what_one_batch_has_no_time_for_is_learned_when_it_is_published_again() -> None:
    world = World()
    world.registry.clock = world.clock  # a second per call
    stolen = status(token(19))
    published = [*(status(token(n), "ACTIVE") for n in range(19)), stolen]
    first = world.stolen_cards.learn(published)
    assert 0 < first.missed < 20
    assert "not enough" in str(first.problem)
    assert stolen.card_token in world.registry.known  # what matters most comes first
    assert world.clock.monotonic() - NOON.timestamp() <= LEARN_SECONDS + 2
    for _ in range(20):
        again = world.stolen_cards.learn(published)
    assert again == Learned()
    assert len(world.registry.known) == 20


def test_an_unreachable_registry_is_counted_and_what_it_missed_is_learned_later() -> None:
    world = World()
    world.registry.broken = True
    learned = world.stolen_cards.learn([status(), status(OTHER)])
    judged = world.stolen_cards.judge([payment(), b"no card", payment(OTHER)])
    assert (learned.missed, judged.stolen, judged.unjudged) == (2, 0, 2)
    assert "cannot be read (Gone)" in str(learned.problem)
    assert "cannot be read (Gone)" in str(judged.problem)
    world.registry.broken = False
    assert world.stolen_cards.learn([status(), status(OTHER)]) == Learned()
    judged = world.stolen_cards.judge([payment(), payment(OTHER)])
    assert judged == Judgement(stolen=2, cards=frozenset({CARD, OTHER}))


def test_a_storm_of_bad_payments_costs_a_bounded_lookup_and_what_is_beyond_is_counted() -> None:
    world = World()
    storm = [payment(token(n)) for n in range(MAX_TOKENS_PER_BATCH + 100)]
    judged = world.stolen_cards.judge(storm)
    assert (judged.stolen, judged.unjudged) == (0, 100)
    assert str(MAX_TOKENS_PER_BATCH) in str(judged.problem)
    assert world.registry.read_keys == MAX_TOKENS_PER_BATCH


def test_the_memory_of_a_process_is_bounded_and_starts_over() -> None:
    world = World()
    world.stolen_cards.learn([status(token(n)) for n in range(MAX_REMEMBERED)])
    world.stolen_cards.learn([status()])
    before = world.registry.read_keys
    world.stolen_cards.learn([status(token(0))])
    assert world.registry.read_keys == before + 1
    world.clock.advance(REMEMBER_SECONDS)
    world.stolen_cards.learn([status()])
    assert world.registry.read_keys == before + 2


@pytest.mark.parametrize(
    "raw",
    [
        payment(),
        payment()[:-12],
        payment().replace(b'"', b"'"),
        payment().replace(b":", b" :\t"),
        payment().upper(),
        b"\xff\xfe" + payment(),
        payment().replace(b"PAYMENT_EVENT", b"PAYMENT_REVERSED"),
        b"[" + payment() + b"]",
        f"upstream timed out for {CARD}".encode(),
        CARD.encode(),
    ],
    ids=[
        "valid JSON",
        "cut off",
        "single quotes",
        "spaces",
        "upper case",
        "not UTF-8",
        "unknown type",
        "in an array",
        "in a sentence",
        "alone",
    ],
)
def test_a_token_is_legible_however_the_record_is_broken(raw: bytes) -> None:
    assert CARD in legible_tokens(raw)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*/*.json")), ids=lambda p: p.stem)
def test_every_payment_with_a_legible_card_is_looked_up_and_no_other_event(path: Path) -> None:
    raw = path.read_bytes()
    if path.parts[-3] != "payment_event.v1":
        assert legible_tokens(raw) == frozenset()
    elif token := re.search(rb"[0-9a-f]{32}(?=[^0-9a-f]+card_bin)", raw):
        assert token.group().decode() in legible_tokens(raw)


def test_a_longer_run_of_hex_digits_is_no_token() -> None:
    assert legible_tokens(b"0" * 33 + b" " + b"f" * 64 + b" z" + CARD.encode()) == frozenset()


@given(st.binary(max_size=400))
def test_any_bytes_can_be_looked_at(raw: bytes) -> None:
    assert all(len(found) == len(CARD) for found in legible_tokens(raw))


def test_a_record_with_more_cards_than_are_looked_up_is_unjudged_or_stolen() -> None:
    world = World()
    looked_up, beyond = token(0), token(MAX_TOKENS_PER_RECORD)
    world.stolen_cards.learn([status(beyond)])
    full = f"cards {' '.join(map(token, range(MAX_TOKENS_PER_RECORD)))}".encode()
    more = f"cards {' '.join(map(token, range(30_000)))}".encode()
    before = world.registry.read_keys
    assert world.stolen_cards.judge([full]) == Judgement()
    judged = world.stolen_cards.judge([more, full])
    assert (judged.stolen, judged.unjudged, judged.may_be_asked_again) == (0, 1, False)
    assert str(MAX_TOKENS_PER_RECORD) in str(judged.problem)
    assert world.registry.read_keys == before + 2 * MAX_TOKENS_PER_RECORD
    world.stolen_cards.learn([status(looked_up)])
    judged = world.stolen_cards.judge([more, full])
    assert judged == Judgement(stolen=2, cards=frozenset({looked_up}))
