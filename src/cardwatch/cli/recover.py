"""Commands that send again what was kept aside, and load again what was skipped."""
# ruff: noqa: PLC0415  commands import what they need when they run

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cardwatch.cli.application import app, examples
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from cardwatch.aws.clients import AwsClients
    from cardwatch.recovery.backfill import BackfillReport
    from cardwatch.recovery.ports import ForgettingLoader
    from cardwatch.recovery.redrive import RedriveReport

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


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is recovered: one deployed stack, on AWS or on this machine."""

    clients: "AwsClients"
    stream_name: str
    scores_stream_name: str | None
    """None without the risk desk."""
    dead_letter_bucket: str
    delivery_bucket: str
    warehouse: "Callable[[], AbstractContextManager[ForgettingLoader]]"
    """Its warehouse, as far as there is one; raises what says that there is none."""


def deployment_of(stack: str | None) -> Deployment:
    """Find the stack on AWS by its name, or the one on this machine.

    Raises DeployedStackError, LocalStackError.
    """
    return _on_this_machine() if stack is None else _on_aws(stack)


def _on_aws(stack: str) -> Deployment:
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.deployed import read_deployed_outputs, read_deployed_warehouse
    from cardwatch.bootstrap.recovery import build_redshift_loads

    clients = AwsClients()
    outputs = read_deployed_outputs(clients, stack)

    @contextmanager
    def warehouse() -> "Iterator[ForgettingLoader]":
        yield build_redshift_loads(read_deployed_warehouse(clients, stack), clients)

    return Deployment(
        clients,
        outputs["StreamName"],
        outputs.get("ScoresStreamName"),
        outputs["DeadLetterBucket"],
        outputs["DeliveryBucket"],
        warehouse,
    )


def _on_this_machine() -> Deployment:
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs
    from cardwatch.local.warehouse import Warehouse, WarehouseServer

    settings = LocalSettings.from_env()
    outputs = read_outputs(settings)

    @contextmanager
    def warehouse() -> "Iterator[ForgettingLoader]":
        opened = Warehouse(WarehouseServer(settings.var / "postgres"))
        try:
            yield opened
        finally:
            opened.close()

    return Deployment(
        ministack.clients(settings),
        outputs.stream_name,
        outputs.scores_stream_name,
        outputs.dead_letter_bucket,
        outputs.delivery_bucket,
        warehouse,
    )


@app.command(
    epilog=examples(
        "cardwatch redrive --dry-run",
        "cardwatch redrive",
        "cardwatch redrive --stack cardwatch",
    )
)
def redrive(*, dry_run: DryRunOption = False, stack: StackOption = None) -> None:
    """Send what lies among the dead letters again.

    The exit status is 1 when some of it must stay there.
    """
    from cardwatch.bootstrap.recovery import build_redrive

    found = deployment_of(stack)
    report = build_redrive(
        stream_name=found.stream_name,
        scores_stream_name=found.scores_stream_name,
        dead_letter_bucket=found.dead_letter_bucket,
        clients=found.clients,
    )(dry_run)
    if not _show_sent(report, dry_run=dry_run):
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "cardwatch backfill --dry-run",
        "cardwatch backfill --stack cardwatch --only objects",
        "cardwatch backfill --only objects --again 2026-08-01 --again 2026-08-02",
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
    again: Annotated[
        list[datetime] | None,
        typer.Option(
            "--again",
            formats=["%Y-%m-%d"],
            help="A day (UTC) whose objects are loaded once more, after retention removed their "
            "rows. Raise the retention first; may be given several times.",
        ),
    ] = None,
) -> None:
    """Load what the warehouse has not got, send what was quarantined.

    Each object is loaded once, however often this runs, but for --again. What is valid now is
    sent: deploy a fix first, or its records come back. The exit status is 1 when some of it must
    stay.
    """
    from cardwatch.bootstrap.recovery import build_load, build_quarantine_redrive

    found = deployment_of(stack)
    bucket, clients = found.delivery_bucket, found.clients

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    complete = True
    if only != "quarantine":
        with found.warehouse() as warehouse:
            load = build_load(
                delivery_bucket=bucket,
                warehouse=warehouse,
                progress=progress,
                again=[day.date() for day in again or ()],
                clients=clients,
            )
            complete = _show_loaded(load(dry_run), dry_run=dry_run)
    if only != "objects":
        send = build_quarantine_redrive(
            stream_name=found.stream_name,
            scores_stream_name=found.scores_stream_name,
            delivery_bucket=bucket,
            progress=progress,
            clients=clients,
        )
        report = send(dry_run)
        typer.echo("quarantine: ", nl=False)
        complete = _show_sent(report, dry_run=dry_run) and complete
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


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
