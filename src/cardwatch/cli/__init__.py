"""The command line: `cardwatch …`.

Commands import what they need when they run, so that `--help` answers at once. An error that
people can mend is one line: what, where, how. `--debug` shows the traceback as well.
"""

import sys
import traceback
from typing import Final

# In the order in which `--help` lists their commands.
# isort: off
from cardwatch.cli.application import app, show_error
from cardwatch.cli import (  # noqa: F401  each adds its commands
    run,
    chaos,
    monitor,
    audit,
    recover,
    acts,
    functions,
    cards,
    events,
    rules,
    scenarios,
)
# isort: on

INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status, and never shows a traceback unasked."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments, prog_name="cardwatch")
    except SystemExit as ended:  # how typer ends a command, wrong usage included
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last line of defence shows one line, not a trace
        if "--debug" in arguments:
            traceback.print_exc()
        show_error(f"cardwatch: {_in_one_line(error)}")
        return 1
    return 0


def _in_one_line(error: Exception) -> str:
    """Describe an error; one that nobody foresaw may quote data, so only its kind is told."""
    if type(error).__module__.startswith("cardwatch."):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}"
    if isinstance(error, ValueError) and type(error) is ValueError:
        return " ".join(str(error).split())
    return f"unexpected {type(error).__name__}; run the command with --debug to see where"
