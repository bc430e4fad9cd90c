"""The Redshift Data API in memory: statements with a life, tokens, limits, and every refusal.

What the SQL does is up to an engine; the tests of the warehouse give it an embedded PostgreSQL.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from botocore.exceptions import ClientError

INVALID = "ValidationException"
NOT_FOUND = "ResourceNotFoundException"
MAX_STATEMENTS = 40
MAX_STATEMENT_BYTES = 100 * 1024


class StatementError(Exception):
    """An engine's refusal of the statement with this number, from 1."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class Rows(list[tuple[Any, ...]]):
    """The rows of one statement, with the name and type of each column where the engine knows."""

    columns: Sequence[tuple[str, str]] = ()


class Engine(Protocol):
    """What runs SQL: all statements in one transaction."""

    def run(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]: ...


@dataclass
class Answers:
    """An engine that gives prepared rows; `refuse` says which statements it refuses and how."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def run(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        for number, statement in enumerate(statements, start=1):
            for part, text in self.refuse.items():
                if part in statement:
                    raise StatementError(number, text)
        self.ran += statements
        return [self.rows.get(statement, []) for statement in statements]


def refusal(code: str, message: str = "", *, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "operation",
    )


@dataclass
class _Statement:
    sqls: list[str]
    batch: bool
    looks_left: int
    status: str = "STARTED"
    error: str = ""
    failed: int = 0
    results: list[list[tuple[Any, ...]]] = field(default_factory=list)


@dataclass
class FakeRedshiftData:
    """One warehouse behind the API."""

    engine: Engine
    looks: int = 2
    """How often a statement is described before it has ended."""
    page_rows: int = 2
    faults: list[tuple[str, Exception]] = field(default_factory=list)
    """Refusals to come: the operation, and what it raises; nothing is done then."""
    lost: list[tuple[str, Exception]] = field(default_factory=list)
    """The same, but after it was done: only the answer is lost."""
    aborts: int = 0
    """So many statements to come are stopped by somebody."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    statements: dict[str, _Statement] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    before_run: Callable[[], None] = lambda: None
    """What happens in the warehouse between a submission and its run."""

    def execute_statement(self, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        sql = _bind(arguments["Sql"], arguments.get("Parameters", ()))
        return self._submit("execute_statement", [sql], arguments, batch=False)

    def batch_execute_statement(self, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        return self._submit("batch_execute_statement", arguments["Sqls"], arguments, batch=True)

    def describe_statement(self, *, Id: str) -> dict[str, Any]:  # noqa: N803  the API's name
        self._enter("describe_statement", {"Id": Id})
        statement = self._statement(Id)
        if statement.looks_left:
            statement.looks_left -= 1
            return {"Id": Id, "Status": "STARTED"}
        if statement.status == "STARTED":
            self._run(statement)
        answer: dict[str, Any] = {"Id": Id, "Status": statement.status}
        if statement.error:
            answer["Error"] = statement.error
        if statement.batch:
            answer["SubStatements"] = [
                {
                    "Id": f"{Id}:{number}",
                    "Status": self._part_status(statement, number),
                    **({"Error": statement.error} if number == statement.failed else {}),
                }
                for number in range(1, len(statement.sqls) + 1)
            ]
        return answer

    def get_statement_result(self, *, Id: str, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        self._enter("get_statement_result", {"Id": Id})
        rows = self._statement(Id).results[0]
        first = int(NextToken)
        answer: dict[str, Any] = {
            "Records": [
                [_field(value) for value in row] for row in rows[first : first + self.page_rows]
            ],
            "ColumnMetadata": [
                {"name": name, "typeName": kind} for name, kind in getattr(rows, "columns", ())
            ],
        }
        if first + self.page_rows < len(rows):
            answer["NextToken"] = str(first + self.page_rows)
        return answer

    def cancel_statement(self, *, Id: str) -> dict[str, Any]:  # noqa: N803
        self._enter("cancel_statement", {"Id": Id})
        statement = self._statement(Id)
        if statement.status != "STARTED":
            raise refusal(INVALID, "it has ended")
        statement.status = "ABORTED"
        statement.looks_left = 0
        return {"Status": True}

    def _submit(
        self, operation: str, sqls: Sequence[str], arguments: dict[str, Any], *, batch: bool
    ) -> dict[str, Any]:
        self._enter(operation, arguments)
        if len({"ClusterIdentifier", "WorkgroupName"} & set(arguments)) != 1:
            raise refusal(INVALID, "name a cluster or a workgroup")
        if not arguments["SecretArn"].startswith("arn:"):
            raise refusal(INVALID, "name a secret")
        if len(sqls) > MAX_STATEMENTS or any(len(s.encode()) > MAX_STATEMENT_BYTES for s in sqls):
            raise refusal(INVALID, "too much")
        # boto3 makes one where the caller gives none.
        token = arguments.get("ClientToken") or str(uuid4())
        if token not in self.tokens:
            identity = str(uuid4())
            self.tokens[token] = identity
            self.statements[identity] = _Statement(list(sqls), batch, self.looks)
        self._leave(operation)
        return {"Id": self.tokens[token]}

    def _run(self, statement: _Statement) -> None:
        if self.aborts:
            self.aborts -= 1
            statement.status = "ABORTED"
            return
        self.before_run()
        try:
            statement.results = self.engine.run(statement.sqls)
            statement.status = "FINISHED"
        except StatementError as error:
            statement.status, statement.error = "FAILED", f"ERROR: {error}"
            statement.failed = error.number

    def _part_status(self, statement: _Statement, number: int) -> str:
        if number == statement.failed:
            return "FAILED"
        return "ABORTED" if statement.status != "FINISHED" else "FINISHED"

    def _statement(self, identity: str) -> _Statement:
        if identity not in self.statements:
            raise refusal(NOT_FOUND, "no such statement")
        return self.statements[identity]

    def _enter(self, operation: str, arguments: dict[str, Any]) -> None:
        self.calls.append((operation, arguments))
        self._raise_next(self.faults, operation)

    def _leave(self, operation: str) -> None:
        self._raise_next(self.lost, operation)

    @staticmethod
    def _raise_next(planned: list[tuple[str, Exception]], operation: str) -> None:
        if planned and planned[0][0] == operation:
            raise planned.pop(0)[1]


def _bind(sql: str, parameters: Sequence[Mapping[str, str]]) -> str:
    """Put parameters into a statement; those it does not name, and empty ones, are refused."""
    if not parameters:
        return sql
    values = {each["name"]: each["value"] for each in parameters}
    name = re.compile(r"(?<![:\w]):(\w+)")
    if set(values) != set(name.findall(sql)) or not all(values.values()):
        raise refusal(INVALID, "parameters and statement do not fit, or a value is empty")
    return name.sub(lambda found: "'" + values[found[1]].replace("'", "''") + "'", sql)


def _field(value: object) -> dict[str, object]:
    if value is None:
        return {"isNull": True}
    name = {bool: "booleanValue", int: "longValue", float: "doubleValue"}.get(type(value))
    return {name: value} if name else {"stringValue": str(value)}
