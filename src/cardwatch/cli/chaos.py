"""The command that tries faults on the whole system."""
# ruff: noqa: PLC0415  commands import what they need when they run

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cardwatch.cli.application import app, examples, settings_and_root
from cardwatch.cli.run import RateOption


@app.command(
    hidden=True,
    epilog=examples(
        "cardwatch chaos --minutes 3",
        "cardwatch chaos --minutes 20 --seed 7 --document docs/reliability.md",
    ),
)
def chaos(
    *,
    minutes: Annotated[float, typer.Option(min=1, max=600, help="Minutes of payments.")] = 20.0,
    seed: Annotated[
        int, typer.Option(min=0, help="Decides what is tried when; the same seed, the same faults.")
    ] = 1,
    rate: RateOption = 100.0,
    document: Annotated[
        Path | None,
        typer.Option("--document", help="Put the table into this file, between its marks."),
    ] = None,
) -> None:
    """Do what `make chaos` asks for: a measured run, with faults all the time.

    A proxy before the AWS API refuses, loses, doubles and delays; programs are killed, the disk
    fills, shards are split, clocks jump. In the end the run is judged, its warehouse audited, and
    var/chaos.json has the table. Ctrl-C undoes what is on and stops everything.

    The exit status is 0 when nothing was lost and nothing doubled without being marked.
    """
    from rich.console import Console

    from cardwatch.cards.card_file import read_card_file
    from cardwatch.local.chaos.chaos_run import ChaosOptions, run_chaos

    settings, root = settings_and_root()
    read_card_file(root / settings.cards, now=datetime.now(UTC))
    options = ChaosOptions(seconds=minutes * 60, seed=seed, rate=rate, document=document)
    code = run_chaos(settings, root, options, Console())
    if code:
        raise typer.Exit(code)
