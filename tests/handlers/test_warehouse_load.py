"""The handler that loads the warehouse, on a bucket by moto and Redshift's Data API in memory."""

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws
from tests.deployed import cold_start
from tests.fake_redshift_data import FakeRedshiftData, refusal

from cardwatch.aws.clients import AwsClients
from cardwatch.warehouse.ports import WarehouseUnavailableError

ROOT = Path(__file__).parents[2]
KEY = "events/2026/11/21/12/one.gz"
INVOCATION: dict[str, Any] = json.loads((ROOT / "events/invocations/scheduled.json").read_bytes())
CONTEXT = SimpleNamespace(
    function_name="warehouse-load",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:warehouse-load",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 600_000,
)


@dataclass
class Ledger:
    """An engine that knows the load ledger and counts COPYs."""

    loaded: dict[str, str] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)

    def run(self, statements: Any) -> list[list[tuple[Any, ...]]]:  # noqa: ANN401
        results: list[list[tuple[Any, ...]]] = []
        for statement in statements:
            if statement.startswith("SELECT MAX"):
                results.append([(max(self.loaded, default=None),)])
            elif statement.startswith("SELECT object_key, object_etag"):
                results.append(list(self.loaded.items()))
            else:
                if statement.startswith("COPY"):
                    self.copies.append(statement)
                if statement.startswith("INSERT INTO staging.loaded_objects"):
                    key, etag = statement.split("VALUES ")[1].split("'")[1:4:2]
                    self.loaded[key] = etag
                results.append([])
        return results


@dataclass
class World:
    handler: ModuleType
    api: FakeRedshiftData
    ledger: Ledger
    s3: Any


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DELIVERY_BUCKET": "delivered",
        "WAREHOUSE_KIND": "cluster",
        "WAREHOUSE_NAME": "cardwatch-1",
        "DATABASE_NAME": "cardwatch",
        "LOADER_SECRET": "arn:aws:secretsmanager:us-east-1:1:secret:loader",
        "COPY_ROLE": "arn:aws:iam::1:role/copy",
    }.items():
        monkeypatch.setenv(name, value)
    ledger = Ledger()
    api = FakeRedshiftData(ledger, looks=0)
    monkeypatch.setattr(AwsClients, "redshift_data", lambda _: api)
    with mock_aws():
        module = cold_start("warehouse_load")
        s3 = AwsClients().s3()
        s3.create_bucket(Bucket="delivered")
        yield World(module, api, ledger, s3)


def test_what_was_delivered_is_loaded_by_a_list_and_counted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.s3.put_object(Bucket="delivered", Key=KEY, Body=gzip.compress(b"{}\n{}\n"))
    answer = world.handler.handler(INVOCATION, CONTEXT)
    assert answer == {"loaded": 1, "rows": 2, "bad": 0, "waiting": 0}
    [copy] = world.ledger.copies
    place = copy.split("'")[1].removeprefix("s3://delivered/")
    listed = json.loads(world.s3.get_object(Bucket="delivered", Key=place)["Body"].read())
    assert listed == {"entries": [{"url": f"s3://delivered/{KEY}", "mandatory": True}]}
    metrics = json.loads(
        next(line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    )
    assert metrics["service"] == "warehouse_load"
    assert (metrics["ObjectsLoaded"], metrics["RowsLoaded"]) == ([1.0], [2.0])
    assert (metrics["ObjectsBad"], metrics["ObjectsWaiting"]) == ([0.0], [0.0])


def test_a_second_run_finds_nothing_new(world: World) -> None:
    world.s3.put_object(Bucket="delivered", Key=KEY, Body=gzip.compress(b"{}\n"))
    world.handler.handler(INVOCATION, CONTEXT)
    assert world.handler.handler(INVOCATION, CONTEXT)["loaded"] == 0
    assert len(world.ledger.copies) == 1


def test_without_time_for_a_copy_it_says_how_much_waits(world: World) -> None:
    world.s3.put_object(Bucket="delivered", Key=KEY, Body=gzip.compress(b"{}\n"))
    short = SimpleNamespace(
        **{**vars(CONTEXT), "get_remaining_time_in_millis": lambda: 300_000},
    )
    assert world.handler.handler(INVOCATION, short)["waiting"] == 1
    assert world.ledger.copies == []


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_warehouse_that_refuses_ends_the_run_with_the_reason(world: World) -> None:
    world.api.faults = [("execute_statement", refusal("AccessDeniedException", "not yours"))]
    with pytest.raises(WarehouseUnavailableError, match="not yours"):
        world.handler.handler(INVOCATION, CONTEXT)


def test_no_body_of_an_object_is_logged(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "s" * 40
    broken = io.BytesIO(f"{secret}\n".encode())
    world.s3.put_object(Bucket="delivered", Key=KEY, Body=broken.getvalue())
    assert world.handler.handler(INVOCATION, CONTEXT)["bad"] == 1
    assert secret not in "".join(capsys.readouterr())
