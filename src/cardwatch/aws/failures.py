"""How a call to AWS fails, said once: what counts as a failure, its name, and whether it passes.

An adapter lets none of them through: it catches `FAILURES` and raises its port's own error, whose
text says what was asked of what. Standard library and boto3 only: functions without the layer take
this along.
"""

from collections.abc import Collection
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

Failure = ClientError | BotoCoreError | ResponseParserError

FAILURES: Final = (ClientError, BotoCoreError, ResponseParserError)
"""The service refused, it was not reached or did not answer, or nobody can read what it said."""

TRANSIENT: Final = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Refusals that pass, whichever service says them."""
_SERVER_ERROR: Final = 500


def code(error: Failure) -> str:
    """Name why a call failed: the service's error code, or what kept it from answering."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "Unknown")
    return type(error).__name__


def reason(error: Failure) -> str:
    """Say why a call failed, in the service's own words where it has some."""
    if isinstance(error, ClientError):
        message = error.response.get("Error", {}).get("Message", "")
        return f"{code(error)}: {message}" if message else code(error)
    return code(error)


def passes(error: Failure, also: Collection[str] = ()) -> bool:
    """Say whether the same call may be taken later; `also` are further codes of one service."""
    if not isinstance(error, ClientError):
        # Nobody answered, or something that is no answer; not a mistake of ours in the arguments.
        return isinstance(error, AwsConnectionError | HTTPClientError | ResponseParserError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code_passes(code(error), also) or status >= _SERVER_ERROR


def code_passes(error_code: str, also: Collection[str] = ()) -> bool:
    """Say the same of an error code, which one record of a call that was taken may have too."""
    return error_code in TRANSIENT or error_code in also
