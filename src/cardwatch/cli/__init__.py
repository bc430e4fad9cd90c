"""The command line: `cardwatch …`.

Commands import what they need when they run, so that `--help` answers at once. An error that
people can mend is one line: what, where, how. `--debug` shows the traceback as well.
"""

import io
import sys
import traceback
from collections.abc import Callable
from typing import IO, Final, Protocol, cast

from typer.exceptions import TyperException

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


class _Shown(Protocol):
    """How typer's wrong usage is shown: usage, where help is, and what is wrong."""

    def show(self, file: IO[str]) -> None: ...


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status, and never shows a traceback unasked."""
    return run_command_line(app, sys.argv[1:] if arguments is None else arguments)


def run_command_line(command: Callable[..., object], arguments: list[str]) -> int:
    """Run a command of typer's; gives the exit status, and shows every error in its way."""
    try:
        ended = command(arguments, prog_name="cardwatch", standalone_mode=False)
    except TyperException as error:  # wrong usage
        shown = io.StringIO()
        cast("_Shown", error).show(shown)
        show_error(shown.getvalue().rstrip("\n"))
        return error.exit_code
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last line of defence shows one line, not a trace
        if "--debug" in arguments:
            traceback.print_exc()
        show_error(f"cardwatch: {_in_one_line(error)}")
        return 1
    return ended if isinstance(ended, int) else 0


def _in_one_line(error: Exception) -> str:
    """Describe an error; one that nobody foresaw may quote data, so only its kind is told."""
    if type(error).__module__.startswith("cardwatch."):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}"
    if isinstance(error, ValueError) and type(error) is ValueError:
        return " ".join(str(error).split())
    return f"unexpected {type(error).__name__}; run the command with --debug to see where"
