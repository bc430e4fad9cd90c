from tests.unit.golden.support import played, scenario

from cardwatch.golden.found import FoundPage

PAYMENT = "  - {at: 1 s, payment: shoes, card: anna}"


def pages(events: str, more: str = "") -> list[tuple[str, int, bool]]:
    found = played(mine=scenario(events, more=more))["mine"]
    return [(page.kind, page.at, page.repeat) for page in found.pages]


def test_people_are_paged_when_the_window_has_closed() -> None:
    assert pages(PAYMENT) == [("FIRST", 6_000, False)]


def test_the_clock_moves_with_the_alerts_and_the_schedule_follows_every_minute() -> None:
    assert pages(f"{PAYMENT}\n  - {{at: 7 s, payment: hat, card: anna}}") == [
        ("FIRST", 6_000, False),
        ("FOLLOW_UP", 300_000, False),
    ]


def test_what_the_channel_refuses_comes_again_a_second_later() -> None:
    fault = "faults: [{fault: the channel refuses, from: 0 s, until: 7.5 s}]"
    assert pages(PAYMENT, fault) == [("FIRST", 8_000, False)]


def test_what_the_channel_does_not_answer_comes_again_marked() -> None:
    fault = "faults: [{fault: the channel does not answer, from: 0 s, until: 6.5 s}]"
    assert pages(PAYMENT, fault) == [("FIRST", 6_000, False), ("FIRST", 7_000, True)]


def test_alerts_wait_for_somebody_to_be_subscribed_and_in_the_end_for_nobody() -> None:
    for_a_while = "faults: [{fault: nobody is subscribed, from: 0 s, until: 90 s}]"
    assert pages(PAYMENT, for_a_while) == [("FIRST", 120_000, False)]
    for_good = "faults: [{fault: nobody is subscribed, from: 0 s, until: 9 h}]"
    assert pages(PAYMENT, for_good) == []


def test_what_is_too_old_expires_and_pages_nobody() -> None:
    found = played(
        mine=scenario(
            "  - {at: -2 min, arrives: 1 s, payment: shoes, card: anna}",
            more="paging: {page_max_age_seconds: 60}",
        )
    )["mine"]
    assert (found.pages, found.expired) == ((), ("shoes",))


def test_the_notifiers_settings_are_the_scenarios() -> None:
    events = f"{PAYMENT}\n  - {{at: 7 s, payment: hat, card: anna}}"
    found = played(mine=scenario(events, more="paging: {group_seconds: 0}"))["mine"]
    assert found.pages == (
        FoundPage("FIRST", ("shoes",), 6_000, repeat=False),
        FoundPage("FIRST", ("hat",), 11_000, repeat=False),
    )
