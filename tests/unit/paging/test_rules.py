"""Alerts of every rule are paged, each in its rule's words, and none holds a stolen card back."""

import json
import pkgutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, records, rule_alert_event

from cardwatch.paging import rules
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import Policy
from cardwatch.paging.records import Bucket, Entry
from cardwatch.paging.rules import words_of
from cardwatch.paging.throttle import TokenBucket, burst, reserved
from cardwatch.paging.words import PLAIN


@pytest.fixture
def world() -> World:
    return World()


def test_an_alert_of_a_rule_is_paged_in_its_words_and_accounted_for(world: World) -> None:
    event = rule_alert_event()
    outcome = world.page_batch(records(event))
    assert (outcome.received, outcome.paged, outcome.failed) == (1, 1, set())
    (message,) = world.pager.sent
    assert message.subject == "Large amount: 12500.00 EUR, card ******4242"
    assert message.text.startswith(
        "A payment above the limit\n\n"
        "Card: ******4242\n"
        "Amount: 12500.00 EUR, the limit is 10000\n"
        "Severity: high\n"
    )
    world.check_promise(ids(event))


def test_a_rule_without_words_of_its_own_is_paged_in_plain_ones(world: World) -> None:
    event = rule_alert_event(
        rule="spend_in_an_hour",
        entity_kind="account",
        entity_id="acc_00042",
        card_last4=None,
        explanation="20150.75 EUR spent in 60 minutes, above the limit of 20000 EUR",
        observed="20150.75",
        threshold="20000",
        window_start=NOON - timedelta(hours=1),
        window_end=NOON,
        payment_ids=[f"pay_{n:02}" for n in range(20)],
        payment_count=37,
    )
    world.page_batch(records(event))
    (message,) = world.pager.sent
    assert message.subject == "spend_in_an_hour: account acc_00042: 20150.75 EUR"
    assert (
        message.text
        == f"""\
An alert of the rule spend_in_an_hour

Account: acc_00042
Observed: 20150.75 EUR
Limit: 20000 EUR
Window: 2026-11-21 11:00:00 UTC to 2026-11-21 12:00:00 UTC
Severity: high
Happened: 2026-11-21 12:00:00 UTC
Detected: 2026-11-21 12:00:03 UTC, 3 s later
Why: 20150.75 EUR spent in 60 minutes, above the limit of 20000 EUR
Payments: pay_00, pay_01, pay_02, pay_03, pay_04 and 32 more
Alert: {event.event_id}

In the last 60 min
account acc_00042: 1 alert

What to do
1. Look at the account and the payments named above.
2. Decide whether they have to be stopped.

Page: {message.page_id}
Alerts in this page: 1
"""
    )


@pytest.mark.parametrize("rule", [module.name for module in pkgutil.iter_modules(rules.__path__)])
@pytest.mark.parametrize("count", [1, 25])
def test_every_rule_s_words_make_a_page_of_one_alert_and_of_many(
    world: World, rule: str, count: int
) -> None:
    assert words_of(rule) is not PLAIN
    events = [rule_alert_event(n, rule=rule) for n in range(count)]
    world.page_batch(records(*events))
    (message,) = world.pager.sent
    assert set(message.alert_ids) == ids(*events)
    assert message.subject.isascii()
    assert "What to do\n1. " in message.text


def test_scores_are_not_added_up_and_a_page_says_what_speaks_against_a_payment(
    world: World,
) -> None:
    alone = rule_alert_event(
        rule="high_score",
        currency=None,
        observed="70",
        threshold="70",
        explanation="score 70 of 100: stolen card, young account",
    )
    world.page_batch(records(alone))
    (message,) = world.pager.sent
    assert message.subject == "Risk score 70: card ******4242"
    assert "\nScore: 70, the threshold is 70\nWhy: score 70 of 100: stolen card, " in message.text
    assert "currency" not in message.text
    world.clock.advance(61)
    two = [
        rule_alert_event(number, rule="high_score", currency=None, observed=score)
        for number, score in enumerate(["95", "80"], start=7)
    ]
    world.page_batch(records(*two))
    subject = world.pager.sent[-1].subject
    assert subject.startswith("2 payments with a high risk score on ")
    assert subject.endswith(": up to 95")


