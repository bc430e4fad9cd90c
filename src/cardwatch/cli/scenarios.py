"""Commands about golden scenarios."""
# ruff: noqa: PLC0415  commands import what they need when they run

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cardwatch.cli.application import (
    CommandError,
    app,
    examples,
    length_of_time,
    settings_and_root,
    show_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cardwatch.golden.found import Found
    from cardwatch.golden.scenario import Scenario

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
        "cardwatch up --detach && cardwatch scenarios run --live",
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
    live: Annotated[
        bool,
        typer.Option("--live", help="On the stack that runs here (`cardwatch up`), in real time."),
    ] = False,
    patience: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="With --live: what takes longer is not played, like 90s, 8m or 2h."
        ),
    ] = "8m",
) -> None:
    """Play scenarios through the job and the notifier, and say which are kept.

    A scenario says in YAML what happens to some cards, and the exact alerts and pages that come of
    it. All are played in one replay, through the detections of stolen cards, and behind it by the
    notifier's own code in the scenario's time. With --live they are played side by side on the
    running stack, shifted to now; what cannot be had there is named with the reason. The exit
    status is 1 when one is broken.
    """
    from cardwatch.golden.scenario import read_scenarios
    from cardwatch.local.processes.stopping import stop_on_signals
    from cardwatch.yaml_lines import YamlFileError

    longest = length_of_time(patience)
    if longest is None:
        msg = f"{patience!r} is no length of time like 90s, 8m or 2h"
        raise typer.BadParameter(msg, param_hint="--patience")
    try:
        scenarios = read_scenarios(folder, names or ())
    except YamlFileError as error:
        show_error(str(error))
        raise typer.Exit(1) from None
    with stop_on_signals():
        broken = _live(scenarios, longest, show=show) if live else _replayed(scenarios, show=show)
    if broken:
        raise typer.Exit(1)


def _progress(text: str) -> None:
    typer.echo(text, err=True)


def _replayed(scenarios: "Mapping[str, Scenario]", *, show: bool) -> int:
    from cardwatch.local.golden import play

    only_live = {name: each for name, each in scenarios.items() if each.disturbances}
    rest = {name: each for name, each in scenarios.items() if name not in only_live}
    played = play(rest, progress=_progress) if rest else []
    for each in played:
        _tell(each.name, each.question, each.broken, each.found if show else None)
    for name in only_live:
        typer.echo(f"not played  {name}: a replay has no stack to disturb; see --live")
    return _conclude([bool(each.broken) for each in played], len(only_live))


def _live(scenarios: "Mapping[str, Scenario]", patience: timedelta, *, show: bool) -> int:
    from cardwatch.clock import SystemClock
    from cardwatch.golden.live import LiveStackError
    from cardwatch.local.live_golden import LocalLiveStack, play_live
    from cardwatch.local.run.controls import StackControls
    from cardwatch.local.services import ministack

    settings, _ = settings_and_root()
    clock = SystemClock()
    clients = ministack.clients(settings)
    try:
        stack = LocalLiveStack.of(
            settings,
            clock=clock,
            warm=lambda outputs: StackControls(clients, outputs).call_notifier(),
        )
        played, not_live = play_live(
            scenarios, stack, clock=clock, patience=patience, progress=_progress
        )
    except LiveStackError as error:
        raise CommandError(str(error)) from None
    for name, each in played.items():
        _tell(name, scenarios[name].question, each.broken, each.found if show else None)
        for what in each.unawaited:
            typer.echo(f"        not live: {what}")
    for name, why in not_live.items():
        typer.echo(f"not live  {name}: {why}")
    return _conclude([bool(each.broken) for each in played.values()], len(not_live))


def _tell(name: str, question: str, broken: "Sequence[str]", found: "Found | None") -> None:
    from cardwatch.golden.comparison import told

    typer.echo(f"{'broken' if broken else 'kept'}  {name}: {question}")
    for line in (*broken, *(told(found) if found else ())):
        typer.echo(f"        {line}")


def _conclude(broken: "Sequence[bool]", left_out: int) -> int:
    rest = f", {left_out} not played" if left_out else ""
    typer.echo(f"{len(broken)} scenarios, {sum(broken)} broken{rest}")
    return sum(broken)
