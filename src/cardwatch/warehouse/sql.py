"""The SQL files of `warehouse/` as the statements that a deployment runs.

`tables/NNNN_name.sql` are migrations: each is run once, in order, and never changed afterwards.
`marts/` and `banking/` hold one view a file, made anew whenever one of them changes. `access/` says
who may do what; it goes with the views, because a new view has no grants. `refresh/` is the SQL
that writes: `loads.sql` opens a round, then `<schema>/<table>.sql` brings one table up to date
each; `retention.sql` removes what is too old. Why no parser is used: docs/decisions/0035.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

MIGRATIONS: Final = "tables"
VIEWS: Final = ("marts", "banking")
GRANTS: Final = "access"
REFRESH: Final = "refresh"

_MIGRATION_FILE: Final = re.compile(r"\d{4}_[a-z0-9_]+")
_VIEW_FILE: Final = re.compile(r"[a-z][a-z0-9_]*")
# A comment, a quoted text, or the end of a statement; whatever is between them is neither.
_NAMED_IN_HEADER: Final = re.compile(r"^-- (Reads|Writes): (.+)$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z][a-z_]*)")
_PART: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|;", re.DOTALL)


class WarehouseSqlError(Exception):
    """A file of `warehouse/` is not what a deployment can run; the text names it and the remedy."""


def quoted(value: str) -> str:
    """Give a text as an SQL literal, for statements that take no parameters, such as COPY."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `tables/`."""

    name: str
    """Like `0002_events`; its number is its place in the order."""
    statements: tuple[str, ...]

    @property
    def content_hash(self) -> str:
        """Give the SHA-256 (hex) of its statements; comments and white space do not count."""
        return _hash(self.statements)


@dataclass(frozen=True, slots=True)
class View:
    """One view."""

    name: str
    """With its schema, like `marts.alert_latency`."""
    statement: str

    @property
    def content_hash(self) -> str:
        """Give the SHA-256 (hex) of its statement."""
        return _hash([self.statement])


@dataclass(frozen=True, slots=True)
class RefreshStep:
    """One file of `refresh/`: brings one table up to date, in one transaction."""

    name: str
    """The table it writes, like `typed.payment_event`."""
    reads: frozenset[str]
    """The tables it reads, its own left out; it comes after the steps that write them."""
    statements: tuple[str, ...]
    """With parameters like `:to_batch`, which `bind` fills in."""


@dataclass(frozen=True, slots=True)
class RefreshSql:
    """The SQL of a refresh."""

    loads: RefreshStep
    """Finds what is new and opens a batch."""
    steps: tuple[RefreshStep, ...]
    """Each after those that write what it reads."""
    retention: tuple[str, ...]
    """Removes what happened before `:before`."""


@dataclass(frozen=True, slots=True)
class WarehouseSql:
    """All that a deployment runs."""

    migrations: tuple[Migration, ...]
    """In the order of their numbers."""
    views: tuple[View, ...]
    """Each after the views it reads."""
    grants: tuple[str, ...]

    @property
    def grants_hash(self) -> str:
        """Give the SHA-256 (hex) of the grants."""
        return _hash(self.grants)


def read_warehouse_sql(folder: Path) -> WarehouseSql:
    """Read the files below `folder`; raises WarehouseSqlError."""
    migrations = []
    for path in sorted((folder / MIGRATIONS).glob("*.sql")):
        if not _MIGRATION_FILE.fullmatch(path.stem):
            msg = f"{path}: name a migration NNNN_name.sql, its number is its place in the order"
            raise WarehouseSqlError(msg)
        migrations.append(Migration(path.stem, tuple(statements(path.read_text("utf-8")))))
    _check_numbers(folder, migrations)
    views: dict[str, View] = {}
    for schema in VIEWS:
        for path in sorted((folder / schema).glob("*.sql")):
            view = _read_view(path, schema)
            views[view.name] = view
    grants = [
        statement
        for path in sorted((folder / GRANTS).glob("*.sql"))
        for statement in statements(path.read_text("utf-8"))
    ]
    return WarehouseSql(tuple(migrations), _in_order(views), tuple(grants))


