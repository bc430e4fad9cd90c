"""Commands about the risk desk's rules."""
# ruff: noqa: PLC0415  commands import what they need when they run

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cardwatch.cli.application import app, examples, show_error
from cardwatch.cli.recover import StackOption, deployment_of

if TYPE_CHECKING:
    from cardwatch.local.trial import Trial
    from cardwatch.ports import EventStream
    from cardwatch.rules.file import RulesFile
    from cardwatch.rules.publication import Publication, RuleHistory

RULES_FILE: Final = Path("rules.yaml")

rules_app = typer.Typer(
    help="Change the risk desk's rules while it runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("cardwatch rules diff rules.yaml", "cardwatch rules publish rules.yaml"),
)

app.add_typer(rules_app, name="rules")

FileArgument = Annotated[
    Path, typer.Argument(metavar="RULES.yaml", help="The rules file; see docs/rules.md.")
]
NoteOption = Annotated[
    str | None, typer.Option("--note", help="Why, for those who read the history.")
]


@rules_app.command("validate", epilog=examples("cardwatch rules validate rules.yaml"))
def rules_validate(file: FileArgument = RULES_FILE) -> None:
    """Say whether a rules file is one, and of each problem its line.

    The exit status is 1 when it is not.
    """
    read = _read(file)
    typer.echo(f"{file}: version {read.version}, {len(read.settings())} rules")


@rules_app.command(
    "diff",
    epilog=examples(
        "cardwatch rules diff my.yaml",
        "cardwatch rules diff my.yaml --version 3",
        "cardwatch rules diff my.yaml --stack cardwatch",
    ),
)
def rules_diff(
    file: FileArgument = RULES_FILE,
    *,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", min=1, help="What to compare with.", show_default="the one in force"
        ),
    ] = None,
    stack: StackOption = None,
) -> None:
    """Show what a rules file would change."""
    from cardwatch.rules.publication import differences, in_force, newest_first

    read = _read(file)
    history, _ = _published(stack)
    if version is not None:
        published: Publication | None = history.read(version)
    else:
        published = in_force(newest_first(history))
    if published is None:
        typer.echo("no version is published: the job has its own, the rules.yaml it was built with")
        return
    typer.echo(f"version {published.version} -> {file}, version {read.version}")
    lines = list(differences(published.settings, read.settings()))
    for line in lines or ["no setting differs"]:
        typer.echo(f"  {line}")


@rules_app.command(
    "publish",
    epilog=examples(
        "cardwatch rules publish my.yaml --note 'many refunds these days'",
        "cardwatch rules publish my.yaml --shadow",
        "cardwatch rules publish my.yaml --stack cardwatch",
    ),
)
def rules_publish(
    file: FileArgument = RULES_FILE,
    *,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Only count beside the rules in force; its alerts never page."
        ),
    ] = False,
    note: NoteOption = None,
    stack: StackOption = None,
) -> None:
    """Bring a rules file to the running job.

    It holds for payments from now on, and within seconds. The file's version must be greater than
    every version published before. The exit status is 1 when it is not taken; what was in force
    stays.
    """
    from cardwatch.rules.publication import Publication

    read = _read(file)
    history, stream = _published(stack)
    publication = Publication(read.version, _now(), read.settings(shadow=shadow), note)
    _publish(publication, history, stream)


@rules_app.command(
    "history",
    epilog=examples("cardwatch rules history", "cardwatch rules history --stack cardwatch"),
)
def rules_history(*, stack: StackOption = None) -> None:
    """Show every version that was published, what it changed, the newest first."""
    from cardwatch.rules.publication import differences, in_force, in_use, newest_first

    history, _ = _published(stack)
    publications = list(newest_first(history))
    if not publications:
        typer.echo("no version is published: the job has its own, the rules.yaml it was built with")
        return
    used = [publication.version for publication in in_use(publications)]
    for place, publication in enumerate(publications):
        shadow, now = publication.shadow, publication.version in used
        state = ("in shadow" if shadow else "in force") if now else "shadow" if shadow else ""
        said = [f"{publication.published_at:%Y-%m-%d %H:%M:%S} UTC", state, publication.note or ""]
        typer.echo(f"{publication.version:>4}  {', '.join(part for part in said if part)}")
        before = in_force(publications[place + 1 :])
        changed = differences(before.settings, publication.settings) if before else ()
        for line in changed:
            typer.echo(f"      {line}")


