"""Which payments had to alert, by what stood on the stream."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cardwatch.local.witness.judgement import judge_payments
from cardwatch.local.witness.receipts import PaymentSeen, StatusSeen

START = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)
CARD = "a" * 32


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def payment(
    name: str, when: float, *, arrived: float | None = None, sequence: int = 2, card: str = CARD
) -> PaymentSeen:
    came = at(when if arrived is None else arrived)
    return PaymentSeen(came, name, card, at(when), str(sequence))


def status(
    value: str, since: float, *, arrived: float = 0, sequence: int = 1, card: str = CARD
) -> StatusSeen:
    return StatusSeen(at(arrived), card, value, at(since), str(sequence))


def stolen(payments: list[PaymentSeen], statuses: list[StatusSeen]) -> set[str]:
    judged = judge_payments(payments, statuses)
    return {name for (name, _), (_, is_stolen) in judged.items() if is_stolen}


def test_a_status_counts_from_its_own_instant_on() -> None:
    statuses = [status("STOLEN", 10), status("ACTIVE", 20, arrived=20)]
    payments = [payment("before", 9.999), payment("at", 10), payment("cleared", 20, arrived=20.1)]
    assert stolen(payments, statuses) == {"at"}


def test_a_republished_status_changes_nothing() -> None:
    statuses = [status("STOLEN", -60), status("ACTIVE", -30), status("STOLEN", -60, arrived=5)]
    assert stolen([payment("p", 6)], statuses) == set()


def test_a_status_behind_the_payment_does_not_count_however_soon_it_comes() -> None:
    statuses = [status("STOLEN", -60, arrived=3, sequence=7)]
    payments = [payment(str(n), 1, arrived=3, sequence=n) for n in (6, 8)]
    assert stolen(payments, statuses) == {"8"}


def test_sequence_numbers_are_numbers() -> None:
    statuses = [status("STOLEN", -60, arrived=3, sequence=9)]
    assert stolen([payment("p", 1, arrived=3, sequence=10)], statuses) == {"p"}


def test_a_late_payment_is_stolen_by_its_own_time() -> None:
    statuses = [status("STOLEN", 0), status("ACTIVE", 10, arrived=10)]
    assert stolen([payment("p", 5, arrived=60)], statuses) == {"p"}


def test_a_theft_reported_again_clears_nothing_in_between() -> None:
    statuses = [status("STOLEN", 0), status("STOLEN", 10, arrived=10)]
    assert stolen([payment("p", 5, arrived=60)], statuses) == {"p"}


def test_of_a_payments_records_one_that_is_stolen_is_enough_and_the_first_is_given() -> None:
    records = [payment("p", when, arrived=when) for when in (1, 20, 30)]
    judged = judge_payments(records, [status("STOLEN", 0, arrived=10)])
    assert judged == {("p", CARD): (records[1], True)}


def test_one_id_on_two_cards_is_two_payments() -> None:
    other = "b" * 32
    judged = judge_payments([payment("p", 1), payment("p", 1, card=other)], [status("STOLEN", 0)])
    assert {key: is_stolen for key, (_, is_stolen) in judged.items()} == {
        ("p", CARD): True,
        ("p", other): False,
    }


def test_a_token_that_is_not_the_tokenizers_is_no_card() -> None:
    statuses = [status("STOLEN", 0, card="A" * 32)]
    assert stolen([payment("p", 1, card="A" * 32)], statuses) == set()


histories = st.lists(
    st.tuples(st.sampled_from(["STOLEN", "ACTIVE"]), st.integers(0, 20)), max_size=6
)


@given(histories, st.integers(0, 20))
def test_with_no_newer_status_before_it_a_payment_is_judged_by_its_newest_status(
    history: list[tuple[str, int]], time: int
) -> None:
    known = [(since, word) for word, since in history if since <= time]
    # STOLEN sorts behind ACTIVE: of two with the same time it wins.
    newest = max(known, default=(0, "ACTIVE"))[1]
    statuses = [status(word, since, sequence=n) for n, (since, word) in enumerate(known)]
    found = stolen([payment("p", time, arrived=60, sequence=99)], statuses)
    assert bool(found) == (newest == "STOLEN")


@given(st.integers(0, 20), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_card_that_was_never_cleared_is_stolen_since_its_first_report(
    time: int, reports: list[int]
) -> None:
    statuses = [status("STOLEN", since, sequence=n) for n, since in enumerate(reports)]
    found = stolen([payment("p", time, arrived=60, sequence=99)], statuses)
    assert bool(found) == (min(reports) <= time)