def test_cards_that_a_user_tries_out_are_paged_beside_those_of_a_merchant_with_steps_for_both(
    world: World,
) -> None:
    tried: dict[str, Any] = {
        "rule": "card_testing",
        "card_last4": None,
        "currency": None,
        "observed": "6",
        "threshold": "5",
        "explanation": "6 cards tried with declined or small payments within 120 s, more than 5",
        "window_start": NOON - timedelta(seconds=120),
        "window_end": NOON,
    }
    of_user = rule_alert_event(1, entity_kind="user", entity_id="usr_0001", **tried)
    of_merchant = rule_alert_event(1, entity_kind="merchant", entity_id="mer_0001", **tried)
    world.page_batch(records(of_user))
    (alone,) = world.pager.sent
    assert alone.subject == "Cards are tried out: user usr_0001"
    assert alone.text.startswith("Cards are tried out by 1 user\n\nUser: usr_0001\n")
    assert "Window: 2026-11-21 11:58:00 UTC to 2026-11-21 12:00:00 UTC\n" in alone.text
    assert "within 120 s" in alone.text
    assert "Block the user's sign-in" in alone.text
    assert "Have the merchant" not in alone.text
    world.clock.advance(61)
    of_another = rule_alert_event(2, entity_kind="user", entity_id="usr_0002", **tried)
    world.page_batch(records(of_merchant, of_another))
    both = world.pager.sent[-1]
    assert both.text.startswith("Cards are tried out at 1 merchant and by 1 user\n")
    assert "Have the merchant" in both.text
    assert "Block the user's sign-in" in both.text


def test_nothing_but_plain_facts_is_said_of_a_rule_without_figures(world: World) -> None:
    event = rule_alert_event(
        rule="known_bad_merchant",
        entity_kind="merchant",
        entity_id="mer_0007",
        card_last4=None,
        currency=None,
        observed=None,
        threshold=None,
    )
    world.page_batch(records(event))
    (message,) = world.pager.sent
    assert message.subject == "known_bad_merchant: merchant mer_0007"
    assert "None" not in message.text


def test_alerts_of_two_rules_make_two_pages_and_the_stolen_card_s_goes_first(world: World) -> None:
    stolen, large = alert_event(1), rule_alert_event(1)
    world.page_batch(records(large, stolen))
    assert [set(m.alert_ids) for m in world.pager.sent] == [ids(stolen), ids(large)]
    world.check_promise(ids(stolen, large))


def test_a_rule_alert_is_paged_once_however_often_it_comes(world: World) -> None:
    event = rule_alert_event()
    again = rule_alert_event(detected_at=NOON + timedelta(seconds=30))
    world.page_batch(records(event, again))
    world.page_batch(records(again))
    assert len(world.pager.sent) == 1


def test_a_rule_alert_older_than_the_maximum_age_expires(world: World) -> None:
    old = rule_alert_event(at=NOON - timedelta(days=2))
    assert world.page_batch(records(old)).expired == 1
    assert world.pager.sent == []
    assert [(e.state, e.reason) for e in world.page_events()] == [("EXPIRED", "too_old")]


def test_a_flood_of_a_rule_is_a_page_a_minute_that_says_how_many_it_stands_for(
    world: World,
) -> None:
    flood = []
    for second in range(300):
        alert = rule_alert_event(second, at=world.clock.now())
        flood.append(alert)
        assert world.page_batch(records(alert)).failed == set()
        if second % 60 == 0:
            world.page_waiting()
            stolen = alert_event(second, at=world.clock.now())
            assert world.page_batch(records(stolen)).paged == 1, "held back"
        world.clock.advance(1)
    pages = [m for m in world.pager.sent if set(m.alert_ids) <= ids(*flood)]
    assert [len(page.alert_ids) for page in pages] == [1, 60, 60, 60, 60]
    assert all(page.subject.startswith("60 payments above the limit") for page in pages[1:])
    world.settle(())
    world.check_promise(ids(*flood))


def test_a_rule_that_has_to_wait_holds_up_no_other_rule_that_waits(world: World) -> None:
    flooding = [rule_alert_event(n) for n in range(20)]
    for alert in flooding:
        world.page_batch(records(alert))
    now = world.clock.now()
    empty = Bucket(bucket=TokenBucket(tokens=0, at=now), paged_at={"large_amount": now}, since=now)
    world.put_bucket(empty)
    other = rule_alert_event(1, rule="spend_over_limit")
    assert world.page_batch(records(other)).held == 1
    world.clock.advance(30)
    world.page_waiting()
    assert set(world.pager.sent[-1].alert_ids) == ids(other)
    world.settle(())
    world.check_promise(ids(other, *flooding))


def test_a_clock_that_ran_ahead_holds_a_rule_up_for_a_minute_and_no_longer(world: World) -> None:
    now = world.clock.now()
    tomorrow = {"large_amount": now + timedelta(days=1)}
    bucket = Bucket(bucket=TokenBucket.full(30, now), paged_at=tomorrow, since=now)
    world.put_bucket(bucket)
    assert world.page_batch(records(rule_alert_event(1))).paged == 1


def test_a_storm_of_other_rules_takes_no_token_that_a_stolen_card_needs(world: World) -> None:
    for number in range(60):
        large = rule_alert_event(number, at=world.clock.now(), rule=f"rule_{number}")
        assert world.page_batch(records(large)).failed == set()
    large_pages = len(world.pager.sent)
    assert large_pages == burst(30) - reserved(30)
    for number in range(reserved(30)):
        stolen = alert_event(number, at=world.clock.now())
        assert world.page_batch(records(stolen)).paged == 1, "held back"
    assert len(world.pager.sent) == large_pages + reserved(30)


