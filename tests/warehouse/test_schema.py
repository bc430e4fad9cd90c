"""The warehouse's schema through the Data API: a fake API in front of the embedded PostgreSQL.

The migrations, views, users and grants are those of `warehouse/`; what PostgreSQL calls otherwise
is translated as for the one-machine stack.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from tests.fake_redshift_data import FakeRedshiftData, StatementError, refusal
from tests.fakes import FakeClock
from tests.warehouse.redshift import PostgresEngine, password_fault

from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.local.redshift_dialect import SQL_FOLDER
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.schema import (
    AUDITOR,
    LOADER,
    READER,
    Password,
    WarehouseSchema,
    WarehouseSchemaError,
    password_digest,
)
from cardwatch.warehouse.sql import read_warehouse_sql

DATABASE = RedshiftDatabase("warehouse", False, "cardwatch", "arn:aws:secretsmanager:x:1:secret:a")  # noqa: FBT003
PASSWORD = Password("version-1", "Mypassword1")
AUDITORS = Password("version-1", "Itspassword1")
MIGRATIONS = sorted(path.stem for path in (SQL_FOLDER / "tables").glob("*.sql"))
NEXT = f"{len(MIGRATIONS) + 1:04}"
ALL_DONE = [
    *(f"migration {name}" for name in MIGRATIONS),
    f"role {READER}",
    f"user {LOADER}",
    f"user {AUDITOR}",
    "views and grants",
]


@pytest.fixture
def api(database: psycopg.Connection[Any]) -> FakeRedshiftData:
    return FakeRedshiftData(PostgresEngine(database), looks=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The SQL files, to be changed by a test."""
    return Path(shutil.copytree(SQL_FOLDER, tmp_path / "warehouse"))


def deploy(
    api: FakeRedshiftData,
    folder: Path = SQL_FOLDER,
    password: Password = PASSWORD,
    auditor: Password = AUDITORS,
) -> list[str]:
    clock = FakeClock()
    session = RedshiftDataSession(cast("Any", api), DATABASE, clock, patience_seconds=60)
    return WarehouseSchema(
        session, read_warehouse_sql(folder), password, auditor=auditor, pause=clock.sleep
    ).bring_up_to_date()


def rows(api: FakeRedshiftData, query: str) -> list[tuple[Any, ...]]:
    return cast("PostgresEngine", api.engine).connection.execute(query.encode()).fetchall()


def ran(api: FakeRedshiftData) -> list[str]:
    return cast("PostgresEngine", api.engine).ran


def test_an_empty_warehouse_gets_everything_in_order(api: FakeRedshiftData) -> None:
    assert deploy(api) == ALL_DONE
    views = rows(api, "SELECT count(*) FROM pg_views WHERE schemaname IN ('marts', 'banking')")
    files = [path for schema in ("marts", "banking") for path in SQL_FOLDER.glob(f"{schema}/*.sql")]
    assert views == [(len(files),)]
    assert rows(api, "SELECT count(*) FROM marts.alert_latency") == [(0,)]


def test_a_second_deployment_runs_nothing_that_writes(api: FakeRedshiftData) -> None:
    deploy(api)
    before = rows(api, "SELECT * FROM migrations.ledger ORDER BY kind, place")
    seen = len(ran(api))
    assert deploy(api) == []
    assert rows(api, "SELECT * FROM migrations.ledger ORDER BY kind, place") == before
    again = ran(api)[seen:]
    assert all(s.startswith("SELECT") or "IF NOT EXISTS migrations" in s for s in again), again


def test_every_step_is_one_transaction_with_its_row_in_the_ledger(api: FakeRedshiftData) -> None:
    deploy(api)
    batches = [
        arguments["Sqls"] for name, arguments in api.calls if name == "batch_execute_statement"
    ]
    assert [batch[0] for batch in batches[1:]] == ["LOCK migrations.ledger"] * len(ALL_DONE)
    migrations = [batch for batch in batches if "'migration'" in batch[-1]]
    assert len(migrations) == len(MIGRATIONS)
    assert all(len(batch) <= 40 for batch in batches)


