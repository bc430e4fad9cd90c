from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cardwatch.contract.alert import alert_id
from cardwatch.contract.attributed import attributed_event_id
from cardwatch.local.witness.receipts import (
    AlertSeen,
    EventSeen,
    PageEventSeen,
    PageReceived,
    PaymentSeen,
    RuleAlertSeen,
    ScoreSeen,
    StatusSeen,
)
from cardwatch.local.witness.verdict import (
    Evidence,
    Percentiles,
    reach_verdict,
    unfinished,
)

START = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)
STOLEN_CARD = "a" * 32
GOOD_CARD = "b" * 32
ID = alert_id("pay_1", STOLEN_CARD)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def payment(
    name: str, card: str, when: float, *, arrived: float | None = None, sequence: int = 2
) -> PaymentSeen:
    came = at(when if arrived is None else arrived)
    return PaymentSeen(came, name, card, at(when), str(sequence))


def status(
    card: str, value: str, since: float, *, arrived: float = 0, sequence: int = 1
) -> StatusSeen:
    return StatusSeen(at(arrived), card, value, at(since), str(sequence))


def alert(name: str = "pay_1", *, arrived: float = 6.5, late: bool = False) -> AlertSeen:
    return AlertSeen(
        at(arrived), alert_id(name, STOLEN_CARD), name, STOLEN_CARD, at(1), at(5), late
    )


def sent(page: str, *alerts: str, repeat: bool = False) -> PageEventSeen:
    return PageEventSeen(at(7), page, "SENT", alerts, repeat)


def received(page: str, *ids: str, message: str = "m1", repeat: bool = False) -> PageReceived:
    return PageReceived(at(7.25), message, page, "subject", "text", ids or (ID,), repeat)


KEPT = Evidence(
    payments=[payment("pay_1", STOLEN_CARD, 1), payment("pay_2", GOOD_CARD, 2)],
    statuses=[status(STOLEN_CARD, "STOLEN", -3600), status(GOOD_CARD, "ACTIVE", -3600)],
    alerts=[alert()],
    page_events=[sent("page_1", ID)],
    pages=[received("page_1")],
    events=[
        EventSeen(at(1), "PAYMENT_EVENT", "e1", at(1)),
        EventSeen(at(2), "PAYMENT_EVENT", "e2", at(2)),
    ],
    staged_ids={"e1", "e2"},
    staged_rows=2,
    quarantined={"not_json": 3},
)


def test_a_run_that_kept_every_promise_has_no_failure() -> None:
    verdict = reach_verdict(KEPT)
    assert verdict.failures == ()
    assert unfinished(KEPT) == []
    assert (verdict.payments, verdict.stolen_payments, verdict.alerts) == (2, 1, 1)
    assert (verdict.alerts_paged, verdict.pages) == (1, 1)
    assert (verdict.pages_repeated, verdict.pages_doubled) == (0, 0)
    assert (verdict.staged_rows, verdict.quarantined) == (2, {"not_json": 3})
    assert verdict.alert_latency_ms == Percentiles(1500, 1500)
    assert verdict.page_latency_ms == Percentiles(6250, 6250)


def test_a_stolen_payment_without_an_alert_fails_and_is_named() -> None:
    evidence = replace(KEPT, alerts=[], page_events=[], pages=[])
    assert reach_verdict(evidence).failures == ("1 stolen payment without an alert: pay_1",)
    assert len(unfinished(evidence)) == 1


def test_an_alert_under_another_id_does_not_stand_for_the_payment() -> None:
    wrong = replace(alert(), alert_id="f" * 64)
    failures = reach_verdict(replace(KEPT, alerts=[wrong])).failures
    assert any("stolen payment without an alert" in text for text in failures)
    assert any("not stolen" in text for text in failures)


def test_an_alert_on_a_good_card_fails() -> None:
    false_alert = replace(
        alert("pay_2"), card_token=GOOD_CARD, alert_id=alert_id("pay_2", GOOD_CARD)
    )
    evidence = replace(
        KEPT,
        alerts=[alert(), false_alert],
        pages=[received("page_1", ID, false_alert.alert_id)],
    )
    (failure,) = reach_verdict(evidence).failures
    assert failure.startswith("1 alert for a payment that is not stolen")