def test_however_many_alerts_of_another_rule_wait_a_waiting_stolen_card_goes_out_before_them(
    world: World,
) -> None:
    world.spend_all_tokens()
    for number in range(150):
        world.page_batch(records(rule_alert_event(number)))
    stolen = alert_event()
    world.page_batch(records(stolen))
    world.clock.advance(4)  # two tokens, which only an urgent rule may take
    world.page_waiting()
    assert [set(m.alert_ids) for m in world.pager.sent] == [ids(stolen)]
    world.settle(())
    world.check_promise(ids(stolen, *(rule_alert_event(n) for n in range(150))))


def test_pages_that_wait_for_the_channel_are_tried_by_urgency(world: World) -> None:
    large, stolen = rule_alert_event(1), alert_event(1)
    world.pager.failures = [OSError()]
    with pytest.raises(OSError):  # noqa: PT011  a crash while sending
        world.page_batch(records(large))
    world.pager.failures = [OSError()]
    with pytest.raises(OSError):  # noqa: PT011
        world.page_batch(records(stolen))
    world.clock.advance(61)
    world.page_waiting()
    assert [set(m.alert_ids) for m in world.pager.sent] == [ids(stolen), ids(large)]


@pytest.mark.parametrize(
    ("status", "subject", "headline", "step"),
    [
        ("AUTHORIZED", "12.50 EUR, V", "A payment", "2. Stop or reverse the payment."),
        (
            "DECLINED",
            "12.50 EUR declined, V",
            "A declined payment",
            "2. Nothing is to be reversed where it says declined: somebody tried the card.",
        ),
        (
            "REFUNDED",
            "12.50 EUR refund, V",
            "A refund",
            "2. Hold the refund until it is clear which payment it gives back, and to whom.",
        ),
        ("something new", "12.50 EUR, V", "A payment", "2. Stop or reverse the payment."),
    ],
)
def test_a_page_says_what_became_of_the_payment_and_what_to_do_about_it(
    world: World, status: str, subject: str, headline: str, step: str
) -> None:
    world.page_batch(records(alert_event(status=status)))
    (message,) = world.pager.sent
    assert f": {subject}alletta" in message.subject
    assert message.text.startswith(f"{headline} on a stolen card\n")
    assert f"\nStatus: {status.lower()}\n" in message.text
    assert step in message.text
    assert ("reverse the payment" in message.text) == ("reverse the payment" in step)


def test_what_was_declined_or_refunded_is_not_added_to_what_it_cost(world: World) -> None:
    events = [
        alert_event(1, amount="80.00", status="AUTHORIZED"),
        alert_event(2, amount="500.00", status="DECLINED"),
        alert_event(3, amount="-80.00", status="REFUNDED"),
    ]
    world.page_batch(records(*events))
    (message,) = world.pager.sent
    assert message.subject == "3 payments on 1 stolen card (1 declined, 1 refund): 80.00 EUR"
    assert "2. Stop or reverse the payments that were neither declined nor refunded.\n3. No" in (
        message.text
    )
    world.page_batch(records(*(alert_event(n, status="DECLINED") for n in (4, 5))))
    assert world.pager.sent[-1].subject == (
        "2 payments on 1 stolen card (2 declined): nothing was charged"
    )


def test_an_alert_that_another_path_found_later_ages_from_its_detection(world: World) -> None:
    found = alert_event(1, at=NOON - timedelta(days=3), found_by="audit", detected_at=NOON)
    outcome = world.page_batch(records(found))
    assert (outcome.paged, outcome.expired) == (1, 0)
    assert (outcome.latencies_ms, outcome.detection_lags_ms) == ([], [])


def test_a_breach_ages_from_the_end_of_its_window_and_is_no_page_latency(world: World) -> None:
    first_payment = NOON - timedelta(days=1, hours=1)
    breach = rule_alert_event(
        at=first_payment, window_start=first_payment, window_end=NOON, detected_at=NOON
    )
    outcome = world.page_batch(records(breach))
    assert (outcome.paged, outcome.expired, outcome.latencies_ms) == (1, 0, [])


def test_what_the_ledger_kept_before_there_were_other_rules_is_still_read() -> None:
    entry = Entry.received(
        [PagedAlert.of(alert_event())], now=NOON, lease_until=NOON + Policy().lease
    )
    new = json.loads(entry.item().body)
    (alert,) = new["alerts"]
    for added in ("rule", "severity", "entity_kind", "status", "found_by", "threshold"):
        del alert[added]
    for added in ("payment_count", "window_start", "window_end"):
        del alert[added]
    alert["card"], alert["card_token"] = alert.pop("entity"), alert.pop("entity_id")
    alert["payment_id"] = alert.pop("payment_ids")[0]
    old = Entry.of(replace(entry.item(), body=json.dumps(new)))
    assert old.rule == "stolen_card"
    assert old.alerts[0].payment_ids == ("pay_0001",)
    assert old.alerts == entry.alerts
