"""Backfill into the warehouse: COPY and ledger in one transaction, every object once."""

import gzip
import json
from datetime import date
from typing import Any, cast

import psycopg
import pytest
from tests.fake_redshift_data import FakeRedshiftData
from tests.fakes import FakeClock
from tests.warehouse.redshift import PostgresEngine

from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.aws.redshift_loads import COPY_COLUMNS, RedshiftLoads
from cardwatch.local.redshift_dialect import SQL_FOLDER
from cardwatch.local.warehouse import DELIVERED_COLUMNS, Warehouse
from cardwatch.recovery.backfill import GROUP, BackfillReport, load_again, load_delivered
from cardwatch.recovery.error_output import QUARANTINE
from cardwatch.recovery.ports import LoadOutcome, StoredObject
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.schema import Password, WarehouseSchema
from cardwatch.warehouse.sql import read_warehouse_sql

BUCKET = "delivered"
ROLE = "arn:aws:iam::123456789012:role/copy"
LOADER = RedshiftDatabase("warehouse", False, "cardwatch", "arn:aws:secretsmanager:x:1:secret:l")  # noqa: FBT003


def pack(*events: str) -> bytes:
    lines = [
        json.dumps(
            {
                "event_id": event,
                "event_type": "HEARTBEAT",
                "event_date_origin": "2026-11-21 07:00:03.120",
                "event_json_data": '{"source":"simulator"}',
            }
        )
        for event in events
    ]
    return gzip.compress("\n".join(lines).encode() + b"\n")


class Bucket:
    """The delivery bucket in memory, and what COPY sees of it."""

    bucket = BUCKET

    def __init__(self, **objects: bytes) -> None:
        self.objects: dict[str, bytes] = {
            f"events/2026/11/21/12/{name}.gz": body for name, body in objects.items()
        }

    def list(self, prefix: str, after: str = "") -> list[StoredObject]:
        return [
            StoredObject(key, f"etag-{len(body)}")
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix) and key > after
        ]

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put(self, key: str, body: bytes) -> str:
        self.objects[key] = body
        return f"etag-{len(body)}"

    def remove(self, key: str) -> None:
        del self.objects[key]


class Redshift:
    """The deployed warehouse, with the loader's session."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.bucket = Bucket()
        self.engine = PostgresEngine(connection, role=ROLE)
        self.api = FakeRedshiftData(self.engine, looks=0)
        clock = FakeClock()
        session = RedshiftDataSession(cast("Any", self.api), LOADER, clock, patience_seconds=60)
        WarehouseSchema(
            session,
            read_warehouse_sql(SQL_FOLDER),
            Password("1", "Mypassword1"),
            auditor=Password("1", "Itspassword1"),
            pause=clock.sleep,
        ).bring_up_to_date()
        self.session = session
        self.loads = RedshiftLoads(session, self.bucket, ROLE)

    def holds(self, **objects: bytes) -> Bucket:
        self.bucket = Bucket(**objects)
        self.engine.objects = _Seen(self.bucket)
        self.loads = RedshiftLoads(self.session, self.bucket, ROLE)
        return self.bucket

    def copies(self) -> int:
        """Count the COPYs that were done."""
        return sum(statement.startswith("COPY") for statement in self.engine.ran)

    def events(self) -> list[str]:
        rows = self.engine.connection.execute("SELECT event_id FROM staging.events ORDER BY 1")
        return [event for (event,) in rows]

    def ledger(self) -> list[tuple[str, int]]:
        rows = self.engine.connection.execute(
            "SELECT object_key, row_count FROM staging.loaded_objects ORDER BY 1"
        )
        return [(key.rpartition("/")[2], count) for key, count in rows]


class _Seen(dict[str, bytes]):
    """A bucket's objects as COPY names them, as they are at the moment."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self._bucket = bucket

    def __iter__(self) -> Any:  # noqa: ANN401
        return iter([f"{BUCKET}/{key}" for key in self._bucket.objects])

    def __getitem__(self, name: str) -> bytes:
        return self._bucket.objects[name.removeprefix(f"{BUCKET}/")]

    def __bool__(self) -> bool:
        return True


@pytest.fixture
def redshift(database: psycopg.Connection[Any]) -> Redshift:
    return Redshift(database)


def load(redshift: Redshift, *, everything: bool = True, **more: Any) -> BackfillReport:  # noqa: ANN401
    return load_delivered(redshift.bucket, redshift.loads, everything=everything, **more)


def test_what_is_not_in_the_ledger_is_loaded_with_one_copy(redshift: Redshift) -> None:
    redshift.holds(one=pack("a", "b"), two=pack("c"))
    said: list[str] = []
    report = load(redshift, progress=said.append)
    assert (report.objects, report.loaded, report.rows, report.complete) == (2, 2, 3, True)
    assert redshift.events() == ["a", "b", "c"]
    assert redshift.ledger() == [("one.gz", 2), ("two.gz", 1)]
    assert redshift.copies() == 1
    assert said == ["objects 1 to 2 of 2"]