@pytest.mark.parametrize("step", range(1, len(ALL_DONE) + 2))
def test_a_run_that_was_broken_off_is_taken_up_where_it_stopped(
    api: FakeRedshiftData, step: int
) -> None:
    fault = refusal("AccessDeniedException", "the session has ended")
    batches = 0

    def break_off() -> None:
        nonlocal batches
        batches += 1

    class Breaking(FakeRedshiftData):
        def batch_execute_statement(self, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
            break_off()
            if batches == step:
                raise fault
            return super().batch_execute_statement(**arguments)

    with pytest.raises(WarehouseUnavailableError):
        deploy(Breaking(api.engine, looks=0))
    done = deploy(api)
    assert done == ALL_DONE[max(0, step - 2) :]
    assert deploy(api) == []


def test_a_batch_whose_answer_was_lost_is_found_done(api: FakeRedshiftData) -> None:
    api.lost = [("batch_execute_statement", refusal("InternalServerException", status=500))] * 3
    assert deploy(api) == ALL_DONE
    assert rows(api, "SELECT count(*) FROM migrations.ledger WHERE kind = 'migration'") == [
        (len(MIGRATIONS),)
    ]


def test_another_run_that_was_faster_leaves_nothing_to_do(
    api: FakeRedshiftData, folder: Path
) -> None:
    deploy(api)
    addition = "ALTER TABLE staging.bad_objects ADD COLUMN looked_at TIMESTAMP;"
    (folder / "tables" / f"{NEXT}_looked_at.sql").write_text(addition)
    rival = FakeRedshiftData(api.engine, looks=0)
    overtaken = False

    def overtake() -> None:
        nonlocal overtaken
        statement = list(api.statements.values())[-1]
        if not overtaken and any("ALTER TABLE" in sql for sql in statement.sqls):
            overtaken = True
            assert deploy(rival, folder) == [f"migration {NEXT}_looked_at"]

    api.before_run = overtake
    assert deploy(api, folder) == []
    assert overtaken
    assert ran(api).count(addition.rstrip(";")) == 1


@pytest.mark.parametrize("aborts", [1, 2])
def test_a_statement_that_somebody_stopped_is_run_again(api: FakeRedshiftData, aborts: int) -> None:
    api.aborts = aborts
    assert deploy(api) == ALL_DONE


def test_a_migration_that_fails_is_undone_and_said_with_its_reason(
    api: FakeRedshiftData, folder: Path
) -> None:
    deploy(api)
    path = folder / "tables" / f"{NEXT}_two.sql"
    path.write_text("CREATE TABLE staging.first (a INTEGER);\nDROP TABLE staging.missing;")
    with pytest.raises(WarehouseSchemaError) as caught:
        deploy(api, folder)
    assert re.fullmatch(
        rf"migration {NEXT}_two failed and was undone: statement 4 of 5: ERROR: table \"missing\" "
        r"does not exist; mend it and deploy again, which goes on from here",
        str(caught.value),
    )
    assert rows(api, "SELECT to_regclass('staging.first')") == [(None,)]
    path.write_text("CREATE TABLE staging.first (a INTEGER);")
    assert deploy(api, folder) == [f"migration {NEXT}_two"]


def test_a_released_migration_that_was_changed_is_refused(
    api: FakeRedshiftData, folder: Path
) -> None:
    deploy(api)
    path = folder / "tables" / "0003_loads.sql"
    path.write_text(path.read_text().replace("VARCHAR(64)", "VARCHAR(65)"))
    with pytest.raises(WarehouseSchemaError, match=r"put warehouse/tables/0003_loads.sql back"):
        deploy(api, folder)


def test_an_older_release_leaves_newer_migrations_alone(
    api: FakeRedshiftData, folder: Path
) -> None:
    addition = "ALTER TABLE staging.bad_objects ADD COLUMN looked_at TIMESTAMP;"
    (folder / "tables" / f"{NEXT}_looked_at.sql").write_text(addition)
    deploy(api, folder)
    assert deploy(api, SQL_FOLDER) == []


def test_a_changed_view_is_made_anew_with_its_grants(api: FakeRedshiftData, folder: Path) -> None:
    deploy(api)
    path = folder / "marts" / "alerts_paged_again.sql"
    path.write_text(path.read_text().replace("repeated.pages,", "repeated.pages AS sent_pages,"))
    assert deploy(api, folder) == ["views and grants"]
    assert rows(api, "SELECT sent_pages FROM marts.alerts_paged_again") == []
    assert rows(
        api, f"SELECT has_table_privilege('{READER}', 'marts.alerts_paged_again', 'SELECT')"
    ) == [(True,)]
    assert deploy(api, folder) == []


def test_a_view_that_is_gone_from_the_files_is_dropped(api: FakeRedshiftData, folder: Path) -> None:
    deploy(api)
    (folder / "marts" / "alerts_paged_again.sql").unlink()
    assert deploy(api, folder) == ["views and grants"]
    assert rows(api, "SELECT to_regclass('marts.alerts_paged_again')") == [(None,)]


def test_a_view_that_somebody_built_on_ours_stops_the_change_and_stays(
    api: FakeRedshiftData, folder: Path
) -> None:
    deploy(api)
    engine = cast("PostgresEngine", api.engine)
    engine.connection.execute("CREATE VIEW public.theirs AS SELECT * FROM marts.alert_latency")
    path = folder / "marts" / "alert_latency.sql"
    path.write_text(path.read_text().replace("alerts.late,", "alerts.late AS was_late,"))
    with pytest.raises(WarehouseSchemaError, match="views and grants failed and was undone"):
        deploy(api, folder)
    assert rows(api, "SELECT count(*) FROM public.theirs") == [(0,)]
    assert rows(api, "SELECT count(*) FROM marts.alert_latency_percentiles") == [(0,)]


def test_changed_grants_are_granted(api: FakeRedshiftData, folder: Path) -> None:
    deploy(api)
    with (folder / "access" / "grants.sql").open("a") as file:
        file.write(f"GRANT SELECT ON TABLE staging.bad_objects TO ROLE {READER};\n")
    assert deploy(api, folder) == ["views and grants"]


def test_the_loader_can_load_and_neither_read_nor_change_events(api: FakeRedshiftData) -> None:
    deploy(api)
    wanted = {
        ("staging.events", "INSERT"): True,
        ("staging.events", "SELECT"): False,
        ("staging.events", "UPDATE"): False,
        ("staging.events", "DELETE"): False,
        ("typed.payment_alert", "SELECT"): False,
        ("staging.loaded_objects", "INSERT"): True,
        ("staging.loaded_objects", "DELETE"): False,
        ("staging.bad_objects", "INSERT"): True,
        ("migrations.ledger", "SELECT"): False,
    }
    for (table, privilege), allowed in wanted.items():
        query = f"SELECT has_table_privilege('{LOADER}', '{table}', '{privilege}')"
        assert rows(api, query) == [(allowed,)], (table, privilege)


def test_no_password_is_in_a_statement_s_text(api: FakeRedshiftData) -> None:
    deploy(api)
    values = (PASSWORD.value, AUDITORS.value)
    assert not any(value in statement for value in values for statement in ran(api))
    created = [statement for statement in ran(api) if statement.startswith("CREATE USER")]
    digests = [statement.partition(" PASSWORD ")[2] for statement in created]
    users = zip(values, (LOADER, AUDITOR), strict=True)
    assert digests == [f"'{password_digest(value, user)}'" for value, user in users]


def test_a_digest_that_redshift_quotes_is_not_passed_on(
    api: FakeRedshiftData, caplog: pytest.LogCaptureFixture
) -> None:
    class Quoting(PostgresEngine):
        def run(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
            for number, statement in enumerate(statements, start=1):
                if statement.startswith("CREATE USER"):
                    raise StatementError(number, f"syntax error at or near {statement[-33:]}")
            return super().run(statements)

    api.engine = Quoting(cast("PostgresEngine", api.engine).connection)
    with pytest.raises(WarehouseSchemaError, match="at or near …") as caught:
        deploy(api)
    assert not re.search(r"[0-9a-f]{8}", str(caught.value) + caplog.text)


def test_a_new_password_is_given_to_the_user_that_is_there(api: FakeRedshiftData) -> None:
    deploy(api)
    assert deploy(api, password=Password("version-2", "Anotherpassword1")) == [f"user {LOADER}"]
    assert any(statement.startswith(f"ALTER USER {LOADER} PASSWORD") for statement in ran(api))
    assert deploy(api, password=Password("version-2", "Anotherpassword1")) == []


def test_the_auditor_may_read_and_write_nothing(api: FakeRedshiftData) -> None:
    deploy(api)
    for table in ("staging.events", "typed.payment_event", "facts.page_alerts", "refresh.progress"):
        for privilege, may in (("SELECT", True), ("INSERT", False), ("DELETE", False)):
            query = f"SELECT has_table_privilege('{AUDITOR}', '{table}', '{privilege}')"
            assert rows(api, query) == [(may,)], (table, privilege)


def test_a_new_password_of_the_auditor_leaves_the_loader_alone(api: FakeRedshiftData) -> None:
    deploy(api)
    another = Password("version-2", "Anotherpassword1")
    assert deploy(api, auditor=another) == [f"user {AUDITOR}"]
    assert deploy(api, auditor=another) == []


@pytest.mark.parametrize(
    ("statement", "taken"),
    [
        ("CREATE USER u PASSWORD 'md5153c434b4b77c89e6b94f12c5393af5b'", True),
        (f"CREATE USER u PASSWORD 'sha256|{'0' * 64}|{'0' * 64}'", True),
        ("ALTER USER u PASSWORD 'md5153c434b4b77c89e6b94f12c5393af5b'", True),
        (f"ALTER USER u PASSWORD 'sha256|{'0' * 64}|{'0' * 64}'", False),
        ("ALTER USER u PASSWORD 'short'", False),
    ],
)
def test_redshift_s_part_takes_a_password_only_in_a_documented_form(
    statement: str, *, taken: bool
) -> None:
    assert (password_fault(statement) is None) == taken


def test_a_user_that_somebody_dropped_is_made_again(api: FakeRedshiftData) -> None:
    deploy(api)
    engine = cast("PostgresEngine", api.engine)
    engine.connection.execute(f"DROP OWNED BY {LOADER}".encode())
    engine.connection.execute(f"DROP ROLE {LOADER}".encode())
    assert deploy(api) == [f"user {LOADER}"]
