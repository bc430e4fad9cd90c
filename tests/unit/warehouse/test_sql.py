"""The SQL files as statements: split, ordered, hashed, and refused when they are not runnable."""

from pathlib import Path

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from cardwatch.warehouse.schema import password_digest
from cardwatch.warehouse.sql import (
    WarehouseSqlError,
    read_warehouse_sql,
    statements,
)

ROOT = Path(__file__).parents[3]
SQL = read_warehouse_sql(ROOT / "warehouse")


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_comments_and_white_space_are_no_part_of_a_statement() -> None:
    text = "-- why; not\nSELECT 1 -- one\n  ,  2;\n/* a; b */\n\nSELECT 'a;  --b''c', \"x;y\";;"
    assert statements(text) == ["SELECT 1 , 2", "SELECT 'a;  --b''c', \"x;y\""]


def test_a_quoted_text_without_an_end_is_refused() -> None:
    with pytest.raises(WarehouseSqlError, match="does not end"):
        statements("SELECT 'a; SELECT 2;")


@given(st.lists(st.sampled_from(["SELECT 1", "SELECT 'a;b'", "SELECT '--'", 'SELECT ";"'])))
def test_splitting_gives_back_what_was_joined(parts: list[str]) -> None:
    assert statements(";\n-- no\n".join(parts)) == parts


def test_our_files_split_as_a_sql_parser_splits_them() -> None:
    for path in (ROOT / "warehouse").glob("*/*.sql"):
        text = path.read_text("utf-8")
        parsed = [one for one in sqlglot.parse(text, read="redshift") if one is not None]
        assert len(statements(text)) == len(parsed)


def test_a_view_comes_after_every_view_it_reads() -> None:
    names = [view.name for view in SQL.views]
    assert len(set(names)) == len(names) == len(list((ROOT / "warehouse").glob("[bm]a*/*.sql")))
    for place, view in enumerate(SQL.views):
        statement = sqlglot.parse_one(view.statement, read="redshift")
        assert isinstance(statement, exp.Create)
        read = {f"{t.text('db')}.{t.name}" for t in statement.expression.find_all(exp.Table)}
        assert read & set(names) <= set(names[:place])


def test_views_that_read_each_other_are_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        marts__a="CREATE OR REPLACE VIEW marts.a AS SELECT * FROM marts.b;",
        marts__b="CREATE OR REPLACE VIEW marts.b AS SELECT * FROM marts.a;",
    )
    with pytest.raises(WarehouseSqlError, match=r"circle: marts\.a -> marts\.b -> marts\.a"):
        read_warehouse_sql(folder)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("tables__events", "SELECT 1;", "name a migration NNNN_name"),
        ("tables__0002_events", "SELECT 1;", "should have the number 0001"),
        ("tables__0001_events", "-- nothing\n", "holds no statement"),
        ("marts__a", "CREATE VIEW marts.a AS SELECT 1;", "write CREATE OR REPLACE VIEW"),
        ("marts__a", "CREATE OR REPLACE VIEW marts.b AS SELECT 1;", "write CREATE OR REPLACE VIEW"),
        ("marts__a", "CREATE OR REPLACE VIEW marts.a AS SELECT 1; SELECT 2;", "and nothing else"),
        ("marts__A", "CREATE OR REPLACE VIEW marts.A AS SELECT 1;", "small letters"),
    ],
)
def test_a_file_that_could_not_be_run_is_named(
    tmp_path: Path, name: str, text: str, error: str
) -> None:
    with pytest.raises(WarehouseSqlError, match=error):
        read_warehouse_sql(write(tmp_path, **{name: text}))


def test_a_content_hash_tells_statements_and_not_comments_apart(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        return read_warehouse_sql(write(tmp_path, tables__0001_x=text)).migrations[0].content_hash

    first = digest("CREATE TABLE a (b INT);")
    assert digest("-- what for\nCREATE  TABLE a\n(b INT);") == first
    assert digest("CREATE TABLE a (c INT);") != first


def test_the_table_is_as_the_assignment_asks() -> None:
    (create,) = next(m for m in SQL.migrations if m.name == "0002_events").statements
    table = sqlglot.parse_one(create, read="redshift")
    columns = {column.name: column.sql("redshift") for column in table.find_all(exp.ColumnDef)}
    assert "VARCHAR(65535)" in columns["event_json_data"]
    assert columns["event_dw_regdate"].startswith("event_dw_regdate TIMESTAMP")
    assert "DEFAULT SYSDATE" in columns["event_dw_regdate"]
    assert columns["event_date_origin"].startswith("event_date_origin TIMESTAMP")
    assert columns["event_type"].startswith("event_type VARCHAR")


def test_the_loader_may_read_no_event_and_change_no_row_of_one() -> None:
    grants = [grant for grant in SQL.grants if grant.endswith(" TO cardwatch_loader")]
    assert [grant for grant in grants if "staging.events" in grant] == [
        "GRANT INSERT ON TABLE staging.events TO cardwatch_loader"
    ]
    assert not any(word in grant for grant in grants for word in (" ALL ", "DELETE", "DROP"))


def test_a_password_s_digest_is_the_one_of_redshift_s_documentation() -> None:
    # CREATE USER, "md5hashed password", with the documentation's password, user and digest.
    assert password_digest("ez", "user1") == "md5153c434b4b77c89e6b94f12c5393af5b"
