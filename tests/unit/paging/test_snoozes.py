"""Somebody snoozes a card, an account, a merchant, a user or a rule, until a time."""

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.paging.support import (
    TOKEN,
    World,
    alert_event,
    ids,
    kinds,
    records,
    rule_alert_event,
)

from cardwatch.acts.book import IncompleteActError, NoSuchSnoozeError, NotTakenError
from cardwatch.contract.act import PageAct
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.paging.grouping import Policy
from cardwatch.paging.records import MAX_SNOOZES

OTHER_CARD = "5" * 32
HOUR = 3600
ACCOUNT_ALERT = rule_alert_event(
    1, rule="spend_over_limit", entity_kind="account", entity_id="acc_00042", card_last4=None
)


@pytest.fixture
def world() -> World:
    return World(policy=Policy(snooze_floors={"EUR": Decimal(1000)}))


def acts(world: World) -> list[PageAct]:
    read = [read_event(entry.data, now=world.clock.now()) for entry in world.stream.entries]
    return [e.event_json_data for e in read if isinstance(e.event_json_data, PageAct)]


@pytest.mark.parametrize(
    ("scope", "snoozed", "paged"),
    [
        (f"card:{TOKEN}", [alert_event(1), rule_alert_event(1)], [ACCOUNT_ALERT]),
        ("account:acc_00042", [alert_event(1), ACCOUNT_ALERT], [rule_alert_event(1)]),
        ("user:usr_00017", [alert_event(1)], [alert_event(2, user_id="usr_1"), ACCOUNT_ALERT]),
        ("merchant:mer_0007", [alert_event(1)], [alert_event(2, merchant_id="mer_1")]),
        ("rule:large_amount", [rule_alert_event(1)], [alert_event(1), ACCOUNT_ALERT]),
    ],
)
def test_nobody_is_paged_of_what_is_snoozed_and_of_all_else_as_ever(
    scope: str, snoozed: list[Envelope], paged: list[Envelope]
) -> None:
    world = World(policy=Policy())
    act = world.snooze(scope)
    outcome = world.page_batch(records(*snoozed, *paged))
    assert (outcome.suppressed, outcome.failed) == (len(snoozed), set())
    assert {i for message in world.pager.sent for i in message.alert_ids} == ids(*paged)
    assert world.suppressed_ids() == ids(*snoozed)
    world.check_promise(ids(*snoozed, *paged))
    told = [event for event in world.page_events() if event.reason == "suppressed"]
    assert {event.act_id for event in told} == {act.act_id}


def test_when_it_ends_the_first_alert_pages_at_once_and_says_what_nobody_was_paged_of(
    world: World,
) -> None:
    world.snooze(f"card:{TOKEN}", hours=1)
    world.page_batch(records(alert_event(1)))
    world.clock.advance(HOUR - 1)
    world.page_batch(records(alert_event(2, at=world.clock.now())))
    assert kinds(world) == []
    world.clock.advance(1)
    world.page_batch(records(alert_event(3, at=world.clock.now())))
    assert kinds(world) == [("FIRST", 1)]
    assert (
        "card 424242******4242: 2 alerts, 25.00 EUR; 2026-11-21 12:00:00 UTC Ana Vella (as typed) "
        "snoozed it until 2026-11-21 13:00:00 UTC\n"
    ) in world.pager.sent[-1].text


@pytest.mark.parametrize(
    ("amount", "currency", "pages"),
    [
        ("999.99", "EUR", False),
        ("1000.00", "EUR", True),
        (None, "EUR", True),
        ("99999.00", "USD", False),
        (None, None, False),
    ],
)
def test_what_reaches_its_currency_s_floor_is_paged_although_it_is_snoozed(
    world: World, amount: str | None, currency: str | None, *, pages: bool
) -> None:
    world.snooze("rule:stolen_card")
    event = alert_event(1, amount=amount, currency=currency)
    world.page_batch(records(event))
    assert len(world.pager.sent) == int(pages)
    world.check_promise(ids(event))


