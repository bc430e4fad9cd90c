from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.imports.times import TimeReader, parse_shift

AT = datetime(2026, 11, 21, 7, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "zone", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", "UTC", "2026-11-21 07:00:03"),
        ("%d/%m/%Y %H:%M:%S", "Europe/Vienna", "21/11/2026 08:00:03"),
        ("%Y-%m-%d %H:%M:%S %z", None, "2026-11-21 02:00:03 -0500"),
        ("iso", "Asia/Tokyo", "2026-11-21T16:00:03"),
        ("iso", None, "2026-11-21T07:00:03Z"),
        ("iso", None, "2026-11-21 07:00:03.000000000+00"),
        ("epoch_s", None, "1795244403"),
        ("epoch_s", None, "1795244403.0"),
        ("epoch_ms", None, "1795244403000"),
        ("seconds since 2026-11-21T00:00:00Z", None, "25203"),
        ("hours since 2026-11-21T06:00:03Z", None, "1"),
    ],
)
def test_a_time_is_read_by_its_format_and_zone(pattern: str, zone: str | None, text: str) -> None:
    assert TimeReader([pattern], zone).read(text) == AT


def test_formats_are_tried_in_turn() -> None:
    reader = TimeReader(["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M"], "UTC")
    assert reader.read("21/11/2026 07:00") == AT.replace(second=0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-10-25 02:30:00", "is twice in its zone"),
        ("2026-03-29 02:30:00", "is not in its zone"),
        ("2026-02-30 12:00:00", "is no time of the format"),
        ("", "is no time of the format"),
    ],
)
def test_a_local_time_that_is_no_single_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TimeReader(["%Y-%m-%d %H:%M:%S"], "Europe/Vienna").read(text)


def test_an_iso_time_without_a_zone_needs_the_mappings() -> None:
    with pytest.raises(ValueError, match=r"time\.zone"):
        TimeReader(["iso"], None).read("2026-11-21T07:00:03")


@pytest.mark.parametrize(
    ("pattern", "zone", "reason"),
    [
        ("%Y-%m-%d", None, "zone is missing"),
        ("%Y-%m-%d", "Mars/Olympus", "IANA"),
        ("yyyy-mm-dd", "UTC", "strptime pattern"),
        ("%Y-%Q", "UTC", "no strptime pattern"),
        ("seconds since yesterday", None, "ISO-8601"),
    ],
)
def test_a_format_that_is_none_is_refused_at_once(
    pattern: str, zone: str | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        TimeReader([pattern], zone)


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("none", timedelta()),
        ("728 days", timedelta(days=728)),
        ("-1 hour", timedelta(hours=-1)),
        ("to now", "to now"),
    ],
)
def test_a_shift_is_a_duration_or_to_now(text: str, shift: object) -> None:
    assert parse_shift(text) == shift


FORMATS = ["iso", "epoch_s", "epoch_ms", "hours since 2020-01-01T00:00:00Z", "%d/%m/%Y %H:%M"]


@given(
    st.sampled_from(FORMATS), st.text(max_size=30) | st.from_regex(r"[+-]?\d{1,20}(\.\d{1,14})?")
)
def test_any_text_is_an_instant_or_refused_without_being_quoted(pattern: str, text: str) -> None:
    refused: ValueError | None = None
    try:
        assert TimeReader([pattern], "UTC").read(text).tzinfo is UTC
    except ValueError as error:
        refused = error
    if refused is not None:
        assert str(refused)
        assert len(text) < 12 or text not in str(refused)
        assert refused.__context__ is None
