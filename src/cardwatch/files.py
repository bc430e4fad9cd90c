"""Files that no reader, and no crash, finds half-written."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_FASTEST_COMPRESSION: Final = 1
_BUFFER_BYTES: Final = 1 << 20

BinaryFile = IO[bytes] | gzip.GzipFile


@contextmanager
def whole_file(
    path: Path, *, even_empty: bool = True, durable: bool = False
) -> Iterator[BinaryFile]:
    """Give a file to write to that takes its name at the end of the block, in one step.

    Whoever reads it sees the old one or the new one and nothing else. Nothing is left of one that
    an error cut short or, without `even_empty`, of one that nothing was written to: then the old
    one stays. A name ending in .gz is compressed; the same content gives the same bytes.
    `durable`: it is also there after the machine lost its power. The folder is made where it is
    missing; a pipe or a device is written to as it is. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as there:
            yield there
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb", buffering=_BUFFER_BYTES) as file:
            if path.suffix == ".gz":
                # No time and no name in it: they would differ each time.
                with gzip.GzipFile("", "wb", _FASTEST_COMPRESSION, file, mtime=0) as packed:
                    yield packed
                    written = packed.tell()
            else:
                yield file
                written = file.tell()
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if written or even_empty:
            part.replace(path)
            if durable:
                _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def replace(path: Path, body: bytes | str, *, durable: bool = False) -> None:
    """Write a file whole, as `whole_file` does, from what it will hold; text as UTF-8."""
    with whole_file(path, durable=durable) as file:
        file.write(body.encode() if isinstance(body, str) else body)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
