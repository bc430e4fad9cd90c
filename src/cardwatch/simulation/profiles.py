"""Profiles: names out of a known list, separated by commas, or `none`, or `all`."""

from collections.abc import Sequence


class UnknownNameError(ValueError):
    """A profile has a name that is not known; the text lists those that are."""


def parse_profile(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Read a profile into names in the order of `known`; `what` is what one name stands for.

    Raises UnknownNameError, which lists the names there are, for any other name.
    """
    asked = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(asked - {*known, "none", "all"})
    if unknown:
        valid = ", ".join(("none", "all", *known))
        msg = f"no such {what}: {', '.join(unknown)}; valid names are {valid}"
        raise UnknownNameError(msg)
    if "none" in asked and len(asked) > 1:
        msg = f"`none` does not go with other {what}s"
        raise UnknownNameError(msg)
    return tuple(known) if "all" in asked else tuple(name for name in known if name in asked)
