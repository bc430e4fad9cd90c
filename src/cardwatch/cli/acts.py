"""The commands that do about pages what their links do, and more, from a terminal."""
# ruff: noqa: PLC0415  commands import what they need when they run

from typing import TYPE_CHECKING, Annotated

import typer

from cardwatch.cli.application import CommandError, app, examples, length_of_time
from cardwatch.cli.recover import StackOption
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from datetime import timedelta

    from cardwatch.acts.book import ActBook
    from cardwatch.contract.act import PageAct


@app.command(
    epilog=examples(
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella"',
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella" --fraud',
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella" '
        "--false-positive HOLDER_MADE_IT --stack cardwatch",
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella" --resolved',
    )
)
def ack(
    *,
    page: Annotated[str, typer.Argument(help="The page's id, as it stands at the page's end.")],
    by: Annotated[str, typer.Option("--by", help="Who you are.")],
    fraud: Annotated[
        bool, typer.Option("--fraud", help="Say that it is fraud; that acknowledges it, too.")
    ] = False,
    false_positive: Annotated[
        str | None,
        typer.Option(
            "--false-positive",
            metavar="REASON",
            help="Say that it is none, and why: HOLDER_MADE_IT, CARD_NOT_STOLEN, MERCHANT_KNOWN, "
            "LIMIT_TOO_LOW, TEST_PAYMENT or OTHER.",
        ),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Say that it is done; who was paged is told once.")
    ] = False,
    stack: StackOption = None,
) -> None:
    """Acknowledge a page, or say whether it is fraud, or done.

    What is done goes onto the stream, and into the page's list of what was done by whom.
    """
    from cardwatch.acts.book import IncompleteActError

    said = {"CONFIRMED": fraud, "FALSE_POSITIVE": false_positive is not None, "RESOLVED": resolved}
    acts = [act for act, is_said in said.items() if is_said] or ["ACKNOWLEDGED"]
    if len(acts) > 1:
        msg = "give one of --fraud, --false-positive and --resolved: each is an act of its own"
        raise CommandError(msg)
    (act,) = acts
    try:
        done = book_of(stack).act(page, act, by, false_positive or "")
    except IncompleteActError as error:
        msg = f"{page}: {error}"
        raise CommandError(msg) from None
    typer.echo(f"{page}: {act} by {done.by}" if done else f"{page}: this was done before")


@app.command(
    epilog=examples(
        'cardwatch snooze page_978adf7a163cc96b8a559b31e29bc641 --for 4h --by "Ana Vella" '
        '--why "the holder is travelling"',
        'cardwatch snooze rule:card_testing --for 1h --by "Ana Vella" --why "a known merchant"',
        "cardwatch snooze --list",
        'cardwatch snooze rule:card_testing --end --by "Ana Vella"',
    )
)
def snooze(
    *,
    what: Annotated[
        str | None,
        typer.Argument(
            help="card:<token>, account:<id>, user:<id>, merchant:<id> or rule:<name>; or a page's "
            "id, for what it is about."
        ),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="For how long, like 15m, 4h or 7d, the most."),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who you are.")] = "",
    why: Annotated[str, typer.Option("--why", help="Why nobody needs to be paged.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show what is snoozed.")] = False,
    end: Annotated[bool, typer.Option("--end", help="End a snooze before its time.")] = False,
    stack: StackOption = None,
) -> None:
    """Have nobody paged of a card or a rule for a while.

    Or of an account, a user or a merchant. What is found meanwhile is recorded and counted, and the
    first page afterwards says how many there were. Payments of at least the setting SnoozeFloors
    are paged all the same.
    """
    from cardwatch.acts.book import IncompleteActError

    if what is None and not listed:
        msg = "say what to snooze, or --list"
        raise CommandError(msg)
    lasting = length_of_time(length or "")
    if not (listed or end or lasting):
        msg = f"--for {length or ''}: give a length of time like 15m, 4h or 7d"
        raise CommandError(msg)
    book = book_of(stack)
    try:
        if what and end:
            typer.echo(f"{book.end(what, by).scope}: ended; what comes now is paged")
        elif what and lasting:
            _snooze(book, what, lasting, by, why)
        else:
            _list_snoozes(book)
    except IncompleteActError as error:
        raise CommandError(str(error)) from None


def _list_snoozes(book: "ActBook") -> None:
    held = book.snoozes()
    for snooze in held:
        typer.echo(_in_a_line(snooze.act))
    if not held:
        typer.echo("nothing is snoozed")


def _snooze(book: "ActBook", what: str, lasting: "timedelta", by: str, why: str) -> None:
    page = book.open(what) if what.startswith("page_") else None
    scope = what
    if page is not None:
        own = {f"{alert.entity_kind}:{alert.entity_id}" for alert in page.alerts}
        if len(own) != 1:
            scopes = ", ".join(sorted(own)[:5]) or "nothing"
            msg = f"{what} is about {scopes}: name one of them"
            raise CommandError(msg)
        (scope,) = own
    until = book.clock.now() + lasting
    typer.echo(_in_a_line(book.snooze(scope, by, why, until, page=page)))


def _in_a_line(act: "PageAct") -> str:
    until = f"{act.until:%Y-%m-%d %H:%M:%S} UTC"
    return f"{act.scope}: snoozed until {until} by {act.by}: {act.reason}"


def book_of(stack: str | None) -> "ActBook":
    """Give the book of the stack on AWS, or of the one on this machine.

    Raises DeployedStackError, LocalStackError.
    """
    from cardwatch.aws.clients import AwsClients
    from cardwatch.aws.deployed import read_deployed_outputs
    from cardwatch.bootstrap.page_acts import build_act_book
    from cardwatch.clock import SystemClock
    from cardwatch.local.services import ministack
    from cardwatch.local.services.deploy import read_outputs

    if stack is None:
        settings = LocalSettings.from_env()
        local = read_outputs(settings)
        clients = ministack.clients(settings)
        return build_act_book(local.ledger_table, local.stream_name, clients, SystemClock())
    clients = AwsClients()
    outputs = read_deployed_outputs(clients, stack)
    return build_act_book(outputs["LedgerTable"], outputs["StreamName"], clients, SystemClock())