@rules_app.command(
    "rollback",
    epilog=examples("cardwatch rules rollback", "cardwatch rules rollback --version 3"),
)
def rules_rollback(
    *,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", min=1, help="Which one.", show_default="the one before that in force"
        ),
    ] = None,
    stack: StackOption = None,
) -> None:
    """Publish the settings of an earlier version again, as the next version."""
    from cardwatch.rules.publication import rolled_back

    history, stream = _published(stack)
    _publish(rolled_back(history, version, now=_now()), history, stream)


@rules_app.command(
    "try",
    epilog=examples(
        "cardwatch rules try my.yaml payments.jsonl",
        "cardwatch rules try my.yaml backup/2026/11/21 --out tried",
    ),
)
def rules_try(
    file: FileArgument,
    input_file: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A file or folder of envelopes, as `cardwatch replay` takes it.",
        ),
    ],
    *,
    against: Annotated[
        Path, typer.Option("--against", help="The rules file to compare with.")
    ] = RULES_FILE,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for the alerts.", show_default="none")
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack", help="Compare with what is in force on this stack.", show_default="--against"
        ),
    ] = None,
) -> None:
    """Try a rules file on past payments, beside the rules in force.

    Says per rule what it would have fired, how many alerts a day that makes, and how many of them
    the rules in force have as well. Which of them were fraud is not known yet.
    """
    import tempfile
    from contextlib import ExitStack

    from cardwatch.local.processes.stopping import stop_on_signals
    from cardwatch.local.trial import try_rules
    from cardwatch.rules.publication import Publication, in_force, newest_first

    read, known = _read(file), None
    if stack is not None:
        history, _ = _published(stack)
        known = in_force(newest_first(history))
    if known is None:
        other = _read(against)
        known = Publication(other.version, _now(), other.settings())

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    with stop_on_signals(), ExitStack() as opened:
        folder = out or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        tried = Publication(read.version, _now(), read.settings())
        found = try_rules(tried, known, input_file, folder, progress=progress)
    _show_trial(found)


def _show_trial(trial: "Trial") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("rule")
    for name in ("fired", "a day", "in force", "both", "only new", "only old", "fraud", "good"):
        table.add_column(name, justify="right")
    for each in trial.rules:
        figures = [each.fired, each.in_force, each.both, each.fired - each.both]
        fired, known, both, only = map(str, figures)
        a_day = "-" if each.per_day is None else f"{each.per_day:,.0f}"
        table.add_row(each.rule, fired, a_day, known, both, only, str(each.missed), "-", "-")
    Console(width=100).print(table)
    hours, rest = divmod(round(trial.seconds), 3_600)
    typer.echo(
        f"{trial.payments:,} payments of {hours} h {rest // 60} min {rest % 60} s; which were "
        "fraud is not known: there are no labels yet"
    )


def _read(file: Path) -> "RulesFile":
    """Read a rules file, or show its problems and end with 1."""
    from cardwatch.rules.file import read_rules_file
    from cardwatch.yaml_lines import YamlFileError

    try:
        return read_rules_file(file)
    except YamlFileError as error:
        show_error(str(error))
        raise typer.Exit(1) from None


def _published(stack: str | None) -> "tuple[RuleHistory, EventStream]":
    from cardwatch.bootstrap.event_import import build_stream
    from cardwatch.bootstrap.rules import build_rule_history

    found = deployment_of(stack)
    return (
        build_rule_history(found.delivery_bucket, found.clients),
        build_stream(found.stream_name, found.clients),
    )


def _publish(publication: "Publication", history: "RuleHistory", stream: "EventStream") -> None:
    from cardwatch.rules.publication import publish

    outcome = publish(publication, history, stream)
    how = " in shadow" if publication.shadow else ""
    note = f": {publication.note}" if publication.note else ""
    typer.echo(f"published version {publication.version}{how}{note}")
    if outcome.undelivered:
        typer.echo(
            f"the stream did not take {len(outcome.undelivered)} of {len(publication.settings)} "
            f"events ({outcome.undelivered[0].error_code}): they come with what is published again "
            "each minute",
            err=True,
        )


def _now() -> datetime:
    """Give the time of a publication, as exact as an event's."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