def test_what_waits_for_a_person_is_not_loaded(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    for place in (QUARANTINE, "events/errors/", "backup/", "loads/"):
        bucket.objects[f"{place}2026/11/21/12/x.gz"] = pack("not-this")
    assert load(redshift).loaded == 1
    assert redshift.events() == ["a"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(redshift: Redshift) -> None:
    redshift.holds(one=pack("a"), two=pack("b"))
    redshift.loads.load("events/2026/11/21/12/one.gz", f"etag-{len(pack('a'))}", pack("a"))
    report = load(redshift, dry_run=True)
    assert (report.objects, report.loaded) == (1, 1)
    assert redshift.events() == ["a"]


def test_a_load_that_runs_again_loads_nothing_twice(redshift: Redshift) -> None:
    redshift.holds(one=pack("a"), two=pack("b"))
    assert load(redshift).loaded == 2
    assert load(redshift) == BackfillReport()
    assert load(redshift, everything=False) == BackfillReport()
    assert redshift.events() == ["a", "b"]


def test_what_retention_removed_is_loaded_once_more_when_its_day_is_asked_for(
    redshift: Redshift,
) -> None:
    bucket = redshift.holds(one=pack("a"))
    bucket.objects["events/2026/11/22/12/two.gz"] = pack("b")
    assert load(redshift).loaded == 2
    redshift.engine.connection.execute("DELETE FROM staging.events")
    day = date(2026, 11, 21)
    assert load_again(bucket, redshift.loads, [day], dry_run=True).loaded == 1
    assert redshift.ledger() == [("one.gz", 1), ("two.gz", 1)]
    assert load_again(bucket, redshift.loads, [day]).loaded == 1
    assert redshift.events() == ["a"]
    assert redshift.ledger() == [("one.gz", 1), ("one.gz", 1), ("two.gz", 1)]
    assert load(redshift) == BackfillReport()


def test_the_local_warehouse_forgets_the_objects_of_a_day_alone(warehouse: Warehouse) -> None:
    for day in (21, 22):
        warehouse.load(f"events/2026/11/{day}/12/x.gz", "etag", pack("a"))
    assert warehouse.forget("events/2026/11/21/") == 1
    assert warehouse.forget("events/2026/11/2_/") == 0
    assert warehouse.forget("events/2026/11/21/") == 0, "it is forgotten already"
    for day, result in ((21, "loaded"), (22, "already_loaded")):
        outcome = warehouse.load(f"events/2026/11/{day}/12/x.gz", "etag", pack("a"))
        assert outcome.result == result


def test_a_warehouse_that_comes_later_gets_all_that_was_delivered_before_it(
    redshift: Redshift,
) -> None:
    """The change from Warehouse=none to a cluster: days of objects, and none of them known."""
    bucket = redshift.holds()
    hours = [
        f"events/2026/{month:02}/{day:02}/{hour:02}/x.gz"
        for month, day in ((8, 31), (9, 1), (11, 20))
        for hour in range(24)
    ]
    for number, key in enumerate(hours):
        bucket.objects[key] = pack(f"e{number:02}")
    report = load(redshift, everything=False)
    assert (report.loaded, report.complete) == (len(hours), True)
    assert redshift.events() == [f"e{number:02}" for number in range(len(hours))]
    # From here on what is new, and what Firehose stored late, is found without looking at it all.
    bucket.objects["events/2026/11/20/23/y.gz"] = pack("new")
    bucket.objects["events/2026/11/20/00/late.gz"] = pack("a day late")
    assert load(redshift, everything=False).loaded == 2


def test_a_load_looks_back_as_far_as_firehose_may_be_late_and_no_further(
    redshift: Redshift,
) -> None:
    bucket = redshift.holds()
    bucket.objects["events/2026/11/21/12/newest.gz"] = pack("newest")
    load(redshift)
    bucket.objects["events/2026/11/20/11/day-old.gz"] = pack("day-old")
    bucket.objects["events/2026/11/20/10/older.gz"] = pack("older")
    assert load(redshift, everything=False).loaded == 1
    assert load(redshift, everything=True).loaded == 1


def test_when_time_is_up_the_next_load_goes_on(redshift: Redshift) -> None:
    bucket = redshift.holds()
    for number in range(GROUP + 1):
        bucket.objects[f"events/2026/11/21/12/{number:04}.gz"] = pack(f"e{number}")
    asked = iter([False, True])
    first = load(redshift, everything=False, enough=lambda: next(asked))
    assert (first.loaded, first.waiting, first.complete) == (GROUP, 1, False)
    assert load(redshift, everything=False).loaded == 1
    assert len(redshift.events()) == GROUP + 1
    assert redshift.copies() == 2


def test_an_object_that_somebody_else_loads_meanwhile_is_loaded_once(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    (item,) = bucket.list("events/2026")
    body = bucket.objects[item.key]
    overtaken: list[LoadOutcome] = []

    def overtake() -> None:
        if not overtaken and "COPY" in str(list(redshift.api.statements.values())[-1].sqls):
            overtaken.append(LoadOutcome("bad"))
            overtaken.append(redshift.loads.load(item.key, item.etag, body))

    redshift.api.before_run = overtake
    assert redshift.loads.load(item.key, item.etag, body).result == "already_loaded"
    assert overtaken[1].result == "loaded"
    assert redshift.events() == ["a"]


def test_an_object_that_copy_refuses_is_kept_aside_with_its_place(redshift: Redshift) -> None:
    broken = gzip.compress(gzip.decompress(pack("b")) + b'{"event_id": "secret\n')
    bucket = redshift.holds(one=pack("a"), two=broken, three=pack("c"))
    report = load(redshift)
    (error,) = report.bad.values()
    assert error == "line 2, column : Redshift's load error 1216 (SYS_LOAD_ERROR_DETAIL)"
    assert not report.complete
    assert redshift.events() == ["a", "c"]
    assert load(redshift) == BackfillReport()
    # Mended by hand: another content is another object.
    bucket.objects["events/2026/11/21/12/two.gz"] = pack("b")
    assert load(redshift).complete
    assert redshift.events() == ["a", "b", "c"]


def test_one_bad_object_among_many_costs_few_copies_and_keeps_none_of_the_others_out(
    redshift: Redshift,
) -> None:
    bucket = redshift.holds()
    for number in range(64):
        bucket.objects[f"events/2026/11/21/12/{number:02}.gz"] = pack(f"e{number}")
    bucket.objects["events/2026/11/21/12/37.gz"] = gzip.compress(b"{\n")
    report = load(redshift)
    assert (report.loaded, list(report.bad)) == (63, ["events/2026/11/21/12/37.gz"])
    assert len(redshift.events()) == 63
    assert redshift.copies() <= 7, "halves, not one by one"


def test_an_object_that_is_no_gzip_file_is_kept_aside(redshift: Redshift) -> None:
    redshift.holds(one=pack("a")[:-4], two=pack("b"))
    report = load(redshift)
    assert list(report.bad.values()) == ["not a whole gzip file"]
    assert redshift.events() == ["b"]


def test_an_object_that_goes_while_it_is_to_be_loaded_is_said_and_stops_nothing(
    redshift: Redshift,
) -> None:
    bucket = redshift.holds(one=pack("a"), two=pack("b"))
    bucket.get = lambda key: None if "one" in key else bucket.objects[key]  # type: ignore[method-assign]
    report = load(redshift)
    assert report.problems == [
        "events/2026/11/21/12/one.gz went from the bucket before it was loaded"
    ]
    assert redshift.events() == ["b"]


def test_a_failure_that_is_not_an_object_s_ends_the_load_and_leaves_nothing(
    redshift: Redshift,
) -> None:
    redshift.holds(one=pack("a"), two=pack("b"))
    redshift.engine.role = "another"
    with pytest.raises(WarehouseUnavailableError, match=r"loading .*one.gz failed .*Access Denied"):
        load(redshift)
    assert redshift.events() == []
    assert redshift.ledger() == []
    redshift.engine.role = ROLE
    assert load(redshift).loaded == 2


def test_a_transaction_that_is_stopped_is_tried_again(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    (item,) = bucket.list("events/2026")
    api = cast("Any", _StoppedOnce(redshift.api))
    session = RedshiftDataSession(api, LOADER, FakeClock(), patience_seconds=60)
    outcome = RedshiftLoads(session, bucket, ROLE).load(
        item.key, item.etag, bucket.objects[item.key]
    )
    assert outcome == LoadOutcome("loaded", rows=1)
    assert redshift.events() == ["a"]


class _StoppedOnce:
    """The API, where somebody stops the first batch."""

    def __init__(self, api: FakeRedshiftData) -> None:
        self._api = api
        self._stopped = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name == "batch_execute_statement" and not self._stopped:
            self._stopped = True
            self._api.aborts = 1
        return getattr(self._api, name)


def test_the_same_load_runs_on_the_one_machine_warehouse(warehouse: Warehouse) -> None:
    bucket = Bucket(one=pack("a"), two=pack("b", "b"))
    report = load_delivered(bucket, warehouse, everything=False)
    assert (report.loaded, report.rows) == (2, 3)
    assert warehouse.staged().events == 2
    assert load_delivered(bucket, warehouse, everything=False) == BackfillReport()


def test_backfill_loads_the_columns_that_delivery_loads() -> None:
    assert tuple(COPY_COLUMNS.split(", ")) == DELIVERED_COLUMNS