def test_an_alert_whose_page_was_not_received_fails_though_the_notifier_says_sent() -> None:
    (failure,) = reach_verdict(replace(KEPT, pages=[])).failures
    assert failure == f"1 alert not accounted for in a page that was received: {ID}"


def test_an_alert_that_no_page_carries_fails() -> None:
    (failure,) = reach_verdict(replace(KEPT, pages=[received("page_1", "f" * 64)])).failures
    assert "not accounted for" in failure


def test_an_expired_alert_is_accounted_for() -> None:
    expired = PageEventSeen(at(7), "page_1", "EXPIRED", (ID,), repeat=False)
    verdict = reach_verdict(replace(KEPT, page_events=[expired], pages=[]))
    assert verdict.failures == ()
    assert (verdict.alerts_paged, verdict.alerts_expired) == (0, 1)


def test_an_alert_that_somebody_s_act_suppressed_is_accounted_for_and_counted_apart() -> None:
    suppressed = PageEventSeen(at(7), "page_1", "EXPIRED", (ID,), repeat=False, reason="suppressed")
    verdict = reach_verdict(replace(KEPT, page_events=[suppressed], pages=[]))
    assert verdict.failures == ()
    counted = (verdict.alerts_paged, verdict.alerts_expired, verdict.alerts_suppressed)
    assert counted == (0, 0, 1)


def test_an_alert_in_two_unmarked_pages_fails() -> None:
    evidence = replace(
        KEPT,
        page_events=[sent("page_1", ID), sent("page_2", ID)],
        pages=[received("page_1"), received("page_2", message="m2")],
    )
    verdict = reach_verdict(evidence)
    assert verdict.pages_doubled == 1
    assert verdict.failures == (f"1 alert in two pages that are not marked as repeats: {ID}",)


@pytest.mark.parametrize("kind", ["REMINDER", "ESCALATION", "RESOLVED"])
def test_what_tells_of_an_alert_again_is_no_page_of_it(kind: str) -> None:
    again = replace(received("page_2", message="m2"), received=at(900), kind=kind)
    unsent = PageEventSeen(at(9), "page_3", "EXPIRED", (ID,), repeat=False, kind=kind)
    verdict = reach_verdict(replace(KEPT, pages=[*KEPT.pages, again], page_events=[unsent]))
    assert (verdict.failures, verdict.pages_doubled, verdict.alerts_expired) == ((), 0, 0)
    assert verdict.page_latency_ms == reach_verdict(KEPT).page_latency_ms
    [owed] = unfinished(replace(KEPT, pages=[again], page_events=[unsent]))
    assert ID in owed


def test_one_page_received_twice_without_a_mark_is_doubled() -> None:
    evidence = replace(KEPT, pages=[received("page_1"), received("page_1", message="m2")])
    assert reach_verdict(evidence).pages_doubled == 1


def test_a_marked_repeat_is_counted_and_does_not_fail() -> None:
    evidence = replace(
        KEPT,
        page_events=[sent("page_1", ID), sent("page_1", ID, repeat=True)],
        pages=[received("page_1"), received("page_1", message="m2", repeat=True)],
    )
    verdict = reach_verdict(evidence)
    assert verdict.failures == ()
    assert (verdict.pages, verdict.pages_repeated, verdict.pages_doubled) == (2, 1, 0)


def test_a_valid_event_that_is_not_staged_fails_and_is_named() -> None:
    (failure,) = reach_verdict(replace(KEPT, staged_ids={"e1"})).failures
    assert failure == "1 valid event not staged in the warehouse: e2"


def test_a_run_without_payments_fails() -> None:
    assert reach_verdict(Evidence()).failures == (
        "no payment reached the stream: the simulator did not run",
    )


