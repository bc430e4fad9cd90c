"""The SQL of the job: one statement per file, with ${placeholders} that must all be given."""

import re
from collections.abc import Mapping
from pathlib import Path

SQL = Path(__file__).resolve().parent / "sql"

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def sql_text(path: Path, values: Mapping[str, str] | None = None) -> str:
    """Give one file's statement with its placeholders filled.

    Values stand inside SQL string literals, so a quote in a value is doubled. Raises KeyError with
    the placeholder's name when a value is missing.
    """
    quoted = {name: value.replace("'", "''") for name, value in (values or {}).items()}
    text = path.read_text(encoding="utf-8").rstrip().removesuffix(";")
    return _PLACEHOLDER.sub(lambda match: quoted[match[1]], text)


def with_options(text: str, options: Mapping[str, str]) -> str:
    """Give a table's DDL with options added; raises ValueError when it has not one WITH clause."""
    before, clause, after = text.partition(" WITH (")
    if not clause or clause in after:
        msg = "the statement has not one WITH clause to add options to"
        raise ValueError(msg)
    quoted = [f"\n    {_literal(key)} = {_literal(value)}," for key, value in options.items()]
    return f"{before}{clause}{''.join(quoted)}{after}"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def placeholders(path: Path) -> set[str]:
    return set(_PLACEHOLDER.findall(path.read_text(encoding="utf-8")))
