"""Commands about the whole system on this machine, and the detections over a file."""
# ruff: noqa: PLC0415  commands import what they need when they run

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from cardwatch.cli.application import CommandError, app, examples, settings_and_root
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cardwatch.acts.records import DoneAct
    from cardwatch.local.run.stack import StackOptions
    from cardwatch.local.witness.receipts import PageReceived

FOLLOW_SECONDS: Final = 0.5
NEWEST_PAGES: Final = 20

RateOption = Annotated[
    float, typer.Option("--rate", min=0.001, max=10_000, help="Simulated payments per second.")
]
FaultsOption = Annotated[
    str,
    typer.Option("--faults", help="Faults to inject: none, all, or names: late,malformed."),
]
ScenariosOption = Annotated[
    str,
    typer.Option(
        "--scenarios",
        help="Fraud to play among the payments: none, all, or names: card_testing,bust_out.",
    ),
]
CardsOption = Annotated[
    Path | None,
    typer.Option("--cards", help="Card file to pay with.", show_default="data/cards.txt"),
]
EdgeOption = Annotated[
    Literal["local", "connector"],
    typer.Option(
        "--edge",
        help="How Flink reads and writes: with cardwatch's own functions, or as on AWS with the "
        "connector's jar in flink_app/lib.",
    ),
]


@app.command(
    epilog=examples(
        "cardwatch up",
        "cardwatch up --detach && cardwatch status",
        "cardwatch up --rate 200 --faults duplicates,late --cards my.txt",
    ),
)
def up(
    *,
    rate: RateOption = 20.0,
    faults: FaultsOption = "none",
    scenarios: ScenariosOption = "all",
    cards: CardsOption = None,
    edge: EdgeOption = "local",
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Give the terminal back when everything runs.")
    ] = False,
) -> None:
    """Start the whole system here and show it until Ctrl-C.

    A run starts empty: what an earlier run left in var/ (receipts, logs, warehouse rows) goes.
    """
    if detach:
        from cardwatch.local.run.detached import start_detached

        settings, _ = settings_and_root()
        options = [f"--rate={rate:g}", f"--faults={faults}", f"--edge={edge}"]
        options += [f"--scenarios={scenarios}", *([f"--cards={cards}"] if cards else [])]
        start_detached(settings, options, progress=typer.echo)
        typer.echo("everything runs; `cardwatch status` shows it, `cardwatch down` stops it")
    else:
        from cardwatch.local.run.stack import StackOptions

        asked = StackOptions(rate=rate, faults=faults, scenarios=scenarios, edge=edge)
        _run(seconds=None, cards=cards, asked=asked)


@app.command(hidden=True, epilog=examples("cardwatch run --seconds 90"))
def run(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds of payments, then a verdict; none: until Ctrl-C."),
    ] = None,
    rate: RateOption = 20.0,
    faults: FaultsOption = "none",
    scenarios: ScenariosOption = "all",
    cards: CardsOption = None,
    edge: EdgeOption = "local",
) -> None:
    """Do what `make run` asks for: up, and with --seconds a measured run that is judged."""
    from cardwatch.local.run.stack import StackOptions

    asked = StackOptions(rate=rate, faults=faults, scenarios=scenarios, edge=edge)
    _run(seconds=seconds, cards=cards, asked=asked)


@app.command(epilog=examples("cardwatch down"))
def down() -> None:
    """Stop everything, also what a broken run left behind."""
    from cardwatch.local.run.down import take_down
    from cardwatch.local.warehouse import WarehouseServer

    var = LocalSettings.from_env().var
    done = take_down(var, WarehouseServer(var / "postgres"))
    if done.removed:
        typer.echo(f"removed what was left behind: {', '.join(done.removed)}")
    typer.echo("stopped" if done.stopped or done.removed else "nothing was running")
    if done.failures:
        msg = f"not everything could be stopped: {'; '.join(done.failures)}; run it again"
        raise CommandError(msg)