def test_a_failure_names_five_ids_and_counts_the_rest() -> None:
    events = [EventSeen(at(1), "PAYMENT_EVENT", f"e{n}", at(1)) for n in range(8)]
    (failure,) = reach_verdict(replace(KEPT, events=events, staged_ids=())).failures
    assert failure == "8 valid events not staged in the warehouse: e0, e1, e2, e3, e4 and 3 more"


def test_late_alerts_are_counted_and_kept_out_of_the_latencies() -> None:
    late = alert(late=True, arrived=600)
    verdict = reach_verdict(replace(KEPT, alerts=[late]))
    assert verdict.late_alerts == 1
    assert verdict.alert_latency_ms == Percentiles(None, None)


def test_an_alert_published_twice_counts_once_by_its_first_arrival() -> None:
    verdict = reach_verdict(replace(KEPT, alerts=[alert(), alert(arrived=60)]))
    assert verdict.alerts == 1
    assert verdict.alert_latency_ms == Percentiles(1500, 1500)


def test_percentiles_are_nearest_rank() -> None:
    values = [timedelta(milliseconds=n) for n in range(1, 101)]
    assert Percentiles.of(values) == Percentiles(50, 99)
    assert Percentiles.of(values[:1]) == Percentiles(1, 1)
    assert Percentiles.of([]) == Percentiles(None, None)


def rule_alert(number: int, rule: str = "large_amount") -> RuleAlertSeen:
    return RuleAlertSeen(at(6), f"{number:064x}", rule, at(1))


def test_alerts_of_other_rules_are_counted_by_rule_and_no_stolen_card_s() -> None:
    alerts = [rule_alert(1), rule_alert(1), rule_alert(2), rule_alert(3, "spend_over_limit")]
    pages = [received("page_2", *{alert.alert_id for alert in alerts}, message="m2")]
    verdict = reach_verdict(replace(KEPT, rule_alerts=alerts, pages=[*KEPT.pages, *pages]))
    assert verdict.failures == ()
    assert verdict.rule_alerts == {"large_amount": 2, "spend_over_limit": 1}
    assert (verdict.alerts, verdict.alerts_paged) == (1, 1)


def test_an_alert_of_another_rule_that_no_page_carries_fails_and_is_waited_for() -> None:
    evidence = replace(KEPT, rule_alerts=[rule_alert(1)])
    (failure,) = reach_verdict(evidence).failures
    assert failure == (
        f"1 alert not accounted for in a page that was received: {rule_alert(1).alert_id}"
    )
    assert unfinished(evidence) == [failure]
    expired = PageEventSeen(at(7), "page_2", "EXPIRED", (rule_alert(1).alert_id,), repeat=False)
    assert reach_verdict(replace(evidence, page_events=[expired])).failures == ()


def score(name: str, card: str, when: float, *, arrived: float, late: bool = False) -> ScoreSeen:
    return ScoreSeen(at(arrived), attributed_event_id(name, card), name, at(when), 10, late)


SCORED = replace(
    KEPT,
    risk_desk=True,
    scores=[score("pay_1", STOLEN_CARD, 1, arrived=1.5), score("pay_2", GOOD_CARD, 2, arrived=2.2)],
)


def test_with_the_risk_desk_every_payment_has_a_score() -> None:
    assert reach_verdict(SCORED).failures == ()
    assert unfinished(SCORED) == []
    assert (reach_verdict(SCORED).scores, reach_verdict(SCORED).scores_repeated) == (2, 0)
    evidence = replace(SCORED, scores=SCORED.scores[:1])
    assert reach_verdict(evidence).failures == ("1 payment without a score: pay_2",)
    assert unfinished(evidence) == ["1 payment without a score: pay_2"]
    assert reach_verdict(replace(evidence, risk_desk=False)).failures == ()


def test_what_has_no_token_of_a_card_is_given_no_score() -> None:
    evidence = replace(SCORED, payments=[*SCORED.payments, payment("pay_3", "no token", 3)])
    assert reach_verdict(evidence).failures == ()


def test_a_score_that_no_payment_has_fails() -> None:
    strange = score("pay_1", GOOD_CARD, 1, arrived=1.5)
    evidence = replace(SCORED, scores=[*SCORED.scores, strange])
    assert reach_verdict(evidence).failures == ("1 score that no payment on the stream has: pay_1",)


