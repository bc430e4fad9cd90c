"""Checks the lines of a file of envelopes by the contract, in processes side by side.

The lines are handed out in blocks and the answers are taken in the order of the blocks, so what
comes out is what one process would have found, in the same order.
"""

import gzip
import multiprocessing
import os
import signal
import threading
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BufferedReader
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.local.processes.stopping import stop_held

BLOCK_BYTES: Final = 1 << 20
"""About 2,700 lines, a tenth of a second of work: little of a file, much beside the hand-over."""
NICENESS: Final = 10
"""Checking gives way to the detections, which take longer."""


class UnreadableError(Exception):
    """The file breaks off, or its disk does; the text says how."""


class CheckEndedError(Exception):
    """A process that checks was ended from outside."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that breaks the contract."""

    line: int
    """Its number, from 1."""
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in some lines that follow one another."""

    lines: int
    rejections: tuple[Rejection, ...]


def opened(path: Path) -> BufferedReader | gzip.GzipFile:
    """Open a .jsonl or .jsonl.gz file; raises OSError."""
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")


def processes_for_checking() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_lines(
    path: Path, *, processes: int | None = None, block_bytes: int = BLOCK_BYTES
) -> Generator[Checked, None, None]:
    """Check a file, a block of about `block_bytes` at a time, in the file's order.

    `processes`: at most so many side by side; None: one per core. Raises UnreadableError where the
    file cannot be read on, what stands before that place has been given, and CheckEndedError.
    """
    now = datetime.now(UTC)
    count = processes or processes_for_checking()
    number = 0

    def answered(checker: Connection) -> Checked:
        nonlocal number
        lines, found = _answer_of(checker)
        before, number = number, number + lines
        return Checked(lines, tuple(replace(each, line=before + each.line) for each in found))

    with ExitStack() as ending:
        with stop_held():
            free = [ending.enter_context(_checker(now)) for _ in range(count)]
        busy: deque[Connection] = deque()
        broken: Exception | None = None
        try:
            for block in _blocks(path, block_bytes):
                if not free:
                    free.append(busy.popleft())
                    yield answered(free[0])
                busy.append(free.pop())
                _hand_to(busy[-1], block)
        except (OSError, EOFError, zlib.error) as error:
            broken = error
        for checker in busy:
            yield answered(checker)
        if broken is not None:
            raise UnreadableError(str(broken)) from broken


@contextmanager
def _checker(now: datetime) -> Iterator[Connection]:
    """Run a process that checks one block after the other, and give our end of its pipe.

    Not a pool of the library's: that one waits for its processes, whose answers nobody wants any
    more and which may need minutes for them where they give way, and killing one that writes hangs
    it. Here a stop may come at any line.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_answer_blocks, args=(theirs, now))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        with stop_held():
            process.kill()
            process.join()
            ours.close()


def _hand_to(checker: Connection, block: bytes) -> None:
    try:
        checker.send_bytes(block)
    except OSError:
        raise CheckEndedError from None


def _answer_of(checker: Connection) -> tuple[int, list[Rejection]]:
    try:
        answer = checker.recv()
    except (EOFError, OSError):
        raise CheckEndedError from None
    if isinstance(answer, Exception):
        raise answer
    lines, found = answer
    return lines, found


def _blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    """Give a file in blocks of whole lines."""
    with opened(path) as file:
        while block := file.read(block_bytes):
            yield block + file.readline()


def _answer_blocks(asked: Connection, now: datetime) -> None:
    """Check what comes. A signal to stop is its parent's to act on, whose end is its own."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    os.nice(NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            asked.send(_check(asked.recv_bytes(), now))
        except (EOFError, BrokenPipeError):
            return
        except Exception as error:  # noqa: BLE001  the one who asked raises it
            asked.send(error)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _check(block: bytes, now: datetime) -> tuple[int, list[Rejection]]:
    """Give the number of lines, and those rejected, counted from 1 in the block."""
    lines = block.split(b"\n")
    if not lines[-1]:
        del lines[-1]
    rejections = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue  # a blank line is no event
        try:
            read_event(line, now=now)
        except RejectedRecord as error:
            rejections.append(Rejection(number, error.reason, error.detail))
    return len(lines), rejections
