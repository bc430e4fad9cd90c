"""A subject is readable whatever script a place is written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.paging.support import alert_event

from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.rules import words_of
from cardwatch.paging.transliteration import in_ascii


@pytest.mark.parametrize(
    ("city", "written"),
    [
        ("Москва", "Moskva"),
        ("Київ", "Kiiv"),
        ("Αθήνα", "Athina"),
        ("東京", "DongJing"),
        ("Łódź", "Lodz"),
        ("København", "Kobenhavn"),
        ("Gießen", "Giessen"),
        ("Zürich", "Zurich"),
        ("S\u00e3o Paulo", "Sao Paulo"),
        ("Sa\u0303o Paulo", "Sao Paulo"),
        ("Valletta", "Valletta"),
        ("\ue000\ue001", ""),
    ],
)
def test_a_place_stands_in_the_subject_by_its_sound_or_not_at_all(city: str, written: str) -> None:
    alert = PagedAlert.of(alert_event(city=city, country="XY"))
    subject = in_ascii(words_of(alert.rule).subject(alert))
    place = f"{written}, XY" if written else "XY"
    assert subject.endswith(f"12.50 EUR, {place}")


@pytest.mark.parametrize(
    "city", ["القاهرة", "서울", "תל אביב", "กรุงเทพ", "मुंबई", "თბილისი", "ኣዲስ ኣበባ"]
)
def test_no_script_is_left_out(city: str) -> None:
    letters = [c for c in in_ascii(city) if c.isalpha()]
    assert len(letters) >= len(city.split())


@given(st.text())
def test_any_text_becomes_one_ascii_line_without_an_empty_part(text: str) -> None:
    line = in_ascii(f"12.50 EUR, {text.replace(',', ' ')}, MT")
    assert line.isascii()
    assert line == " ".join(line.split())
    assert line.endswith("MT")
    assert ", ," not in line


@given(st.text(st.characters(max_codepoint=127, exclude_categories=["C"]), max_size=40))
def test_a_text_in_ascii_stays_as_it_is_but_for_empty_parts_and_blanks(text: str) -> None:
    if ",," not in text.replace(" ", "") and not text.rstrip().endswith(","):
        assert in_ascii(text) == " ".join(text.split())
