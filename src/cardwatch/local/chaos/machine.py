"""What of the machine faults need: a small disk of a run's own, and clocks that can be moved.

Neither outlives the run or is seen by anybody else: the disk is mounted in a namespace that ends
with its processes, and a clock is that of the processes that load its shim.
"""

import ctypes
import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Final

from cardwatch.local.processes.wallclock import ONLY, NoWallClockError, WallClock, build_shim

DISK_BYTES: Final = 64 * 1024 * 1024
NOTIFIER: Final = "NotifierFunction"
_CLONE_NEWNS: Final = 0x00020000
_MS_REC_PRIVATE: Final = 0x4000 | 0x40000
_FILL: Final = "fill"
_BLOCK: Final = 256 * 1024


class UntriedError(Exception):
    """A kind of fault cannot be tried here; the text says why."""


class SmallDisk:
    """A file system of a few megabytes that can be filled."""

    def __init__(self, folder: Path) -> None:
        """Mount it on `folder` for this process and what it starts; raises UntriedError."""
        self.folder = folder
        libc = ctypes.CDLL(None, use_errno=True)
        folder.mkdir(parents=True, exist_ok=True)
        options = f"size={DISK_BYTES}".encode()
        if (
            libc.unshare(_CLONE_NEWNS)
            or libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
            or libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options)
        ):
            why = os.strerror(ctypes.get_errno())
            msg = f"no file system may be mounted here ({why})"
            raise UntriedError(msg)

    def fill(self) -> None:
        """Leave no byte free."""
        block = b"\0" * _BLOCK
        with (self.folder / _FILL).open("ab", buffering=0) as fill:
            try:
                while True:
                    fill.write(block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / _FILL).unlink(missing_ok=True)


class Clocks:
    """The wall clocks of some programs, each of its own."""

    def __init__(self, folder: Path) -> None:
        """Build what moves them into `folder`; raises UntriedError."""
        try:
            self._shim = build_shim(folder)
        except NoWallClockError as error:
            raise UntriedError(str(error)) from None
        self._folder = folder.resolve()
        self._clocks: dict[str, WallClock] = {}

    def environment(self, program: str, *, only: str = "") -> dict[str, str]:
        """Give what a program's environment needs; `only` names functions of the emulator."""
        clock = WallClock(self._shim, self._folder / f"{program}.clock")
        self._clocks[program] = clock
        return {**clock.environment, **({ONLY: only} if only else {})}

    def move(self, program: str, by: timedelta) -> None:
        """Set how far the clock of a program that has one is from the machine's."""
        self._clocks[program].set_off(by)