def read_refresh_sql(folder: Path) -> RefreshSql:
    """Read the refresh's files below `folder`; raises WarehouseSqlError."""
    loads = _read_step(folder / REFRESH / "loads.sql", f"{REFRESH}.loads")
    steps = {
        step.name: step
        for path in sorted((folder / REFRESH).glob("*/*.sql"))
        for step in [_read_step(path, f"{path.parent.name}.{path.stem}")]
    }
    order = _by_dependency({name: step.reads for name, step in steps.items()}, "steps")
    retention = statements((folder / REFRESH / "retention.sql").read_text("utf-8"))
    return RefreshSql(loads, tuple(steps[name] for name in order), tuple(retention))


def bind(statement: str, **values: int | datetime) -> str:
    """Fill in a statement's parameters as literals; raises KeyError for one without a value.

    The Data API takes no parameters in a batch, and a literal lets the planner skip blocks.
    """

    def literal(found: re.Match[str]) -> str:
        value = values[found[1]]
        if isinstance(value, datetime):
            return f"CAST('{value:%Y-%m-%d %H:%M:%S.%f}' AS TIMESTAMP)"
        return str(int(value))

    return _PARAMETER.sub(literal, statement)


def _read_step(path: Path, table: str) -> RefreshStep:
    text = path.read_text("utf-8")
    named = {
        kind: frozenset(names.replace(" ", "").split(","))
        for kind, names in _NAMED_IN_HEADER.findall(text)
    }
    if named.get("Writes") != frozenset({table}) or "Reads" not in named:
        msg = f"{path}: say what it reads in a line `-- Reads: …`, and `-- Writes: {table}`"
        raise WarehouseSqlError(msg)
    return RefreshStep(table, named["Reads"] - {table}, tuple(statements(text)))


def statements(text: str) -> list[str]:
    """Split SQL text into its statements, without comments and with single spaces outside quotes.

    Raises WarehouseSqlError when a quoted text does not end.
    """
    found: list[str] = []
    statement = loose = ""
    place = 0
    for part in [*_PART.finditer(text), None]:
        piece = text[place : part.start() if part else len(text)]
        if "'" in piece or '"' in piece:
            msg = f"a quoted text does not end: {piece.strip()[:40]}"
            raise WarehouseSqlError(msg)
        loose += piece
        kind = part[0] if part else ";"
        if kind.startswith(("--", "/*")):
            loose += " "
        else:
            statement += re.sub(r"\s+", " ", loose)
            loose = ""
            if kind == ";":
                found.append(statement.strip())
                statement = ""
            else:
                statement += kind
        place = part.end() if part else len(text)
    return [statement for statement in found if statement]


def _read_view(path: Path, schema: str) -> View:
    name = f"{schema}.{path.stem}"
    if not _VIEW_FILE.fullmatch(path.stem):
        msg = f"{path}: name the file like the view, in small letters, digits and underscores"
        raise WarehouseSqlError(msg)
    found = statements(path.read_text("utf-8"))
    if len(found) != 1 or not found[0].startswith(f"CREATE OR REPLACE VIEW {name} AS "):
        msg = f"{path}: write CREATE OR REPLACE VIEW {name} AS … and nothing else"
        raise WarehouseSqlError(msg)
    return View(name, found[0])


def _check_numbers(folder: Path, migrations: Sequence[Migration]) -> None:
    for place, migration in enumerate(migrations, start=1):
        if int(migration.name[:4]) != place:
            msg = f"{folder / MIGRATIONS}: {migration.name} should have the number {place:04}"
            raise WarehouseSqlError(msg)
        if not migration.statements:
            msg = f"{folder / MIGRATIONS / migration.name}.sql holds no statement"
            raise WarehouseSqlError(msg)


def _in_order(views: Mapping[str, View]) -> tuple[View, ...]:
    """Put each view after those it names; raises WarehouseSqlError when they go in a circle."""
    if not views:
        return ()
    names = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in views))
    reads = {
        name: set(names.findall(view.statement.partition(" AS ")[2]))
        for name, view in views.items()
    }
    return tuple(views[name] for name in _by_dependency(reads, "views"))


def _by_dependency(reads: Mapping[str, Collection[str]], what: str) -> list[str]:
    """Put each name after those of the others that it reads."""
    ordered: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in ordered:
            return
        if name in above:
            msg = f"{what} read each other in a circle: {' -> '.join((*above, name))}"
            raise WarehouseSqlError(msg)
        for read in sorted((set(reads[name]) & reads.keys()) - {name}):
            visit(read, (*above, name))
        ordered[name] = None

    for name in sorted(reads):
        visit(name, ())
    return list(ordered)


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
