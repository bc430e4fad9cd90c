"""The Managed Flink application's log group, by the CloudWatch Logs API."""

import json
import logging
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config

from cardwatch.aws.failures import FAILURES

FAILED: Final = '"PythonDriver" "Run python process failed"'
"""What Flink's PythonDriver logs, below ERROR, when the program ends with an error."""
_CONFIG: Final = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
_LONGEST: Final = 400
_LOG = logging.getLogger(__name__)


class FlinkLog:
    """An ApplicationLog in CloudWatch."""

    def __init__(self, session: boto3.Session | None = None) -> None:
        """Use a session (default: botocore's own chain)."""
        self._session = session or boto3.Session()
        self._client: Any = None

    def python_failure(self, group: str, since: datetime) -> str | None:
        """Give what the log says of a Python program that failed since then; None if nothing."""
        self._client = self._client or self._session.client("logs", config=_CONFIG)
        try:
            answer = self._client.filter_log_events(
                logGroupName=group,
                startTime=int(since.timestamp() * 1000),
                filterPattern=FAILED,
                limit=1,
            )
        except FAILURES as error:
            _LOG.warning("the application's log %s cannot be read: %s", group, error)
            return None
        for event in answer.get("events", []):
            return _said(event.get("message", ""))
        return None


def _said(line: str) -> str:
    """Give the message and the cause of a log line, which Managed Flink writes as JSON."""
    try:
        entry = json.loads(line)
        parts = [entry["message"], *entry.get("throwableInformation", "").split("\n")[:1]]
    except (ValueError, TypeError, KeyError, AttributeError):
        parts = [line]
    return " ".join(": ".join(part for part in parts if part).split())[:_LONGEST]
