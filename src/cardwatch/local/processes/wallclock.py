"""A wall clock that programs share and that can be moved while they run: builds the shim, moves it.

What the shim does, and what it leaves alone, is said in wallclock.c.
"""

import mmap
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

SOURCE: Final = Path(__file__).with_suffix(".c")
COMPILERS: Final = ("cc", "gcc", "clang")
FILE: Final = "WALLCLOCK_FILE"
PRELOAD: Final = "LD_PRELOAD"
ONLY: Final = "WALLCLOCK_ONLY"
"""Part of the name of the functions that have the clock, of all that have the shim."""
_BYTES: Final = 8


class NoWallClockError(Exception):
    """The clock cannot be moved here; the text says why and what helps."""


def build_shim(folder: Path, *, platform: str = sys.platform) -> Path:
    """Compile the shim into a folder and give it; raises NoWallClockError."""
    if not platform.startswith("linux"):
        msg = f"the clock is moved on Linux alone, and this is {platform}"
        raise NoWallClockError(msg)
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        msg = (
            f"a C compiler is needed ({', '.join(COMPILERS)}) and none is there; "
            "on Debian `apt-get install gcc libc6-dev` brings one"
        )
        raise NoWallClockError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    shim = folder.resolve() / "wallclock.so"
    new = shim.with_suffix(".new")
    options = ("-O2", "-Wall", "-shared", "-fPIC", "-o", str(new), str(SOURCE), "-ldl")
    ended = subprocess.run([compiler, *options], capture_output=True, text=True, check=False)
    if ended.returncode:
        msg = f"{SOURCE.name} cannot be compiled here: {ended.stderr.strip()}"
        raise NoWallClockError(msg)
    new.replace(shim)  # a program that still has the old one keeps it
    return shim


class WallClock:
    """The file by which all programs that carry the shim know how far their clock is off."""

    def __init__(self, shim: Path, file: Path) -> None:
        """Use what was built; where `file` is there, it is the clock that others have already."""
        self.shim: Final = shim
        self._file = file
        with suppress(FileExistsError), file.open("xb") as new:
            new.write(bytes(_BYTES))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _BYTES)
        # One write of eight bytes, so that no program sees half of it.
        self._offset = memoryview(self._shared).cast("q")

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Compile the shim into a folder, with a clock that is not off; raises NoWallClockError."""
        shim, file = build_shim(folder), folder.resolve() / "wallclock"
        file.unlink(missing_ok=True)
        return cls(shim, file)

    @property
    def environment(self) -> Mapping[str, str]:
        """Give the variables by which a program, and all that it starts, has this clock."""
        return {PRELOAD: str(self.shim), FILE: str(self._file)}

    @property
    def off_by(self) -> timedelta:
        """Give how far the clock is ahead."""
        return timedelta(microseconds=self._offset[0] // 1000)

    def advance(self, by: timedelta) -> None:
        """Move the clock of all programs that carry it, at once."""
        self.set_off(self.off_by + by)

    def set_off(self, by: timedelta) -> None:
        """Have it be so far ahead of the machine's, or behind it, from now on."""
        self._offset[0] = by // timedelta(microseconds=1) * 1000
