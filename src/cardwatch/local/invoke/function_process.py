"""Runs one handler once, as Lambda's Python runtime does: `cardwatch invoke` starts it.

It runs on the interpreter and the search path of the function, so it imports nothing but the
standard library. Standard input is JSON: `event`, and `invocation`, the fields of Invocation. What
the function prints and logs goes to standard error; standard output is the answer.

Exit status: 0 for an answer, 1 for an error of the function, in Lambda's form.
"""

import importlib
import json
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass


@dataclass(frozen=True)
class Invocation:
    """What Lambda knows of an invocation beside its event."""

    handler: str
    timeout_seconds: float
    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str


class Context:
    """The context object that a handler gets."""

    function_version = "$LATEST"
    identity = None
    client_context = None

    def __init__(self, invocation: Invocation) -> None:
        """Let the function's time begin."""
        self.aws_request_id = invocation.aws_request_id
        self.function_name = invocation.function_name
        self.invoked_function_arn = invocation.invoked_function_arn
        self.memory_limit_in_mb = invocation.memory_limit_in_mb
        self.log_group_name = invocation.log_group_name
        self.log_stream_name = invocation.log_stream_name
        self._ends = time.monotonic() + invocation.timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - time.monotonic()) * 1000))


def start_logging(invocation: Invocation) -> None:
    """Set the root logger up as Lambda's runtime does before it loads the code, in plain text."""
    logs = logging.StreamHandler(sys.stderr)
    request_id = invocation.aws_request_id
    logs.setFormatter(logging.Formatter(f"[%(levelname)s]\t%(asctime)s\t{request_id}\t%(message)s"))
    logging.getLogger().addHandler(logs)


def main() -> int:
    """Run the handler; gives the exit status."""
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the function prints is log, not answer
    asked = json.load(sys.stdin)
    invocation = Invocation(**asked["invocation"])
    start_logging(invocation)
    try:
        module, _, function = invocation.handler.rpartition(".")
        handler = getattr(importlib.import_module(module), function)
        # Made after loading: Lambda counts the function's time from here on.
        answer = json.dumps(handler(asked["event"], Context(invocation)))
        status = 0
    except Exception as error:  # noqa: BLE001  Lambda answers with any error
        answer = json.dumps(
            {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "requestId": invocation.aws_request_id,
                "stackTrace": traceback.format_tb(error.__traceback__)[1:],
            }
        )
        status = 1
    answer_to.write(answer)
    answer_to.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
