"""Keeps logs from growing without end.

A program of the one-machine stack has its log open itself, so nobody stands between the two: a log
that has grown too long is copied aside and emptied in place. Whoever writes it has opened it for
appending and goes on at its new end, also after the supervisor was killed.
"""

import shutil
from pathlib import Path
from typing import Final

LOG_BYTES: Final = 10_000_000
"""How long a log may get; as much of what came before it is kept beside it."""
OLDER: Final = ".1"


def cap_log(path: Path, most: int = LOG_BYTES) -> int:
    """Move a log that is too long to `<name>.1`; gives how many bytes were there and are gone.

    A line that is written between the copy and the emptying is lost.
    """
    if not path.exists() or path.stat().st_size <= most:
        return 0
    older = path.with_name(path.name + OLDER)
    gone = older.stat().st_size if older.exists() else 0
    shutil.copyfile(path, older)
    with path.open("ab") as log:
        log.truncate(0)
        log.write(f"cardwatch: goes on from {older.name}; {gone} bytes before it gone\n".encode())
    return gone


def cap_logs(folder: Path, most: int = LOG_BYTES) -> int:
    """Cap every log in a folder; gives how many bytes are gone."""
    logs = [path for path in folder.glob("*") if path.suffix != OLDER]
    return sum(cap_log(path, most) for path in logs)
