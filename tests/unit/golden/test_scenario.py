from pathlib import Path

import pytest

from cardwatch.golden.scenario import (
    Money,
    PaymentMade,
    parse_scenario,
    read_scenarios,
)
from cardwatch.yaml_lines import MAX_BYTES, YamlFileError

TEXT = """\
question: Does a payment on a stolen card alert?
cards: [anna]
events:
  - {at: 0 s, reported: anna, from: -1 d}
  - at: 4.999 s
    payment: shoes
    card: anna
    amount: 12.50 EUR
expect:
  alerts: [shoes]
  pages:
    - {kind: FIRST, alerts: [shoes]}
"""


def problems(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(YamlFileError) as refused:
        parse_scenario(text, "mine.yaml")
    assert all(line.startswith("mine.yaml") for line in str(refused.value).splitlines())
    return list(refused.value.problems)


def test_a_scenario_says_in_words_of_people_what_happens_and_what_comes_of_it() -> None:
    read = parse_scenario(TEXT, "mine.yaml")
    payment = read.events[1]
    assert isinstance(payment, PaymentMade)
    assert (payment.at, payment.arrival) == (4_999, 4_999)
    assert payment.amount == Money("12.50", "EUR")
    assert [alert.payment for alert in read.expect.each_alert()] == ["shoes"]
    assert read.end == 12_000


@pytest.mark.parametrize(
    ("said", "milliseconds"),
    [
        ("0 s", 0),
        ("250 ms", 250),
        ("4.999 s", 4_999),
        ("1 h 10 s", 3_610_000),
        ("-2d", -172_800_000),
    ],
)
def test_a_time_is_written_with_its_units(said: str, milliseconds: int) -> None:
    read = parse_scenario(TEXT.replace("from: -1 d", f"from: {said}"), "mine.yaml")
    assert getattr(read.events[0], "since") == milliseconds  # noqa: B009  one of several kinds


def test_a_payment_may_be_made_many_times_and_expected_by_a_range() -> None:
    text = TEXT.replace("    amount:", "    times: 3\n    every: 2 s\n    amount:")
    read = parse_scenario(text.replace("[shoes]", "[shoes-1 to 3]"), "mine.yaml")
    made = [each for each in read.happenings() if isinstance(each, PaymentMade)]
    assert [(each.payment, each.at) for each in made] == [
        ("shoes-1", 4_999),
        ("shoes-2", 6_999),
        ("shoes-3", 8_999),
    ]
    assert [a.payment for a in read.expect.each_alert()] == ["shoes-1", "shoes-2", "shoes-3"]


AMOUNT_LINE = 8


@pytest.mark.parametrize(
    ("instead_of", "said", "line", "problem"),
    [
        ("12.50 EUR", "12.50", 8, "must be an amount and a currency, like 12.50 EUR"),
        ("amount:", "price:", 8, "events.1.price is not known"),
        ("at: 4.999 s", "at: 4 h", 3, "events must be over within 3 h"),
        ("at: 4.999 s", "at: 5", 5, "must be a time like"),
        ("at: 4.999 s", "at: 4.9995 s", 5, "must be a time like"),
        ("    card: anna\n", "", 5, "events.1.card is missing"),
        ("card: anna", "card: ben", 7, "ben is none of the cards"),
        ("    payment: shoes", "    paid: shoes", 5, "must say what happens by one of payment"),
        ("alerts: [shoes]\n  pages", "alerts: [hat]\n  pages", 10, "hat is no payment"),
        ("kind: FIRST", "kind: LAST", 12, "must be 'FIRST', 'FOLLOW_UP' or 'DIGEST'"),
        ("cards: [anna]", "cards: [anna, 'Anna!']", 2, "cards.1"),
        ("question: Does", "question: [Does]\nwhy: Does", 1, "question"),
        ("cards: [anna]", "cards: [anna]\nends: 1 s", 3, "must not be before the last event"),
        ("cards: [anna]", "cards: [anna]\nends: 5 h", 3, "must be over within 3 h"),
        ("at: 4.999 s", "at: 30 s\n    arrives: 2 s", 5, "at most 10 s after it arrives"),
        ("cards: [anna]", "cards: [anna]\ncards: [ben]", 3, "cards is said twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_it_must_be(
    instead_of: str, said: str, line: int, problem: str
) -> None:
    found = problems(TEXT.replace(instead_of, said, 1))
    assert any(at == line and problem in told for at, told in found), found


def test_all_problems_of_a_file_are_told_at_once() -> None:
    text = TEXT.replace("12.50 EUR", "much").replace("kind: FIRST", "kind: LAST")
    assert [line for line, _ in problems(text)] == [AMOUNT_LINE, 12]


def test_scenarios_are_read_by_the_names_of_their_files(tmp_path: Path) -> None:
    for name in ("second", "first"):
        (tmp_path / f"{name}.yaml").write_text(TEXT)
    assert list(read_scenarios(tmp_path)) == ["first", "second"]
    assert list(read_scenarios(tmp_path, ["second"])) == ["second"]


def test_a_name_that_no_file_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(TEXT)
    with pytest.raises(YamlFileError, match="no scenario third; it has first"):
        read_scenarios(tmp_path, ["third"])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty", b"", "is empty"),
        ("Not A Name", TEXT.encode(), "must be named"),
        ("latin", b"question: caf\xe9", "is not UTF-8"),
        ("long", b"#" * (MAX_BYTES + 1), "is longer than"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_by_its_path(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_bytes(content)
    with pytest.raises(YamlFileError, match=problem) as refused:
        read_scenarios(tmp_path)
    assert str(refused.value).startswith(str(path))


def test_a_folder_without_a_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="give a folder"):
        read_scenarios(tmp_path)
