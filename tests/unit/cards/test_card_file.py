"""The card file: written and read without loss, refused by line and reason when it is wrong."""

import traceback
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.cards.card_file import (
    HEADER,
    BadLine,
    CardFileError,
    read_card_file,
    write_card_file,
)
from cardwatch.cards.generator import generate_cards
from cardwatch.cards.schemes import SHARES

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
COMMITTED = Path(__file__).parents[3] / "data" / "cards.txt"
ROW = "4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,"
GOOD = f"{ROW}lost"


def write(path: Path, *lines: str | bytes, header: str = HEADER) -> Path:
    raw = [line if isinstance(line, bytes) else line.encode() for line in (header, *lines)]
    path.write_bytes(b"\n".join(raw) + b"\n")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    cards = generate_cards(50, 20, 1)
    write_card_file(tmp_path / "new" / "cards.txt", cards)
    assert read_card_file(tmp_path / "new" / "cards.txt", now=NOW) == cards
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["cards.txt"]


def test_the_committed_file_is_what_the_documented_command_makes(tmp_path: Path) -> None:
    write_card_file(tmp_path / "cards.txt", generate_cards(1000, 10, 7))
    assert (tmp_path / "cards.txt").read_bytes() == COMMITTED.read_bytes()


def test_the_committed_file_has_a_thousand_cards_a_tenth_stolen() -> None:
    cards = read_card_file(COMMITTED, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert len(cards) == 1000
    assert sum(card.status == "STOLEN" for card in cards) == 100


@given(
    st.integers(1, 300),
    st.one_of(st.integers(0, 100).map(float), st.decimals(0, 100, places=2)),
    st.integers(0, 2**32),
)
def test_the_stolen_share_is_exact_and_cards_are_unique(
    count: int, percent: float | Decimal, seed: int
) -> None:
    cards = generate_cards(count, percent, seed)
    stolen = sum(card.status == "STOLEN" for card in cards)
    assert abs(stolen - count * Fraction(percent) / 100) <= Fraction(1, 2)
    assert len({card.number for card in cards}) == len(cards) == count


@pytest.mark.parametrize(("count", "percent", "stolen"), [(1, 50, 1), (10, 25, 3), (3, 16.6, 0)])
def test_a_half_card_counts_as_stolen(count: int, percent: float, stolen: int) -> None:
    assert sum(c.status == "STOLEN" for c in generate_cards(count, percent, 7)) == stolen


def test_the_same_seed_gives_the_same_cards_and_another_seed_others() -> None:
    assert generate_cards(100, 10, 7) == generate_cards(100, 10, 7)
    assert generate_cards(100, 10, 7) != generate_cards(100, 10, 8)


def test_a_thousand_cards_are_of_every_scheme() -> None:
    bins = {(card.number.bin or "")[:6] for card in generate_cards(1000, 10, 7)}
    assert bins == {test_bin for share in SHARES for test_bin in share.test_bins}


@pytest.mark.parametrize(
    ("count", "percent", "problem"),
    [(0, 10, "count"), (1_000_001, 10, "count"), (10, -0.1, "per cent"), (10, 100.5, "per cent")],
)
def test_an_impossible_request_is_refused(count: int, percent: float, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        generate_cards(count, percent, 7)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("4242424242424241,STOLEN,2026-01-02T03:04:05.678Z,lost", "check digit is wrong"),
        ("4929123456789012,STOLEN,2026-01-02T03:04:05.678Z,lost", "does not know this test BIN"),
        ("4242424242424242,LOST,2026-01-02T03:04:05.678Z,lost", "status must be"),
        ("4242424242424242,STOLEN,2026-01-02 03:04:05,lost", "effective_from must be ISO-8601"),
        ("4242424242424242,STOLEN,2019-12-31T23:59:59.999Z,lost", "before 2020"),
        ("4242424242424242,STOLEN,2026-11-21T07:00:00.001Z,lost", "in the future"),
        ("4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,", "reason must be"),
        (
            "4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,was 4111111111111111",
            "reason must not hold a card",
        ),
        ("4242424242424242,STOLEN,2026-01-02T03:04:05.678Z", "four fields"),
        (
            "4242424242424242,STOLEN,2026-01-02T03:04:05.678Z," + "x" * 201,
            "reason must be 1 to 200",
        ),
        ("4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,a\tb", r"U\+0009 \(a control character"),
        ("4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,a\u00a0b", r"\(NO-BREAK SPACE\)"),
        ("4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,\U0001f468\u200d", "ZERO WIDTH JOINER"),
        ('4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,"open', "is one not closed"),
        ('4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,"two\nlines"', "hold a line end"),
        (b"4242424242424242,STOLEN,2026-01-02T03:04:05.678Z,\xff", "not UTF-8"),
    ],
)
def test_a_bad_line_is_refused_by_number_and_reason(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    path = write(
        tmp_path / "cards.txt", "4111111111111111,ACTIVE,2025-01-01T00:00:00.000Z,ok", line
    )
    with pytest.raises(CardFileError, match=f"line 3: .*{reason}") as caught:
        read_card_file(path, now=NOW)
    text = "".join(traceback.format_exception(caught.value))
    assert [bad.line for bad in caught.value.bad_lines] == [3]
    assert not any(digits in text for digits in ("42424242", "49291234", "41111111"))


def test_a_card_on_two_lines_is_refused_by_both_line_numbers(tmp_path: Path) -> None:
    with pytest.raises(CardFileError) as caught:
        read_card_file(write(tmp_path / "cards.txt", GOOD, GOOD), now=NOW)
    assert caught.value.bad_lines == (BadLine(3, "the same card as line 2"),)


def test_all_bad_lines_are_collected_and_ten_are_shown(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match=r"14 bad lines: line 2: .*; and 4 more") as caught:
        read_card_file(write(tmp_path / "cards.txt", *["x"] * 14), now=NOW)
    assert [bad.line for bad in caught.value.bad_lines] == list(range(2, 16))
    assert "line 11:" in str(caught.value)
    assert "line 12:" not in str(caught.value)


def test_a_wrong_header_is_line_one(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match="line 1: the header must be"):
        read_card_file(write(tmp_path / "cards.txt", GOOD, header="number,status"), now=NOW)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match="cardwatch cards generate --out"):
        read_card_file(tmp_path / "cards.txt", now=NOW)


