import pytest
from tests.unit.golden.support import broken, played, scenario

from cardwatch.golden.comparison import duration
from cardwatch.golden.comparison import told as told_of

ONE = "  - {at: 1 s, payment: shoes, card: anna, amount: 12.50 EUR}"
PAGE = "{kind: FIRST, at: 6 s, alerts: [shoes]}"
HOUR = "{from: 10 s, payments: 1, cards: 1, totals: [12.50 EUR]}, {from: 1 h 10 s, payments: 0}"


def expecting(alerts: str = "shoes", pages: str = PAGE, more: str = "") -> list[str]:
    return broken(scenario(ONE, f"{{alerts: [{alerts}], pages: [{pages}]{more}}}"))


def test_a_scenario_is_kept_when_all_is_as_it_says() -> None:
    alert = "{payment: shoes, card: anna, amount: 12.50 EUR, since: -1 d, late: no}"
    assert expecting(alert, more=f", summaries: [{HOUR}]") == []


@pytest.mark.parametrize(
    ("alert", "difference"),
    [
        ("", "alert: nobody expects the one for shoes on anna"),
        ("{payment: shoes, late: yes}", "alert: shoes should be late"),
        (
            "{payment: shoes, amount: 12.5 EUR}",
            "alert: shoes should say 12.5 EUR, not 12.50 EUR",
        ),
        (
            "{payment: shoes, since: 0 s}",
            "alert: shoes's card should be stolen since 0 s, not -1 d",
        ),
        ("shoes, shoes", "alert: none for shoes"),
    ],
)
def test_an_alert_that_is_otherwise_is_told(alert: str, difference: str) -> None:
    assert expecting(alert) == [difference]


def test_an_alert_on_another_card_is_another_alert() -> None:
    assert expecting("{payment: shoes, card: ben}") == [
        "alert: none for shoes on ben",
        "alert: nobody expects the one for shoes on anna",
    ]


@pytest.mark.parametrize(
    ("pages", "difference"),
    [
        ("", "page 1: nobody expects this FIRST of shoes at 6 s"),
        ("{kind: DIGEST, alerts: [shoes]}", "page 1: should be DIGEST, not FIRST"),
        (
            "{kind: FIRST, at: 1 min, alerts: [shoes]}",
            "page 1: should be sent at 1 min, not 6 s",
        ),
        (
            "{kind: FIRST, alerts: [shoes], repeat: yes}",
            "page 1: should say that it may be a repeat",
        ),
        (
            f"{PAGE}, {{kind: FOLLOW_UP, alerts: [shoes]}}",
            "page 2: no FOLLOW_UP of shoes was sent",
        ),
        ("{kind: FIRST, alerts: [shoes, shoes]}", "page 1: without shoes"),
    ],
)
def test_a_page_that_is_otherwise_is_told(pages: str, difference: str) -> None:
    assert expecting(pages=pages) == [difference]


@pytest.mark.parametrize(
    ("summaries", "should_say", "say"),
    [
        (
            HOUR.replace("12.50", "12.51"),
            "1 payment, 1 card, 12.51 EUR from 10 s",
            "1 payment, 1 card, 12.50 EUR from 10 s",
        ),
        (
            HOUR.replace("from: 10 s", "from: 20 s"),
            "1 payment, 1 card, 12.50 EUR from 20 s",
            "1 payment, 1 card, 12.50 EUR from 10 s",
        ),
        (
            HOUR.replace("cards: 1", "cards: 2"),
            "1 payment, 2 cards, 12.50 EUR from 10 s",
            "1 payment, 1 card, 12.50 EUR from 10 s",
        ),
        (HOUR.split(", {", maxsplit=1)[0], "nothing else", "0 payments from 1 h 10 s"),
    ],
)
def test_summaries_that_say_something_else_are_told(
    summaries: str, should_say: str, say: str
) -> None:
    told = expecting(more=f", summaries: [{summaries}]")
    assert told == [f"summaries: should say {should_say}, say {say}"]


def test_what_should_have_expired_or_been_rejected_is_told() -> None:
    assert expecting(more=", expired: [shoes], rejected: [not_json]") == [
        "expired: without shoes",
        "rejected: should be not_json, is nothing",
    ]


def test_many_names_are_counted_where_they_are_too_many_to_read() -> None:
    many = scenario("  - {at: 0 s, payment: try, card: anna, times: 9, every: 1 ms}")
    assert broken(many)[-1] == (
        "page 1: nobody expects this FIRST of try-1, try-2, try-3, try-4, try-5, try-6 and 3 more "
        "at 6 s"
    )


def test_what_came_is_told_in_the_words_of_a_file() -> None:
    assert list(told_of(played(mine=scenario(ONE))["mine"])) == [
        "alert of shoes on anna at 6 s: 12.50 EUR, stolen since -1 d",
        "page FIRST at 6 s: shoes",
        "summaries say 1 payment, 1 card, 12.50 EUR from 10 s",
        "summaries say 0 payments from 1 h 10 s",
    ]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 s"), (4_999, "4.999 s"), (-86_400_000, "-1 d"), (3_661_000, "1 h 1 min 1 s")],
)
def test_a_time_is_told_as_the_files_write_it(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
