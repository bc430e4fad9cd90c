"""A page that the channel can never take stops nothing behind it, and is not lost in silence."""

from datetime import timedelta

import pytest
from tests.unit.paging.support import World, alert_event, ids, records

from cardwatch.paging.ports import PageMessage
from cardwatch.paging.records import PageState


@pytest.fixture
def world() -> World:
    return World()


def in_full(message: PageMessage) -> bool:
    return "What to do" in message.text


def test_what_the_channel_refuses_in_full_goes_out_short_and_accounts_for_the_same_alerts(
    world: World,
) -> None:
    events = [alert_event(n) for n in range(3)]
    world.pager.refuses = in_full
    outcome = world.page_batch(records(*events))
    (message,) = world.pager.sent
    assert set(message.alert_ids) == ids(*events)
    assert message.page_id in message.text
    assert len(message.text) < 1000
    assert (outcome.failed, outcome.pages_refused, outcome.paged) == (set(), 1, 3)
    assert [e.state for e in world.page_events()] == ["SENT"]
    world.check_promise(ids(*events))


def refuses_alert(number: int, world: World) -> None:
    event = alert_event(number)
    world.pager.refuses = lambda message: event.event_id in message.alert_ids


def test_a_page_that_is_refused_for_good_blocks_neither_its_shard_nor_other_pages(
    world: World,
) -> None:
    refuses_alert(0, world)
    batch = records(alert_event(0))
    outcome = world.page_batch(batch)
    assert outcome.failed == set(), "the shard would be read from here for ever"
    assert not outcome.channel_down
    assert world.page_batch(batch).failed == set()
    assert world.page_batch(records(alert_event(1))).paged == 1
    world.spend_all_tokens()
    world.page_batch(records(alert_event(2)))
    world.clock.advance(60)
    assert world.page_waiting().paged == 1
    assert {i for m in world.pager.sent for i in m.alert_ids} == ids(alert_event(1), alert_event(2))


def test_many_refused_pages_cost_the_schedule_one_token_a_run(world: World) -> None:
    world.pager.refuses = lambda _: True
    for number in range(5):
        world.page_batch(records(alert_event(number)))
        world.clock.advance(5)
    world.clock.advance(60)
    assert world.page_waiting().pages_refused == 1


def test_when_the_channel_takes_them_again_all_refused_pages_go_out_unmarked(world: World) -> None:
    world.pager.refuses = lambda _: True
    events = [alert_event(number) for number in range(5)]
    for event in events:
        world.page_batch(records(event))
        world.clock.advance(5)
    world.pager.refuses = lambda _: False
    world.clock.advance(60)
    assert world.page_waiting().paged == 5
    assert not any(message.repeat for message in world.pager.sent)
    world.check_promise(ids(*events))


def test_what_is_refused_until_it_is_too_old_expires_and_says_why(world: World) -> None:
    refuses_alert(0, world)
    event = alert_event(0)
    world.page_batch(records(event))
    world.clock.time += timedelta(days=1, seconds=1)
    outcome = world.page_waiting()
    assert outcome.expired == 1
    assert [page.state for page in world.pages()] == [PageState.EXPIRED]
    (told,) = world.page_events()
    assert (told.state, told.reason, told.alert_ids) == ("EXPIRED", "refused", (event.event_id,))
    later = alert_event(1, at=world.clock.now())
    world.page_batch(records(later))
    assert "1 alert was not paged" in world.pager.sent[-1].text
