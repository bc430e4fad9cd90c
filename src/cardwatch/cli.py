"""The command line: `cardwatch …`.

Commands import what they need when they run, so that `--help` answers at once. An error that
people can mend is one line: what, where, how. `--debug` shows the traceback as well.
"""
# ruff: noqa: PLC0415  commands import what they need when they run

import contextlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from cardwatch.recovery.backfill import BackfillReport
    from cardwatch.recovery.ports import Loader
    from cardwatch.recovery.redrive import RedriveReport

UP_SECONDS: Final = 300.0
FOLLOW_SECONDS: Final = 0.5
PROJECT_FILE: Final = "template.yaml"
INTERRUPTED: Final = 130


class CommandError(Exception):
    """What was asked for cannot be done; the text says what, where and how to mend it."""


def _examples(*lines: str) -> str:
    """Give the examples that end a command's help."""
    # The backspace is click's mark for lines to keep apart.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


app = typer.Typer(
    name="cardwatch",
    help="Pages the risk team within seconds when a stolen card is used.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_examples("cardwatch up", "cardwatch pages --follow", "cardwatch down"),
)
cards_app = typer.Typer(
    help="Make card files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_examples("cardwatch cards generate --count 1000 --stolen-percent 10 --seed 7"),
)
app.add_typer(cards_app, name="cards")

RateOption = Annotated[
    float, typer.Option("--rate", min=0.001, max=10_000, help="Simulated payments per second.")
]
FaultsOption = Annotated[
    str,
    typer.Option("--faults", help="Faults to inject: none, all, or names: late,malformed."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done; change nothing.")
]
StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="The stack on AWS, by the credentials and region of the environment.",
        show_default="the one on this machine",
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


@app.callback()
def debug_option(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error as well.")
    ] = False,
) -> None:
    """Pages the risk team within seconds when a stolen card is used."""
    del debug  # main looks at it, so that it also holds for errors before a command begins


