"""Firehose's error output: the wrapper around a failed record, and why it was rejected."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cardwatch.contract.streams import RejectedRecord, read_event


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
    """Read one (decompressed) object of the error output.

    Raises ValueError or KeyError where it is not one.
    """
    for line in body.splitlines():
        if not line.strip():
            continue
        fields = json.loads(line)
        yield FailedRecord(
            raw=base64.b64decode(fields["rawData"]),
            arrived_at=_instant(fields["arrivalTimestamp"]),
            attempts=int(fields["attemptsMade"]),
            attempts_ended_at=_instant(fields["attemptEndingTimestamp"]),
            error_code=fields["errorCode"],
            error_message=fields["errorMessage"],
            function_arn=fields["lambdaArn"],
        )


def quarantine_reasons(body: bytes) -> Counter[str]:
    """Count the failed records of one object by reason."""
    return Counter(record.reason() for record in read_failed_records(body))


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
