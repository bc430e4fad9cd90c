"""Redshift as a backfill loads it: COPY and its row in the load ledger, in one transaction."""

import gzip
import logging
import zlib
from typing import Any, Final

from cardwatch.recovery.ports import LoadOutcome
from cardwatch.warehouse.ports import (
    StatementFailedError,
    WarehouseSession,
    WarehouseUnavailableError,
)
from cardwatch.warehouse.sql import quoted

COPY_COLUMNS: Final = "event_id, event_type, event_date_origin, event_json_data"
"""The columns of a delivered row; the same as Firehose's in infra/warehouse.yaml."""
COPY_OPTIONS: Final = "FORMAT AS JSON 'auto' TIMEFORMAT 'auto' GZIP"
ATTEMPTS: Final = 3
"""How often an object is tried when another transaction gets in the way."""
_LOG = logging.getLogger(__name__)


class RedshiftLoads:
    """Loads objects of one bucket as the loader, whom infra/warehouse.yaml has a secret of."""

    def __init__(self, session: WarehouseSession, bucket: str, copy_role: str) -> None:
        """Have COPY read the bucket as a role (its ARN) that the warehouse may use."""
        self._session = session
        self._bucket = bucket
        self._copy_role = copy_role

    def known_objects(self) -> set[tuple[str, str]]:
        """Give key and etag of every object that is loaded or kept aside."""
        rows = self._query(
            "SELECT object_key, object_etag FROM staging.loaded_objects UNION "
            "SELECT object_key, object_etag FROM staging.bad_objects"
        )
        return {(str(key), str(etag)) for key, etag in rows}

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        """Load one object once; `body` is its content, whose lines are counted for the ledger.

        One that COPY refuses for what is in it gets a row in staging.bad_objects. Any other failure
        is a WarehouseUnavailableError with Redshift's reason; then nothing has happened.
        """
        if outcome := self._known(key, etag):
            return outcome
        try:
            rows = sum(1 for line in gzip.decompress(body).splitlines() if line.strip())
        except (OSError, EOFError, zlib.error):
            return self._keep_aside(key, etag, "not a whole gzip file")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._session.run(self._statements(key, etag, rows))
            except StatementFailedError as error:
                # Somebody else may have loaded it meanwhile.
                if outcome := self._known(key, etag):
                    return outcome
                if fault := self._fault(key):
                    return self._keep_aside(key, etag, fault)
                if attempt == ATTEMPTS or not error.transient:
                    msg = f"loading {key} failed and was undone: {error}"
                    raise WarehouseUnavailableError(msg) from None
                _LOG.warning("%s, attempt %d: %s", key, attempt, error)
            else:
                return LoadOutcome("loaded", rows=rows)
        raise AssertionError  # the last attempt returns or raises

    def _statements(self, key: str, etag: str, rows: int) -> list[str]:
        where = f"object_key = {quoted(key)} AND object_etag = {quoted(etag)}"
        return [
            "LOCK staging.loaded_objects",
            # Divides by zero where the object is loaded, which undoes this transaction.
            f"SELECT 1 / (1 - COUNT(*)) FROM staging.loaded_objects WHERE {where}",  # noqa: S608
            (
                f"COPY staging.events ({COPY_COLUMNS}) "
                f"FROM {quoted(f's3://{self._bucket}/{key}')} "
                f"IAM_ROLE {quoted(self._copy_role)} {COPY_OPTIONS}"
            ),
            (
                "INSERT INTO staging.loaded_objects (object_key, object_etag, row_count) "  # noqa: S608
                f"VALUES ({quoted(key)}, {quoted(etag)}, {rows})"
            ),
        ]

    def _known(self, key: str, etag: str) -> LoadOutcome | None:
        where = f"object_key = {quoted(key)} AND object_etag = {quoted(etag)}"
        for row in self._query(
            f"SELECT row_count FROM staging.loaded_objects WHERE {where}"  # noqa: S608
        ):
            return LoadOutcome("already_loaded", rows=int(row[0]))
        for row in self._query(
            f"SELECT error FROM staging.bad_objects WHERE {where}"  # noqa: S608
        ):
            return LoadOutcome("bad", error=str(row[0]))
        return None

    def _fault(self, key: str) -> str | None:
        """Give the place of what COPY refused in an object, never its data."""
        rows = self._query(
            "SELECT line_number, column_name, error_code FROM sys_load_error_detail "  # noqa: S608
            f"WHERE TRIM(file_name) = {quoted(f's3://{self._bucket}/{key}')} "
            "ORDER BY start_time DESC LIMIT 1"
        )
        for line, column, code in rows:
            place = f"line {line}, column {str(column).strip()}"
            return f"{place}: Redshift's load error {code} (SYS_LOAD_ERROR_DETAIL)"
        return None

    def _keep_aside(self, key: str, etag: str, error: str) -> LoadOutcome:
        statement = (
            "INSERT INTO staging.bad_objects (object_key, object_etag, error) "  # noqa: S608
            f"VALUES ({quoted(key)}, {quoted(etag)}, {quoted(error)})"
        )
        try:
            self._session.run([statement])
        except StatementFailedError as failure:
            msg = f"{key} cannot be loaded ({error}), and noting it failed: {failure}"
            raise WarehouseUnavailableError(msg) from None
        return LoadOutcome("bad", error=error)

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            return list(self._session.query(statement))
        except StatementFailedError as error:
            msg = f"the warehouse cannot be read as its loader: {error}"
            raise WarehouseUnavailableError(msg) from None
