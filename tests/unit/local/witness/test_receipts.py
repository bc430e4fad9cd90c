import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import NOON
from tests.unit.canary.support import canary_alert
from tests.unit.paging.support import rule_alert_event

from cardwatch.contract.canary import canary_payment, canary_report
from cardwatch.local.witness.receipts import (
    CanarySeen,
    EventSeen,
    Fact,
    PageReceived,
    PaymentSeen,
    Receipts,
    RejectedSeen,
    RuleAlertSeen,
    ScoreSeen,
    StatusSeen,
    facts_after,
    facts_of,
    read_receipts,
)

EXAMPLES = Path(__file__).parents[4] / "events/examples"
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
SEEN = PaymentSeen(NOW, "pay_1", "a" * 32, ORIGIN, "1")


def test_a_valid_payment_belongs_into_the_warehouse_and_is_judged() -> None:
    assert seen(payment()) == [EventSeen(NOW, "PAYMENT_EVENT", "e1", SEEN.origin), SEEN]


def test_a_canary_belongs_into_the_warehouse_and_is_neither_a_payment_nor_an_alert() -> None:
    sent = NOW - timedelta(seconds=7)
    told = [
        *facts_of(canary_report(sent).to_bytes(), arrived=NOW, shard="s", sequence="1"),
        *facts_of(canary_payment(sent, sent).to_bytes(), arrived=NOW, shard="s", sequence="2"),
        *facts_of(canary_alert(sent).to_bytes(), arrived=NOW, shard="s", sequence="3"),
    ]
    assert [fact.type for fact in told if isinstance(fact, EventSeen)] == [
        "CARD_STATUS",
        "PAYMENT_EVENT",
        "PAYMENT_ALERT",
    ]
    assert [fact for fact in told if not isinstance(fact, EventSeen | StatusSeen)] == [
        CanarySeen(NOW, "stream", "canary_20261121T0659", sent),
        CanarySeen(NOW, "alert", "canary_20261121T0659", sent),
    ]


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
        PaymentSeen(NOW, "pay_2", "a" * 32, ORIGIN, "1"),
    ]


def test_of_joined_payments_the_first_is_judged_and_the_record_quarantined() -> None:
    other = json.dumps(payment(payment_id="pay_2")).encode()
    for between in (b"", b"\n", b" "):
        joined = json.dumps(payment()).encode() + between + other
        assert seen(joined) == [RejectedSeen(NOW, "s", "1", "several_events"), SEEN]


def test_a_payment_behind_a_byte_order_mark_is_judged_and_one_with_nan_is_not() -> None:
    raw = json.dumps(payment()).encode()
    assert seen(b"\xef\xbb\xbf" + raw) == seen(raw)
    assert seen(raw.replace(b'"12.50"', b"NaN")) == [RejectedSeen(NOW, "s", "1", "not_json")]


def test_a_payment_is_from_the_future_by_its_arrival_however_late_it_is_looked_at() -> None:
    for ahead, judged in ((9_999, True), (10_000, True), (10_001, False)):
        arrived = ORIGIN - timedelta(milliseconds=ahead)
        raw = json.dumps(payment()).encode()
        facts = list(facts_of(raw, arrived=arrived, shard="s", sequence="1"))
        assert any(isinstance(fact, PaymentSeen) for fact in facts) is judged
        assert any(isinstance(fact, EventSeen) for fact in facts) is judged


def test_poison_is_counted_by_its_reason_and_raises_nothing() -> None:
    for raw in (b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"type": []}', b"[" * 100_000):
        (fact,) = seen(raw)
        assert isinstance(fact, RejectedSeen)


def test_an_alert_of_any_rule_is_seen_with_its_rule() -> None:
    event = rule_alert_event(rule="never_heard_of", at=ORIGIN)
    told = facts_of(event.to_bytes(), arrived=NOON, shard="s", sequence="1")
    assert list(told)[1:] == [RuleAlertSeen(NOON, event.event_id, "never_heard_of", ORIGIN)]


def test_a_score_is_seen_with_its_payment() -> None:
    raw = (EXAMPLES / "payment_attributed.v1/valid/unknown_account_and_late.json").read_bytes()
    event = json.loads(raw)
    told = list(facts_of(raw, arrived=NOON, shard="s", sequence="1"))
    (fact,) = [fact for fact in told if isinstance(fact, ScoreSeen)]
    assert (fact.event_id, fact.late) == (event["event_id"], True)
    assert fact.payment_id == event["event_json_data"]["payment_id"]
    assert fact.score == event["event_json_data"]["score"]


@pytest.mark.parametrize("paging", ["on", "off", "shadow"])
def test_an_alert_is_seen_with_whether_people_are_paged_of_it(paging: str) -> None:
    event = rule_alert_event(paging=paging, at=ORIGIN)
    *_, seen_alert = facts_of(event.to_bytes(), arrived=NOON, shard="s", sequence="1")
    assert isinstance(seen_alert, RuleAlertSeen)
    assert seen_alert.pages is (paging == "on")


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


MANY = [replace(SEEN, payment_id=f"pay_{number:03d}") for number in range(100)]
LINE = len(MANY[0].to_line())


def test_receipts_without_a_bound_are_all_kept(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    for fact in MANY:
        receipts.write(fact)
    receipts.close()
    assert read_receipts(tmp_path, PaymentSeen) == MANY
    assert receipts.dropped == 0


def test_bounded_receipts_drop_the_oldest_of_a_kind_and_count_them(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path, file_bytes=10 * LINE)
    beside = EventSeen(NOW, "HEARTBEAT", "e1", SEEN.origin)
    receipts.write(beside)
    for written, fact in enumerate(MANY, start=1):
        receipts.write(fact)
        receipts.flush()
        kept = read_receipts(tmp_path, PaymentSeen)
        assert len(kept) <= 10
        assert kept == MANY[written - len(kept) : written]
        assert receipts.dropped == written - len(kept)
    assert len(kept) >= 5
    assert read_receipts(tmp_path, EventSeen) == [beside]
    receipts.close()


def test_who_follows_sees_each_fact_once_though_older_ones_are_dropped() -> None:
    assert facts_after(None, MANY[:3]) == MANY[:3]
    assert facts_after(MANY[2], MANY[:3]) == []
    assert facts_after(MANY[2], MANY[1:5]) == MANY[3:5]
    assert facts_after(MANY[2], MANY[50:]) == MANY[50:]