def test_a_score_said_again_counts_once_by_its_first_arrival() -> None:
    again = score("pay_2", GOOD_CARD, 2, arrived=9)
    verdict = reach_verdict(replace(SCORED, scores=[again, *SCORED.scores]))
    assert verdict.failures == ()
    assert (verdict.scores, verdict.scores_repeated) == (2, 1)
    assert verdict.score_latency_ms == reach_verdict(SCORED).score_latency_ms


def test_the_time_to_a_score_leaves_out_late_payments_and_the_risk_desks_start() -> None:
    assert reach_verdict(SCORED).score_latency_ms == Percentiles(200, 200)
    late = replace(SCORED.scores[1], late=True)
    verdict = reach_verdict(replace(SCORED, scores=[SCORED.scores[0], late]))
    assert (verdict.scores, verdict.scores_late) == (2, 1)
    assert verdict.score_latency_ms == Percentiles(None, None)


def test_an_alert_that_its_rule_has_nobody_paged_of_is_counted_and_not_waited_for() -> None:
    evidence = replace(KEPT, rule_alerts=[replace(rule_alert(1), pages=False)])
    assert reach_verdict(evidence).failures == ()
    assert reach_verdict(evidence).rule_alerts == {"large_amount": 1}
    assert unfinished(evidence) == []


def test_a_message_that_is_delivered_twice_is_one_page() -> None:
    again = replace(received("page_1"), received=at(9))
    verdict = reach_verdict(replace(KEPT, pages=[again, received("page_1")]))
    assert verdict.failures == ()
    assert (verdict.pages, verdict.pages_redelivered, verdict.pages_doubled) == (1, 1, 0)
    assert verdict.page_latency_ms == reach_verdict(KEPT).page_latency_ms


FOLLOWED = replace(
    KEPT,
    payments=[*KEPT.payments, payment("pay_3", STOLEN_CARD, 3)],
    alerts=[alert(), replace(alert("pay_3"), origin=at(3))],
    pages=[
        received("page_1"),
        PageReceived(
            at(27),
            "m2",
            "page_2",
            "",
            "",
            (alert_id("pay_3", STOLEN_CARD),),
            repeat=False,
            kind="FOLLOW_UP",
        ),
    ],
)


def test_what_waited_for_a_follow_up_has_a_figure_of_its_own() -> None:
    verdict = reach_verdict(FOLLOWED)
    assert (verdict.failures, verdict.alerts_paged) == ((), 2)
    assert verdict.page_latency_ms == Percentiles(6250, 6250)
    assert verdict.follow_up_latency_ms == Percentiles(24_000, 24_000)
    assert reach_verdict(KEPT).follow_up_latency_ms == Percentiles(None, None)


def test_what_waits_for_a_follow_up_is_still_owed() -> None:
    waiting = replace(FOLLOWED, pages=FOLLOWED.pages[:1])
    [owed] = unfinished(waiting)
    assert alert_id("pay_3", STOLEN_CARD) in owed
    assert reach_verdict(waiting).failures == (owed,)


def test_a_follow_up_on_a_card_that_nobody_was_paged_of_at_once_fails() -> None:
    hidden = replace(KEPT, pages=[replace(received("page_1"), kind="FOLLOW_UP")])
    [failure] = reach_verdict(hidden).failures
    assert failure.startswith("1 alert in a follow-up on a card that has no first page: ")


def test_what_was_given_up_breaks_a_promise_and_is_named() -> None:
    verdict = reach_verdict(replace(KEPT, given_up={"objects refused": 2, "records dropped": 0}))
    assert verdict.failures == ("2 objects refused",)


def test_what_could_not_be_read_is_named_and_judged_by_nothing() -> None:
    unread = "what is staged could not be read (PostgreSQL does not answer)"
    verdict = reach_verdict(replace(KEPT, staged_ids=None, unread=[unread]))
    assert verdict.failures == (f"not judged: {unread}",)
