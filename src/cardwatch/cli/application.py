"""What all commands share: the application, how examples are written, where the project is."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from cardwatch.settings import LocalSettings

PROJECT_FILE: Final = "template.yaml"


_LENGTH: Final = re.compile(r"(\d{1,4})(s|m|h|d)", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class CommandError(Exception):
    """What was asked for cannot be done; the text says what, where and how to mend it."""


def examples(*lines: str) -> str:
    """Give the examples that end a command's help."""
    # The backspace is click's mark for lines to keep apart.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def show_error(text: str) -> None:
    """Say what is wrong; a card number that somebody wrote into a file is not written again."""
    from cardwatch.contract.card_numbers import mask_card_numbers  # noqa: PLC0415  needed for errors alone

    typer.echo(mask_card_numbers(text), err=True)


def length_of_time(text: str) -> timedelta | None:
    """Read a length of time like 90s, 15m, 2h or 7d; None where it is none."""
    found = _LENGTH.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


app = typer.Typer(
    name="cardwatch",
    help="Pages the risk team within seconds when a stolen card is used.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("cardwatch up", "cardwatch pages --follow", "cardwatch down"),
)


@app.callback()
def debug_option(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error as well.")
    ] = False,
) -> None:
    """Pages the risk team within seconds when a stolen card is used."""
    del debug  # main looks at it, so that it also holds for errors before a command begins


def settings_and_root() -> tuple[LocalSettings, Path]:
    """Give the settings and the project's folder; raises CommandError anywhere else."""
    settings = LocalSettings.from_env()
    root = Path.cwd()
    if not (root / PROJECT_FILE).is_file():
        msg = (
            f"{root} is not cardwatch's project folder ({PROJECT_FILE} is missing); go there first"
        )
        raise CommandError(msg)
    return settings, root
