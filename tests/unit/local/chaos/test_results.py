"""The table says of each kind what it cost and how long it took to be over it."""

from datetime import UTC, datetime, timedelta

import pytest

from cardwatch.contract.alert import alert_id
from cardwatch.local.chaos.fault_proxy import Hit
from cardwatch.local.chaos.results import CALM, Row, Took, failures, markdown, renewed, tabulate
from cardwatch.local.chaos.trial import Injected
from cardwatch.local.witness.receipts import AlertSeen, PageReceived, PaymentSeen, StatusSeen
from cardwatch.local.witness.verdict import Evidence

BEGAN = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
CARD = "4f0c" * 8


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def injected(number: int, kind: str, seconds: float, **more: object) -> Injected:
    known: dict[str, object] = {"target": "it", "hits": 1, **more}
    return Injected(number, kind, at(seconds), at(seconds + 3), **known)  # type: ignore[arg-type]


def paid(payment: str, seconds: float) -> PaymentSeen:
    return PaymentSeen(at(seconds), payment, CARD, at(seconds), str(int(seconds) + 10))


def alerted(payment: str, seconds: float, after: float) -> AlertSeen:
    name = alert_id(payment, CARD)
    return AlertSeen(
        at(seconds + after), name, payment, CARD, at(seconds), at(seconds + 5), late=False
    )


def paged(page: str, seconds: float, *payments: str, repeat: bool = False) -> PageReceived:
    alerts = tuple(alert_id(payment, CARD) for payment in payments)
    return PageReceived(at(seconds), f"m{page}{seconds}", page, "s", "t", alerts, repeat)


STOLEN = (StatusSeen(at(-9), CARD, "STOLEN", at(-60), "1"),)


def row(rows: tuple[Row, ...], kind: str) -> Row:
    return next(one for one in rows if one.kind == kind)


def test_a_recovery_is_the_longest_wait_of_a_payment_of_the_fault_s_time() -> None:
    evidence = Evidence(
        payments=[paid("before", 9), paid("after", 12), paid("later", 20), paid("long after", 40)],
        statuses=STOLEN,
        alerts=[
            alerted("before", 9, 6),
            alerted("after", 12, 6),
            alerted("later", 20, 30),
            alerted("long after", 40, 90),
        ],
        pages=[
            paged("p1", 16, "before"),
            paged("p2", 52, "after", "later"),
            paged("p3", 140, "long after"),
        ],
    )
    record = [injected(0, "JobManager killed", 10)]
    results = tabulate(record, [], evidence, calm=[at(0)])
    assert row(results.rows, "JobManager killed").alerted == Took(30.0, 30.0)
    assert row(results.rows, "JobManager killed").paged == Took(40.0, 40.0)
    assert row(results.rows, CALM).alerted == Took(6.0, 6.0)
    assert (results.lost, results.doubled, results.repeats) == (0, 0, 0)
    assert failures(results) == []


def test_what_is_lost_and_doubled_is_put_down_to_the_fault_before_it_and_fails() -> None:
    evidence = Evidence(
        payments=[paid("silent", 11), paid("unpaged", 21), paid("twice", 31)],
        statuses=STOLEN,
        alerts=[alerted("unpaged", 21, 6), alerted("twice", 31, 6)],
        pages=[paged("p1", 38, "twice"), paged("p2", 39, "twice")],
    )
    record = [
        injected(0, "writes fail", 10),
        injected(1, "TaskManager killed", 20),
        injected(2, "notifier killed", 30),
    ]
    results = tabulate(record, [], evidence, calm=[])
    assert {one.kind: (one.lost, one.doubled) for one in results.rows} == {
        "writes fail": (1, 0),
        "TaskManager killed": (1, 0),
        "notifier killed": (0, 1),
    }
    assert failures(results) == ["2 lost", "1 doubled and not marked"]


def test_repeats_may_be_as_many_as_a_notifier_was_kept_from_noting_what_it_published() -> None:
    evidence = Evidence(
        payments=[paid("a", 11)],
        statuses=STOLEN,
        alerts=[alerted("a", 11, 6)],
        pages=[paged("p1", 18, "a"), paged("p1", 80, "a", repeat=True)],
    )
    record = [injected(0, "paged, answer lost", 10), injected(1, "writes fail", 12)]
    hit = Hit(0, "paged, answer lost", "sns.Publish")
    harmless = Hit(1, "writes fail", "kinesis.PutRecords")
    results = tabulate(record, [hit, harmless], evidence, calm=[])
    assert (results.repeats, results.in_doubt) == (1, 1)
    assert row(results.rows, "paged, answer lost").repeats == 1
    assert failures(results) == []
    without = tabulate(record, [harmless], evidence, calm=[])
    assert len(failures(without)) == 1


def test_each_worker_that_was_killed_may_have_published_one_page() -> None:
    record = [
        injected(0, "notifier killed", 10, hits=0, target="NotifierFunction 1, 2, 3, 4"),
        injected(1, "notifier's clock an hour ahead", 20, hits=0, target="ministack by +3600 s"),
        injected(2, "delivery killed", 30, hits=0, target="delivery 9"),
    ]
    assert tabulate(record, [], Evidence(), calm=[]).in_doubt == 6


def test_what_hit_nothing_or_could_not_be_done_was_not_tried() -> None:
    record = [
        injected(0, "writes fail", 10, hits=0),
        injected(1, "delivery killed", 12, hits=0, problem="delivery does not run"),
        injected(2, "event source killed", 14, hits=0),
    ]
    results = tabulate(record, [], Evidence(), calm=[])
    assert (results.injections, results.kinds) == (1, 1)
    assert results.not_done == {"delivery killed: delivery does not run": 1}


def test_an_injection_is_read_as_it_was_written() -> None:
    one = injected(3, "PostgreSQL killed", 1.5, hits=0)
    assert Injected.from_line(one.to_line()) == one


def test_a_document_gets_the_table_between_its_marks_and_keeps_the_rest() -> None:
    results = tabulate([injected(0, "writes fail", 1)], [], Evidence(), calm=[])
    document = "# Title\n<!-- a -->\nold\n<!-- b -->\nend\n"
    new = renewed(document, markdown(results), "<!-- a -->", "<!-- b -->")
    assert new.startswith("# Title\n<!-- a -->\n| Fault |")
    assert new.endswith("|\n<!-- b -->\nend\n")
    assert "old" not in new
    with pytest.raises(ValueError, match="has no"):
        renewed("# Title\n", "", "<!-- a -->", "<!-- b -->")
