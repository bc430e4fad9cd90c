"""What is told of the versions that were published."""


class PublicationError(Exception):
    """A version cannot be published; the text says why and what helps."""


class RuleHistoryUnavailableError(Exception):
    """The versions that were published cannot be read or written."""
