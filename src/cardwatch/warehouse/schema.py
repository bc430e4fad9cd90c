"""Brings a Redshift warehouse to what `warehouse/` says: migrations, users, views, grants.

Everything that was done has a row in the ledger `migrations.ledger`, written in the transaction
that did it. So a run that broke off is taken up where it stopped, and a run with nothing to do
changes nothing. Two runs at once are told apart by the ledger's lock: the second one's transaction
waits, then finds the work done, fails and is not repeated. (A Redshift transaction takes its
snapshot with its first read or write, not with LOCK: Amazon Redshift Database Developer Guide,
"Isolation levels in Amazon Redshift".)
"""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cardwatch.warehouse.ports import StatementFailedError, WarehouseSession
from cardwatch.warehouse.sql import Migration, WarehouseSql, quoted

LOADER: Final = "cardwatch_loader"
"""The user that Firehose and `cardwatch backfill` load as; access/grants.sql says what it may."""
AUDITOR: Final = "cardwatch_auditor"
"""The user that the audit reads as."""
READER: Final = "cardwatch_reader"
"""The role of those who read."""
ATTEMPTS: Final = 4
"""How often one step is tried that another session got in the way of."""
BATCH_STATEMENTS: Final = 40
"""The most statements of one Data API batch, which is one transaction."""

_LEDGER: Final = "migrations.ledger"
_LEDGER_COLUMNS: Final = (
    "kind VARCHAR(16) NOT NULL, name VARCHAR(128) NOT NULL, place INTEGER NOT NULL, "
    "content_hash VARCHAR(64) NOT NULL, applied_at TIMESTAMP NOT NULL DEFAULT SYSDATE"
)
_CREATE_LEDGER: Final = (
    "CREATE SCHEMA IF NOT EXISTS migrations",
    f"CREATE TABLE IF NOT EXISTS {_LEDGER} ({_LEDGER_COLUMNS}) DISTSTYLE ALL",
)
_LOCK: Final = f"LOCK {_LEDGER}"
_DIGEST: Final = re.compile(r"(?:md5)?[0-9a-f]{8,}")
_LOG = logging.getLogger(__name__)


class WarehouseSchemaError(Exception):
    """The warehouse cannot be brought up to date; the text says what, why and the remedy."""


@dataclass(frozen=True, slots=True)
class Password:
    """A user's password as the secret holds it."""

    version: str
    """The secret's version id: another one means another password."""
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    name: str
    place: int
    content_hash: str


class WarehouseSchema:
    """Compares a warehouse's ledger with what it should hold, and does what is missing."""

    def __init__(
        self,
        session: WarehouseSession,
        sql: WarehouseSql,
        password: Password,
        *,
        auditor: Password,
        pause: Callable[[int], None],
    ) -> None:
        """Take a superuser's session, the loader's password and the auditor's.

        `pause` waits after so many failed attempts of a step.
        """
        self._session = session
        self._sql = sql
        self._password = password
        self._auditor = auditor
        self._pause = pause

    def bring_up_to_date(self) -> list[str]:
        """Do what is missing and name it; an empty list means that nothing was.

        Raises WarehouseSchemaError, and WarehouseUnavailableError as the session does.
        """
        self._attempt("the ledger", lambda: self._session.run(_CREATE_LEDGER))
        done: list[str] = []
        for place, migration in enumerate(self._sql.migrations, start=1):
            done += self._step(f"migration {migration.name}", _Migrate(self, place, migration))
        done += self._step(f"role {READER}", self._make_reader)
        done += self._step(f"user {LOADER}", lambda: self._make("user", LOADER, self._password))
        done += self._step(f"user {AUDITOR}", self._make_auditor)
        done += self._step("views and grants", self._make_views)
        return done

    def _step(self, name: str, missing: Callable[[], Sequence[str]]) -> list[str]:
        """Run the statements of one step, if there are any, with the ledger as the judge."""
        did = False

        def attempt() -> None:
            nonlocal did
            if statements := missing():
                self._session.run([_LOCK, *statements])
                did = True

        self._attempt(name, attempt)
        if did:
            _LOG.info("%s: done", name)
        return [name] if did else []

    def _attempt(self, name: str, attempt: Callable[[], None]) -> None:
        """Try a step; each attempt reads the ledger anew, so what another run did is not redone."""
        for failures in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except StatementFailedError as error:
                # Losing to another run looks like any failure; only a second look tells.
                # Redshift may quote the place of a fault, and with it a digest.
                reason = _DIGEST.sub("…", str(error))
                if failures == ATTEMPTS or not (error.transient or failures == 1):
                    msg = (
                        f"{name} failed and was undone: {reason}; mend it and deploy again, which "
                        "goes on from here"
                    )
                    raise WarehouseSchemaError(msg) from None
                _LOG.warning("%s, attempt %d: %s", name, failures, reason)
                self._pause(failures)
        return None

    def entries(self, kind: str) -> list[_Entry]:
        """Read the ledger's rows of one kind, in their order."""
        rows = self._session.query(
            f"SELECT name, place, content_hash FROM {_LEDGER} "  # noqa: S608  constants
            f"WHERE kind = {quoted(kind)} ORDER BY place"
        )
        return [_Entry(kind, str(name), int(place), str(digest)) for name, place, digest in rows]

    def _make_reader(self) -> list[str]:
        """Make the role where it is missing."""
        if self._session.query(
            f"SELECT role_name FROM svv_roles WHERE role_name = {quoted(READER)}"  # noqa: S608
        ):
            return []
        return [f"CREATE ROLE {READER}"]

    def _make_auditor(self) -> list[str]:
        """Make the auditor, who reads, or give it its secret's new password."""
        made = self._make("auditor", AUDITOR, self._auditor)
        return [*made, f"GRANT ROLE {READER} TO {AUDITOR}"] if made else []

    def _make(self, kind: str, user: str, password: Password) -> list[str]:
        """Make a user, or give it its secret's new password; `kind` is its place in the ledger."""
        wanted = _Entry(kind, user, 1, hashlib.sha256(password.version.encode()).hexdigest())
        exists = bool(
            self._session.query(
                f"SELECT usename FROM pg_user WHERE usename = {quoted(user)}"  # noqa: S608
            )
        )
        if exists and self.entries(kind) == [wanted]:
            return []
        verb = "ALTER" if exists else "CREATE"
        digest = password_digest(password.value, user)
        return [f"{verb} USER {user} PASSWORD {quoted(digest)}", *_replace(kind, [wanted])]

    def _make_views(self) -> list[str]:
        """Drop all views and make them anew, where one of them or a grant is another.

        Dependents go first, and nothing cascades: a view that somebody else built on one of these
        stops the deployment instead of disappearing.
        """
        views = self._sql.views
        wanted = [
            *(_Entry("view", v.name, n, v.content_hash) for n, v in enumerate(views, start=1)),
            _Entry("view", "grants", len(views) + 1, self._sql.grants_hash),
        ]
        existing = self.entries("view")
        if existing == wanted:
            return []
        old = [entry.name for entry in reversed(existing) if "." in entry.name]
        statements = [
            *([f"DROP VIEW IF EXISTS {', '.join(old)}"] if old else []),
            *(view.statement for view in views),
            *self._sql.grants,
            *_replace("view", wanted),
        ]
        _check_size("views and grants", statements)
        return statements


