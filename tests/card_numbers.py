"""Numbers of test cards for whoever has to handle one: the generator's, none is written out."""

from cardwatch.cards.generator import generate_cards

_LENGTH = 16
NUMBERS = tuple(
    number for card in generate_cards(50, 0, 1) if len(number := card.number.reveal()) == _LENGTH
)[:3]


def in_groups(number: str, separator: str = " ") -> str:
    """Give a number as it stands on a card, by four digits."""
    return separator.join(number[at : at + 4] for at in range(0, len(number), 4))
