"""The command that looks for payments that should have alerted."""
# ruff: noqa: PLC0415  commands import what they need when they run

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cardwatch.cli.application import app, examples, length_of_time
from cardwatch.cli.recover import deployment_of
from cardwatch.settings import LocalSettings


@app.command(
    epilog=examples(
        "cardwatch audit",
        "cardwatch audit --since 15m",
        "cardwatch audit --since 2026-11-21T07:00:00Z --json | jq .counts",
        "cardwatch audit --repair",
    )
)
def audit(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME|AGO",
            help="Only what was loaded since then: ISO-8601 with its zone, or like 90s, 15m, 2h, "
            "7d; next_since of the last --json leaves nothing out.",
            show_default="all that is loaded",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: every finding.")] = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Put the missing alerts on the stream.")
    ] = False,
) -> None:
    """Look for payments that should have alerted and did not.

    Judges the events of the warehouse on this machine by the definition of a stolen payment, apart
    from the job, and tells what is missing, doubled, late, unpaged or unstaged, and why. What
    --repair puts on the stream has the ids that the stream would have given, so nothing pages
    twice. Causes: docs/audit.md.

    The exit status is 0 when nothing is missing, 1 when something must not be as it is (DEFECT) or
    the audit was not possible, and 3 when payments are missing for other reasons.
    """
    from cardwatch.audit.completeness import audit as look
    from cardwatch.audit.repair import repair
    from cardwatch.audit.report import exit_status, for_people, for_programs
    from cardwatch.audit.typed_events import TypedEvents
    from cardwatch.bootstrap.event_import import build_stream
    from cardwatch.clock import SystemClock
    from cardwatch.local.redshift_dialect import to_postgres
    from cardwatch.local.warehouse import Warehouse, WarehouseServer

    clock = SystemClock()
    start = None if since is None else read_since(since, clock.now())
    settings = LocalSettings.from_env()
    with closing(Warehouse(WarehouseServer(settings.var / "postgres"))) as warehouse:
        staged = TypedEvents(warehouse, translate=to_postgres).read(start)
    report = look(staged, kept=timedelta(days=settings.warehouse_days))
    repaired = None
    if mend:
        found = deployment_of(None)
        stream = build_stream(found.stream_name, found.clients)
        repaired = repair(report.missing, stream, clock)
    if as_json:
        typer.echo(json.dumps(for_programs(report, start, repaired), indent=2))
    else:
        for line in for_people(report, start, repaired):
            typer.echo(line)
    raise typer.Exit(exit_status(report, repaired))


def read_since(text: str, now: datetime) -> datetime:
    """Read a point in time, or how long ago one was; a wrong one ends the command with 2."""
    if (ago := length_of_time(text)) is not None:
        return now - ago
    try:
        said = datetime.fromisoformat(text)
        at = said.astimezone(UTC) if said.tzinfo else None
    except (ValueError, OverflowError):
        at = None
    if at is None:
        msg = (
            f"{text!r} is no time with a zone, like 2026-11-21T07:00:00Z, and not how long ago, "
            "like 90s, 15m, 2h or 7d"
        )
        raise typer.BadParameter(msg, param_hint="--since")
    return at
