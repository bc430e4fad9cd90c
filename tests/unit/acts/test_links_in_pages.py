"""A page carries its link, the same on every try, and goes out without one rather than late."""

import re
from datetime import timedelta

import pytest
from tests.fakes import FakeClock, FakeLinkKeys
from tests.unit.paging.support import World, alert_event, ids, records

from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import HOLDS_FOR, LinkMaker, verify
from cardwatch.paging.ports import PageMayBeSentError, PageNotSentError
from cardwatch.paging.slack import MAX_TEXT, escape, fit


@pytest.fixture
def store() -> FakeLinkKeys:
    return FakeLinkKeys()


@pytest.fixture
def world(store: FakeLinkKeys) -> World:
    clock = FakeClock()
    return World(clock=clock, links=LinkMaker(Keyring(store, clock), "https://acts.example"))


def links(world: World) -> list[str]:
    texts = [message.text for message in world.pager.sent]
    return re.findall(r"^https://acts\.example/pages/(.+)$", "\n".join(texts), re.MULTILINE)


def test_a_page_carries_the_link_that_shows_it(world: World, store: FakeLinkKeys) -> None:
    world.settle(records(alert_event()))
    (link,) = links(world)
    found = verify(link, Keyring(store, world.clock), world.clock.now())
    assert found.page_id == world.pager.sent[0].page_id
    assert found.expires_at == world.pages()[0].since.replace(microsecond=0) + HOLDS_FOR


@pytest.mark.parametrize(
    "failure", [PageNotSentError("refused"), PageMayBeSentError("no answer"), None]
)
def test_a_page_that_is_sent_again_carries_the_same_link(
    world: World, failure: Exception | None
) -> None:
    if failure is None:
        world.pager.lost_answers.append(PageMayBeSentError("no answer"))
    else:
        world.pager.failures.append(failure)
    world.settle(records(alert_event()))
    first = world.pages()[0]
    found = set(links(world))
    assert len(found) == 1
    assert found.pop().startswith(f"{first.page_id}.")


def test_the_short_page_carries_it_too(world: World) -> None:
    world.pager.refuses = lambda message: "What to do" in message.text
    world.settle(records(alert_event()))
    assert len(links(world)) == 1


def test_without_a_key_the_page_goes_out_at_once_and_says_nothing_of_a_link(
    world: World, store: FakeLinkKeys
) -> None:
    store.broken = True
    event = alert_event()
    outcome = world.page_batch(records(event))
    assert (outcome.paged, outcome.failed) == (1, set())
    assert [problem for problem in outcome.problems if "without its link" in problem]
    assert "http" not in world.pager.sent[0].text
    world.page_waiting()
    world.check_promise(ids(event))


def test_a_rotation_between_two_pages_breaks_neither_link(
    world: World, store: FakeLinkKeys
) -> None:
    world.settle(records(alert_event(1)))
    store.rotate()
    world.clock.advance(timedelta(hours=1).total_seconds())
    world.settle(records(alert_event(2, at=world.clock.now())))
    keyring = Keyring(store, world.clock)
    found = [verify(link, keyring, world.clock.now()).key.key_id for link in links(world)]
    assert found == ["key-1", "key-2"]


def test_a_page_that_is_cut_for_slack_keeps_its_link(world: World) -> None:
    world.settle(records(*map(alert_event, range(60))))
    (message,) = world.pager.sent
    text = escape(message.text)
    assert len(text) > MAX_TEXT
    (link,) = links(world)
    assert f"https://acts.example/pages/{link}" in fit(text)
