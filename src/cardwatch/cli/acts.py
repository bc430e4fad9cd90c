"""The command that does about a page what its link does, from a terminal."""
# ruff: noqa: PLC0415  commands import what they need when they run

from typing import TYPE_CHECKING, Annotated

import typer

from cardwatch.cli.application import CommandError, app, examples
from cardwatch.cli.recover import StackOption
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from cardwatch.acts.book import ActBook


@app.command(
    epilog=examples(
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella"',
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella" --fraud',
        'cardwatch ack page_978adf7a163cc96b8a559b31e29bc641 --by "Ana Vella" '
        "--false-positive HOLDER_MADE_IT --stack cardwatch",
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
    stack: StackOption = None,
) -> None:
    """Acknowledge a page, or say whether it is fraud.

    What is done goes onto the stream, and into the page's list of what was done by whom.
    """
    from cardwatch.acts.book import IncompleteActError

    if fraud and false_positive is not None:
        msg = "--fraud and --false-positive say opposite things: give one"
        raise CommandError(msg)
    act = "CONFIRMED" if fraud else "ACKNOWLEDGED" if false_positive is None else "FALSE_POSITIVE"
    try:
        done = _book_of(stack).act(page, act, by, false_positive or "")
    except IncompleteActError as error:
        msg = f"{page}: {error}"
        raise CommandError(msg) from None
    typer.echo(f"{page}: {act} by {done.by}" if done else f"{page}: this was done before")


def _book_of(stack: str | None) -> "ActBook":
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
