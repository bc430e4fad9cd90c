"""Where events go: a file that is there whole or not at all, or the stream."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from cardwatch.contract.streams import EVENT_TYPES, Envelope
from cardwatch.files import BinaryFile, whole_file
from cardwatch.ports import EventStream, StreamEntry

_PUT_AT_ONCE: Final = 500


class EventOutput(Protocol):
    """Takes events in order."""

    def put(self, event: Envelope) -> None: ...


class LinesFile:
    """A file that is being written; it takes its name when it is done and holds something."""

    def __init__(self, file: BinaryFile) -> None:
        """Write to an open file."""
        self._file = file
        self.lines = 0

    def put(self, event: Envelope) -> None:
        self.write(event.to_bytes())

    def write(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self.lines += 1


@contextmanager
def lines_file(path: Path, *, even_empty: bool = False) -> Iterator[LinesFile]:
    """Write a file line by line; what stood there goes when the new one is whole, not before.

    A name ending in .gz is compressed. Nothing is left of a file that an error cut short, or, but
    for `even_empty`, of one without a line. Raises OSError.
    """
    with whole_file(path, even_empty=even_empty) as file:
        yield LinesFile(file)


class StreamOutput:
    """Puts events on the stream, some hundred at once."""

    def __init__(self, stream: EventStream) -> None:
        """Use a stream."""
        self._stream = stream
        self._waiting: list[StreamEntry] = []
        self.undelivered: Counter[str] = Counter()
        """What the stream did not take after all tries, by its last error code."""

    def put(self, event: Envelope) -> None:
        key = getattr(event.event_json_data, EVENT_TYPES[event.type].partition_key)
        self._waiting.append(StreamEntry(event.to_bytes(), key))
        if len(self._waiting) >= _PUT_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Put what waits; it must be called at the end."""
        outcome = self._stream.put(self._waiting)
        self.undelivered.update(entry.error_code for entry in outcome.undelivered)
        self._waiting = []
