import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cardwatch.local.receipts import (
    EventSeen,
    Fact,
    PageReceived,
    PaymentSeen,
    Receipts,
    RejectedSeen,
    facts_of,
    read_receipts,
)

NOW = datetime(2026, 11, 21, 7, 0, 1, tzinfo=UTC)


def payment(**changes: str) -> dict[str, Any]:
    data = {
        "payment_id": "pay_1",
        "account_id": "acc_1",
        "user_id": "usr_1",
        "card_token": "a" * 32,
        "card_bin": "424242",
        "card_last4": "4242",
        "amount": "12.50",
        "currency": "EUR",
        "merchant_id": "mer_1",
        "country": "MT",
        "city": "Valletta",
        "status": "AUTHORIZED",
        **changes,
    }
    return {
        "type": "PAYMENT_EVENT",
        "event_id": "e1",
        "schema_version": 1,
        "event_date_origin": "2026-11-21T07:00:00.120Z",
        "event_json_data": data,
    }


def seen(record: object) -> list[Fact]:
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    return list(facts_of(raw, arrived=NOW, shard="s", sequence="1"))


ORIGIN = datetime(2026, 11, 21, 7, 0, 0, 120_000, tzinfo=UTC)
SEEN = PaymentSeen(NOW, "pay_1", "a" * 32, ORIGIN)


def test_a_valid_payment_belongs_into_the_warehouse_and_is_judged() -> None:
    assert seen(payment()) == [EventSeen(NOW, "PAYMENT_EVENT", "e1"), SEEN]


def test_a_payment_with_an_unreadable_amount_is_quarantined_and_still_judged() -> None:
    assert seen(payment(amount="abc")) == [RejectedSeen(NOW, "s", "1", "invalid_data"), SEEN]


def test_a_payment_from_the_far_future_is_quarantined_and_not_judged() -> None:
    record = {**payment(), "event_date_origin": "2036-11-21T07:00:00.120Z"}
    assert seen(record) == [RejectedSeen(NOW, "s", "1", "future_time")]


def test_payments_in_an_array_are_quarantined_as_one_record_and_each_judged() -> None:
    other = payment(payment_id="pay_2")
    assert seen([payment(), 7, other]) == [
        RejectedSeen(NOW, "s", "1", "not_an_object"),
        SEEN,
        PaymentSeen(NOW, "pay_2", "a" * 32, ORIGIN),
    ]


def test_poison_is_counted_by_its_reason_and_raises_nothing() -> None:
    for raw in (b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"type": []}', b"[" * 100_000):
        (fact,) = seen(raw)
        assert isinstance(fact, RejectedSeen)


def test_receipts_read_back_as_they_were_written(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    page = PageReceived(NOW, "m", "p", "subject", "line 1\nline 2", ("a", "b"), repeat=True)
    receipts.write(page)
    receipts.write(SEEN)
    receipts.close()
    assert read_receipts(tmp_path, PageReceived) == [page]
    assert read_receipts(tmp_path, PaymentSeen) == [SEEN]
    assert read_receipts(tmp_path, EventSeen) == []


def test_a_new_run_begins_with_empty_receipts(tmp_path: Path) -> None:
    first = Receipts(tmp_path)
    first.write(SEEN)
    first.close()
    Receipts(tmp_path).close()
    assert read_receipts(tmp_path, PaymentSeen) == []
