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
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BufferedReader
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
    file cannot be read on; what stands before that place has been given.
    """
    now = datetime.now(UTC)
    count = processes or processes_for_checking()
    waiting: deque[Future[tuple[int, list[Rejection]]]] = deque()
    number = 0

    def first_answer() -> Checked:
        nonlocal number
        lines, found = waiting.popleft().result()
        before, number = number, number + lines
        return Checked(lines, tuple(replace(each, line=before + each.line) for each in found))

    pool = ProcessPoolExecutor(count, initializer=_begin)
    broken: Exception | None = None
    try:
        try:
            for block in _blocks(path, block_bytes):
                with stop_held():  # the first of them starts the processes
                    waiting.append(pool.submit(_check, block, now))
                # As many again are ready for whoever is done first; more would only use memory.
                while len(waiting) > 2 * count:
                    yield first_answer()
        except (OSError, EOFError, zlib.error) as error:
            broken = error
        while waiting:
            yield first_answer()
        if broken is not None:
            raise UnreadableError(str(broken)) from broken
    finally:
        pool.shutdown(cancel_futures=True)


def _blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    """Give a file in blocks of whole lines."""
    with opened(path) as file:
        while block := file.read(block_bytes):
            yield block + file.readline()


def _begin() -> None:
    """Prepare a process: a signal to stop is its parent's to act on, whose end is its own."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    os.nice(NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


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
