"""Files that no reader, and no crash, finds half-written."""

import os
from pathlib import Path


def replace(path: Path, body: bytes | str, *, durable: bool = False) -> None:
    """Write a file whole: whoever reads it sees the old one or the new one and nothing else.

    `durable`: it is also there after the machine lost its power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(body.encode() if isinstance(body, str) else body)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
