"""A run in the background: started, watched until everything runs, and left alone."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.run.status import read_status, status_path
from cardwatch.settings import LocalSettings

UP_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 0.5


def start_detached(
    settings: LocalSettings, options: Sequence[str], *, progress: Callable[[str], None]
) -> None:
    """Run `cardwatch up` with these options in the background, and wait until everything runs.

    What it says goes to `var/log/up.out`. Raises LocalStackError with its last words when it ends
    before that, and when a run is going, whose log is then left as it is.
    """
    RunFolder(settings.var).check_free()
    log = settings.var / "log" / "up.out"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with log.open("ab") as output:  # appending, so that it can be emptied when it grows long
        process = subprocess.Popen(
            [sys.executable, "-m", "cardwatch.cli", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    began = time.time()
    said = ""
    while time.time() - began < UP_SECONDS:
        if process.poll() is not None:
            words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise LocalStackError(words[-1].removeprefix("cardwatch: "))
        path = status_path(settings.var)
        if path.exists() and path.stat().st_mtime > began:
            facts = read_status(path, running=True) or {}
            if facts.get("state") == "running":
                return
            if facts.get("doing", said) != said:
                said = facts["doing"]
                progress(said)
        time.sleep(LOOK_SECONDS)
    msg = f"not everything runs after {UP_SECONDS:.0f} s; see {log}; `cardwatch down` stops it"
    raise LocalStackError(msg)
