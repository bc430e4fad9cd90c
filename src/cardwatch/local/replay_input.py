"""What `cardwatch replay` is given: made into one file of one event per line, as Flink reads it.

A file of lines is taken as it is, whatever its name. A folder, and files in which events stand end
to end (what Firehose's backup of the stream holds), are written anew, the files in the order of
their names.
"""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from cardwatch.contract.framing import BYTE_ORDER_MARK, split_record

CHUNK_BYTES: Final = 1 << 20
"""How much is read at once, and looked at to find out how the events of a file are joined."""
LONGEST_EVENT_BYTES: Final = 16 << 20
"""What is longer and has no end is no event; it is given as it is."""

_GZIP: Final = b"\x1f\x8b"
_JOINED: Final = (b"}{", b"} {", b"}\t{", b"[{")


class InputError(Exception):
    """There is nothing to replay, or it cannot be read; the text says why and what helps."""


def one_event_per_line(given: Path, work: Path) -> Path:
    """Give a file `events.jsonl` or `events.jsonl.gz` in the folder `work`.

    It is a link where the input is a file of lines; Flink reads no file whose name begins with a
    dot or an underscore, and tells by the end of a name whether to unpack. Raises InputError.
    """
    files = _files(given)
    try:
        if given.is_file():
            _check_head(given)
        if given.is_file() and _most_on_a_line(given) == 1:
            link = work / f"events.jsonl{'.gz' if _is_packed(given) else ''}"
            link.symlink_to(given.resolve())
            return link
        events = work / "events.jsonl"
        count = 0
        with events.open("wb") as out:
            for file in files:
                for event in events_of(file):
                    out.write(event.replace(b"\n", b" ") + b"\n")
                    count += 1
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        msg = f"cannot read {given}: {reason}; mend or replace the file"
        raise InputError(msg) from None
    if not count:
        msg = f"{given} holds no event: give a file or folder of envelopes"
        raise InputError(msg)
    return events


def events_of(file: Path) -> Iterator[bytes]:
    """Give the events of a file, plain or gzip: on lines or end to end; blank lines are none.

    What is no event is given, too: the rest of its line, or up to what looks like the next event.
    """
    with _opened(file) as stream:
        rest = b""
        while chunk := stream.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield from _events(line)
            if len(rest) > CHUNK_BYTES:
                *whole, rest = split_record(rest)
                yield from whole
                if len(rest) > LONGEST_EVENT_BYTES:
                    yield rest
                    rest = b""
        yield from _events(rest)


def _events(line: bytes) -> Iterator[bytes]:
    line = line.strip(b" \t\r")
    if any(joint in line for joint in _JOINED):
        yield from split_record(line)
    elif line:
        yield line


def _files(given: Path) -> list[Path]:
    """Give the files to read; raises InputError when there is none or it is empty."""
    try:
        if given.is_dir():
            found = [p for p in given.rglob("*") if p.is_file() and not p.name.startswith(".")]
        else:
            with given.open("rb"):
                found = [given]
        filled = [file for file in found if file.stat().st_size]
    except OSError as error:
        msg = f"cannot read {given}: {error.strerror}; give the path of a readable file or folder"
        raise InputError(msg) from None
    if not filled:
        msg = f"{given} is empty: give a file or folder of envelopes"
        raise InputError(msg)
    return sorted(filled)


def _check_head(file: Path) -> None:
    """Raise InputError where the first part of a file has no JSON at all: it is something else."""
    with _opened(file) as stream:
        lines = stream.read(CHUNK_BYTES).removeprefix(BYTE_ORDER_MARK).split(b"\n")
    if not any(line.lstrip().startswith((b"{", b"[")) for line in lines):
        msg = f"{file} holds no event: give a file or folder of envelopes, JSON per line"
        raise InputError(msg)


def _most_on_a_line(file: Path) -> int:
    """Give the most events that a line in the first part of a file has."""
    with _opened(file) as stream:
        head = stream.read(CHUNK_BYTES)
    return max(sum(1 for _ in _events(line)) for line in head.split(b"\n"))


def _is_packed(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_GZIP)) == _GZIP


def _opened(file: Path) -> BufferedReader | gzip.GzipFile:
    return gzip.open(file) if _is_packed(file) else file.open("rb")