@app.command(epilog=examples("cardwatch status", "cardwatch status --json | jq .counts.alerts"))
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs and what it has done.

    The exit status is 0 while all is well: it runs, nothing is in trouble, nothing was given up.
    """
    from cardwatch.local.processes.run_folder import RunFolder
    from cardwatch.local.run.status import read_status, status_path
    from cardwatch.local.run.view import render_plain

    settings = LocalSettings.from_env()
    running = RunFolder(settings.var).supervisor() is not None
    facts = read_status(status_path(settings.var), running=running)
    if facts is None:
        msg = f"nothing has run here yet ({settings.var.resolve()}); start it with `cardwatch up`"
        raise CommandError(msg)
    typer.echo(json.dumps(facts, indent=2) if as_json else render_plain(facts))
    runs = facts["state"] in {"starting", "running", "finishing"}
    if not runs or facts.get("troubles") or facts.get("given_up"):
        raise typer.Exit(1)


@app.command(
    epilog=examples("cardwatch pages", "cardwatch pages --follow", "cardwatch pages --acts")
)
def pages(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing pages as they come.")
    ] = False,
    acts: Annotated[
        bool,
        typer.Option(
            "--acts", help="Only the newest ones, in short, and what was done about each."
        ),
    ] = False,
) -> None:
    """Show the pages of this run as a person receives them."""
    from cardwatch.local.witness.receipts import PageReceived, facts_after, read_receipts

    receipts = LocalSettings.from_env().var / "receipts"
    if acts:
        _show_acts(read_receipts(receipts, PageReceived))
        return
    shown: PageReceived | None = None
    messages: set[str] = set()
    while True:
        received = read_receipts(receipts, PageReceived)
        for page in facts_after(shown, received):
            if page.message_id in messages:
                continue  # delivered once more
            messages.add(page.message_id)
            typer.echo(f"{'-' * 72}\nReceived: {page.received:%Y-%m-%d %H:%M:%S} UTC")
            typer.echo(f"Subject:  {page.subject}\n\n{page.text.rstrip()}\n")
        shown = received[-1] if received else shown
        if not follow:
            break
        time.sleep(FOLLOW_SECONDS)
    if shown is None:
        typer.echo(f"no page was received yet ({receipts / PageReceived.file})", err=True)


def _show_acts(received: "Sequence[PageReceived]") -> None:
    """Name the newest pages, the newest last, and say what was done about each."""
    from cardwatch.cli.acts import book_of

    newest = list({page.page_id: page for page in received}.values())[-NEWEST_PAGES:]
    done = book_of(None).done_about([page.page_id for page in newest])
    for line in lines_of_acts(newest, done):
        typer.echo(line)


def lines_of_acts(
    pages: "Sequence[PageReceived]", done: "Mapping[str, Sequence[DoneAct]]"
) -> "Iterator[str]":
    """Say in short what was done about pages, by page id."""
    from cardwatch.paging.phrases import acted, instant

    for page in pages:
        yield f"{instant(page.received)}  {page.page_id}  {page.subject}"
        acts = [f"{instant(act.at)}: {acted(act.act)}" for act in done.get(page.page_id, ())]
        yield from (f"    {line}" for line in acts or ["nobody has done anything about it"])


@app.command(
    epilog=examples(
        "cardwatch alerts",
        "cardwatch alerts --follow --rule spend_over_limit",
        "cardwatch alerts --json | jq .event_json_data.entity_id",
    )
)
def alerts(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing alerts as they come.")
    ] = False,
    rule: Annotated[
        str | None, typer.Option("--rule", help="Only this rule's; stolen_card is one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: whole events.")] = False,
) -> None:
    """Show the alerts of this run, each once, paged or not.

    They are read off the stream, oldest first.
    """
    from cardwatch.local.alerts import alert_line, alerts_on
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs
    from cardwatch.local.stream.shard import Stream

    settings = LocalSettings.from_env()
    stream = Stream(ministack.clients(settings).kinesis(), read_outputs(settings).stream_name)
    shown = 0
    for alert in alerts_on(stream, rule=rule, follow=follow):
        typer.echo(alert.to_bytes().decode() if as_json else alert_line(alert))
        shown += 1
    if not shown:
        typer.echo("no alert yet" + (f" of {rule}" if rule else ""), err=True)


@app.command(
    epilog=examples(
        "cardwatch replay payments.jsonl --out replayed",
        "cardwatch replay backup/2026/11/21 --out replayed",
    )
)
def replay(
    input_file: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A file or folder of envelopes, on lines or end to end, plain or .gz.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
) -> None:
    """Run the detections over a file of events.

    The same job and the same SQL, in event time; it writes alerts.jsonl, rule_alerts.jsonl,
    summaries.jsonl, scores.jsonl, minutes.jsonl and rejected.jsonl into the folder.
    """
    from cardwatch.local.processes.stopping import stop_on_signals
    from cardwatch.local.replay import replay as replay_file

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    with stop_on_signals():
        report = replay_file(input_file, out, progress=progress)
    typer.echo(
        f"{report.lines} events in {report.seconds:.1f} s ({report.lines_per_second:,.0f}/s): "
        f"{report.alerts} alerts, {report.rule_alerts} of other rules, "
        f"{report.summaries} summaries, {report.scores} scores, "
        f"{report.minutes} minutes, {report.rejected} rejected; "
        f"see {out}"
    )


def _run(
    *,
    seconds: float | None,
    cards: Path | None,
    asked: "StackOptions",
) -> None:
    from rich.console import Console

    from cardwatch.cards.card_file import read_card_file
    from cardwatch.local.run.run import RunOptions
    from cardwatch.local.run.run import run as run_stack
    from cardwatch.local.services.flink import check_edge
    from cardwatch.simulation.faults import parse_fault_profile
    from cardwatch.simulation.scenarios import parse_scenarios

    settings, root = settings_and_root()
    settings = settings.model_copy(update={"cards": cards or settings.cards})
    parse_fault_profile(asked.faults)
    parse_scenarios(asked.scenarios)
    read_card_file(root / settings.cards, now=datetime.now(UTC))
    check_edge(root, asked.edge)
    code = run_stack(settings, root, RunOptions(seconds=seconds, stack=asked), Console())
    if code:
        raise typer.Exit(code)
