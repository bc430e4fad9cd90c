"""Commands about golden scenarios."""
# ruff: noqa: PLC0415  commands import what they need when they run

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cardwatch.cli.application import app, examples, show_error

if TYPE_CHECKING:
    from cardwatch.golden.found import Found

SCENARIOS: Final = Path("scenarios")

scenarios_app = typer.Typer(
    help="Play scenarios; say which are kept.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("cardwatch scenarios run", "cardwatch scenarios run window_edges"),
)

app.add_typer(scenarios_app, name="scenarios")


@scenarios_app.command(
    "run",
    epilog=examples(
        "cardwatch scenarios run",
        "cardwatch scenarios run window_edges storm_on_one_card",
        "cardwatch scenarios run --from my_scenarios --show",
    ),
)
def scenarios_run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Which ones: the names of their files, without .yaml.",
            show_default="all of them",
        ),
    ] = None,
    *,
    folder: Annotated[
        Path, typer.Option("--from", help="The folder with the files; see docs/scenarios.md.")
    ] = SCENARIOS,
    show: Annotated[
        bool, typer.Option("--show", help="Say also what came of each: alerts, pages, summaries.")
    ] = False,
) -> None:
    """Play scenarios through the job and the notifier, and say which are kept.

    A scenario says in YAML what happens to some cards, and the exact alerts and pages that come of
    it. All are played in one replay, through the detections of stolen cards, and behind it by the
    notifier's own code in the scenario's time. The exit status is 1 when one is broken.
    """
    from cardwatch.golden.scenario import read_scenarios
    from cardwatch.local.golden import play
    from cardwatch.local.processes.stopping import stop_on_signals
    from cardwatch.yaml_lines import YamlFileError

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    try:
        scenarios = read_scenarios(folder, names or ())
    except YamlFileError as error:
        show_error(str(error))
        raise typer.Exit(1) from None
    with stop_on_signals():
        played = play(scenarios, progress=progress)
    for each in played:
        typer.echo(f"{'broken' if each.broken else 'kept'}  {each.name}: {each.question}")
        for difference in each.broken:
            typer.echo(f"        {difference}")
        if show:
            _show(each.found)
    broken = sum(bool(each.broken) for each in played)
    typer.echo(f"{len(played)} scenarios, {broken} broken")
    if broken:
        raise typer.Exit(1)


def _show(found: "Found") -> None:
    from cardwatch.golden.comparison import told

    for line in told(found):
        typer.echo(f"        {line}")
