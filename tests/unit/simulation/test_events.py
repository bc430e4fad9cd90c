"""The generator: every event keeps the contract, and the same tick gives the same events."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paying_cards import CARDS, FIRST, START, make_cards

from cardwatch.contract.account import Account
from cardwatch.contract.card_status import CardStatus, card_status_event_id
from cardwatch.contract.payment import CARD_NOT_PRESENT, Payment
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.ports import StreamEntry
from cardwatch.simulation.events import (
    REFUNDED_AFTER_TICKS,
    TICK_MS,
    TICKS_PER_MINUTE,
    TICKS_PER_SECOND,
    EventGenerator,
    payments_before,
    time_text,
)
from cardwatch.simulation.population import PLACES

LATER = START + timedelta(hours=1)
SEVEN = EventGenerator(CARDS, seed=7)


def events(entries: Sequence[StreamEntry]) -> list[Envelope]:
    return [read_event(entry.data, now=LATER) for entry in entries]


def payments(entries: Sequence[StreamEntry]) -> list[Payment]:
    return [e.event_json_data for e in events(entries) if isinstance(e.event_json_data, Payment)]


@given(
    seed=st.integers(0, 2**32),
    tick=st.integers(FIRST, FIRST + 10**8),
    rate=st.one_of(st.none(), st.floats(0.001, 2000)),
)
def test_every_event_keeps_the_contract_byte_for_byte(
    seed: int, tick: int, rate: float | None
) -> None:
    now = datetime(2040, 1, 1, tzinfo=UTC)
    for entry in EventGenerator(CARDS, seed=seed).tick(tick, rate, ["0", "7"]):
        event = read_event(entry.data, now=now)
        assert event.to_bytes() == entry.data


@given(
    seed=st.integers(0, 2**32),
    tick=st.integers(FIRST, FIRST + 10**6),
    rate=st.floats(1, 500),
)
def test_a_tick_is_the_same_whoever_makes_it_and_whatever_went_before(
    seed: int, tick: int, rate: float
) -> None:
    one = EventGenerator(CARDS, seed=seed)
    one.tick(tick - 1, 77, ["1"])
    assert one.tick(tick, rate, ["0"]) == EventGenerator(CARDS, seed=seed).tick(tick, rate, ["0"])


def test_another_seed_gives_other_payments() -> None:
    one, other = (EventGenerator(CARDS, seed=seed).payments(FIRST, 100) for seed in (1, 2))
    ids = [{event.event_id for event in events(entries)} for entries in (one, other)]
    assert ids[0].isdisjoint(ids[1])


@given(st.integers(FIRST, FIRST + 10**6), st.floats(5, 2000))
def test_event_time_is_inside_the_tick_and_in_order(tick: int, rate: float) -> None:
    entries = SEVEN.tick(tick, rate, ["0"])
    times = [
        round(event.event_date_origin.timestamp() * 1000)
        for event in (read_event(e.data, now=datetime(2040, 1, 1, tzinfo=UTC)) for e in entries)
    ]
    assert all(tick * TICK_MS <= time < (tick + 1) * TICK_MS for time in times)
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [(0.5, 60, 30), (20, 10, 200), (0.001, 5000, 5), (333.3, 10, 3333), (1, 7, 7)],
)
def test_the_rate_is_exact_over_time(rate: float, seconds: int, expected: int) -> None:
    generator = EventGenerator(CARDS, seed=7)
    ticks = range(FIRST, FIRST + seconds * TICKS_PER_SECOND)
    assert sum(len(generator.payments(tick, rate)) for tick in ticks) == expected


@given(st.floats(0.001, 10_000), st.integers(0, 2**41))
def test_payments_before_never_goes_back_and_differs_from_the_rate_by_rounding_only(
    rate: float, time_ms: int
) -> None:
    in_a_second = payments_before(time_ms + 1000, rate) - payments_before(time_ms, rate)
    assert 0 <= abs(in_a_second - rate) < 1.001


def test_payment_and_event_ids_are_unique_over_ticks() -> None:
    generator = EventGenerator(CARDS, seed=7)
    made = [e for tick in range(FIRST, FIRST + 500) for e in generator.payments(tick, 50)]
    assert len({event.event_id for event in events(made)}) == len(made) == 5000
    assert len({payment.payment_id for payment in payments(made)}) == len(made)


def test_payments_travel_by_card_token() -> None:
    for entry in EventGenerator(CARDS, seed=7).payments(FIRST, 100):
        (payment,) = payments([entry])
        assert (entry.partition_key, entry.explicit_hash_key) == (payment.card_token, None)


def many_payments() -> list[Payment]:
    generator = EventGenerator(make_cards(1000, 100), seed=7)
    return payments(
        [e for tick in range(FIRST, FIRST + 40) for e in generator.payments(tick, 1000)]
    )


def test_cards_are_chosen_at_random_from_the_whole_file() -> None:
    made = many_payments()
    stolen = sum(int(payment.card_token, 16) < 100 for payment in made)
    assert len(made) == 8000
    assert 0.08 < stolen / len(made) < 0.12
    assert len({payment.card_token for payment in made}) > 980


def test_amounts_have_the_decimals_of_their_currency() -> None:
    decimals = {place.currency.code: place.currency.decimals for place in PLACES}
    made = many_payments()
    for payment in made:
        exponent = payment.amount.as_tuple().exponent
        assert -int(exponent) == decimals[payment.currency]
        assert payment.amount > 0
    assert {payment.currency for payment in made} >= {"EUR", "USD", "JPY", "KWD"}


def test_amounts_are_skewed_as_log_normal_ones_are() -> None:
    euros = sorted(p.amount for p in many_payments() if p.currency == "EUR")
    median, mean = euros[len(euros) // 2], sum(euros) / len(euros)
    assert Decimal(15) < median < Decimal(60)
    assert mean > median * Decimal("1.3")


def test_a_card_is_one_account_and_mostly_pays_at_home() -> None:
    accounts: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    cities: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for payment in many_payments():
        accounts[payment.card_token].add((payment.account_id, payment.user_id))
        if payment.city is not None:
            cities[payment.card_token][payment.city] += 1
    assert all(len(owners) == 1 for owners in accounts.values())
    at_home = sum(count.most_common(1)[0][1] for count in cities.values())
    assert at_home / sum(count.total() for count in cities.values()) > 0.8


def test_a_merchant_is_in_one_city_or_online() -> None:
    places: defaultdict[str, set[tuple[str, str | None, str]]] = defaultdict(set)
    for payment in many_payments():
        places[payment.merchant_id].add((payment.country, payment.city, payment.currency))
    assert all(len(where) == 1 for where in places.values())


def records(rate: float = 200.0, seconds: int = 60) -> list[Envelope]:
    generator = EventGenerator(make_cards(1000, 100), seed=7)
    ticks = range(FIRST, FIRST + seconds * TICKS_PER_SECOND)
    return events([e for t in ticks for e in generator.tick(t, rate, (), since_tick=FIRST)])


def test_a_payment_lives_under_one_id_from_authorized_over_captured_to_refunded() -> None:
    lives: defaultdict[str, list[Envelope]] = defaultdict(list)
    for event in records():
        if isinstance(event.event_json_data, Payment):
            lives[event.event_json_data.payment_id].append(event)
    seen: Counter[tuple[str, ...]] = Counter()
    for life in lives.values():
        first, *later = [e.event_json_data for e in life if isinstance(e.event_json_data, Payment)]
        for data in later:
            sign = -1 if data.status == "REFUNDED" else 1
            changed = {"status": data.status, "amount": first.amount * sign}
            assert data == first.model_copy(update=changed)
        times = [event.event_date_origin for event in life]
        assert times == sorted(times)
        assert len({event.event_id for event in life}) == len(life)
        seen[tuple(data.status for data in (first, *later))] += 1
    assert set(seen) == {
        ("AUTHORIZED",),
        ("DECLINED",),
        ("AUTHORIZED", "CAPTURED"),
        ("AUTHORIZED", "CAPTURED", "REFUNDED"),
    }
    total = seen.total()
    assert total == 12_000
    assert 0.04 < seen["DECLINED",] / total < 0.06
    assert 0.002 < seen["AUTHORIZED", "CAPTURED", "REFUNDED"] / total < 0.015


def test_what_follows_does_not_depend_on_who_made_the_payment() -> None:
    later = FIRST + REFUNDED_AFTER_TICKS
    went_on = EventGenerator(CARDS, seed=7)
    for tick in range(FIRST, later):
        went_on.payments(tick, 300)
    assert went_on.followers(later, 300) == EventGenerator(CARDS, seed=7).followers(later, 300)
    statuses = {payment.status for payment in payments(went_on.followers(later, 300))}
    assert statuses <= {"CAPTURED", "REFUNDED"}


def test_nothing_follows_payments_of_before_a_recording() -> None:
    assert SEVEN.followers(FIRST + 60, 300, since_tick=FIRST + 11) == []
    assert SEVEN.followers(FIRST + 60, 300, since_tick=FIRST)


def test_what_is_kept_of_earlier_payments_is_bounded() -> None:
    generator = EventGenerator(CARDS, seed=7)
    sizes = []
    for tick in range(FIRST, FIRST + 5 * REFUNDED_AFTER_TICKS):
        generator.tick(tick, 20, ())
        sizes.append(len(generator._lasting))  # noqa: SLF001  nothing else shows it
    assert max(sizes) == sizes[-1] == 2 * REFUNDED_AFTER_TICKS


def test_no_payments_without_a_rate_but_heartbeats_and_registry() -> None:
    generator = EventGenerator(CARDS, seed=7)
    made = [e for tick in range(FIRST, FIRST + 300) for e in generator.tick(tick, None, ["0"])]
    assert {event.type for event in events(made)} == {"HEARTBEAT", "CARD_STATUS", "ACCOUNT"}


def test_each_second_has_one_heartbeat_per_shard_stamped_with_its_last_millisecond() -> None:
    generator = EventGenerator(CARDS, seed=7, registry_period_minutes=1)
    for second in range(3):
        ticks = range(FIRST + second * TICKS_PER_SECOND, FIRST + (second + 1) * TICKS_PER_SECOND)
        made = [e for tick in ticks for e in generator.tick(tick, 20, ["0", "99"])]
        beats = [
            (entry.explicit_hash_key, event.event_date_origin)
            for entry, event in zip(made, events(made), strict=True)
            if event.type == "HEARTBEAT"
        ]
        stamp = START + timedelta(seconds=second, milliseconds=999)
        assert beats == [("0", stamp), ("99", stamp)]


@pytest.mark.parametrize(("cards", "period"), [(50, 15), (1000, 15), (7, 15), (333, 1), (2, 60)])
def test_the_slices_of_a_period_are_the_whole_file_once(cards: int, period: int) -> None:
    generator = EventGenerator(make_cards(cards, 1), seed=7, registry_period_minutes=period)
    ticks = range(FIRST, FIRST + period * TICKS_PER_MINUTE)
    keys = [entry.partition_key for tick in ticks for entry in generator.registry_slice(tick)]
    statuses = [f"{index:032x}" for index in range(cards)]
    accounts = [f"acc_{index + 1:05d}" for index in range(cards)]
    assert sorted(keys) == sorted([*statuses, *accounts])


def test_a_slice_is_one_fifteenth_a_minute_spread_over_it() -> None:
    generator = EventGenerator(make_cards(1500, 1), seed=7)
    minute = [len(generator.registry_slice(FIRST + place)) for place in range(TICKS_PER_MINUTE)]
    assert sum(minute) == 200
    assert max(minute) == 2, "a card's status and its account"


def test_where_a_bank_publishes_accounts_the_simulator_sends_the_cards_alone() -> None:
    ours = EventGenerator(CARDS, seed=7, registry_period_minutes=2)
    banks = EventGenerator(CARDS, seed=7, registry_period_minutes=2, accounts=False)
    minute = range(FIRST, FIRST + 60 * TICKS_PER_SECOND)
    sent = [entry for tick in minute for entry in banks.registry_slice(tick)]
    all_of_ours = [entry for tick in minute for entry in ours.registry_slice(tick)]
    statuses = [entry for entry in all_of_ours if b'"CARD_STATUS"' in entry.data]
    assert sent == statuses != all_of_ours
    assert not any(b'"ACCOUNT"' in entry.data for entry in banks.registry(FIRST))


def test_publishing_a_status_or_an_account_again_changes_only_when_it_was_published() -> None:
    generator = EventGenerator(CARDS, seed=7)
    first, again = (events(list(generator.registry(tick))) for tick in (FIRST, FIRST + 500))
    assert [e.model_dump(exclude={"event_date_origin"}) for e in first] == [
        e.model_dump(exclude={"event_date_origin"}) for e in again
    ]
    assert {e.event_date_origin for e in again} == {START + timedelta(seconds=100)}


def test_a_status_says_what_the_card_file_says() -> None:
    card = CARDS[3]
    (event,) = [
        e
        for e in events(list(EventGenerator(CARDS, seed=7).registry(FIRST)))
        if isinstance(e.event_json_data, CardStatus) and e.event_json_data.card_token == card.token
    ]
    assert event.event_id == card_status_event_id(card.token, "STOLEN", card.effective_from)
    assert event.event_json_data == CardStatus(
        card_token=card.token,
        card_last4=card.last4,
        status="STOLEN",
        effective_from=card.effective_from,
        reason=card.reason,
    )


def accounts(generator: EventGenerator, tick: int) -> list[Account]:
    now = datetime(2040, 1, 1, tzinfo=UTC)
    data = (read_event(e.data, now=now).event_json_data for e in generator.registry(tick))
    return [each for each in data if isinstance(each, Account)]


def test_every_card_has_the_account_that_its_payments_are_charged_to() -> None:
    generator = EventGenerator(CARDS, seed=7)
    known = {account.account_id for account in accounts(generator, FIRST)}
    made = payments([e for tick in range(FIRST, FIRST + 100) for e in generator.payments(tick, 50)])
    assert {payment.account_id for payment in made} <= known
    assert len(known) == len(CARDS)


def test_an_account_has_a_new_version_each_midnight_in_which_only_what_was_spent_differs() -> None:
    generator = EventGenerator(CARDS, seed=7)
    day = 86_400 * TICKS_PER_SECOND
    seven, ten, tomorrow = (
        accounts(generator, tick) for tick in (FIRST, FIRST + day // 8, FIRST + day)
    )
    assert seven == ten
    assert {account.valid_from for account in seven} == {START.replace(hour=0)}
    assert {account.valid_from for account in tomorrow} == {START.replace(day=22, hour=0)}
    for one, other in zip(seven, tomorrow, strict=True):
        changed = {name for name, value in one if value != getattr(other, name)}
        assert {"valid_from", "spent_until"} <= changed <= {"valid_from", "spent_until", "spent"}
        assert 0 <= one.spent < one.credit_limit
    assert sum(a.spent != b.spent for a, b in zip(seven, tomorrow, strict=True)) > len(CARDS) / 2


def test_a_payment_says_how_the_card_was_read_and_where_when_it_was_present() -> None:
    generator = EventGenerator(CARDS, seed=7)
    made = payments([e for tick in range(FIRST, FIRST + 500) for e in generator.payments(tick, 50)])
    online = [payment for payment in made if payment.entry_mode in CARD_NOT_PRESENT]
    assert 0.1 < len(online) / len(made) < 0.5
    assert {(p.city, p.latitude, p.longitude) for p in online} == {(None, None, None)}
    present = [payment for payment in made if payment.entry_mode not in CARD_NOT_PRESENT]
    assert {p.entry_mode for p in present} == {"CHIP", "CONTACTLESS", "MAGSTRIPE", "KEYED"}
    places = {p.merchant_id: set[tuple[str | None, ...]]() for p in present}
    for p in present:
        places[p.merchant_id].add((p.city, p.latitude, p.longitude, p.merchant_category))
    assert {len(where) for where in places.values()} == {1}, "a terminal stands where it stands"
    assert all(p.merchant_category and p.latitude for p in present)


def test_the_limit_cuts_payments_and_nothing_else() -> None:
    generator = EventGenerator(CARDS, seed=7)
    tick = FIRST + TICKS_PER_SECOND - 1
    whole, cut = generator.tick(tick, 100, ["0"]), generator.tick(tick, 100, ["0"], limit=3)
    followers = generator.followers(tick, 100)
    kinds = Counter(event.type for event in events([e for e in cut if e not in followers]))
    assert kinds["PAYMENT_EVENT"] == 3
    assert [e for e in whole if e in cut] == cut
    assert [e for e in cut if e in followers] == followers


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_as_the_contract_writes_them(time_ms: int) -> None:
    text = time_text(time_ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == time_ms


def test_no_card_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="at least one card"):
        EventGenerator([], seed=7)


def test_a_city_outside_ascii_is_plain_utf8() -> None:
    generator = EventGenerator(make_cards(400, 0), seed=7)
    made = b"\n".join(
        e.data for tick in range(FIRST, FIRST + 50) for e in generator.payments(tick, 200)
    )
    assert "Zürich".encode() in made
    assert {json.loads(line)["type"] for line in made.split(b"\n")} == {"PAYMENT_EVENT"}


def test_each_card_pays_once_before_any_pays_again() -> None:
    cards = make_cards(40, 4)
    generator = EventGenerator(cards, seed=7)
    paid = [
        entry.partition_key
        for tick in range(FIRST, FIRST + 10 * TICKS_PER_SECOND)
        for entry in generator.payments(tick, 40)
    ]
    first = payments_before(FIRST * TICK_MS, 40) % 40
    rounds = [paid[start : start + 40] for start in range(40 - first, len(paid) - 40, 40)]
    assert len(rounds) >= 8
    assert all(set(each) == {card.token for card in cards} for each in rounds)
    assert rounds[0] != rounds[1], "the order is another each time"
