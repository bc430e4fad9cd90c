"""What `flink run` runs on one machine: the Flink application, as soon as its properties are there.

Starting Java and loading PyFlink needs nothing of the stack, so that is done while the stack is
deployed. Then the application's own program runs, with the arguments as they are.

It runs in Flink's environment, where cardwatch is not installed; the application is on its path.
"""

import os
import sys
import time
from pathlib import Path

import pyflink.table  # noqa: F401  what the application loads anyway
from pyflink.fn_execution import flink_fn_execution_pb2  # noqa: F401  what Python functions load

import main as application

POLL_SECONDS = 0.05


def main(arguments: list[str]) -> None:
    """Wait for the file that `--properties` names, and submit the job."""
    properties = Path(arguments[arguments.index("--properties") + 1])
    parent = os.getppid()
    while not properties.exists():
        if os.getppid() != parent:  # the stack was stopped meanwhile
            sys.exit(1)
        time.sleep(POLL_SECONDS)
    application.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