def test_a_storm_on_a_snoozed_card_makes_follow_ups_of_what_reaches_the_floor_alone(
    world: World,
) -> None:
    world.snooze(f"card:{TOKEN}")
    for number in range(6):
        amount = "5000.00" if number % 2 == 0 else "5.00"
        world.page_batch(records(alert_event(number, amount=amount)))
        world.clock.advance(10)
    world.clock.advance(300)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1), ("FOLLOW_UP", 2)]
    assert len(world.suppressed_ids()) == 3


def test_what_waits_for_its_follow_up_is_suppressed_when_its_card_is_snoozed_meanwhile(
    world: World,
) -> None:
    for number in range(2):
        world.page_batch(records(alert_event(number)))
    world.snooze(f"card:{TOKEN}")
    world.clock.advance(300)
    world.page_waiting()
    assert kinds(world) == [("FIRST", 1)]
    assert world.suppressed_ids() == ids(alert_event(1))


def test_a_snooze_of_the_same_again_takes_its_place(world: World) -> None:
    world.snooze("rule:stolen_card", hours=1)
    world.snooze("rule:stolen_card", hours=2)
    world.snooze("rule:large_amount", hours=1)
    held = [(snooze.act.scope, snooze.act.until) for snooze in world.book().snoozes()]
    now = world.clock.now()
    assert held == [
        ("rule:large_amount", now + timedelta(hours=1)),
        ("rule:stolen_card", now + timedelta(hours=2)),
    ]
    world.clock.advance(2 * HOUR)
    assert world.book().snoozes() == []


def test_a_snooze_that_somebody_ends_holds_no_more_and_the_stream_has_both(world: World) -> None:
    world.snooze("rule:stolen_card")
    world.clock.advance(60)
    ended = world.book().end("rule:stolen_card", "Ben Borg")
    assert (ended.by, ended.until) == ("Ben Borg", world.clock.now())
    assert [act.by for act in acts(world)] == ["Ana Vella", "Ben Borg"]
    world.page_batch(records(alert_event(1)))
    assert kinds(world) == [("FIRST", 1)]
    with pytest.raises(NoSuchSnoozeError, match="rule:stolen_card is not snoozed"):
        world.book().end("rule:stolen_card", "Ben Borg")


@pytest.mark.parametrize(
    ("said", "hours", "told"),
    [
        (("rule:stolen_card", " ", "known"), 1, "who you are"),
        (("rule:stolen_card", "Ana", " "), 1, "why"),
        (("rule:stolen_card", "Ana", "known"), 0, "a time to come"),
        (("rule:stolen_card", "Ana", "known"), 169, "168 hours at most"),
        (("everything", "Ana", "known"), 1, "card:<token>"),
        (("page", "Ana", "known"), 1, "Choose what"),
        (("rule:stolen_card", "A" * 65, "known"), 1, "Your name"),
        (("rule:stolen_card", "Ana", "k" * 201), 1, "The reason"),
    ],
)
def test_a_snooze_without_owner_reason_or_end_is_none(
    world: World, said: tuple[str, str, str], hours: int, told: str
) -> None:
    until = world.clock.now() + timedelta(hours=hours)
    with pytest.raises(IncompleteActError, match=told):
        world.book().snooze(*said, until)
    assert (world.stream.entries, world.book().snoozes()) == ([], [])


def test_there_are_only_so_many_snoozes_and_one_of_them_may_still_be_renewed(world: World) -> None:
    for number in range(MAX_SNOOZES):
        world.snooze(f"account:acc_{number}")
    with pytest.raises(IncompleteActError, match="end one first"):
        world.snooze("account:acc_more")
    world.snooze("account:acc_0", hours=5)
    assert len(world.book().snoozes()) == MAX_SNOOZES


def test_a_snooze_that_the_stream_refuses_is_none(world: World) -> None:
    world.stream.refuse = "Throttled"
    with pytest.raises(NotTakenError):
        world.snooze("rule:stolen_card")
    assert world.book().snoozes() == []


def test_a_page_s_list_has_the_snooze_that_it_led_to(world: World) -> None:
    world.page_batch(records(alert_event(1)))
    page_id = world.pager.sent[0].page_id
    opened = world.book().open(page_id)
    until = world.clock.now() + timedelta(hours=1)
    act = world.book().snooze(f"card:{TOKEN}", "Ana", "known", until, page=opened)
    assert [done.act for done in world.book().done_about([page_id])[page_id]] == [act]
    assert act.page_id == page_id
