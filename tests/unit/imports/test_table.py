from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
from tests.card_numbers import NUMBERS

from cardwatch.imports.errors import ImportFileError, Refusal
from cardwatch.imports.table import Row, Table, open_table

WANTED = {"at": True, "pan": True, "shop": False}


def opened(
    path: Path,
    columns: Mapping[str, bool] = WANTED,
    *,
    separator: str = ",",
    encoding: str = "utf-8-sig",
) -> Table:
    return open_table(path, columns, separator=separator, encoding=encoding)


def csv_of(tmp_path: Path, content: str | bytes, name: str = "payments.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet_of(tmp_path: Path, select: str, name: str = "payments.parquet") -> Path:
    path = tmp_path / name
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def test_rows_have_the_line_they_begin_on_and_the_columns_asked_for(tmp_path: Path) -> None:
    path = csv_of(
        tmp_path, '\ufeffat,other,shop,pan\r\n1,x,"a\r\nb, ""c""", 42\r\n\r\n2,x,d,43\r\n'
    )
    assert list(opened(path).rows()) == [
        Row(2, {"at": "1", "pan": "42", "shop": 'a\r\nb, "c"'}),
        Row(5, {"at": "2", "pan": "43", "shop": "d"}),
    ]


def test_another_separator_and_encoding_are_read(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "at;pan;shop\n1;42;Café\n".encode("cp1252"))
    table = opened(path, separator=";", encoding="cp1252")
    assert list(table.rows()) == [Row(2, {"at": "1", "pan": "42", "shop": "Café"})]


def test_rows_that_are_none_are_refused_and_the_next_ones_read(tmp_path: Path) -> None:
    path = csv_of(
        tmp_path, b'at,pan,shop\n1,42\n1,42,s,more\n1,42,"a"b\n1,42,\xff\n2,43,d\n3,4,"open\n'
    )
    *refused, last = list(opened(path).rows())
    assert [(type(row).__name__, row.line) for row in refused] == [
        ("Refusal", 2),
        ("Refusal", 3),
        ("Refusal", 4),
        ("Refusal", 5),
        ("Row", 6),
    ]
    assert isinstance(last, Refusal)
    assert "a quote is not closed" in last.detail


def test_of_many_columns_the_first_are_shown(tmp_path: Path) -> None:
    path = csv_of(tmp_path, ",".join(f"c{n}" for n in range(394)) + "\n")
    with pytest.raises(ImportFileError, match=r"c0, c1, .*, c39, and 354 more$"):
        opened(path)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "at,number,\n1,2,3\n")
    with pytest.raises(ImportFileError, match=r"has no column pan; it has: at, number, \(no name"):
        opened(path)


def test_a_row_in_the_place_of_the_header_is_not_shown(tmp_path: Path) -> None:
    path = csv_of(tmp_path, f"2019-01-01,{NUMBERS[0]},Jo\n")
    with pytest.raises(ImportFileError, match="is the line with the columns' names missing") as e:
        opened(path)
    assert NUMBERS[0][:6] not in str(e.value)
    assert "Jo" not in str(e.value)


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_a_file_without_a_header_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImportFileError, match=r"no header line|has no columns"):
        opened(csv_of(tmp_path, content))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="column pan more than once"):
        opened(csv_of(tmp_path, "at,pan,pan\n"))


def test_a_text_that_breaks_off_in_its_encoding_is_refused_in_one_line(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "at,pan\n1,42\n".encode("utf-16")[:-1])
    with pytest.raises(ImportFileError, match="is not utf-16"):
        list(opened(path, encoding="utf-16").rows())


def test_parquet_is_read_as_text_without_a_float_in_between(tmp_path: Path) -> None:
    path = parquet_of(
        tmp_path,
        f"SELECT TIMESTAMPTZ '2019-01-01 00:00:18+00' AS at, {NUMBERS[0]}::BIGINT AS pan,"
        " 0.1::FLOAT AS shop, 1 AS other UNION ALL SELECT NULL, 42::BIGINT, 59.0, 2",
    )
    assert list(opened(path).rows()) == [
        Row(1, {"at": "2019-01-01 00:00:18+00", "pan": NUMBERS[0], "shop": "0.1"}),
        Row(2, {"at": "", "pan": "42", "shop": "59.0"}),
    ]


def test_a_parquet_files_name_and_columns_are_no_patterns(tmp_path: Path) -> None:
    parquet_of(tmp_path, 'SELECT 1 AS at, 2 AS pan, 3 AS "a ""b"""', "a.parquet")
    path = parquet_of(tmp_path, 'SELECT 1 AS at, 5 AS pan, 6 AS "a ""b"""', "[a].parquet")
    rows = list(opened(path, {"pan": True, 'a "b"': True}).rows())
    assert rows == [Row(1, {"pan": "5", 'a "b"': "6"})]


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    path = parquet_of(tmp_path, "SELECT 1 AS at, 2 AS pan")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ImportFileError, match="cannot be read: it is cut off or damaged"):
        opened(path)
