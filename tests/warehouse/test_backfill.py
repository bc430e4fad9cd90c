"""Backfill into the warehouse: COPY and ledger in one transaction, every object once."""

import gzip
import json
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
from cardwatch.recovery.backfill import load_skipped
from cardwatch.recovery.ports import LoadOutcome, StoredObject
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.schema import Password, WarehouseSchema
from cardwatch.warehouse.sql import read_warehouse_sql

BUCKET = "delivered"
ROLE = "arn:aws:iam::123456789012:role/copy"
MANIFEST = "events/errors/manifests/2026/11/21/12/manifest-1"
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

    def list(self, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key, f"etag-{len(body)}")
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix)
        ]

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def remove(self, key: str) -> None:
        del self.objects[key]

    def skip(self, *names: str, manifest: str = MANIFEST, bucket: str = BUCKET) -> None:
        """Put a manifest of objects as Firehose does when it gives up."""
        urls = [f"s3://{bucket}/events/2026/11/21/12/{name}.gz" for name in names]
        entries = [{"url": url, "mandatory": True} for url in urls]
        self.objects[manifest] = json.dumps({"entries": entries}).encode()


class Redshift:
    """The deployed warehouse, with the loader's session."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.bucket = Bucket()
        self.engine = PostgresEngine(connection, role=ROLE)
        self.api = FakeRedshiftData(self.engine, looks=0)
        clock = FakeClock()
        session = RedshiftDataSession(cast("Any", self.api), LOADER, clock, patience_seconds=60)
        WarehouseSchema(
            session, read_warehouse_sql(SQL_FOLDER), Password("1", "Mypassword1"), pause=clock.sleep
        ).bring_up_to_date()
        self.loads = RedshiftLoads(session, BUCKET, ROLE)

    def holds(self, **objects: bytes) -> Bucket:
        self.bucket = Bucket(**objects)
        self.engine.objects = _Seen(self.bucket)
        return self.bucket

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


def test_the_objects_of_a_manifest_are_loaded_and_it_goes(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a", "b"), two=pack("c"), delivered=pack("d"))
    bucket.skip("one", "two")
    said: list[str] = []
    report = load_skipped(bucket, redshift.loads, progress=said.append)
    assert (report.manifests, report.objects, report.loaded, report.rows) == (1, 2, 2, 3)
    assert report.complete
    assert redshift.events() == ["a", "b", "c"]
    assert redshift.ledger() == [("one.gz", 2), ("two.gz", 1)]
    assert MANIFEST not in bucket.objects
    assert said == ["manifest 1 of 1: 2 objects"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"), two=pack("b"))
    bucket.skip("one", "two")
    redshift.loads.load("events/2026/11/21/12/one.gz", f"etag-{len(pack('a'))}", pack("a"))
    report = load_skipped(bucket, redshift.loads, dry_run=True)
    assert (report.loaded, report.already_loaded, report.removed) == (1, 1, 0)
    assert redshift.events() == ["a"]
    assert MANIFEST in bucket.objects


def test_an_object_in_two_manifests_or_runs_is_loaded_once(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"), two=pack("b"))
    bucket.skip("one", "two")
    bucket.skip("two", "one", manifest="errors/manifests/2026/11/21/13/manifest-2")
    first = load_skipped(bucket, redshift.loads)
    assert (first.manifests, first.objects, first.loaded, first.removed) == (2, 2, 2, 2)
    bucket.skip("one")
    second = load_skipped(bucket, redshift.loads)
    assert (second.loaded, second.already_loaded, second.removed) == (0, 1, 1)
    assert redshift.events() == ["a", "b"]


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
    bucket.skip("one", "two", "three")
    report = load_skipped(bucket, redshift.loads)
    (error,) = report.bad.values()
    assert error == "line 2, column : Redshift's load error 1216 (SYS_LOAD_ERROR_DETAIL)"
    assert not report.complete
    assert redshift.events() == ["a", "c"]
    assert MANIFEST in bucket.objects
    again = load_skipped(bucket, redshift.loads)
    assert (again.loaded, again.already_loaded, len(again.bad)) == (0, 2, 1)
    # Mended by hand, as the command says.
    bucket.objects["events/2026/11/21/12/two.gz"] = pack("b")
    assert load_skipped(bucket, redshift.loads).complete
    assert redshift.events() == ["a", "b", "c"]


def test_an_object_that_is_no_gzip_file_is_kept_aside(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a")[:-4])
    bucket.skip("one")
    report = load_skipped(bucket, redshift.loads)
    assert list(report.bad.values()) == ["not a whole gzip file"]


def test_an_object_that_is_gone_is_said_and_the_manifest_stays(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    bucket.skip("one", "gone")
    report = load_skipped(bucket, redshift.loads)
    assert report.loaded == 1
    assert report.problems == [
        "events/2026/11/21/12/gone.gz is gone from the bucket: a former version may still be there"
    ]
    assert MANIFEST in bucket.objects


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"[]", b'{"entries": 1}', b'{"entries": [{"url": 1}]}']
)
def test_a_manifest_that_is_none_is_named_and_stays(redshift: Redshift, content: bytes) -> None:
    bucket = redshift.holds()
    bucket.objects[MANIFEST] = content
    report = load_skipped(bucket, redshift.loads)
    (problem,) = report.problems
    assert problem.startswith(
        f"{MANIFEST} is no manifest of this bucket: it is not JSON with a list"
    )
    assert MANIFEST in bucket.objects


def test_a_manifest_of_another_bucket_loads_nothing(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    bucket.skip("one", bucket="somebody-else")
    report = load_skipped(bucket, redshift.loads)
    assert "it lists objects of another bucket" in report.problems[0]
    assert redshift.events() == []


def test_a_failure_that_is_not_the_object_s_ends_the_backfill_and_leaves_nothing(
    redshift: Redshift,
) -> None:
    bucket = redshift.holds(one=pack("a"))
    bucket.skip("one")
    redshift.engine.role = "another"
    with pytest.raises(WarehouseUnavailableError, match=r"loading .*one.gz failed .*Access Denied"):
        load_skipped(bucket, redshift.loads)
    assert redshift.events() == []
    assert redshift.ledger() == []
    redshift.engine.role = ROLE
    assert load_skipped(bucket, redshift.loads).loaded == 1


def test_a_transaction_that_is_stopped_is_tried_again(redshift: Redshift) -> None:
    bucket = redshift.holds(one=pack("a"))
    (item,) = bucket.list("events/2026")
    api = cast("Any", _StoppedOnce(redshift.api))
    session = RedshiftDataSession(api, LOADER, FakeClock(), patience_seconds=60)
    outcome = RedshiftLoads(session, BUCKET, ROLE).load(
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


def test_the_same_backfill_runs_on_the_one_machine_warehouse(warehouse: Warehouse) -> None:
    bucket = Bucket(one=pack("a"), two=pack("b", "b"))
    bucket.skip("one", "two")
    report = load_skipped(bucket, warehouse)
    assert (report.loaded, report.rows, report.removed) == (2, 3, 1)
    assert warehouse.staged().events == 2


def test_backfill_loads_the_columns_that_delivery_loads() -> None:
    assert tuple(COPY_COLUMNS.split(", ")) == DELIVERED_COLUMNS
