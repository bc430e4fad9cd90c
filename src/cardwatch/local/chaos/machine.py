"""What of the machine faults need: a small disk of a run's own, and clocks that can be moved.

Neither outlives the run or is seen by anybody else: the disk is mounted in a namespace that ends
with its processes, and a clock is that of a process that loads wallclock.c.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import struct
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 64 * 1024 * 1024
NOTIFIER: Final = "NotifierFunction"
SOURCE: Final = Path(__file__).with_name("wallclock.c")
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
    """The wall clocks of some programs."""

    def __init__(self, folder: Path) -> None:
        """Build what moves them into `folder`; raises UntriedError."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            msg = "there is no C compiler to build what moves a process's clock"
            raise UntriedError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._library = folder / "wallclock.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
        built = subprocess.run([*command, "-ldl"], capture_output=True, text=True, check=False)
        if built.returncode:
            said = (built.stderr.strip() or "it said nothing").splitlines()[-1]
            msg = f"what moves a process's clock does not compile: {said}"
            raise UntriedError(msg)

    def environment(self, program: str, *, only: str = "") -> dict[str, str]:
        """Give what a program's environment needs; `only` names functions of the emulator."""
        self.move(program, timedelta())
        return {
            "LD_PRELOAD": str(self._library),
            "WALLCLOCK_FILE": str(self._file(program)),
            **({"WALLCLOCK_ONLY": only} if only else {}),
        }

    def move(self, program: str, by: timedelta) -> None:
        """Set how far a program's clock is from the machine's."""
        nanoseconds = by // timedelta(microseconds=1) * 1000
        path = self._file(program)
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
        with path.open("r+b") as file:
            file.write(struct.pack("<q", nanoseconds))

    def _file(self, program: str) -> Path:
        return self._folder / f"{program}.clock"