def test_a_folder_in_its_place_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match="cannot be read: Is a directory"):
        read_card_file(tmp_path, now=NOW)


@pytest.mark.parametrize("content", ["", HEADER, HEADER + "\n"])
def test_a_file_without_a_card_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "cards.txt").write_text(content)
    with pytest.raises(CardFileError, match=r"holds no card|line 1"):
        read_card_file(tmp_path / "cards.txt", now=NOW)


def test_one_bad_line_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match="has 1 bad line: line 2: "):
        read_card_file(write(tmp_path / "cards.txt", "x"), now=NOW)


SPREADSHEETS = {
    "blank last lines": f"{HEADER}\n{GOOD}\n\n \n\n",
    "blank lines between": f"{HEADER}\n\n{GOOD}\n",
    "rows of empty cells": f"{HEADER}\r\n{GOOD}\r\n,,,\r\n,,,\r\n",
    "no last line end": f"{HEADER}\n{GOOD}",
    "old line ends": f"{HEADER}\r{GOOD}\r",
    "every field in quotes": "\n".join(
        '"' + line.replace(",", '","') + '"' for line in (HEADER, GOOD)
    ),
    "semicolons": f"{HEADER}\n{GOOD}\n".replace(",", ";"),
    "tabs": f"\ufeff{HEADER}\r\n{GOOD}\r\n".replace(",", "\t"),
    "blanks around fields": f"{HEADER}\n{GOOD}\n".replace(",", " , "),
    "a header in capitals": f"{HEADER.title()}\n{GOOD}\n",
    "a Control-Z at the end": f"{HEADER}\n{GOOD}\n\x1a",
}


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS.keys())
def test_what_spreadsheets_and_editors_write_is_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "cards.txt").write_bytes(content.encode())
    (card,) = read_card_file(tmp_path / "cards.txt", now=NOW)
    assert (card.number.reveal(), card.status, card.reason) == (
        "4242424242424242",
        "STOLEN",
        "lost",
    )


@given(
    st.text(
        st.characters(exclude_categories=["C", "Z", "Nd"], include_characters=' ,;"'),
        min_size=1,
        max_size=60,
    ).filter(lambda reason: reason == reason.strip() and reason.isprintable())
)
def test_any_reason_that_is_written_is_read_back_in_quotes_where_it_needs_them(
    tmp_path_factory: pytest.TempPathFactory, reason: str
) -> None:
    path = tmp_path_factory.mktemp("cards") / "cards.txt"
    card = replace(generate_cards(1, 0, 1)[0], reason=reason)
    write_card_file(path, [card])
    assert read_card_file(path, now=NOW) == (card,)


def test_a_file_in_utf_16_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cards.txt").write_bytes(f"{HEADER}\n{GOOD}\n".encode("utf-16"))
    with pytest.raises(CardFileError, match="save it as CSV in UTF-8"):
        read_card_file(tmp_path / "cards.txt", now=NOW)


def test_an_open_quote_in_a_long_file_is_one_clear_line(tmp_path: Path) -> None:
    lines = [GOOD.replace("lost", '"lost'), *["x" * 100] * 2000]
    with pytest.raises(CardFileError, match="line 2: is a quote open"):
        read_card_file(write(tmp_path / "cards.txt", *lines), now=NOW)


def test_windows_line_ends_a_byte_order_mark_and_commas_in_the_reason_are_read(
    tmp_path: Path,
) -> None:
    raw = f"\ufeff{HEADER}\r\n{GOOD}, in a bus, with a phone\r\n".encode()
    (tmp_path / "cards.txt").write_bytes(raw)
    (card,) = read_card_file(tmp_path / "cards.txt", now=NOW)
    assert card.reason == "lost, in a bus, with a phone"


@given(st.binary(max_size=200))
def test_no_content_stops_the_reader_with_another_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("cards") / "cards.txt"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    with pytest.raises(CardFileError):
        read_card_file(path, now=NOW)


def test_generated_times_do_not_depend_on_when_they_are_generated() -> None:
    for card in islice(generate_cards(1000, 50, 3), 1000):
        year, month = (2026, 1) if card.status == "STOLEN" else (2025, None)
        assert card.effective_from.year == year
        assert month in {None, card.effective_from.month}
