"""A link is what was signed, to the letter, until it expires."""

import string
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.fakes import NOON, FakeClock, FakeLinkKeys

from cardwatch.acts.keyring import Keyring
from cardwatch.acts.links import (
    HOLDS_FOR,
    BadLinkError,
    ExpiredLinkError,
    Link,
    LinkMaker,
    sign,
    verify,
)
from cardwatch.acts.ports import LinkKey, LinkKeys

PAGE_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:|-]{0,127}", fullmatch=True)
SECRETS = st.binary(min_size=32, max_size=64)
AHEAD = st.integers(min_value=1, max_value=10 * 365 * 86_400).map(lambda s: timedelta(seconds=s))
CHARACTERS = st.sampled_from(string.printable + "é\u0660\ud800")
KEY = LinkKey("key-1", b"1" * 32)


def keyring(*keys: LinkKey) -> Keyring:
    return Keyring(FakeLinkKeys(LinkKeys(*keys)), FakeClock())


def read(text: str, *keys: LinkKey, now: datetime = NOON) -> Link:
    return verify(text, keyring(*(keys or (KEY,))), now)


@given(PAGE_IDS, SECRETS, AHEAD)
def test_a_link_says_its_page_and_when_it_expires(
    page_id: str, secret: bytes, ahead: timedelta
) -> None:
    key = LinkKey("key-1", secret)
    link = read(sign(page_id, NOON + ahead, key), key)
    assert (link.page_id, link.expires_at) == (page_id, NOON + ahead)


@given(PAGE_IDS, AHEAD, st.data())
def test_no_changed_link_verifies(page_id: str, ahead: timedelta, data: st.DataObject) -> None:
    text = sign(page_id, NOON + ahead, KEY)
    place = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 3))
    put = data.draw(st.text(CHARACTERS, max_size=3))
    changed = text[:place] + put + text[place + removed :]
    assume(changed != text)
    with pytest.raises(BadLinkError):
        read(changed)


@given(st.text(max_size=400))
def test_a_text_that_nobody_signed_is_no_link(text: str) -> None:
    with pytest.raises(BadLinkError):
        read(text)


@given(PAGE_IDS, PAGE_IDS, AHEAD)
def test_parts_of_two_links_make_none(one: str, other: str, ahead: timedelta) -> None:
    assume(one != other)
    first, second = sign(one, NOON + ahead, KEY), sign(other, NOON + ahead, KEY)
    with pytest.raises(BadLinkError):
        read(f"{first.rpartition('.')[0]}.{second.rpartition('.')[2]}")


@given(PAGE_IDS, AHEAD)
def test_a_link_ends_with_its_last_second(page_id: str, ahead: timedelta) -> None:
    text = sign(page_id, NOON + ahead, KEY)
    assert read(text, now=NOON + ahead - timedelta(milliseconds=1)).page_id == page_id
    with pytest.raises(ExpiredLinkError):
        read(text, now=NOON + ahead)


@given(PAGE_IDS, SECRETS, SECRETS)
def test_a_link_outlives_one_rotation_and_not_two(
    page_id: str, first: bytes, second: bytes
) -> None:
    assume(first != second)
    old, new, newest = LinkKey("a", first), LinkKey("b", second), LinkKey("c", b"3" * 32)
    text = sign(page_id, NOON + HOLDS_FOR, old)
    assert read(text, new, old).page_id == page_id
    with pytest.raises(BadLinkError):
        read(text, newest, new)


def test_another_key_under_the_same_id_is_another_key() -> None:
    text = sign("page_1", NOON + HOLDS_FOR, KEY)
    with pytest.raises(BadLinkError):
        read(text, LinkKey("key-1", b"2" * 32))


def test_a_page_s_link_is_the_same_on_every_try_and_holds_for_72_hours() -> None:
    maker = LinkMaker(keyring(KEY), "https://acts.example")
    address = maker.link("page_1", NOON)
    assert address == maker.link("page_1", NOON)
    assert address.startswith("https://acts.example/pages/page_1.")
    assert read(address.rpartition("/")[2]).expires_at == NOON + timedelta(hours=72)


@given(st.text(max_size=70), st.text(max_size=70))
def test_a_form_belongs_to_its_link_and_to_what_was_seen(seen: str, other: str) -> None:
    assume(seen != other)
    link = read(sign("page_1", NOON + HOLDS_FOR, KEY))
    another = read(sign("page_2", NOON + HOLDS_FOR, KEY))
    token = link.form_token(seen)
    assert link.is_form_token(token, seen)
    assert not link.is_form_token(token, other)
    assert not another.is_form_token(token, seen)
    assert not link.is_form_token(token[:-1], seen)


def test_a_form_s_token_is_no_link_s_signature() -> None:
    link = read(sign("page_1", NOON + HOLDS_FOR, KEY))
    signed, _, signature = link.text.rpartition(".")
    assert link.form_token("") != signature
    with pytest.raises(BadLinkError):
        read(f"{signed}.{link.form_token('')}")


def test_a_link_s_name_says_nothing_of_its_signature() -> None:
    link = read(sign("page_1", NOON + HOLDS_FOR, KEY))
    forged = Link(f"{link.text[:-43]}{'A' * 43}", "page_1", link.expires_at, KEY)
    assert link.link_id == forged.link_id


def test_a_key_is_in_no_text_of_it() -> None:
    assert "1111" not in repr(KEY)
    assert "1111" not in repr(read(sign("page_1", NOON + HOLDS_FOR, KEY)))