class _Migrate:
    """One migration as a step: nothing when it is in the ledger as it is in the file."""

    def __init__(self, schema: WarehouseSchema, place: int, migration: Migration) -> None:
        self._schema = schema
        self._migration = migration
        self._entry = _Entry("migration", migration.name, place, migration.content_hash)

    def __call__(self) -> list[str]:
        found = [e for e in self._schema.entries("migration") if e.place == self._entry.place]
        if found == [self._entry]:
            return []
        name = self._migration.name
        if found:
            msg = (
                f"migration {name} is not the one that the warehouse has in its place "
                f"({found[0].name}, another content): put warehouse/tables/{name}.sql back as it "
                "was released and write the change as a migration of its own"
            )
            raise WarehouseSchemaError(msg)
        # Divides by zero where another run was faster, which undoes this transaction.
        still_missing = (
            f"SELECT 1 / (1 - COUNT(*)) FROM {_LEDGER} "  # noqa: S608  constants
            f"WHERE kind = 'migration' AND place = {self._entry.place}"
        )
        statements = [still_missing, *self._migration.statements, _insert([self._entry])]
        _check_size(f"migration {name}", statements)
        return statements


def password_digest(password: str, user: str) -> str:
    """Give `md5…`, which CREATE USER and ALTER USER take in a password's place.

    MD5 over the password and the user's name. Source and test vector: Amazon Redshift Database
    Developer Guide, CREATE USER; ALTER USER takes no other digest. Every client can log in with it:
    a SHA-256 one asks for an authentication that PostgreSQL's drivers do not have. The password, 64
    random letters and digits, cannot be had back from it; but in the protocol the digest is as good
    as the password, so it is worth protecting too.
    """
    digest = hashlib.md5(f"{password}{user}".encode(), usedforsecurity=False)  # Redshift's form
    return f"md5{digest.hexdigest()}"


def _replace(kind: str, entries: Sequence[_Entry]) -> list[str]:
    return [
        f"DELETE FROM {_LEDGER} WHERE kind = {quoted(kind)}",  # noqa: S608  constants
        _insert(entries),
    ]


def _insert(entries: Sequence[_Entry]) -> str:
    rows = ", ".join(
        f"({quoted(e.kind)}, {quoted(e.name)}, {e.place}, {quoted(e.content_hash)})"
        for e in entries
    )
    return f"INSERT INTO {_LEDGER} (kind, name, place, content_hash) VALUES {rows}"  # noqa: S608


def _check_size(name: str, statements: Sequence[str]) -> None:
    if len(statements) >= BATCH_STATEMENTS:
        msg = (
            f"{name} are {len(statements)} statements; one transaction of the Data API takes "
            f"{BATCH_STATEMENTS - 1} beside its lock: split the file, or put grants together"
        )
        raise WarehouseSchemaError(msg)
