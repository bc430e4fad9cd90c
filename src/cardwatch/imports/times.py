"""Times as files have them: in any format, of a zone, and shifted."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cardwatch.contract.fields import parse_time

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,12})?")
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SINCE: Final = re.compile(r"(seconds|hours) since (\S+)")
_SHIFT: Final = re.compile(r"(-?[0-9]{1,6}) (days?|hours?|minutes?|seconds?)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PROBE: Final = datetime(2026, 11, 21, 13, 5, 9)  # noqa: DTZ001  a pattern is tried with it
_UNITS: Final = {
    "hours": timedelta(hours=1),
    "seconds": timedelta(seconds=1),
    "milliseconds": timedelta(milliseconds=1),
}

Shift = timedelta | Literal["to now"]


def parse_shift(text: str) -> Shift:
    """Read a mapping's shift; raises ValueError."""
    if text == "none":
        return timedelta()
    if text == "to now":
        return "to now"
    found = _SHIFT.fullmatch(text)
    if not found:
        msg = "shift must be none, to now, or a duration like 728 days or -3 hours"
        raise ValueError(msg)
    return timedelta(**{found[2].rstrip("s") + "s": int(found[1])})


class TimeReader:
    """Reads a row's time."""

    def __init__(self, formats: Sequence[str], zone: str | None) -> None:
        """Take the formats to try in turn and the zone of times that name none.

        Raises ValueError for a format or a zone that is none, and where a zone is missing.
        """
        self._zone = _zone(zone)
        if not formats:
            msg = "format must name at least one format"
            raise ValueError(msg)
        self._readers = tuple(self._reader(each) for each in formats)

    def read(self, text: str) -> datetime:
        """Give the instant, UTC; raises ValueError, without the text in it, for what is none."""
        problem = ""
        for reader in self._readers:
            try:
                return reader(text)
            except _OtherFormatError as error:
                problem = problem or str(error)
            except OverflowError:
                problem = problem or "is out of the range of years"
        # Not from inside an except: what strptime raised quotes the text.
        raise ValueError(problem)

    def _reader(self, name: str) -> Callable[[str], datetime]:
        if name == "iso":
            return self._iso
        if name == "epoch_s":
            return _Since(_EPOCH, "seconds")
        if name == "epoch_ms":
            return _Since(_EPOCH, "milliseconds")
        if since := _SINCE.fullmatch(name):
            try:
                return _Since(parse_time(since[2]), since[1])
            except ValueError as error:
                msg = f"the instant of a format {since[1]} since … {error}"
                raise ValueError(msg) from None
        if "%" not in name:
            msg = (
                "format must be iso, epoch_s, epoch_ms, seconds since <instant>, hours since "
                "<instant>, or a strptime pattern like %d/%m/%Y %H:%M"
            )
            raise ValueError(msg)
        return self._pattern(name)

    def _pattern(self, pattern: str) -> Callable[[str], datetime]:
        has_zone = "%z" in pattern
        if not has_zone and self._zone is None:
            msg = "zone is missing: say of which zone the times are, like UTC or Europe/Berlin"
            raise ValueError(msg)
        try:
            datetime.strptime(_PROBE.replace(tzinfo=UTC).strftime(pattern), pattern)  # noqa: DTZ007
        except (ValueError, re.error):
            msg = "format is no strptime pattern that gives a day and time"
            raise ValueError(msg) from None

        def read(text: str) -> datetime:
            try:
                found = datetime.strptime(text, pattern)  # noqa: DTZ007  the zone comes next
            except ValueError:
                found = None
            if found is None:
                msg = f"is no time of the format {pattern}"
                raise _OtherFormatError(msg)
            return self._instant(found)

        return read

    def _iso(self, text: str) -> datetime:
        if not text.isascii() or not _ISO.fullmatch(text):
            msg = "is no ISO-8601 time like 2026-11-21T07:00:03 or with a zone"
            raise _OtherFormatError(msg)
        # Finer than microseconds is cut; fromisoformat of Python 3.11 does so itself.
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None:
            msg = "is a day or time that does not exist"
            raise _OtherFormatError(msg)
        return self._instant(found)

    def _instant(self, found: datetime) -> datetime:
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        if self._zone is None:
            msg = "has no zone: name the file's in the mapping's time.zone"
            raise _OtherFormatError(msg)
        local = found.replace(tzinfo=self._zone)
        instant = local.astimezone(UTC)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            back = instant.astimezone(self._zone).replace(tzinfo=None)
            msg = (
                "is twice in its zone: the clocks were put back"
                if back == found
                else "is not in its zone: the clocks were put forward"
            )
            raise _OtherFormatError(msg)
        return instant


class _OtherFormatError(ValueError):
    """A text is no time of one format; it may be one of the next."""


class _Since:
    """Reads a number of units since an instant, to the millisecond below."""

    def __init__(self, start: datetime, unit: str) -> None:
        self._start = start
        self._unit = _UNITS[unit]
        self._name = unit

    def __call__(self, text: str) -> datetime:
        if not text.isascii() or not _NUMBER.fullmatch(text):
            msg = f"is no number of {self._name}"
            raise _OtherFormatError(msg)
        whole, _, fraction = text.partition(".")
        parts = int(whole + fraction) * (self._unit // timedelta(microseconds=1))
        return self._start + timedelta(microseconds=parts // 10 ** len(fraction))


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = "zone must be an IANA name like UTC or Europe/Berlin"
        raise ValueError(msg) from None
