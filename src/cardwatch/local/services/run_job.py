"""Runs the Flink application in this process and a Java of its own: the risk desk's on one machine.

It goes on from the newest checkpoint below the folder that the properties name for them, so that a
killed program loses nothing and starts no window anew.

It runs in Flink's environment, where cardwatch is not installed; the application is on its path.
"""

import json
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import main as application

FLINK_GROUP = "cardwatch.flink"
CHECKPOINTS = "execution.checkpointing.dir"
RESUME = "execution.state-recovery.path"


def resumed(properties: Path) -> Path:
    """Give the properties with the checkpoint to go on from, if there is one."""
    groups = json.loads(properties.read_text())
    options = next(g["PropertyMap"] for g in groups if g["PropertyGroupId"] == FLINK_GROUP)
    folder = Path(url2pathname(urlparse(options[CHECKPOINTS]).path))
    written = sorted(folder.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime)
    if not written:
        return properties
    options[RESUME] = written[-1].parent.as_uri()
    changed = properties.with_name(f"resumed-{properties.name}")
    changed.write_text(json.dumps(groups, indent=1) + "\n")
    return changed


def main(arguments: list[str]) -> None:
    """Run the application until it is stopped; `--properties` names its properties."""
    at = arguments.index("--properties") + 1
    properties = resumed(Path(arguments[at]))
    application.main([*arguments[:at], str(properties), *arguments[at + 1 :]])


if __name__ == "__main__":
    main(sys.argv[1:])
