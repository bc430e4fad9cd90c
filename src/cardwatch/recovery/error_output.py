"""Firehose's error output: the wrapper around a failed record, and why it was rejected."""

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cardwatch.contract.framing import split_record
from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.ports import Clock, NotKeptError
from cardwatch.recovery.ports import (
    BucketUnavailableError,
    DeadLetter,
    UnreadableObjectError,
    WritableObjects,
)

SOURCE: Final = "quarantine"

EVENTS: Final = "events/"
"""The prefix of what the warehouse loads: `events/YYYY/MM/DD/HH/…`."""
QUARANTINE: Final = "events/processing-failed/"
"""The prefix of the error output of the transformation (infra/delivery.yaml, ErrorOutputPrefix)."""


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """One record of the error output. `raw` may hold anything, a card number too: never log it."""

    raw: bytes
    arrived_at: datetime
    attempts: int
    attempts_ended_at: datetime
    error_code: str
    error_message: str
    function_arn: str

    def to_line(self) -> bytes:
        """Write Firehose's wrapper: one JSON object and a line end; times in epoch ms."""
        fields = {
            "attemptsMade": self.attempts,
            "arrivalTimestamp": _milliseconds(self.arrived_at),
            "errorCode": self.error_code,
            "errorMessage": self.error_message,
            "attemptEndingTimestamp": _milliseconds(self.attempts_ended_at),
            "rawData": base64.b64encode(self.raw).decode(),
            "lambdaArn": self.function_arn,
        }
        return json.dumps(fields).encode() + b"\n"

    def reason(self) -> str:
        """Derive why it was rejected, by the validation that rejected it.

        A record that is valid by the contract is here because the function failed: then the reason
        is Firehose's error code. The clock is the record's arrival, so the answer never changes.
        """
        try:
            read_event(self.raw, now=self.arrived_at)
        except RejectedRecord as rejected:
            return rejected.reason.value
        return self.error_code


def read_failed_records(body: bytes) -> Iterator[FailedRecord]:
    """Read one object of the error output, gzip or plain: JSON objects one after the other.

    Raises ValueError, which quotes nothing, where it is not one.
    """
    try:
        text = (gzip.decompress(body) if body.startswith(_GZIP) else body).decode()
        decoder = json.JSONDecoder()
        place = _space_end(text, 0)
        while place < len(text):
            fields, place = decoder.raw_decode(text, place)
            yield FailedRecord(
                raw=base64.b64decode(fields["rawData"], validate=True),
                arrived_at=_instant(fields["arrivalTimestamp"]),
                attempts=int(fields["attemptsMade"]),
                attempts_ended_at=_instant(fields["attemptEndingTimestamp"]),
                error_code=fields["errorCode"],
                error_message=fields["errorMessage"],
                function_arn=fields["lambdaArn"],
            )
            place = _space_end(text, place)
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError) as error:
        msg = f"not an object of the error output ({type(error).__name__})"
        raise ValueError(msg) from None


_GZIP: Final = b"\x1f\x8b"
_SPACE: Final = re.compile(r"\s*")


def _space_end(text: str, place: int) -> int:
    """Give where the white space from `place` on ends."""
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)


class ErrorOutput:
    """The error output as dead letters, so that redrive sends what a fix made valid.

    What is left of an object stays in Firehose's wrapper, under the same prefix.
    """

    def __init__(
        self,
        objects: WritableObjects,
        clock: Clock,
        *,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Use the delivery bucket; `progress` hears of each object as it is opened."""
        self._objects = objects
        self._clock = clock
        self._progress = progress
        self._opened: dict[bytes, FailedRecord] = {}

    def sources(self) -> Sequence[str]:
        """Name the one source."""
        return [SOURCE]

    def objects(self, source: str) -> Iterator[str]:
        """Give the keys of the error output, by name, as they are now."""
        assert source == SOURCE  # noqa: S101  there is no other
        yield from [item.key for item in self._objects.list(QUARANTINE)]

    def letters_in(self, name: str) -> Sequence[DeadLetter]:
        """Read one object's records; raises UnreadableObjectError when it is no error output.

        Of a record with several events each is one of its own from here on.
        """
        body = self._objects.get(name)
        try:
            records = [
                replace(record, raw=event)
                for record in read_failed_records(body or b"")
                for event in split_record(record.raw)
            ]
        except ValueError as error:
            msg = f"s3://{self._objects.bucket}/{name}: {error}"
            raise UnreadableObjectError(msg) from None
        self._progress(f"{name}: {len(records)} records")
        self._opened = {record.raw: record for record in records}
        return [DeadLetter(raw=record.raw, reason=record.reason()) for record in records]

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        """Keep records of the object that was opened last; raises NotKeptError."""
        lines = b"".join(self._opened[raw].to_line() for raw in records)
        name = hashlib.sha256(lines).hexdigest()[:32]
        key = f"{QUARANTINE}{source}/{self._clock.now():%Y/%m/%d}/{reason}-{name}.gz"
        try:
            self._objects.put(key, gzip.compress(lines, mtime=0))
        except BucketUnavailableError as error:
            msg = f"keeping {len(records)} records failed: {error}"
            raise NotKeptError(msg) from error
        return key

    def remove(self, name: str) -> None:
        """Remove an object whose records are dealt with."""
        self._objects.remove(name)
