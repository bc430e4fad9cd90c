"""Redshift for the dashboard, through its Data API: no network path, no driver, no password here.

A statement is submitted, asked for its state until it has ended, and its rows are fetched page by
page. Texts and times are bound by the API. It knows no null and no number, only text of at least
one character, so a null, a number and an empty text, none of which a person can have typed SQL
into, are written into the statement.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from dashboard.options import RedshiftTarget
from dashboard.warehouse import PARAMETER, Row, WarehouseAwayError

if TYPE_CHECKING:
    from mypy_boto3_redshift_data import RedshiftDataAPIServiceClient

STATEMENT_SECONDS: Final = 20.0
"""With the waits of the Data API, which are a good part of a second."""
FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 1.0
_MISSING: Final = ("does not exist", "invalid schema")
"""What Redshift says of a table or schema that is not there."""
_CONVERSIONS: Final[Mapping[str, Callable[[Any], object]]] = {
    "numeric": Decimal,
    "timestamp": datetime.fromisoformat,
}
"""What comes as text, by the column's type."""


class RedshiftDataApi:
    """The Database behind the Data API."""

    def __init__(
        self,
        client: "RedshiftDataAPIServiceClient",
        target: RedshiftTarget,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a client that tries passing refusals again by itself, as boto3's does."""
        self._client = client
        self._target = target
        self._sleep = sleep
        self._clock = clock

    def rows(self, statements: Sequence[str], values: Mapping[str, object]) -> list[list[Row]]:
        try:
            return [self._ask(*bound(each, values)) for each in statements]
        except ClientError as error:
            raise WarehouseAwayError(_away(error.response["Error"]["Code"])) from None
        except BotoCoreError as error:
            raise WarehouseAwayError(_away(type(error).__name__)) from None

    def _ask(self, text: str, parameters: Sequence[Mapping[str, str]]) -> list[Row]:
        arguments: dict[str, Any] = {"Sql": text, **self._target.arguments()}
        if parameters:
            arguments["Parameters"] = parameters
        submitted = self._client.execute_statement(**arguments)
        self._wait(submitted["Id"])
        rows: list[Row] = []
        page: dict[str, Any] = {"Id": submitted["Id"]}
        while True:
            answer = self._client.get_statement_result(**page)
            columns = [(each["name"], each["typeName"]) for each in answer["ColumnMetadata"]]
            rows += [
                {
                    name: _value(field, kind)
                    for (name, kind), field in zip(columns, record, strict=True)
                }
                for record in answer["Records"]
            ]
            if not answer.get("NextToken"):
                return rows
            page["NextToken"] = answer["NextToken"]

    def _wait(self, statement_id: str) -> None:
        """Return when a statement has ended well."""
        deadline = self._clock() + STATEMENT_SECONDS
        wait = FIRST_WAIT_SECONDS
        while True:
            state = self._client.describe_statement(Id=statement_id)
            if state["Status"] == "FINISHED":
                return
            if state["Status"] in {"FAILED", "ABORTED"}:
                raise WarehouseAwayError(_failed(state.get("Error", "")))
            if self._clock() + wait >= deadline:
                self._cancel(statement_id)
                msg = (
                    f"The warehouse took longer than {STATEMENT_SECONDS:g} s to answer: look back "
                    "less far, or see what else it does (SYS_QUERY_HISTORY)."
                )
                raise WarehouseAwayError(msg)
            self._sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _cancel(self, statement_id: str) -> None:
        try:
            self._client.cancel_statement(Id=statement_id)
        except (ClientError, BotoCoreError):
            return  # it may have ended meanwhile, and nobody waits for it any more


def bound(text: str, values: Mapping[str, object]) -> tuple[str, Sequence[Mapping[str, str]]]:
    """Give a statement and its parameters as the Data API takes them.

    Texts and times are parameters; it refuses those that a statement does not name. Raises
    TypeError for a value that is neither these nor a whole number nor null.
    """
    parameters: dict[str, str] = {}

    def place(name: str) -> str:
        value = values[name]
        if value is None:
            return "NULL"
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value == "":
            return "''"
        if not isinstance(value, str | datetime):
            msg = f"{name} cannot be bound: {type(value).__name__}"
            raise TypeError(msg)
        parameters[name] = str(value)
        return f":{name}"

    statement = PARAMETER.sub(lambda found: place(found[1]), text)
    return statement, [{"name": name, "value": value} for name, value in parameters.items()]


def _value(field: Mapping[str, Any], kind: str) -> object:
    if field.get("isNull"):
        return None
    value = next(iter(field.values()))
    return _CONVERSIONS[kind](value) if kind in _CONVERSIONS else value


def _failed(error: str) -> str:
    # Redshift's own text may quote a row, so it is read here and not shown.
    if any(text in error.lower() for text in _MISSING):
        return (
            "The warehouse lacks a table or view that this page reads: deploy the release of this "
            "dashboard with its warehouse first."
        )
    return _away("a statement failed")


def _away(why: str) -> str:
    return (
        f"The warehouse does not answer ({why}). See whether it is paused or being changed, and "
        "docs/operations.md. This page asks again by itself."
    )
