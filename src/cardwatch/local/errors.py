"""What the one-machine stack raises."""


class LocalStackError(Exception):
    """The one-machine stack cannot go on; the text says what, where and how to mend it."""
