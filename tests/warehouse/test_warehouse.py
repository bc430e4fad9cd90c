"""The local warehouse: derived from the Redshift SQL, loaded once, never stopped by one object."""

import gzip
import json
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlglot

from cardwatch.contract.streams import EVENT_TYPES, MAX_DATA_BYTES
from cardwatch.local.redshift_dialect import SQL_FOLDER, postgres_statements
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.recovery.ports import LoadOutcome
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.sql import WarehouseSqlError

ROW = {
    "event_id": "beat-1",
    "event_type": "HEARTBEAT",
    "event_date_origin": "2026-11-21 07:00:03.120",
    "event_json_data": '{"source":"simulator"}',
}


def pack(*rows: dict[str, Any]) -> bytes:
    return gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def test_an_object_is_loaded_once(warehouse: Warehouse) -> None:
    body = pack(ROW, {**ROW, "event_id": "beat-2"})
    assert warehouse.load("events/1.gz", "etag", body) == LoadOutcome("loaded", rows=2)
    assert warehouse.load("events/1.gz", "etag", body).result == "already_loaded"
    assert warehouse.staged().rows == 2
    assert warehouse.known_objects() == {("events/1.gz", "etag")}


def test_the_same_event_in_two_objects_is_two_rows_and_one_event(warehouse: Warehouse) -> None:
    warehouse.load("events/1.gz", "etag", pack(ROW))
    warehouse.load("events/2.gz", "etag", pack(ROW))
    staged = warehouse.staged()
    assert (staged.rows, staged.events, dict(staged.by_type)) == (2, 1, {"HEARTBEAT": 1})
    assert warehouse.event_ids("HEARTBEAT") == {"beat-1"}
    warehouse.refresh().run()
    assert len(warehouse.rows("typed.heartbeat")) == 1


def test_a_row_gets_the_time_of_its_load_in_utc(warehouse: Warehouse) -> None:
    warehouse.load("events/1.gz", "etag", pack(ROW))
    warehouse.refresh().run()
    (row,) = warehouse.rows("typed.heartbeat")
    assert row["event_date_origin"] == datetime(2026, 11, 21, 7, 0, 3, 120_000)  # noqa: DTZ001 - UTC by convention
    loaded = row["event_dw_regdate"].replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - loaded) < timedelta(minutes=1)


CARD_LIKE = "4" + "2" * 15


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"not gzip", "not a whole gzip file"),
        (pack(ROW)[:-9], "not a whole gzip file"),
        (gzip.compress(b"\xff\xfe\n"), "not UTF-8"),
        (gzip.compress(b"[1]\n"), "line 1 is not a JSON object"),
        (gzip.compress(json.dumps(ROW).encode() + b"\n{"), "line 2 is not a JSON object"),
        (pack({**ROW, "event_json_data": {"nested": CARD_LIKE}}), "line 1 has a column that is"),
        (pack(ROW, {**ROW, "event_date_origin": CARD_LIKE}), "in line 2, event_date_origin"),
        (pack({k: v for k, v in ROW.items() if k != "event_id"}), "NotNullViolation in line 1"),
        (pack({**ROW, "event_json_data": "é" * 40_000}), "CheckViolation in line 1"),
        (pack({**ROW, "event_id": "x" * 129}), "StringDataRightTruncation in line 1, event_id"),
        (pack({**ROW, "event_id": "a\0b"}), "DataError"),
    ],
    ids=[
        *("not gzip", "cut off", "not utf-8", "not an object", "not json", "nested"),
        *("bad time", "missing column", "too many bytes", "long id", "nul"),
    ],
)
def test_a_bad_object_is_reported_by_place_without_its_data_and_leaves_no_rows(
    warehouse: Warehouse, server: WarehouseServer, body: bytes, error: str
) -> None:
    outcome = warehouse.load("events/bad.gz", "etag", body)
    assert outcome.result == "bad"
    assert error in outcome.error
    (bad,) = warehouse.bad_objects()
    assert (bad.key, bad.etag, bad.error) == ("events/bad.gz", "etag", outcome.error)
    assert warehouse.staged().rows == 0
    assert CARD_LIKE not in outcome.error
    assert CARD_LIKE not in (server.folder / "log").read_text()
    assert warehouse.load("events/bad.gz", "etag", body) == outcome
    assert len(warehouse.bad_objects()) == 1
    assert warehouse.load("events/good.gz", "etag", pack(ROW)).result == "loaded"


