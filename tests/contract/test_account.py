"""An account's holder is masked, whatever the name is."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.contract.account import Account, mask_name
from cardwatch.contract.streams import RejectedRecord, read_event

NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "events/examples/account.v1/valid/active.json"


def published(**fields: object) -> Account:
    event = json.loads(EXAMPLE.read_bytes())
    event["event_json_data"] |= fields
    data = read_event(json.dumps(event).encode(), now=NOW).event_json_data
    assert isinstance(data, Account)
    return data


@given(st.text())
def test_any_name_can_be_masked_and_no_word_of_it_is_left(name: str) -> None:
    masked = mask_name(name)
    assert published(account_name=masked).account_name == masked
    assert {len(word.rstrip("*")) for word in masked.split(" ")} == {1}
    assert mask_name(masked) == masked


@given(st.text(st.characters(categories=["L"]), min_size=2), st.text(max_size=20))
def test_a_name_with_two_letters_side_by_side_is_refused_unseen(word: str, rest: str) -> None:
    with pytest.raises(RejectedRecord, match="account_name") as refused:
        published(account_name=f"{rest}{word}")
    assert word not in str(refused.value) or word in "account_name: String should match pattern"


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("Jane Doe", "J*** D***"),
        ("  Ludwig van Beethoven ", "L*** v*** B***"),
        ("Żaneta", "Ż***"),
        ("J. R. R. Tolkien 3rd", "J*** R*** R*** T***"),
        ("山田 太郎", "山*** 太***"),
        ("4242 4242", "?***"),
    ],
)
def test_a_masked_name_is_a_letter_of_each_word(name: str, masked: str) -> None:
    assert mask_name(name) == masked
