"""Draw what a terminal shows of the run that goes on here, for the README.

    .venv/bin/python tools/screenshot.py    while `make run` runs, after its first pages

Writes docs/live-view.svg, which names no font that a browser would have to fetch.
"""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from cardwatch.local.run.status import Status, status_path
from cardwatch.local.run.view import page_row, render
from cardwatch.settings import LocalSettings

ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / "docs" / "live-view.svg"
WIDTH: Final = 104
FONTS: Final = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def svg_of(status: Status) -> str:
    """Give the picture of a status: the latest pages above the live view."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)
    for page in status.counts.latest_pages:
        console.print(page_row(page))
    # Where the project lies on this machine is nobody's business.
    addresses = {n: a.replace(str(ROOT), "…") for n, a in status.addresses.items()}
    console.print(render(replace(status, addresses=addresses), width=WIDTH))
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    frame = frame.replace("Fira Code, monospace", FONTS).replace("font-family: arial", "")
    return console.export_svg(title="make run", code_format=frame, unique_id="run") + "\n"


def main() -> int:
    """Run the command line; gives the exit status."""
    facts = json.loads(status_path(LocalSettings.from_env().var).read_text())
    status = TypeAdapter(Status).validate_python(facts)
    if status.state != "running" or not status.counts.pages:
        print("screenshot: nothing runs here that has paged yet", file=sys.stderr)
        return 1
    OUT.write_text(svg_of(status), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
