"""Keys are read seldom, and a rotation is noticed at once where it matters."""

import pytest
from tests.fakes import FakeClock, FakeLinkKeys

from cardwatch.acts.keyring import ASKED_AGAIN_AFTER, KEPT_FOR, Keyring
from cardwatch.acts.ports import LinkKeysUnavailableError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> FakeLinkKeys:
    return FakeLinkKeys()


@pytest.fixture
def keyring(store: FakeLinkKeys, clock: FakeClock) -> Keyring:
    return Keyring(store, clock)


def test_the_keys_are_read_once_in_five_minutes(
    keyring: Keyring, store: FakeLinkKeys, clock: FakeClock
) -> None:
    for _ in range(10):
        assert keyring.current().key_id == "key-1"
    store.rotate()
    clock.advance(KEPT_FOR.total_seconds() - 1)
    assert keyring.current().key_id == "key-1"
    assert store.reads == 1
    clock.advance(1)
    assert keyring.current().key_id == "key-2"


def test_a_key_that_is_not_known_is_looked_for_again(
    keyring: Keyring, store: FakeLinkKeys, clock: FakeClock
) -> None:
    keyring.current()
    store.rotate()
    clock.advance(ASKED_AGAIN_AFTER.total_seconds())
    found = keyring.find("key-2")
    assert found is not None
    assert found.key_id == "key-2"


def test_made_up_keys_are_looked_for_once_in_ten_seconds(
    keyring: Keyring, store: FakeLinkKeys, clock: FakeClock
) -> None:
    for number in range(100):
        assert keyring.find(f"made-up-{number}") is None
    assert store.reads == 1
    clock.advance(ASKED_AGAIN_AFTER.total_seconds())
    assert keyring.find("made-up") is None
    assert store.reads == 2


def test_keys_outlast_a_store_that_does_not_answer(
    keyring: Keyring, store: FakeLinkKeys, clock: FakeClock
) -> None:
    keyring.current()
    store.broken = True
    clock.advance(3600)
    assert keyring.current().key_id == "key-1"


def test_without_any_key_the_store_is_asked_once_in_ten_seconds(
    keyring: Keyring, store: FakeLinkKeys, clock: FakeClock
) -> None:
    store.broken = True
    for _ in range(10):
        with pytest.raises(LinkKeysUnavailableError):
            keyring.current()
    assert store.reads == 1
    store.broken = False
    clock.advance(ASKED_AGAIN_AFTER.total_seconds())
    assert keyring.current().key_id == "key-1"
