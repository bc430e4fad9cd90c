"""Payments on a stolen card that break the contract, from the stream through the deployed stager
and the one-machine delivery to the marts."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.infrastructure.conftest import ROOT, Stack

from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.clock import SystemClock
from cardwatch.contract.alert import alert_id
from cardwatch.contract.fields import format_time
from cardwatch.local.firehose.delivery import BufferingHints, Delivery, DeliveryPositions
from cardwatch.local.firehose.ends import BucketObjects, StagerFunction, StreamSource
from cardwatch.local.services import ministack
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import Stream
from cardwatch.local.warehouse import Warehouse
from cardwatch.ports import StreamEntry

CARD = uuid4().hex
BEGAN = datetime.now(UTC)


def example(path: str, **data: object) -> dict[str, Any]:
    """Give an example of the contract with other data, of now."""
    event: dict[str, Any] = json.loads((ROOT / "events/examples" / path).read_bytes())
    event |= {"event_id": uuid4().hex, "event_date_origin": format_time(BEGAN)}
    event["event_json_data"] |= {"card_token": CARD, **data}
    return event


def broken_payment(payment_id: str) -> dict[str, Any]:
    """Give what the detection reads and the contract refuses."""
    return example("payment_event.v1/valid/authorized.json", payment_id=payment_id, amount=12.5)


def delivery_of(stack: Stack, warehouse: Warehouse, positions: Path) -> Delivery:
    clients = ministack.clients(stack.settings)
    function = clients.impatient_lambda(patience_seconds=60)
    bucket = f"delivery-{uuid4()}"  # other tests count what is in the stack's
    clients.s3().create_bucket(Bucket=bucket)
    return Delivery(
        source=StreamSource(Stream(clients.kinesis(), stack.outputs.stream_name)),
        transformer=StagerFunction(function, stack.outputs.stager_function),
        objects=BucketObjects(clients.s3(), bucket),
        loader=warehouse,
        positions=PositionFile(positions, DeliveryPositions, durable=True),
        hints=BufferingHints(seconds=1, size=1024 * 1024),
        clock=SystemClock(),
    )


@pytest.mark.stack
def test_a_stolen_payment_in_quarantine_is_in_the_marts_whether_it_alerted_or_not(
    stack: Stack, warehouse: Warehouse, tmp_path: Path
) -> None:
    kinesis = ministack.clients(stack.settings).kinesis()
    stream = KinesisEventStream(kinesis, stack.outputs.stream_name, SystemClock())
    delivery = delivery_of(stack, warehouse, tmp_path / "delivery.json")

    def put(*events: dict[str, Any]) -> None:
        entries = [StreamEntry(json.dumps(event).encode(), CARD) for event in events]
        assert stream.put(entries).undelivered == ()

    def outcomes() -> dict[str, tuple[str, str, str | None]]:
        """Give what the mart says of this card's payments once all is delivered and loaded."""
        delivery.request_flush()
        wanted = delivery.status().flush_requested
        while delivery.status().flush_completed < wanted:
            delivery.step()
        warehouse.refresh().run()
        return {
            row["payment_id"]: (row["reason"], row["outcome"], row["alert_id"])
            for row in warehouse.rows("marts.quarantined_events")
            if row["card_token"] == CARD
        }

    reported = format_time(BEGAN - timedelta(hours=1))
    put(example("card_status.v1/valid/stolen.json", effective_from=reported))
    assert outcomes() == {}
    found = alert_id("pay_found", CARD)
    put(
        broken_payment("pay_found"),
        broken_payment("pay_missed"),
        example("payment_alert.v1/valid/stolen_card.json", payment_id="pay_found", alert_id=found),
    )
    deadline = time.monotonic() + 60
    # The stager's own events come behind what they are about.
    while len(told := outcomes()) < 2 and time.monotonic() < deadline:
        pass
    assert told == {
        "pay_found": ("invalid_data", "alerted", found),
        "pay_missed": ("invalid_data", "open", None),
    }
    owed = [
        (row["payment_id"], row["owed_by"])
        for row in warehouse.rows("marts.payments_without_alert")
        if row["card_token"] == CARD
    ]
    assert owed == [("pay_missed", "quarantine")]

    put(example("payment_event.v1/valid/authorized.json", payment_id="pay_missed"))
    assert outcomes()["pay_missed"] == ("invalid_data", "staged", None)