@cards_app.command(
    "generate",
    epilog=_examples(
        "cardwatch cards generate",
        "cardwatch cards generate --count 10000 --stolen-percent 2.5 --seed 42 --out my.txt",
    ),
)
def cards_generate(
    *,
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many cards.")] = 1000,
    stolen_percent: Annotated[
        float, typer.Option(min=0, max=100, help="How many of a hundred are stolen, exactly.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 7,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("data/cards.txt"),
) -> None:
    """Write a card file with Luhn-valid numbers under published test BINs only."""
    from cardwatch.cards.card_file import write_card_file
    from cardwatch.cards.generator import generate_cards

    cards = generate_cards(count, stolen_percent, seed)
    write_card_file(out, cards)
    stolen = sum(card.status == "STOLEN" for card in cards)
    typer.echo(f"{out}: {count} cards, {stolen} of them stolen")


@app.command(
    epilog=_examples(
        "cardwatch up",
        "cardwatch up --detach && cardwatch status",
        "cardwatch up --rate 200 --faults duplicates,late --cards my.txt",
    ),
)
def up(
    *,
    rate: RateOption = 20.0,
    faults: FaultsOption = "none",
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
        _start_detached(rate, faults, cards, edge)
    else:
        _run(seconds=None, rate=rate, faults=faults, cards=cards, edge=edge)


@app.command(hidden=True, epilog=_examples("cardwatch run --seconds 90"))
def run(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds of payments, then a verdict; none: until Ctrl-C."),
    ] = None,
    rate: RateOption = 20.0,
    faults: FaultsOption = "none",
    cards: CardsOption = None,
    edge: EdgeOption = "local",
) -> None:
    """Do what `make run` asks for: up, and with --seconds a measured run that is judged."""
    _run(seconds=seconds, rate=rate, faults=faults, cards=cards, edge=edge)


@app.command(epilog=_examples("cardwatch down"))
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


@app.command(epilog=_examples("cardwatch status", "cardwatch status --json | jq .counts.alerts"))
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs and what it has done.

    The exit status is 0 while all is well.
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
    if facts["state"] not in {"starting", "running", "finishing"} or facts.get("troubles"):
        raise typer.Exit(1)


@app.command(epilog=_examples("cardwatch pages", "cardwatch pages --follow"))
def pages(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing pages as they come.")
    ] = False,
) -> None:
    """Show the pages of this run as a person receives them."""
    from cardwatch.local.witness.receipts import PageReceived, facts_after, read_receipts

    receipts = LocalSettings.from_env().var / "receipts"
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


@app.command(
    epilog=_examples(
        "cardwatch redrive --dry-run",
        "cardwatch redrive",
        "cardwatch redrive --stack cardwatch",
    )
)
def redrive(*, dry_run: DryRunOption = False, stack: StackOption = None) -> None:
    """Send what lies among the dead letters again.

    The exit status is 1 when some of it must stay there.
    """
    import boto3

    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.deployed import read_deployed_outputs
    from cardwatch.bootstrap.recovery import build_redrive
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs

    if stack:
        session = boto3.Session()
        deployed = read_deployed_outputs(session, stack)
        stream_name, bucket = deployed["StreamName"], deployed["DeadLetterBucket"]
        clients = AwsClients(session)
    else:
        settings = LocalSettings.from_env()
        outputs = read_outputs(settings)
        stream_name, bucket = outputs.stream_name, outputs.dead_letter_bucket
        clients = AwsClients(ministack.session(settings), endpoint_url=ministack.endpoint(settings))
    report = build_redrive(stream_name=stream_name, dead_letter_bucket=bucket, clients=clients)(
        dry_run
    )
    if not _show_sent(report, dry_run=dry_run):
        raise typer.Exit(1)


@app.command(
    epilog=_examples(
        "cardwatch backfill --dry-run",
        "cardwatch backfill --stack cardwatch --only objects",
        "cardwatch backfill --stack cardwatch",
    )
)
def backfill(
    *,
    dry_run: DryRunOption = False,
    stack: StackOption = None,
    only: Annotated[
        Literal["objects", "quarantine"] | None,
        typer.Option("--only", help="Do one of the two.", show_default="both"),
    ] = None,
) -> None:
    """Load what the warehouse has not got, send what was quarantined.

    Each object is loaded once, however often this runs. What is valid now is sent: deploy a
    fix first, or its records come back. The exit status is 1 when some of it must stay.
    """
    import boto3

    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.deployed import read_deployed_warehouse
    from cardwatch.bootstrap.recovery import build_backfill, build_redshift_loads
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs
    from cardwatch.local.warehouse import Warehouse, WarehouseServer

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    with contextlib.ExitStack() as at_the_end:
        warehouse: Loader
        if stack:
            session = boto3.Session()
            deployed = read_deployed_warehouse(session, stack)
            stream_name, bucket = deployed.stream_name, deployed.delivery_bucket
            clients = AwsClients(session)
            warehouse = build_redshift_loads(deployed, clients)
        else:
            settings = LocalSettings.from_env()
            outputs = read_outputs(settings)
            stream_name, bucket = outputs.stream_name, outputs.delivery_bucket
            clients = AwsClients(
                ministack.session(settings), endpoint_url=ministack.endpoint(settings)
            )
            warehouse = Warehouse(WarehouseServer(settings.var / "postgres"))
            at_the_end.callback(warehouse.close)
        parts = build_backfill(
            stream_name=stream_name,
            delivery_bucket=bucket,
            warehouse=warehouse,
            progress=progress,
            clients=clients,
        )
        complete = True
        if only != "quarantine":
            complete = _show_loaded(parts.load_delivered(dry_run), dry_run=dry_run)
        if only != "objects":
            sent = parts.replay_quarantine(dry_run)
            typer.echo("quarantine: ", nl=False)
            complete = _show_sent(sent, dry_run=dry_run) and complete
    if not complete:
        raise typer.Exit(1)


def _show_sent(report: "RedriveReport", *, dry_run: bool) -> bool:
    """Show what was sent and what stays; say whether nothing does."""
    verb = "would send" if dry_run else "sent"
    typer.echo(f"{report.objects} objects; {verb} {_counted(report.sent)}")
    if report.outdated:
        typer.echo(f"dropped as outdated: {report.outdated} heartbeats")
    for what, counts in (
        ("still break the contract and stay", report.rejected),
        ("not taken by the stream and stay", report.undelivered),
    ):
        if counts:
            typer.echo(f"{what}: {_counted(counts)}")
    for problem in report.problems:
        typer.echo(f"stays: {problem}", err=True)
    return report.complete


def _show_loaded(report: "BackfillReport", *, dry_run: bool) -> bool:
    """Show what was loaded and what stays; say whether nothing does."""
    verb = "would load" if dry_run else "loaded"
    counted = "" if dry_run else f" with {report.rows} rows"
    typer.echo(
        f"{report.objects} objects are not in the load ledger; {verb} {report.loaded}{counted}"
    )
    for key, error in sorted(report.bad.items()):
        typer.echo(
            f"stays: the warehouse refuses {key}: {error}; once that is mended, delete its row in "
            "staging.bad_objects",
            err=True,
        )
    for problem in report.problems:
        typer.echo(f"stays: {problem}", err=True)
    return report.complete


@app.command(
    epilog=_examples(
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

    The same job and the same SQL, in event time; it writes alerts.jsonl, summaries.jsonl and
    rejected.jsonl into the folder.
    """
    from cardwatch.local.processes.stopping import stop_on_signals
    from cardwatch.local.replay import replay as replay_file

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    with stop_on_signals():
        report = replay_file(input_file, out, progress=progress)
    typer.echo(
        f"{report.lines} events in {report.seconds:.1f} s ({report.lines_per_second:,.0f}/s): "
        f"{report.alerts} alerts, {report.summaries} summaries, {report.rejected} rejected; "
        f"see {out}"
    )


@app.command(
    epilog=_examples(
        "cardwatch up --detach",
        "cardwatch invoke StagerFunction events/invocations/firehose.json",
        "cardwatch invoke notifier events/invocations/kinesis-mixed.json",
        "cardwatch invoke slack events/invocations/slack.json "
        "--env-vars events/invocations/env.json",
        "cardwatch invoke flink_code events/invocations/flink-code-create.json",
    ),
)
def invoke(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION", help="Its logical id in template.yaml or a nested stack."
        ),
    ],
    event_file: Annotated[
        Path, typer.Argument(metavar="EVENT", help="JSON file; see events/invocations/.")
    ],
    *,
    env_vars: Annotated[
        Path | None,
        typer.Option("--env-vars", help="Variables, in the form of `sam local invoke`."),
    ] = None,
) -> None:
    """Run one function once.

    A function that the running local stack has (`cardwatch up`) is invoked there, as it is
    deployed. Another one, or one with --env-vars, runs in a plain process: what `sam build
    --config-env local` builds, with the variables of the template. AWS calls go to the local stack
    and never to AWS. Logs go to standard error, the answer to standard output. The exit status is
    1 when the function failed, or answered CloudFormation that the resource did.
    """
    from cardwatch.local.invoke import invoke as invoking
    from cardwatch.local.services import deploy

    settings, root = _settings_and_root()
    found = invoking.find(invoking.functions(root, settings), function)
    event = invoking.read_event(event_file)
    name = None if env_vars else invoking.deployed_name(found, settings)
    answers: list[str] = []
    if name is not None:
        done, log = invoking.invoke_deployed(found, name, event, settings)
        typer.echo(log.rstrip(), err=True)
    else:
        given = invoking.read_variables(env_vars, found) if env_vars else {}
        variables = invoking.environment(found, given)
        deploy.build(settings, root, progress=lambda text: typer.echo(text, err=True))
        with invoking.answered_here(event) as (asked, answers):
            done = invoking.invoke(found, asked, variables, settings=settings, root=root)
        for line in invoking.report(found, done, answers):
            typer.echo(line, err=True)
    typer.echo(done.answer)
    if done.failed or invoking.refused(answers):
        raise typer.Exit(1)


@app.command(epilog=_examples("cardwatch variables > env.json"))
def variables() -> None:
    """Print the variables that the local stack sets.

    They are in the form that `sam local invoke --env-vars` and `cardwatch invoke --env-vars` take.
    """
    from cardwatch.local.invoke import invoke as invoking

    settings, root = _settings_and_root()
    found = invoking.variables(invoking.functions(root, settings), settings)
    typer.echo(json.dumps(found, indent=2))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"


def _settings_and_root() -> tuple[LocalSettings, Path]:
    settings = LocalSettings.from_env()
    root = Path.cwd()
    if not (root / PROJECT_FILE).is_file():
        msg = (
            f"{root} is not cardwatch's project folder ({PROJECT_FILE} is missing); go there first"
        )
        raise CommandError(msg)
    return settings, root


def _run(
    *,
    seconds: float | None,
    rate: float,
    faults: str,
    cards: Path | None,
    edge: Literal["local", "connector"],
) -> None:
    from rich.console import Console

    from cardwatch.cards.card_file import read_card_file
    from cardwatch.local.run.run import RunOptions
    from cardwatch.local.run.run import run as run_stack
    from cardwatch.local.run.stack import StackOptions
    from cardwatch.local.services.flink import check_edge
    from cardwatch.simulation.faults import parse_fault_profile

    settings, root = _settings_and_root()
    settings = settings.model_copy(update={"cards": cards or settings.cards})
    parse_fault_profile(faults)
    read_card_file(root / settings.cards, now=datetime.now(UTC))
    check_edge(root, edge)
    options = RunOptions(seconds=seconds, stack=StackOptions(rate=rate, faults=faults, edge=edge))
    code = run_stack(settings, root, options, Console())
    if code:
        raise typer.Exit(code)


def _start_detached(
    rate: float, faults: str, cards: Path | None, edge: Literal["local", "connector"]
) -> None:
    """Start `cardwatch up` in the background and wait until everything runs."""
    from cardwatch.local.errors import LocalStackError
    from cardwatch.local.processes.run_folder import RunFolder
    from cardwatch.local.run.status import read_status, status_path

    settings, _ = _settings_and_root()
    # Before anything of a run that is going on is touched.
    RunFolder(settings.var).check_free()
    log = settings.var / "log" / "up.out"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "cardwatch.cli",
        "up",
        f"--rate={rate:g}",
        f"--faults={faults}",
        f"--edge={edge}",
        *([f"--cards={cards}"] if cards else []),
    ]
    with log.open("ab") as output:  # appending, so that it can be emptied when it grows long
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    began = time.time()
    said = ""
    while time.time() - began < UP_SECONDS:
        if process.poll() is not None:
            words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise LocalStackError(words[-1].removeprefix("cardwatch: "))
        path = status_path(settings.var)
        if path.exists() and path.stat().st_mtime > began:
            facts = read_status(path, running=True) or {}
            if facts.get("state") == "running":
                typer.echo(
                    "everything runs; `cardwatch status` shows it, `cardwatch down` stops it"
                )
                return
            if facts.get("doing", said) != said:
                said = facts["doing"]
                typer.echo(said)
        time.sleep(FOLLOW_SECONDS)
    msg = f"not everything runs after {UP_SECONDS:.0f} s; see {log}; `cardwatch down` stops it"
    raise LocalStackError(msg)


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
        typer.echo(f"cardwatch: {_in_one_line(error)}", err=True)
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


if __name__ == "__main__":
    sys.exit(main())
