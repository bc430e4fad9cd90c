from datetime import timedelta
from decimal import Decimal

import pytest
from tests.fakes import NOON, FakeEventStream, FakeRuleHistory

from cardwatch.contract.rule import CurrencyAmount, FactorPoints, RuleSettings
from cardwatch.contract.streams import read_event
from cardwatch.rules.errors import PublicationError
from cardwatch.rules.publication import (
    Publication,
    differences,
    in_use,
    newest_first,
    publish,
    rolled_back,
)


def settings(euro: int = 10_000, **changed: object) -> RuleSettings:
    fields: dict[str, object] = {
        "state": "on",
        "paging": "on",
        "severity": "medium",
        "amounts": (CurrencyAmount(currency="EUR", amount=Decimal(euro)),),
        "more_than": None,
        "window_seconds": None,
    }
    return RuleSettings.model_validate(fields | changed)


def version(number: int, euro: int = 10_000, **changed: object) -> Publication:
    rules = {"large_amount": settings(euro, **changed), "other": settings(amounts=(), more_than=5)}
    if changed.get("paging") == "shadow":
        rules["other"] = settings(amounts=(), more_than=5, paging="shadow")
    return Publication(number, NOON + timedelta(minutes=number), rules)


@pytest.fixture
def history() -> FakeRuleHistory:
    return FakeRuleHistory()


@pytest.fixture
def stream() -> FakeEventStream:
    return FakeEventStream()


def test_a_version_is_kept_as_the_records_that_are_on_the_stream(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    publish(version(2), history, stream)
    assert [entry.partition_key for entry in stream.entries] == ["large_amount", "other"]
    kept = history.kept[2].to_bytes()
    assert kept.splitlines() == [entry.data for entry in stream.entries]
    now = NOON + timedelta(days=1)
    assert Publication.from_bytes(kept, now=now) == version(2)
    assert {read_event(line, now=now).event_date_origin for line in kept.splitlines()} == {
        version(2).published_at
    }


def test_a_version_that_is_not_above_all_others_is_refused_and_the_last_good_one_stays(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    publish(version(5), history, stream)
    put = list(stream.entries)
    for late in (version(5, euro=1_000), version(4)):
        with pytest.raises(PublicationError, match="make version 6"):
            publish(late, history, stream)
    assert history.versions() == [5]
    assert stream.entries == put


def test_of_two_who_publish_one_version_at_once_the_first_wins(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    publish(version(2), history, stream)
    history.taken = version(3, euro=1)
    with pytest.raises(PublicationError, match="version 3 is published already"):
        publish(version(3, euro=2), history, stream)
    assert history.kept[3] == version(3, euro=1)


def test_the_same_version_again_is_the_same_records_again(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    stream.refuse = "ProvisionedThroughputExceededException"
    assert len(publish(version(2), history, stream).undelivered) == 2
    stream.refuse = None
    later = Publication(2, NOON + timedelta(hours=1), version(2).settings)
    assert publish(later, history, stream).delivered == 2
    assert [entry.data for entry in stream.entries] == version(2).to_bytes().splitlines()


def test_a_clock_that_is_behind_the_last_publication_publishes_nothing(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    publish(version(2), history, stream)
    with pytest.raises(PublicationError, match="clock"):
        publish(Publication(3, NOON, version(3).settings), history, stream)
    assert history.versions() == [2]


def test_in_use_are_the_version_in_force_and_a_newer_one_in_shadow(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    assert in_use(newest_first(history)) == []
    publish(version(2, paging="shadow"), history, stream)
    assert in_use(newest_first(history)) == [version(2, paging="shadow")]
    publish(version(3), history, stream)
    assert in_use(newest_first(history)) == [version(3)]
    for number in (4, 5):
        publish(version(number, paging="shadow"), history, stream)
    assert in_use(newest_first(history)) == [version(3), version(5, paging="shadow")]


def test_a_rollback_is_the_next_version_with_the_settings_of_the_one_before(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    now = NOON + timedelta(days=1)
    for each in (version(2, 1_000), version(3, 2_000), version(4, 3_000, paging="shadow")):
        publish(each, history, stream)
    back = rolled_back(history, None, now=now)
    assert (back.version, back.published_at, back.settings) == (5, now, version(2, 1_000).settings)
    assert back.note == "rolled back to version 2"
    assert rolled_back(history, 3, now=now).settings == version(3, 2_000).settings


def test_what_cannot_be_rolled_back_to_is_said(
    history: FakeRuleHistory, stream: FakeEventStream
) -> None:
    with pytest.raises(PublicationError, match="no version in force before"):
        rolled_back(history, None, now=NOON)
    publish(version(2), history, stream)
    publish(version(3, paging="shadow"), history, stream)
    with pytest.raises(PublicationError, match="2, 3 was"):
        rolled_back(history, 7, now=NOON)
    with pytest.raises(PublicationError, match="in shadow"):
        rolled_back(history, 3, now=NOON)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", version(2).to_bytes() + version(3).to_bytes()])
def test_what_is_no_version_is_not_read_as_one(raw: bytes) -> None:
    with pytest.raises(PublicationError, match="no version of the rules"):
        Publication.from_bytes(raw, now=NOON + timedelta(days=1))


def test_differences_of_points_are_told_by_factor() -> None:
    points = FactorPoints(**dict.fromkeys(FactorPoints.model_fields, 10))
    more = points.model_copy(update={"stolen_card": 60})
    before, after = ({"a": settings(threshold=70, points=each)} for each in (points, more))
    assert list(differences(before, after)) == ["a.stolen_card: 10 -> 60"]


def test_differences_are_the_settings_that_are_not_the_same() -> None:
    before = {"a": settings(10_000), "gone": settings(state="off", amounts=())}
    after = {"a": settings(5_000, severity="high"), "new": settings(amounts=(), more_than=5)}
    assert list(differences(before, before)) == []
    assert list(differences(before, after)) == [
        "a.EUR: 10000 -> 5000",
        "a.severity: medium -> high",
        "gone.paging: on -> nothing",
        "gone.severity: medium -> nothing",
        "gone.state: off -> nothing",
        "new.more_than: nothing -> 5",
        "new.paging: nothing -> on",
        "new.severity: nothing -> medium",
        "new.state: nothing -> on",
    ]
