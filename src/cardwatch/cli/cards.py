"""Commands that make card files."""
# ruff: noqa: PLC0415  commands import what they need when they run

from pathlib import Path
from typing import Annotated

import typer

from cardwatch.cli.application import app, examples

cards_app = typer.Typer(
    help="Make card files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("cardwatch cards generate --count 1000 --stolen-percent 10 --seed 7"),
)

app.add_typer(cards_app, name="cards")


@cards_app.command(
    "generate",
    epilog=examples(
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
