"""What the notifier does with batches and on its schedule, when nothing crashes."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.fakes import NOON
from tests.unit.paging.support import World, alert_event, ids, records, rule_alert_event

from cardwatch.paging.grouping import MAX_ALERTS_PER_PAGE, Policy
from cardwatch.paging.ports import PageMayBeSentError, PageNotSentError
from cardwatch.paging.records import BUCKET_KEY, Bucket, PageState


@pytest.fixture
def world() -> World:
    return World()


def test_one_batch_makes_one_page_that_accounts_for_every_alert(world: World) -> None:
    events = [alert_event(n) for n in range(30)]
    outcome = world.page_batch(records(*events))
    assert outcome.failed == set()
    assert [set(m.alert_ids) for m in world.pager.sent] == [ids(*events)]
    assert (outcome.received, outcome.paged, outcome.pages_sent) == (30, 30, 1)


def test_the_same_alert_twice_in_a_batch_and_again_later_is_in_one_page(world: World) -> None:
    event = alert_event()
    again = alert_event(detected_at=NOON + timedelta(seconds=9))
    world.page_batch(records(event, again))
    outcome = world.page_batch(records(event))
    assert outcome.failed == set()
    assert [m.alert_ids for m in world.pager.sent] == [(event.event_id,)]
    assert outcome.received == 0


def test_a_page_event_says_what_was_sent_and_when(world: World) -> None:
    event = alert_event()
    world.page_batch(records(event))
    [entry] = world.stream.entries
    [told] = world.page_events()
    assert entry.partition_key == told.page_id == world.pager.sent[0].page_id
    assert (told.state, told.alert_ids, told.channel) == ("SENT", (event.event_id,), "fake")
    assert told.repeat is False


def test_page_latency_is_from_the_payment_to_the_page(world: World) -> None:
    world.clock.advance(7.5)
    assert world.page_batch(records(alert_event(at=NOON))).latencies_ms == [7500]


def test_detection_lag_is_from_the_window_s_end_and_only_of_payments_on_time(world: World) -> None:
    late = alert_event(2, late=True, detected_at=NOON + timedelta(seconds=40))
    on_time = alert_event(1, detected_at=NOON + timedelta(seconds=6.25))
    assert world.page_batch(records(on_time, late)).detection_lags_ms == [1250]


def test_poison_is_kept_whole_by_its_reason_and_delays_no_alert(world: World) -> None:
    event = alert_event()
    huge = b'{"type":"PAYMENT_ALERT","x":"' + b"y" * 1_000_000 + b'"}'
    poison = [b"\xff\xfe", b"{", b"[]", b'{"type":"HEARTBEAT"}', b"", huge]
    outcome = world.page_batch(records(poison[0], event, *poison[1:]))
    assert [m.alert_ids for m in world.pager.sent] == [(event.event_id,)]
    assert outcome.failed == set()
    kept = [letter.raw for letters in world.dead_letters.letters.values() for letter in letters]
    assert sorted(kept) == sorted(poison)
    assert outcome.poison.total() == 6
    assert set(outcome.poison) >= {"not_utf8", "not_json", "not_an_object"}


def test_an_alert_whose_rule_does_not_page_is_done_and_nobody_is_paged(world: World) -> None:
    off, shadow = (rule_alert_event(n, paging=how) for n, how in enumerate(("off", "shadow")))
    paged = [rule_alert_event(3), rule_alert_event(4, paging="on")]
    outcome = world.page_batch(records(off, paged[0], shadow, paged[1]))
    assert outcome.failed == set()
    assert (outcome.unpaged, outcome.received, outcome.poison.total()) == (2, 2, 0)
    assert {alert for page in world.pager.sent for alert in page.alert_ids} == ids(*paged)
    assert world.page_batch(records(off)).unpaged == 1


def test_a_valid_event_that_is_no_alert_is_poison(world: World) -> None:
    world.page_batch(records(alert_event()))
    page_event = world.stream.entries[0].data
    assert world.page_batch(records(page_event)).poison == {"not_an_alert": 1}


def test_poison_that_cannot_be_kept_is_delivered_again_and_the_alert_is_not(world: World) -> None:
    world.dead_letters.broken = True
    batch = records(alert_event(), b"poison")
    assert world.page_batch(batch).failed == {batch[1].sequence_number}
    world.dead_letters.broken = False
    assert world.page_batch(batch).failed == set()
    assert len(world.pager.sent) == 1
    assert len(world.dead_letters.letters) == 1


def test_a_clock_behind_the_detections_loses_no_alert(world: World) -> None:
    world.clock.advance(-3600)
    assert world.page_batch(records(alert_event(at=NOON))).paged == 1


def test_without_a_token_alerts_are_held_done_and_go_with_the_next_page(world: World) -> None:
    world.spend_all_tokens()
    held = [alert_event(n) for n in range(3)]
    outcome = world.page_batch(records(*held))
    assert (outcome.failed, outcome.held, world.pager.sent) == (set(), 3, [])
    world.clock.advance(3)
    new = alert_event(3)
    world.page_batch(records(new))
    [message] = world.pager.sent
    assert set(message.alert_ids) == ids(new, *held)
    assert "3 alerts of this page waited" in message.text


def test_held_alerts_go_out_by_the_schedule_when_no_alert_comes(world: World) -> None:
    world.spend_all_tokens()
    held = [alert_event(n) for n in range(3)]
    world.page_batch(records(*held))
    assert world.page_waiting().pages_sent == 0
    world.clock.advance(60)
    outcome = world.page_waiting()
    assert (outcome.paged, outcome.pages_sent, outcome.pages_repeated) == (3, 1, 0)
    assert world.page_waiting().pages_sent == 0


def test_a_storm_makes_no_more_pages_than_the_bucket_allows_and_loses_nothing(
    world: World,
) -> None:
    world.policy = Policy(pages_per_minute=6, group_interval=timedelta(0))
    everything = set()
    for second in range(120):
        events = [alert_event(second * 100 + n, at=world.clock.now()) for n in range(20)]
        everything |= ids(*events)
        assert world.page_batch(records(*events)).failed == set()
        world.clock.advance(1)
    assert len(world.pager.sent) <= 8 + 12
    world.settle(())
    assert {i for m in world.pager.sent for i in m.alert_ids} == everything
    assert all(len(m.alert_ids) <= MAX_ALERTS_PER_PAGE for m in world.pager.sent)
    world.check_promise(everything)


def test_more_alerts_than_a_page_takes_make_several(world: World) -> None:
    events = [alert_event(n) for n in range(2 * MAX_ALERTS_PER_PAGE + 1)]
    assert world.page_batch(records(*events)).failed == set()
    assert sorted(len(m.alert_ids) for m in world.pager.sent) == [1, 900, 900]
    world.check_promise(ids(*events))


def test_an_alert_older_than_the_maximum_age_expires_and_the_next_page_says_so(
    world: World,
) -> None:
    old = alert_event(1, at=NOON - timedelta(days=1, milliseconds=1))
    outcome = world.page_batch(records(old))
    assert (outcome.expired, outcome.failed, world.pager.sent) == (1, set(), [])
    assert [(e.state, e.alert_ids) for e in world.page_events()] == [("EXPIRED", (old.event_id,))]
    world.page_batch(records(alert_event(2)))
    world.page_batch(records(alert_event(3)))
    says = ["1 alert was not paged" in message.text for message in world.pager.sent]
    assert says == [True, False]


def test_an_alert_of_exactly_the_maximum_age_is_paged(world: World) -> None:
    assert world.page_batch(records(alert_event(at=NOON - timedelta(days=1)))).paged == 1


def test_a_held_alert_that_becomes_too_old_expires(world: World) -> None:
    world.spend_all_tokens()
    event = alert_event()
    world.page_batch(records(event))
    world.clock.advance(86_401)
    world.page_waiting()
    assert world.pager.sent == []
    assert world.expired_ids() == {event.event_id}


def test_a_page_the_channel_refused_goes_out_later_unmarked(world: World) -> None:
    batch = records(alert_event())
    world.pager.failures = [PageNotSentError("throttled")]
    outcome = world.page_batch(batch)
    assert outcome.failed == {batch[0].sequence_number}
    assert outcome.problems == ["throttled"]
    assert world.page_batch(batch).failed == set()
    assert [m.repeat for m in world.pager.sent] == [False]


def test_while_the_channel_is_down_a_new_alert_is_delivered_again_too(world: World) -> None:
    batch = records(alert_event(1))
    world.pager.failures = [PageNotSentError("down"), PageNotSentError("down")]
    world.page_batch(batch)
    batch += records(alert_event(2))
    assert world.page_batch(batch).failed == {record.sequence_number for record in batch}
    assert world.page_batch(batch).failed == set()
    world.check_promise(ids(alert_event(1), alert_event(2)))


def test_a_page_the_channel_did_not_answer_goes_out_again_with_the_same_ids_and_is_marked(
    world: World,
) -> None:
    batch = records(alert_event(1), alert_event(2))
    world.pager.failures = [PageMayBeSentError("timed out")]
    world.page_batch(batch)
    outcome = world.page_batch([*batch, *records(alert_event(3))])
    repeat, other = world.pager.sent
    assert set(repeat.alert_ids) == ids(alert_event(1), alert_event(2))
    assert (repeat.repeat, other.repeat) == (True, False)
    assert repeat.subject.startswith("May be a repeat: ")
    assert outcome.pages_repeated == 1
    assert [e.repeat for e in world.page_events()] == [True, False]


def test_a_channel_that_is_down_for_hours_loses_and_repeats_nothing(world: World) -> None:
    batches = []
    for number in range(60):
        batch = records(alert_event(number, at=world.clock.now()))
        batches.append(batch)
        for _ in range(3):
            world.pager.failures = [PageNotSentError("down")]
            world.page_batch(batch)
        world.pager.failures = [PageNotSentError("down")]
        world.page_waiting()
        world.clock.advance(120)
    world.pager.failures = []
    world.settle([record for batch in batches for record in batch])
    world.check_promise(ids(*(alert_event(n) for n in range(60))))
    assert not any(m.repeat for m in world.pager.sent)


def test_a_page_that_could_not_be_sent_for_the_maximum_age_expires(world: World) -> None:
    batch = records(alert_event())
    world.pager.failures = [PageNotSentError("down")]
    world.page_batch(batch)
    world.clock.advance(86_401)
    assert world.page_batch(batch).failed == set()
    assert world.pager.sent == []
    assert [page.state for page in world.pages()] == [PageState.EXPIRED]
    assert [e.state for e in world.page_events()] == ["EXPIRED"]


def test_a_page_event_the_stream_refused_is_put_by_the_schedule_and_repeats_no_page(
    world: World,
) -> None:
    batch = records(alert_event())
    world.stream.refuse = "ProvisionedThroughputExceededException"
    outcome = world.page_batch(batch)
    sent_at = world.clock.now()
    assert outcome.failed == set()
    assert outcome.problems == ["PAGE_EVENT not put: ProvisionedThroughputExceededException"]
    world.stream.refuse = None
    world.clock.advance(61)
    world.page_batch(batch)
    world.page_waiting()
    assert len(world.pager.sent) == 1
    assert [e.state for e in world.page_events()] == ["SENT"]
    assert sent_at.isoformat()[:19].encode() in world.stream.entries[0].data
    world.page_waiting()
    assert len(world.stream.entries) == 1


def test_what_may_have_reached_people_is_never_recorded_as_not_paged(world: World) -> None:
    batch = records(alert_event())
    world.pager.lost_answers = [PageMayBeSentError("timed out")]
    world.page_batch(batch)
    assert len(world.pager.sent) == 1, "it went out, and nobody knows"
    world.clock.advance(86_401)
    assert world.page_batch(batch).failed == set()
    assert [(m.page_id, m.repeat) for m in world.pager.sent] == [
        (world.pager.sent[0].page_id, False),
        (world.pager.sent[0].page_id, True),
    ]
    assert [(e.state, e.repeat) for e in world.page_events()] == [("SENT", True)]
    world.check_promise(ids(alert_event()))


def test_a_refusal_after_a_lost_answer_does_not_make_it_unsent(world: World) -> None:
    batch = records(alert_event())
    world.pager.lost_answers = [PageMayBeSentError("timed out")]
    world.page_batch(batch)
    world.pager.failures = [PageNotSentError("throttled")]
    world.page_batch(batch)
    world.clock.advance(86_401)
    world.page_batch(batch)
    assert [m.repeat for m in world.pager.sent] == [False, True]
    assert world.expired_ids() == set()


def test_a_lease_given_by_a_clock_that_is_hours_ahead_delays_nobody(world: World) -> None:
    batch = records(alert_event())
    world.clock.advance(3600)
    world.pager.failures = [RuntimeError("killed")]
    with pytest.raises(RuntimeError):
        world.page_batch(batch)
    world.clock.advance(-3600)
    assert world.page_batch(batch).failed == set()
    assert len(world.pager.sent) == 1


def test_attempts_that_meet_at_the_bucket_wait_differently_long_and_all_page(world: World) -> None:
    """Eight shards at once, each of whose writes is overtaken several times."""
    waits = []
    for shard in range(6):
        begun = len(world.clock.slept)
        overtaken = itertools.count()

        def overtake(step: str, overtaken: Iterator[int] = overtaken) -> None:
            if step == "before commit" and 1 <= next(overtaken) <= 7:
                bucket = Bucket.of(world.ledger.items[BUCKET_KEY])
                world.ledger.commit([bucket.item()])

        world.page_batch(records(alert_event(100 + shard, at=world.clock.now())))
        outcome = world.notifier(overtake).page_batch(
            records(alert_event(shard, at=world.clock.now()))
        )
        assert (outcome.paged, outcome.held) == (1, 0)
        waits.append(tuple(world.clock.slept[begun:]))
        world.clock.advance(10)
    assert len(set(waits)) == len(waits)
    assert all(len(each) >= 7 for each in waits)


@pytest.mark.parametrize("behind", [1, 2, 5])
def test_an_index_that_is_behind_loses_and_doubles_nothing(world: World, behind: int) -> None:
    world.ledger.behind = behind
    events = [alert_event(n, at=world.clock.now()) for n in range(40)]
    for number, event in enumerate(events):
        if number % 3 == 0:
            world.spend_all_tokens()
        assert world.page_batch(records(event)).failed == set()
        world.page_waiting()
        world.clock.advance(3)
    world.ledger.behind = 0
    world.settle(())
    world.check_promise(ids(*events))
    assert not any(m.repeat for m in world.pager.sent)
