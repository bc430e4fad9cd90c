"""Redshift as whoever loads it sees it: COPY and the load ledger's rows, in one transaction."""

import gzip
import hashlib
import io
import json
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cardwatch.recovery.ports import FORGOTTEN, LoadOutcome, StoredObject, WritableObjects
from cardwatch.warehouse.ports import (
    StatementFailedError,
    WarehouseSession,
    WarehouseUnavailableError,
)
from cardwatch.warehouse.sql import quoted

COPY_COLUMNS: Final = "event_id, event_type, event_date_origin, event_json_data"
"""The columns of a delivered row, as the stager writes them."""
COPY_OPTIONS: Final = "FORMAT AS JSON 'auto' TIMEFORMAT 'auto' GZIP"
MANIFESTS: Final = "loads/"
"""Where the list of what one COPY loads lies, for COPY to read and people to look at."""
ATTEMPTS: Final = 3
"""How often a load is tried when another transaction gets in the way."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Counted:
    """An object with the number of its rows."""

    key: str
    etag: str
    rows: int


class RedshiftLoads:
    """Loads objects of one bucket as the loader, whom infra/warehouse.yaml has a secret of."""

    def __init__(self, session: WarehouseSession, objects: WritableObjects, copy_role: str) -> None:
        """Have COPY read the bucket as a role (its ARN) that the warehouse may use."""
        self._session = session
        self._objects = objects
        self._copy_role = copy_role

    def known_objects(self, after: str = "") -> set[tuple[str, str]]:
        """Give key and etag of the objects loaded or kept aside whose keys come after that one."""
        where = f"WHERE object_key > {quoted(after)}"
        rows = self._query(
            f"SELECT object_key, object_etag FROM staging.loaded_objects {where} UNION "  # noqa: S608
            f"SELECT object_key, object_etag FROM staging.bad_objects {where}"
        )
        return {(str(key), str(etag)) for key, etag in rows}

    def forget(self, prefix: str) -> int:
        """Have the objects with this prefix loaded again, and give how many there were."""
        # LEFT and not LIKE, for which an underscore would be any letter.
        where = (
            f"WHERE LEFT(object_key, {len(prefix)}) = {quoted(prefix)} "
            f"AND object_etag <> {quoted(FORGOTTEN)}"
        )
        [(count,)] = self._query(f"SELECT COUNT(*) FROM staging.loaded_objects {where}")  # noqa: S608
        update = f"UPDATE staging.loaded_objects SET object_etag = {quoted(FORGOTTEN)} {where}"  # noqa: S608
        try:
            self._session.run([update])
        except StatementFailedError as error:
            msg = f"the load ledger keeps what begins with {prefix}: {error}"
            raise WarehouseUnavailableError(msg) from None
        return int(count)

    def newest_object(self) -> str | None:
        """Give the last key that was loaded or kept aside; None in an empty warehouse."""
        rows = self._query(
            "SELECT MAX(object_key) FROM (SELECT object_key FROM staging.loaded_objects "
            "UNION ALL SELECT object_key FROM staging.bad_objects) AS known"
        )
        [(newest,)] = rows
        return None if newest is None else str(newest)

    def load(self, key: str, etag: str, body: bytes) -> LoadOutcome:
        """Load one object once; `body` is its content, whose lines are counted for the ledger."""
        [outcome] = self.load_all([StoredObject(key, etag)], lambda _: body)
        return outcome

    def load_all(
        self, objects: Sequence[StoredObject], get: Callable[[str], bytes | None]
    ) -> Sequence[LoadOutcome]:
        """Load objects, each once, with as few COPYs as their content allows.

        One COPY stands or falls with its worst object, so a group that it refuses is halved until
        the object that it means is alone; that one gets a row in staging.bad_objects. Any other
        failure is a WarehouseUnavailableError with Redshift's reason, and only whole groups were
        loaded before.
        """
        outcomes: dict[str, LoadOutcome] = {}
        counted = []
        for item in objects:
            body = get(item.key)
            if body is None:
                outcomes[item.key] = LoadOutcome("gone")
            elif (rows := _rows(body)) is None:
                known = self._known([_Counted(item.key, item.etag, 0)]).get(item.key)
                outcomes[item.key] = known or self._keep_aside(
                    item.key, item.etag, "not a whole gzip file"
                )
            else:
                counted.append(_Counted(item.key, item.etag, rows))
        self._load_group(counted, outcomes)
        return [outcomes[item.key] for item in objects]

    def _load_group(self, group: Sequence[_Counted], outcomes: dict[str, LoadOutcome]) -> None:
        """Load a group in one transaction, or its halves, and note what became of each object."""
        failures = 0
        while group:
            try:
                self._session.run(self._statements(group))
            except StatementFailedError as error:
                # Somebody else may have loaded some of it, now or long ago.
                known = self._known(group)
                outcomes |= known
                group = [item for item in group if item.key not in known]
                if known:
                    continue
                failures += 1
                if error.transient and failures < ATTEMPTS:
                    _LOG.warning("%d objects, attempt %d: %s", len(group), failures, error)
                    continue
                if len(group) == 1:
                    outcomes[group[0].key] = self._refused(group[0], error)
                    return
                half = len(group) // 2
                self._load_group(group[:half], outcomes)
                group, failures = group[half:], 0
            else:
                outcomes |= {item.key: LoadOutcome("loaded", rows=item.rows) for item in group}
                return

    def _statements(self, group: Sequence[_Counted]) -> list[str]:
        rows = ", ".join(f"({quoted(i.key)}, {quoted(i.etag)}, {i.rows})" for i in group)
        return [
            "LOCK staging.loaded_objects",
            # Divides by zero where one of them is loaded, which undoes this transaction.
            (
                "SELECT 1 / (1 - LEAST(COUNT(*), 1)) FROM staging.loaded_objects "  # noqa: S608
                f"WHERE {_among(group)}"
            ),
            (
                f"COPY staging.events ({COPY_COLUMNS}) "
                f"FROM {quoted(f's3://{self._objects.bucket}/{self._manifest(group)}')} "
                f"IAM_ROLE {quoted(self._copy_role)} MANIFEST {COPY_OPTIONS}"
            ),
            (
                "INSERT INTO staging.loaded_objects (object_key, object_etag, row_count) "  # noqa: S608
                f"VALUES {rows}"
            ),
        ]

    def _manifest(self, group: Sequence[_Counted]) -> str:
        """Store the list of a group and give its key."""
        entries = [
            {"url": f"s3://{self._objects.bucket}/{item.key}", "mandatory": True} for item in group
        ]
        body = json.dumps({"entries": entries}).encode()
        key = f"{MANIFESTS}{hashlib.sha256(body).hexdigest()}.json"
        self._objects.put(key, body)
        return key

    def _known(self, group: Sequence[_Counted]) -> dict[str, LoadOutcome]:
        """Give what the ledger knows of a group's objects, by key."""
        outcomes = {
            str(key): LoadOutcome("bad", error=str(error))
            for key, error in self._query(
                f"SELECT object_key, error FROM staging.bad_objects WHERE {_among(group)}"  # noqa: S608
            )
        }
        return outcomes | {
            str(key): LoadOutcome("already_loaded", rows=int(rows))
            for key, rows in self._query(
                f"SELECT object_key, row_count FROM staging.loaded_objects WHERE {_among(group)}"  # noqa: S608
            )
        }

    def _refused(self, item: _Counted, error: StatementFailedError) -> LoadOutcome:
        """Keep an object aside that COPY refuses for what is in it; raises for any other reason."""
        if fault := self._fault(item.key):
            return self._keep_aside(item.key, item.etag, fault)
        msg = f"loading {item.key} failed and was undone: {error}"
        raise WarehouseUnavailableError(msg) from None

    def _fault(self, key: str) -> str | None:
        """Give the place of what COPY refused in an object, never its data."""
        rows = self._query(
            "SELECT line_number, column_name, error_code FROM sys_load_error_detail "  # noqa: S608
            f"WHERE TRIM(file_name) = {quoted(f's3://{self._objects.bucket}/{key}')} "
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


def _among(group: Sequence[_Counted]) -> str:
    """Give the condition of the ledger's rows of a group; another etag is another object."""
    pairs = ", ".join(quoted(f"{item.key} {item.etag}") for item in group)
    return f"object_key || ' ' || object_etag IN ({pairs})"


def _rows(body: bytes) -> int | None:
    """Count the lines that hold something; None where it is no whole gzip file."""
    try:
        with gzip.open(io.BytesIO(body)) as lines:
            return sum(1 for line in lines if line.strip())
    except (OSError, EOFError, zlib.error):
        return None
