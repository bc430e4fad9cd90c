"""Numbers that other programs wrote: into the tokenizer and nowhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.cards.imported import digits_of, is_repeated
from cardwatch.cards.key_file import KeyFileError, read_key_file
from cardwatch.cards.number import CardNumber
from cardwatch.cards.tokenizer import CardFace, Tokenizer

KEY = bytes(range(32))
TOKENIZER = Tokenizer(KEY)


@pytest.mark.parametrize("text", ["4242424242424242", "4242 4242 4242 4242", "4242-4242-42424242"])
def test_an_imported_number_has_the_token_of_the_card_file(text: str) -> None:
    token = TOKENIZER.token(CardNumber("4242424242424242"))
    assert TOKENIZER.tokenize_imported(text) == CardFace(token, "42424242", "4242")


@pytest.mark.parametrize(
    ("digits", "first"), [("42424242421", None), ("378282246310005", "378282"), ("4" * 19, "4" * 8)]
)
def test_numbers_of_other_lengths_and_check_digits_are_taken(
    digits: str, first: str | None
) -> None:
    face = TOKENIZER.tokenize_imported(digits)
    assert (face.bin, face.last4) == (first, digits[-4:])


@pytest.mark.parametrize("text", ["4.24242E+15", "4,24242e15", "4242424242424242.0"])
def test_what_a_spreadsheet_rounded_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="a spreadsheet rounded it; have its column be text"):
        digits_of(text)


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_refused_without_a_digit_of_it(text: str) -> None:
    said = ""
    try:
        assert digits_of(text).isdigit()
    except ValueError as error:
        said = str(error).removeprefix("the card number must be digits only")
    rounded = ": a spreadsheet rounded it; have its column be text"
    assert said in {"", rounded, "a card number has 11 to 19 digits"}


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242-4242.4242",
        "id4242424242424242x",
        "\uff14\uff12" * 8,
        "\u2074\u00b24242\u24772424242 424 2",
    ],
)
def test_a_number_is_found_in_other_texts_however_it_is_written(text: str) -> None:
    assert is_repeated("4242-4242-4242-4242", ["Vienna", text])
    assert not is_repeated("5555555555554444", ["Vienna", text])


@given(st.lists(st.text("0123456789", max_size=19), min_size=1, max_size=3))
def test_no_reference_has_the_token_of_a_number(parts: list[str]) -> None:
    number = "".join(parts)
    if 11 <= len(number) <= 19:
        other = TOKENIZER.tokenize_imported(number)
        assert TOKENIZER.tokenize_reference([number]).token != other.token


def test_a_reference_is_shown_by_four_digits_of_its_token_and_no_bin() -> None:
    face = TOKENIZER.tokenize_reference(["404", "", "visa"])
    assert face == TOKENIZER.tokenize_reference(["404", "", "visa"])
    assert face != TOKENIZER.tokenize_reference(["404", "visa", ""])
    assert (face.bin, face.last4) == (None, f"{int(face.token, 16) % 10_000:04d}")


@pytest.mark.parametrize("parts", [[""], ["", ""], ["a|b"]])
def test_a_reference_that_could_be_another_is_refused(parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"says which card|must not hold"):
        TOKENIZER.tokenize_reference(parts)


@pytest.mark.parametrize(
    ("content", "key"),
    [(KEY.hex().encode() + b"\n", KEY), (b"correct horse battery staple, again\r\n", None)],
)
def test_a_key_file_is_hex_or_the_key_itself(
    tmp_path: Path, content: bytes, key: bytes | None
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    assert read_key_file(path) == (key or content.rstrip())


@pytest.mark.parametrize("content", [b"", b"correct horse", b"ab" * 31])
def test_a_short_key_is_refused_with_the_remedy_and_not_shown(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="openssl rand") as caught:
        read_key_file(path)
    assert content == b"" or content.decode() not in str(caught.value)
