"""Redshift's part played by the embedded PostgreSQL, behind the fake Data API."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier
from tests.fake_redshift_data import Rows, StatementError

from cardwatch.local.redshift_dialect import to_postgres

COPY: Final = re.compile(
    r"COPY (?P<table>[\w.]+) \((?P<columns>[\w, ]+)\) FROM 's3://(?P<place>[^']+)' "
    r"IAM_ROLE '(?P<role>[^']+)' MANIFEST FORMAT AS JSON 'auto' TIMEFORMAT 'auto' GZIP"
)

PLAIN: Final = r"(?=[^']*[A-Z])(?=[^']*[a-z])(?=[^']*[0-9])[^'/\"\\@ ]{8,64}"
MD5: Final = r"md5[0-9a-f]{32}"
PASSWORDS: Final = {
    # Amazon Redshift Database Developer Guide, CREATE USER and ALTER USER: what PASSWORD may be.
    "CREATE": re.compile(rf"{PLAIN}|{MD5}|sha256\|[0-9a-f]{{64}}\|[0-9a-f]{{64}}|sha256\|{PLAIN}"),
    "ALTER": re.compile(rf"{PLAIN}|{MD5}"),
}


def password_fault(statement: str) -> str | None:
    """Give what Redshift says of a password in a form that its guide does not have."""
    found = re.match(r"(CREATE|ALTER) USER \w+ PASSWORD '([^']*)'", statement)
    if found and not PASSWORDS[found[1]].fullmatch(found[2]):
        return f"invalid password for {found[1]} USER"
    return None


class RefusedError(Exception):
    """Redshift refuses a statement; of a COPY, `fault` is what SYS_LOAD_ERROR_DETAIL has."""

    def __init__(self, text: str, fault: tuple[str, int, str, int] | None = None) -> None:
        super().__init__(text)
        self.fault = fault


class PostgresEngine:
    """Runs Redshift's statements on PostgreSQL, each batch in one transaction."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        objects: Mapping[str, bytes] | None = None,
        role: str = "",
    ) -> None:
        """Take what COPY finds in S3, as `bucket/key`, and the role that may read it."""
        self.connection = connection
        self.objects = objects or {}
        self.role = role
        self.ran: list[str] = []

    def run(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        results = []
        number = 0
        try:
            with self.connection.transaction():
                for number, statement in enumerate(statements, start=1):  # noqa: B007
                    results.append(self._run(statement))
        except psycopg.Error as error:
            raise StatementError(number, str(error.diag.message_primary)) from error
        except RefusedError as error:
            if error.fault:
                self.connection.execute(
                    "INSERT INTO sys_load_error_detail VALUES (now(), %s, %s, %s, %s)", error.fault
                )
            raise StatementError(number, str(error)) from error
        self.ran += statements
        return results

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        if statement.startswith("COPY"):
            self._copy(statement)
            return []
        if fault := password_fault(statement):
            raise RefusedError(fault)
        cursor = self.connection.execute(in_postgres(statement).encode())
        if not cursor.description:
            return []
        rows = Rows(cursor.fetchall())
        rows.columns = [(c.name, type_name(c.type_code)) for c in cursor.description]
        return rows

    def _copy(self, statement: str) -> None:
        """Load a manifest's objects as COPY does; a fault is remembered by its place."""
        found = COPY.fullmatch(statement)
        if found is None:
            msg = "syntax error"
            raise RefusedError(msg)
        place, columns = found["place"], found["columns"].split(", ")
        listed = [place] if place in set(self.objects) and found["role"] == self.role else []
        keys = [
            entry["url"].removeprefix("s3://")
            for manifest in listed
            for entry in json.loads(self.objects[manifest])["entries"]
        ]
        if not keys or not set(keys) <= set(self.objects):
            msg = f"S3ServiceException: Access Denied, {place}"
            raise RefusedError(msg)
        copy = SQL("COPY {} ({}) FROM STDIN").format(
            Identifier(*found["table"].split(".")), SQL(", ").join(map(Identifier, columns))
        )
        with self.connection.cursor() as cursor, cursor.copy(copy) as rows:
            for name in keys:
                lines = gzip.decompress(self.objects[name]).splitlines()
                for number, line in enumerate(lines, start=1):
                    try:
                        fields = json.loads(line)
                    except ValueError:
                        fault = (f"s3://{name}", number, "", 1216)
                        msg = "Load into table 'events' failed. Check 'sys_load_error_detail'"
                        raise RefusedError(msg, fault) from None
                    rows.write_row([fields.get(column) for column in columns])


def type_name(oid: int) -> str:
    """Give a type as the Data API calls it, which for those that are used is as PostgreSQL does."""
    found = psycopg.adapters.types.get(oid)
    assert found is not None
    return found.name


def in_postgres(statement: str) -> str:
    """Translate a statement as the one-machine stack does."""
    if re.match(
        r"(CREATE (SCHEMA|TABLE|TEMPORARY|OR REPLACE VIEW)|INSERT|UPDATE|DELETE|SELECT)", statement
    ):
        return to_postgres(statement)
    return statement.replace(" TO ROLE ", " TO ").replace("GRANT ROLE ", "GRANT ")
