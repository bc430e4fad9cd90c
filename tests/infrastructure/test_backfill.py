"""`cardwatch backfill` on the deployed stack, with the one-machine warehouse."""

import gzip
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.infrastructure.conftest import ROOT, Stack

from cardwatch.cli import main
from cardwatch.local.services import ministack
from cardwatch.local.warehouse import Warehouse
from cardwatch.recovery.error_output import QUARANTINE, FailedRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VALID = (ROOT / "events/examples/page_event.v1/valid/sent.json").read_bytes()
ROW = {
    "event_id": "delivered-1",
    "event_type": "HEARTBEAT",
    "event_date_origin": "2026-11-21 07:00:03.120",
    "event_json_data": "{}",
}


@pytest.mark.stack
def test_backfill_loads_what_is_not_in_the_ledger_and_sends_what_is_valid_now(
    stack: Stack, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    session, endpoint = ministack.session(stack.settings), ministack.endpoint(stack.settings)
    s3: S3Client = session.client("s3", endpoint_url=endpoint)
    bucket = stack.outputs.delivery_bucket
    key = "events/2026/11/21/00/delivered.gz"
    s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(json.dumps(ROW).encode()))
    now = datetime.now(UTC)
    records = [
        FailedRecord(raw, now, 4, now, "Lambda.FunctionError", "it failed", "arn:stager")
        for raw in (VALID, b"{")
    ]
    body = gzip.compress(b"".join(record.to_line() for record in records))
    s3.put_object(Bucket=bucket, Key=f"{QUARANTINE}2026/11/21/00/one.gz", Body=body)

    assert main(["backfill", "--dry-run"]) == 1  # a record stays
    said = capsys.readouterr().out
    assert "1 objects are not in the load ledger; would load 1" in said
    assert "quarantine: 1 objects; would send 1 PAGE_EVENT" in said
    assert warehouse.staged().rows == 0

    assert main(["backfill"]) == 1
    said = capsys.readouterr().out
    assert "loaded 1 with 1 rows" in said
    assert "quarantine: 1 objects; sent 1 PAGE_EVENT" in said
    assert "still break the contract and stay: 1 not_json" in said
    assert warehouse.event_ids("HEARTBEAT") == {"delivered-1"}

    assert main(["backfill", "--only", "objects"]) == 0
    assert "0 objects are not in the load ledger" in capsys.readouterr().out
    assert main(["backfill", "--only", "quarantine"]) == 1
    assert "quarantine: 1 objects; sent nothing" in capsys.readouterr().out