def test_a_load_that_the_server_cuts_off_leaves_nothing_and_is_done_again(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    assert warehouse.staged().rows == 0
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with pytest.raises(WarehouseUnavailableError, match="went away"):
        warehouse.load("events/1.gz", "etag", pack(ROW))
    assert warehouse.known_objects() == set()
    assert warehouse.load("events/1.gz", "etag", pack(ROW)).result == "loaded"


def test_an_escaped_nul_in_one_event_does_not_break_the_table(
    warehouse: Warehouse,
) -> None:
    warehouse.load(
        "events/1.gz", "etag", pack({**ROW, "event_json_data": '{"source":"a\\u0000b"}'})
    )
    warehouse.refresh().run()
    assert [row["source"] for row in warehouse.rows("typed.heartbeat")] == ["a\ufffdb"]


def test_defining_again_keeps_rows_and_replaces_views(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    warehouse.load("events/1.gz", "etag", pack(ROW))
    warehouse.refresh().run()
    connection.execute("DROP VIEW marts.events_per_minute")
    connection.execute("CREATE VIEW marts.events_per_minute AS SELECT 1 AS other")
    connection.execute("CREATE VIEW marts.gone AS SELECT 1 AS one")
    warehouse.define()
    (row,) = warehouse.rows("marts.events_per_minute")
    assert row["event_count"] == 1
    views = connection.execute("SELECT 1 FROM pg_views WHERE viewname = 'gone'").fetchall()
    assert views == []


def test_the_staging_table_takes_doubles_as_redshift_does(connection: psycopg.Connection) -> None:
    constraints = connection.execute(
        "SELECT contype FROM pg_constraint WHERE conrelid = 'staging.events'::regclass"
    ).fetchall()
    assert {kind for (kind,) in constraints} <= {"c", "n"}


def test_the_table_holds_what_the_contract_allows(connection: psycopg.Connection) -> None:
    widths: dict[str, int] = dict(
        connection.execute(
            "SELECT column_name::text, character_maximum_length::int"
            " FROM information_schema.columns WHERE table_name = 'events'"
        ).fetchall()
    )
    assert widths["event_json_data"] == MAX_DATA_BYTES
    assert widths["event_id"] == 128
    assert widths["event_type"] >= max(map(len, EVENT_TYPES))


def test_no_physical_attribute_and_no_redshift_function_reaches_postgresql() -> None:
    statements = " ".join(postgres_statements()).upper()
    for word in ("DISTKEY", "DISTSTYLE", "SORTKEY", "ENCODE", "SYSDATE", "DATEDIFF"):
        assert word not in statements
    assert "AT TIME ZONE 'UTC'" in statements


def test_every_sql_file_is_redshift_that_parses_and_creates(tmp_path: Path) -> None:
    for path in SQL_FOLDER.glob("**/*.sql"):
        assert sqlglot.parse(path.read_text(encoding="utf-8"), read="redshift")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "0001_drop.sql").write_text("DROP TABLE staging.events;")
    with pytest.raises(WarehouseSqlError, match=r"drop\.sql: only CREATE"):
        postgres_statements(tmp_path)


def test_a_migration_may_add_a_column_and_be_run_again(
    stopped_server: WarehouseServer, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(SQL_FOLDER, tmp_path / "warehouse"))
    number = len(list((folder / "tables").glob("*.sql"))) + 1
    (folder / "tables" / f"{number:04}_looked_at.sql").write_text(
        "ALTER TABLE staging.bad_objects ADD COLUMN looked_at TIMESTAMP DEFAULT SYSDATE;"
    )
    stopped_server.start()
    warehouse = Warehouse(stopped_server)
    for _ in range(2):
        warehouse.define(folder)
    assert warehouse.rows("staging.bad_objects") == []
    with stopped_server.connect() as connection:
        connection.execute("SELECT looked_at FROM staging.bad_objects")
    warehouse.close()


def test_rows_survive_a_stop_and_a_killed_server(stopped_server: WarehouseServer) -> None:
    server = stopped_server
    with pytest.raises(WarehouseUnavailableError, match="no PostgreSQL runs"):
        server.connect()
    server.start()
    warehouse = Warehouse(server)
    with pytest.raises(WarehouseUnavailableError, match="has no tables"):
        warehouse.load("events/1.gz", "etag", pack(ROW))
    warehouse.define()
    warehouse.load("events/1.gz", "etag", pack(ROW))
    server.stop()
    assert server.pid() is None
    with pytest.raises(WarehouseUnavailableError):
        warehouse.staged()
    server.start()
    server.start()
    assert warehouse.staged().rows == 1
    killed = server.pid()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    server.start()
    assert server.pid() not in {killed, None}
    with pytest.raises(WarehouseUnavailableError):
        warehouse.staged()
    assert warehouse.staged().rows == 1
    warehouse.close()


def test_a_process_id_file_that_names_another_program_is_no_running_server(
    stopped_server: WarehouseServer,
) -> None:
    server = stopped_server
    server.start()
    noted = (server.folder / "postmaster.pid").read_text()
    server.stop()
    lines = [str(os.getpid()), *noted.splitlines()[1:]]
    (server.folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert server.pid() is None
    server.start()
    assert server.pid() not in {os.getpid(), None}
