"""Commands that make events."""
# ruff: noqa: PLC0415  commands import what they need when they run

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cardwatch.cli.application import CommandError, app, examples
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardwatch.cards.tokenizer import Tokenizer
    from cardwatch.imports.importing import ImportReport
    from cardwatch.imports.outputs import StreamOutput
    from cardwatch.ports import EventStream

PROGRESS_SECONDS: Final = 0.5

events_app = typer.Typer(
    help="Make events of payments that you have.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("cardwatch events import payments.csv --mapping my.yaml --out events.jsonl"),
)

app.add_typer(events_app, name="events")


@events_app.command(
    "import",
    epilog=examples(
        "cardwatch events import fraudTrain.csv --mapping sparkov --key-file key.hex "
        "--out events.jsonl.gz",
        "cardwatch events import fraudTrain.csv --mapping sparkov --key-file key.hex "
        "--stolen stolen.txt --labels truth.jsonl --out events.jsonl",
        "cardwatch events import payments.parquet --mapping my.yaml --to-stream",
    ),
)
def events_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet, with a header.")],
    *,
    mapping: Annotated[
        str,
        typer.Option(
            "--mapping",
            metavar="NAME|FILE",
            help="What its columns mean: sparkov, paysim, ieee_cis, or a YAML file; see "
            "docs/import.md.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write, .jsonl or .jsonl.gz.")
    ] = None,
    to_stream: Annotated[
        bool, typer.Option("--to-stream", help="Put them on the running stack's stream instead.")
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            help="The key of the card tokens, 32 bytes or more, raw or in hex.",
            show_default="the running stack's key",
        ),
    ] = None,
    stolen: Annotated[
        Path | None,
        typer.Option("--stolen", help="Stolen cards: numbers or references, one a line."),
    ] = None,
    stolen_from: Annotated[
        str | None,
        typer.Option(
            "--stolen-from",
            metavar="TIME",
            help="Since when, with a zone.",
            show_default="a day before the first payment",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="The time, with a zone, that the first row gets; all others move with it.",
            show_default="the mapping's shift",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Write which payments were fraud: JSON lines.")
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="The column that says so.",
            show_default="the mapping's",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write every rejected row: JSON lines.")
    ] = None,
) -> None:
    """Make a file of payments into events, for `cardwatch replay` or the stream.

    Card numbers become tokens on the way and are kept nowhere. The exit status is 1 when nothing
    was written, or the stream did not take all.
    """
    from cardwatch.imports.importing import import_rows, told
    from cardwatch.imports.mapping import find_mapping
    from cardwatch.imports.outputs import StreamOutput, lines_file
    from cardwatch.imports.stolen import read_stolen
    from cardwatch.imports.table import open_table
    from cardwatch.local.processes.stopping import stop_on_signals

    _check_outputs(file, out, labels, report, to_stream=to_stream)
    first_at = read_instant("--start", start)
    stolen_at = read_instant("--stolen-from", stolen_from)
    found = find_mapping(mapping).with_label(label_column)
    columns = found.columns()
    if labels is not None:
        if found.label is None:
            msg = "--labels needs a column: name it with --label-column, or label: in the mapping"
            raise CommandError(msg)
        columns[found.label.column] = True
    table = open_table(file, columns, separator=found.separator, encoding=found.encoding)
    tokenizer = _tokenizer(key_file)
    now = datetime.now(UTC)
    cards = read_stolen(stolen, found, tokenizer, now=now) if stolen is not None else {}
    with stop_on_signals(), ExitStack() as opened:
        truth = opened.enter_context(lines_file(labels)) if labels else None
        rejected = opened.enter_context(lines_file(report, even_empty=True)) if report else None
        output = opened.enter_context(lines_file(out)) if out else StreamOutput(_stream())
        done = import_rows(
            table,
            found,
            tokenizer,
            output,
            now=now,
            start=first_at,
            stolen=cards,
            stolen_from=stolen_at,
            labels=truth.write if truth else None,
            refusals=rejected.write if rejected else None,
            progress=opened.enter_context(_Progress()),
        )
        if isinstance(output, StreamOutput):
            output.flush()
    for line in told(done, written_to=str(out) if out else "the stream"):
        typer.echo(line)
    undelivered = isinstance(output, StreamOutput) and _show_undelivered(output)
    if undelivered or not done.payments:
        raise typer.Exit(1)


def _check_outputs(
    file: Path, out: Path | None, labels: Path | None, report: Path | None, *, to_stream: bool
) -> None:
    if to_stream == (out is not None):
        msg = "say where the events go: --out FILE or --to-stream, one of the two"
        raise CommandError(msg)
    written = [path.resolve() for path in (out, labels, report) if path is not None]
    if len({file.resolve(), *written}) <= len(written):
        msg = "FILE, --out, --labels and --report must be different files"
        raise CommandError(msg)


def read_instant(option: str, text: str | None) -> datetime | None:
    from cardwatch.contract.fields import parse_time

    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        msg = f"{option} {error}"
        raise CommandError(msg) from None


def _tokenizer(key_file: Path | None) -> "Tokenizer":
    """Give the tokenizer under the file's key, or the running stack's; raises CommandError."""
    from cardwatch.cards.key_file import read_key_file
    from cardwatch.cards.tokenizer import Tokenizer

    if key_file is not None:
        return Tokenizer(read_key_file(key_file))

    from cardwatch.bootstrap.event_import import build_tokenizer
    from cardwatch.local.errors import LocalStackError
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs

    settings = LocalSettings.from_env()
    try:
        outputs = read_outputs(settings)
    except LocalStackError as error:
        msg = f"no key for the card tokens: give --key-file FILE, or use a running stack's: {error}"
        raise CommandError(msg) from None
    return build_tokenizer(outputs.token_key_secret, ministack.clients(settings))


def _stream() -> "EventStream":
    from cardwatch.bootstrap.event_import import build_stream
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs

    settings = LocalSettings.from_env()
    return build_stream(read_outputs(settings).stream_name, ministack.clients(settings))


def _show_undelivered(output: "StreamOutput") -> bool:
    for why, count in output.undelivered.items():
        typer.echo(f"not taken by the stream: {count} events ({why}); import again", err=True)
    return bool(output.undelivered)


class _Progress:
    """Says on a terminal how far an import is."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status = self._console.status("reading")
        self._next = time.monotonic()

    def __enter__(self) -> "Callable[[ImportReport], None]":
        if self._console.is_terminal:
            self._status.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def _show(self, report: "ImportReport") -> None:
        if self._console.is_terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_SECONDS
            self._status.update(f"{report.rows:,} rows, {report.refused.total():,} rejected")
