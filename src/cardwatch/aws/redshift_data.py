"""SQL on Amazon Redshift through its Data API, which needs no network path to the warehouse.

A call submits one statement, or a batch that is one transaction, and is asked for its state until
it has ended. Submitting again after a lost answer runs nothing twice: the call carries a token.

Standard library and boto3 only: the function that makes the schema has no layer.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from cardwatch.aws.failures import FAILURES, code, passes, reason
from cardwatch.backoff import Backoff
from cardwatch.ports import Clock
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_redshift_data import RedshiftDataAPIServiceClient
    from mypy_boto3_redshift_data.type_defs import DescribeStatementResponseTypeDef

WAITS: Final = Backoff(first_seconds=0.2, longest_seconds=3.0)
"""Between two questions about a statement, and between two tries of a call."""
WAITS_UNTIL_READY: Final = Backoff(first_seconds=0.2, longest_seconds=15.0)

_TRY_AGAIN: Final = frozenset(
    {
        "ActiveSessionsExceededException",
        "ActiveStatementsExceededException",
        "ActiveWaitingRequestsExceededException",
        "DatabaseConnectionException",
        "QueryTimeoutException",
    }
)
"""Its own refusals that pass. QueryTimeoutException and DatabaseConnectionException come from calls
that look at the warehouse itself."""
_NOT_ALLOWED: Final = frozenset(
    {"AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException"}
)
NEW_RIGHTS_SECONDS: Final = 120.0
"""For so long a refusal may mean that the caller's role or the warehouse is too new to be known."""
_CONFLICTS: Final = ("serializable isolation violation", "deadlock detected", "concurrent")
"""What Redshift says when two transactions got in each other's way (errors 1023 and 1018)."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedshiftDatabase:
    """Which warehouse, which database, and whose credentials."""

    name: str
    """A cluster's identifier or a workgroup's name."""
    serverless: bool
    database: str
    secret_arn: str

    def arguments(self) -> dict[str, str]:
        target = "WorkgroupName" if self.serverless else "ClusterIdentifier"
        return {target: self.name, "Database": self.database, "SecretArn": self.secret_arn}


class RedshiftDataSession:
    """A WarehouseSession on the Data API."""

    def __init__(
        self,
        client: "RedshiftDataAPIServiceClient",
        database: RedshiftDatabase,
        clock: Clock,
        *,
        patience_seconds: float,
    ) -> None:
        """Give every call `patience_seconds`; what takes longer is cancelled."""
        self._client = client
        self._database = database
        self._clock = clock
        self._patience = patience_seconds

    def wait_until_ready(self, seconds: float) -> None:
        """Return when the warehouse answers a query.

        It may be being made, resumed or restarted. Raises WarehouseUnavailableError with the last
        reason when it does not within `seconds`, and after two minutes where the caller may not
        ask: rights that are seconds old are refused as if there were none.
        """
        began = self._clock.monotonic()
        deadline = began + seconds
        for failures in count(1):
            new = self._clock.monotonic() - began < NEW_RIGHTS_SECONDS
            try:
                self._run(
                    "execute_statement", {"Sql": "SELECT 1"}, deadline, patiently=False, new=new
                )
            except (StatementFailedError, _NotNowError) as error:
                wait = WAITS_UNTIL_READY.longest_wait(failures)
                if self._clock.monotonic() + wait >= deadline:
                    msg = (
                        f"the warehouse {self._database.name} takes no statements after "
                        f"{seconds:.0f} s: {error}; see whether it is paused, being changed or "
                        "without its secret, then deploy again"
                    )
                    raise WarehouseUnavailableError(msg) from None
                _LOG.info("not ready: %s", error)
                self._clock.sleep(wait)
            else:
                return

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and give its rows, each value as Python has it."""
        deadline = self._clock.monotonic() + self._patience
        statement_id = self._run("execute_statement", {"Sql": statement}, deadline)
        rows: list[tuple[Any, ...]] = []
        token: dict[str, str] = {}
        while True:
            answer = self._call(
                "get_statement_result", {"Id": statement_id, **token}, deadline, patiently=True
            )
            rows += [tuple(_value(field) for field in row) for row in answer["Records"]]
            if not answer.get("NextToken"):
                return rows
            token = {"NextToken": answer["NextToken"]}

    def run(self, statements: Sequence[str]) -> None:
        """Run statements in one transaction."""
        deadline = self._clock.monotonic() + self._patience
        self._run("batch_execute_statement", {"Sqls": list(statements)}, deadline)

    def _run(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        deadline: float,
        *,
        patiently: bool = True,
        new: bool = False,
    ) -> str:
        """Submit, wait for the end and give the statement's id."""
        token = str(uuid4())
        submitted = self._call(
            operation,
            {**arguments, **self._database.arguments(), "ClientToken": token},
            deadline,
            patiently=patiently,
            new=new,
        )
        statement_id = str(submitted["Id"])
        for asked in count(1):
            state: DescribeStatementResponseTypeDef = self._call(
                "describe_statement", {"Id": statement_id}, deadline, patiently=True
            )
            if state["Status"] == "FINISHED":
                return statement_id
            if state["Status"] in {"FAILED", "ABORTED"}:
                raise _failure(state)
            wait = WAITS.longest_wait(asked)
            if self._clock.monotonic() + wait >= deadline:
                self._cancel(statement_id)
                msg = (
                    f"the warehouse {self._database.name} did not end a statement within "
                    f"{self._patience:.0f} s and was told to cancel it; look at what runs there "
                    "(SYS_QUERY_HISTORY, SVV_TRANSACTIONS), then try again"
                )
                raise WarehouseUnavailableError(msg)
            self._clock.sleep(wait)
        raise AssertionError  # counting has no end

    def _call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        deadline: float,
        *,
        patiently: bool,
        new: bool = False,
    ) -> Any:  # noqa: ANN401  one function for calls whose answers have different types
        """Make one API call, again and again while it is refused for a passing reason.

        With `new` rights a call that is not allowed may be so later.
        """
        for failures in count(1):
            try:
                return getattr(self._client, operation)(**arguments)
            except FAILURES as error:
                why = reason(error)
                if code(error) in _NOT_ALLOWED and not new:
                    msg = f"{operation} on {self._database.name} is not allowed: {why}"
                    raise WarehouseUnavailableError(msg) from None
                if not patiently:
                    raise _NotNowError(why) from None
                wait = WAITS.longest_wait(failures)
                late = self._clock.monotonic() + wait >= deadline
                if late or not passes(error, _TRY_AGAIN):
                    msg = f"{operation} on {self._database.name} failed: {why}"
                    raise WarehouseUnavailableError(msg) from None
                _LOG.warning("%s: %s; trying again", operation, why)
                self._clock.sleep(wait)
        raise AssertionError  # counting has no end

    def _cancel(self, statement_id: str) -> None:
        try:
            self._client.cancel_statement(Id=statement_id)
        except FAILURES as error:
            # It may have ended meanwhile; whoever comes next reads what became of it.
            _LOG.warning("not cancelled: %s", reason(error))


class _NotNowError(Exception):
    """The call was refused; whoever waits for the warehouse asks again."""


def _failure(state: "DescribeStatementResponseTypeDef") -> StatementFailedError:
    """Say which statement failed and why, in Redshift's words.

    The statement's text stays out of it: it could hold a password's digest.
    """
    parts = state.get("SubStatements", [])
    # The statements before it are undone with it, and their state says so; only one has an error.
    failed = [(n, p["Error"]) for n, p in enumerate(parts, start=1) if p.get("Error")]
    text = " ".join((failed[0][1] if failed else state.get("Error", "")).split())
    place = f"statement {failed[0][0]} of {len(parts)}: " if failed else ""
    if not text:
        stopped = "it was stopped, by a person or by a restart"
        text = stopped if state["Status"] == "ABORTED" else "Redshift gives no reason"
    transient = state["Status"] == "ABORTED" or any(word in text.lower() for word in _CONFLICTS)
    return StatementFailedError(f"{place}{text}", transient=transient)


def _value(field: Mapping[str, Any]) -> Any:  # noqa: ANN401  a column's value
    if field.get("isNull"):
        return None
    return next(iter(field.values()))
