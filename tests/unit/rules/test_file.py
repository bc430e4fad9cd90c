from decimal import Decimal
from pathlib import Path

import pytest

from cardwatch.contract.rule import RuleVersion
from cardwatch.rules.file import (
    CARD_WINDOWS,
    LEAST_ATTEMPTS,
    MOST_ATTEMPTS,
    Rules,
    parse_rules,
    read_rules_file,
)
from cardwatch.yaml_lines import YamlFileError

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "rules.yaml").read_text(encoding="utf-8")


def problems(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(YamlFileError) as refused:
        parse_rules(text, "my.yaml")
    assert all(line.startswith("my.yaml") for line in str(refused.value).splitlines())
    return list(refused.value.problems)


def line_of(text: str) -> int:
    (line,) = [at for at, line in enumerate(TEXT.splitlines(), 1) if line.strip() == text]
    return line


def test_the_file_in_the_repository_has_every_rule_and_is_what_an_event_takes() -> None:
    read = read_rules_file(ROOT / "rules.yaml")
    settings = read.settings()
    assert settings.keys() == Rules.model_fields.keys()
    for rule, its in settings.items():
        RuleVersion(rule=rule, rule_version=read.version, settings=its)
    large = {each.currency: each.amount for each in settings["large_amount"].amounts}
    assert large["EUR"] == Decimal(5_000)


@pytest.mark.parametrize(
    ("said", "instead", "wrong"),
    [
        ("EUR: 5000", "EUR: 1e4", "decimal string"),
        ("EUR: 5000", "EUR: 5000.123", "at most 2 decimals"),
        ("EUR: 5000", "EUR: .5", "decimal string"),
        ("EUR: 5000", "EUR: -5000", "at least 500"),
        ("EUR: 5000", "EUR: 499.99", "at least 500"),
        ("EUR: 5000", "CAD: 99", "at least 100"),
        ("EUR: 5000", "EUR: 1234567890123456", "15 digits"),
        ("EUR: 5000", "EUR: [1, 2]", "decimal string"),
        ("JPY: 850000", "JPY: 850000.5", "at most 0 decimals"),
        ("EUR: 5000", "EUX: 5000", "no currency of ISO 4217"),
        ("EUR: 5000", "XAU: 5000", "no currency of ISO 4217"),
        ("KWD: 1.5", "KWD: 3.001", "from 0 to 3"),
        ("KWD: 1.5", "KWD: 1.5005", "at most 3 decimals"),
        ("KWD: 1.5", "CAD: 10.01", "from 0 to 10"),
        ("KWD: 1.5", "EUX: 1", "no currency of ISO 4217"),
        ("PLN: 20", "PLN: -1", "from 0 to 40"),
        ("threshold: 70", "threshold: 0", "at least 1"),
        ("threshold: 70", "threshold: 101", "at most 100"),
        ("stolen_card: 60", "stolen_card: 101", "at most 100"),
        ("stolen_card: 60", "stolen_card: -1", "whole number"),
        ("version: 1", "version: 1.0", "whole number"),
        ("version: 1", "version: 0", "at least 1"),
        ("version: 1", "version: 1000000000", "at most 999999999"),
        ("version: 1", "version: one", "whole number"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(said: str, instead: str, wrong: str) -> None:
    [(line, text)] = problems(TEXT.replace(said, instead, 1))
    assert line == line_of(said)
    assert wrong in text


def of_user_velocity(more_than: str, window_seconds: str) -> str:
    text = TEXT.replace("more_than: 5", f"more_than: {more_than}", 1)
    return text.replace("window_seconds: 60", f"window_seconds: {window_seconds}", 1)


@pytest.mark.parametrize(
    ("more_than", "window_seconds", "wrong"),
    [
        ("2", "30", "more_than must be from 3 to 10 within 30 s: the job can do no other"),
        ("3", "60", "more_than must be from 4 to 10 within 60 s: the job can do no other"),
        ("11", "60", "more_than must be from 4 to 10 within 60 s: the job can do no other"),
        ("5", "120", "more_than must be from 6 to 10 within 120 s: the job can do no other"),
        ("7", "300", "more_than must be from 8 to 10 within 300 s: the job can do no other"),
        ("-5", "60", "more_than must be a whole number, in digits"),
        ("5", "61", "window_seconds must be one of 30, 60, 120, 300: the job can do no other"),
        ("5", "1e2", "window_seconds must be a whole number, in digits"),
    ],
)
def test_how_many_attempts_and_within_how_long_are_what_the_job_can_do_and_told_with_the_line(
    more_than: str, window_seconds: str, wrong: str
) -> None:
    [(line, told)] = problems(of_user_velocity(more_than, window_seconds))
    name = wrong.split(maxsplit=1)[0]
    at = TEXT.splitlines().index("  user_velocity:") + 1
    assert line is not None
    assert TEXT.splitlines()[line - 1].strip().startswith(f"{name}:")
    assert at < line <= at + 5
    assert told == f"rules.user_velocity.{wrong}"


@pytest.mark.parametrize(("window_seconds", "least"), LEAST_ATTEMPTS.items())
def test_from_the_least_attempts_of_a_window_to_the_most_all_are_taken(
    window_seconds: int, least: int
) -> None:
    for more_than in range(least, MOST_ATTEMPTS + 1):
        read = parse_rules(of_user_velocity(str(more_than), str(window_seconds)), "my.yaml")
        its = read.settings()["user_velocity"]
        assert (its.more_than, its.window_seconds) == (more_than, window_seconds)


def of_card_testing(window_seconds: str) -> str:
    head, its, rest = TEXT.partition("  card_testing:")
    return head + its + rest.replace("window_seconds: 60", f"window_seconds: {window_seconds}", 1)


@pytest.mark.parametrize("window_seconds", ["45", "600", "0"])
def test_a_window_in_which_the_job_cannot_count_cards_is_told_with_its_line(
    window_seconds: str,
) -> None:
    text = of_card_testing(window_seconds)
    at = text.splitlines().index(f"    window_seconds: {window_seconds}") + 1
    wrong = "must be one of 60, 120, 300: the job can do no other"
    assert problems(text) == [(at, f"rules.card_testing.window_seconds {wrong}")]


@pytest.mark.parametrize("window_seconds", CARD_WINDOWS)
def test_a_window_in_which_the_job_can_count_cards_is_taken(window_seconds: int) -> None:
    its = parse_rules(of_card_testing(str(window_seconds)), "my.yaml").settings()["card_testing"]
    assert its.window_seconds == window_seconds


def test_every_factor_of_the_score_has_points_and_no_other() -> None:
    [(line, told)] = problems(TEXT.replace("      stolen_card: 60\n", ""))
    assert (line, told) == (
        line_of("points:"),
        "rules.high_score.points.stolen_card is missing",
    )
    [(line, told)] = problems(
        TEXT.replace("      stolen_card: 60\n", "      stolen_card: 60\n      full_moon: 9\n")
    )
    assert line == line_of("stolen_card: 60") + 1
    assert "must be 'stolen_card', " in told


def test_small_amounts_may_be_nothing_or_none_at_all() -> None:
    nothing = parse_rules(TEXT.replace("KWD: 1.5", "KWD: 0"), "my.yaml").rules.card_testing
    assert nothing.small_amounts["KWD"] == 0
    head, _, rest = TEXT.partition("small_amounts:")
    _, _, rest = rest.partition("  # More spent")
    none = parse_rules(f"{head}small_amounts: {{}}\n  # More spent{rest}", "my.yaml")
    assert none.settings()["card_testing"].amounts == ()


def test_an_unknown_rule_is_told_with_its_line_and_those_that_are_known() -> None:
    first, *_ = problems(
        TEXT.replace("  large_amount:", "  large_amuont:\n  x: {}\n  large_amount:")
    )
    assert first == (
        line_of("large_amount:"),
        "rules.large_amuont is no rule whose settings are data; those are "
        + ", ".join(Rules.model_fields),
    )


def test_a_missing_rule_is_told_with_the_line_of_the_rules() -> None:
    assert (line_of("rules:"), "rules.large_amount is missing") in problems(
        TEXT.replace("large_amount:", "large:")
    )


def test_a_key_that_is_said_twice_is_told_with_its_second_line() -> None:
    assert problems(TEXT.replace("EUR: 5000", "EUR: 5000\n      EUR: 2500")) == [
        (line_of("EUR: 5000") + 1, "EUR is said twice")
    ]


def test_words_that_yaml_takes_for_truth_values_are_words_here() -> None:
    read = parse_rules(TEXT.replace("paging: on", "paging: off"), "my.yaml")
    assert {settings.paging for settings in read.settings().values()} == {"off"}
    first, *_ = problems(TEXT.replace("paging: on", "paging: true"))
    assert "must be 'on' or 'off'" in first[1]


def test_a_shadow_is_no_setting_of_the_file_but_how_it_is_published() -> None:
    first, *_ = problems(TEXT.replace("paging: on", "paging: shadow"))
    assert "must be 'on' or 'off'" in first[1]
    shadow = parse_rules(TEXT, "my.yaml").settings(shadow=True)
    assert {settings.paging for settings in shadow.values()} == {"shadow"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("rules", 1),
        ("[]", 1),
        ("{", 1),
        ("version: 1\n\trules:", 2),
        ("version: 1\n---\nversion: 2", 2),
        ("a: &a [x]\nb: *a", 2),
        ("\x00", None),
        ("[" * 5_000, None),
    ],
)
def test_what_is_no_rules_file_is_told_with_its_line(text: str, line: int | None) -> None:
    assert problems(text)[0][0] == line


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match=r"none\.yaml: No such file"):
        read_rules_file(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 70_000)
    with pytest.raises(YamlFileError, match="longer than"):
        read_rules_file(large)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"version: 1\n# \xfc\n")
    with pytest.raises(YamlFileError, match=r"latin\.yaml:2: is not UTF-8"):
        read_rules_file(latin)
