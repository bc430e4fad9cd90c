"""The rows of a CSV or Parquet file, one after the other: the file is never in memory whole."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cardwatch.cards.card_file import is_decoded
from cardwatch.imports.errors import ImportFileError, Refusal, RefusalReason

PARQUET_MAGIC: Final = b"PAR1"
_FETCHED_ROWS: Final = 1_000
_SHOWN_NAMES: Final = 40
_SHOWN_NAME_DIGITS: Final = 6
"""More digits in a column's name, and it may be a row that stands where the header should be."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the texts of the columns that were asked for and are there."""

    line: int
    """As Refusal has it."""
    cells: Mapping[str, str]


class Table(Protocol):
    """A file with named columns."""

    def rows(self) -> Iterator[Row | Refusal]:
        """Give the rows from the first one on, each time; a Refusal for what is no row.

        Raises ImportFileError for a file that breaks off.
        """
        ...


def open_table(path: Path, columns: Mapping[str, bool], *, separator: str, encoding: str) -> Table:
    """Open a file by what it is; `columns` says which are read, and which of them must be there.

    Raises ImportFileError for a file that is none and for a missing column, OSError as open does.
    """
    with path.open("rb") as file:
        magic = file.read(len(PARQUET_MAGIC))
    if magic == PARQUET_MAGIC:
        return ParquetTable(path, columns)
    return CsvTable(path, columns, separator=separator, encoding=encoding)


class CsvTable:
    """A CSV file: a header, then rows, quoted as RFC 4180 has it."""

    def __init__(
        self, path: Path, columns: Mapping[str, bool], *, separator: str, encoding: str
    ) -> None:
        """Read the header; raises ImportFileError."""
        self._path = path
        self._separator = separator
        self._encoding = encoding
        header = next(self._records(), (1, ()))[1]
        if isinstance(header, str) or not header:
            msg = f"{path} has no header line that names its columns; is it a CSV or Parquet file?"
            raise ImportFileError(msg)
        self._names = [name.strip() for name in header]
        self._places = _places(path, self._names, columns)

    def rows(self) -> Iterator[Row | Refusal]:
        records = self._records()
        next(records, None)
        for line, fields in records:
            if isinstance(fields, str):
                yield Refusal(line, RefusalReason.BAD_ROW, fields)
            elif len(fields) != len(self._names):
                detail = f"has {len(fields)} fields, the header has {len(self._names)}"
                yield Refusal(line, RefusalReason.BAD_ROW, detail)
            else:
                cells = {name: fields[place].strip() for name, place in self._places.items()}
                if all(map(is_decoded, cells.values())):
                    yield Row(line, cells)
                else:
                    yield Refusal(line, RefusalReason.BAD_ROW, f"is not {self._encoding}")

    def _records(self) -> Iterator[tuple[int, list[str] | str]]:
        """Give each record with the line it begins on, or what is wrong with it; no empty lines."""
        with self._path.open(encoding=self._encoding, newline="", errors="surrogateescape") as file:
            reader = csv.reader(file, delimiter=self._separator, strict=True)
            while True:
                line = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    # Its text may quote the row.
                    yield line, "is no CSV: a quote is not closed or stands within a field"
                    continue
                except UnicodeError:
                    msg = f"{self._path} is not {self._encoding} after line {line}"
                    raise ImportFileError(msg) from None
                if fields:
                    yield line, fields


class ParquetTable:
    """A Parquet file, every value as the text that DuckDB writes for it: the shortest of a double.

    Instants with a zone are UTC.
    """

    def __init__(self, path: Path, columns: Mapping[str, bool]) -> None:
        """Read the columns' names; raises ImportFileError."""
        self._path = path
        names = [name for name, *_ in self._selected("*", limit=0)[0]]
        self._columns = list(_places(path, names, columns))

    def rows(self) -> Iterator[Row | Refusal]:
        # A column's name is an identifier, in which a quote is doubled.
        listed = ", ".join(
            f'CAST("{name.replace(chr(34), chr(34) * 2)}" AS VARCHAR)' for name in self._columns
        )
        _, batches = self._selected(listed)
        line = 0
        for batch in batches:
            for values in batch:
                line += 1
                texts = ("" if value is None else str(value).strip() for value in values)
                yield Row(line, dict(zip(self._columns, texts, strict=True)))

    def _selected(
        self, listed: str, *, limit: int | None = None
    ) -> tuple[Sequence[tuple[str, ...]], Iterator[list[tuple[object, ...]]]]:
        """Give the description of a result, and its rows in batches."""
        try:
            import duckdb  # noqa: PLC0415  only a Parquet file needs it
        except ImportError:
            msg = f"{self._path} is a Parquet file, which needs duckdb: run `make setup`"
            raise ImportFileError(msg) from None
        at_most = "" if limit is None else f" LIMIT {limit}"
        # Nothing is loaded from a network; one thread keeps the order and little in memory.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "threads": "1",
        }
        unreadable = f"the Parquet file {self._path} cannot be read: it is cut off or damaged"
        connection = duckdb.connect(config=config)
        try:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            result = connection.execute(
                f"SELECT {listed} FROM read_parquet(?, hive_partitioning = false){at_most}",  # noqa: S608  quoted above
                [_literal(self._path)],
            )
        except duckdb.Error:
            raise ImportFileError(unreadable) from None

        def batches() -> Iterator[list[tuple[object, ...]]]:
            while True:
                try:
                    batch = result.fetchmany(_FETCHED_ROWS)
                except duckdb.Error:
                    raise ImportFileError(unreadable) from None
                if not batch:
                    return
                yield batch

        return [(str(item[0]),) for item in result.description or ()], batches()


def _literal(path: Path) -> str:
    """Give a path in which nothing is a pattern for DuckDB."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve()))


def _places(path: Path, names: Sequence[str], columns: Mapping[str, bool]) -> dict[str, int]:
    """Give where the columns that are read stand; raises ImportFileError for a missing one."""
    missing = [name for name, needed in columns.items() if needed and name not in names]
    if missing:
        some = "column" if len(missing) == 1 else "columns"
        msg = f"{path} has no {some} {', '.join(missing)}; {_told(names)}"
        raise ImportFileError(msg)
    twice = [name for name, count in Counter(names).items() if count > 1 and name in columns]
    if twice:
        msg = f"{path} has the column {', '.join(twice)} more than once; name each differently"
        raise ImportFileError(msg)
    return {name: names.index(name) for name in columns if name in names}


def _told(names: Sequence[str]) -> str:
    """Say which columns there are, if they cannot be somebody's payment."""
    if any(sum(map(str.isdigit, name)) > _SHOWN_NAME_DIGITS for name in names):
        return "its first line seems to be a row: is the line with the columns' names missing?"
    shown = [name or "(no name)" for name in names[:_SHOWN_NAMES]]
    if len(names) > _SHOWN_NAMES:
        shown.append(f"and {len(names) - _SHOWN_NAMES} more")
    return f"it has: {', '.join(shown)}"
