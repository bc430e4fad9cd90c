"""What is told of a rules file, or of the versions that were published."""

from collections.abc import Sequence


class RulesFileError(Exception):
    """A rules file that is not taken; the text has a line for each of its problems."""

    def __init__(self, name: str, problems: Sequence[tuple[int | None, str]]) -> None:
        """Keep what is wrong, and where: the number of the line, from 1, as far as there is one."""
        self.problems = tuple(problems)
        places = [name if line is None else f"{name}:{line}" for line, _ in problems]
        told = zip(places, (text for _, text in problems), strict=True)
        super().__init__("\n".join(f"{place}: {text}" for place, text in told))


class PublicationError(Exception):
    """A version cannot be published; the text says why and what helps."""


class RuleHistoryUnavailableError(Exception):
    """The versions that were published cannot be read or written."""
