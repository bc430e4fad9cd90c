"""A stream of one card's payments on the emulator, and what a job wrote back to it."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cardwatch.aws.clients import AwsClients
from cardwatch.contract.fields import format_time

STREAM = "events"
CARD = "4f0c" * 8
PATIENCE = 90.0


@dataclass
class Stream:
    """The stream with a heartbeat a second, and what the job wrote to it."""

    emulator: AwsClients
    alerts: dict[str, set[str]] = field(default_factory=dict)
    """Alert ids by payment."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many alerts of each payment."""
    large: Counter[str] = field(default_factory=Counter)
    """How many alerts of a large amount each payment has."""
    keys: dict[str, set[str]] = field(default_factory=dict)
    """The partition keys of what the job wrote, by the id that the contract asks for."""

    def __post_init__(self) -> None:
        self.kinesis = self.emulator.kinesis()
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        self.shards = self.kinesis.list_shards(StreamName=STREAM)["Shards"]
        self.iterators = {
            shard["ShardId"]: self.kinesis.get_shard_iterator(
                StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            for shard in self.shards
        }
        self.quiet = threading.Event()
        self.heart = threading.Thread(target=self._beat)
        self.heart.start()

    def put(
        self,
        type_: str,
        data: dict[str, Any],
        hash_key: str | None = None,
        ahead: timedelta = timedelta(),
    ) -> None:
        envelope = {
            "type": type_,
            "event_id": os.urandom(8).hex(),
            "schema_version": 1,
            "event_date_origin": format_time(datetime.now(UTC) + ahead),
            "event_json_data": data,
        }
        record: dict[str, Any] = {"Data": json.dumps(envelope).encode(), "PartitionKey": CARD}
        if hash_key is not None:
            record["ExplicitHashKey"] = hash_key
        self.kinesis.put_record(StreamName=STREAM, **record)

    def pay(self, payment: str, amount: str = "12.50", ahead: timedelta = timedelta()) -> str:
        """Pay by a producer's clock that is ahead of the stream's."""
        self.put(
            "PAYMENT_EVENT",
            {
                "payment_id": payment,
                "account_id": "acc_1",
                "user_id": "usr_1",
                "card_token": CARD,
                "card_bin": "424242",
                "card_last4": "4242",
                "amount": amount,
                "currency": "EUR",
                "merchant_id": "mer_1",
                "country": "MT",
                "city": "Valletta",
                "status": "AUTHORIZED",
            },
            ahead=ahead,
        )
        return payment

    def read(self) -> None:
        for shard, iterator in list(self.iterators.items()):
            answer = self.kinesis.get_records(ShardIterator=iterator)
            self.iterators[shard] = answer["NextShardIterator"]
            for record in answer["Records"]:
                envelope = json.loads(record["Data"])
                data = envelope["event_json_data"]
                if envelope["type"] in {"PAYMENT_ALERT", "PAYMENT_ALERT_SUMMARY", "RULE_ALERT"}:
                    asked = data.get("entity_id", envelope["event_id"])
                    self.keys.setdefault(asked, set()).add(record["PartitionKey"])
                if envelope["type"] == "RULE_ALERT" and data["rule"] == "large_amount":
                    self.large[data["payment_ids"][0]] += 1
                if envelope["type"] == "PAYMENT_ALERT":
                    self.alerts.setdefault(data["payment_id"], set()).add(data["alert_id"])
                    self.counts[data["payment_id"]] += 1

    def has_alerts(self, payments: list[str]) -> bool:
        self.read()
        return set(payments) <= set(self.alerts)

    def finds_large(self, *payments: str) -> bool:
        self.read()
        return set(payments) <= set(self.large)

    def ids_of(self, payments: Iterable[str]) -> dict[str, set[str]]:
        return {payment: self.alerts[payment] for payment in payments}

    def _beat(self) -> None:
        while not self.quiet.wait(1.0):
            for shard in self.shards:
                hash_key = shard["HashKeyRange"]["StartingHashKey"]
                self.put("HEARTBEAT", {"source": "test"}, hash_key)

    def close(self) -> None:
        self.quiet.set()
        self.heart.join()
        # Another file's tests may use the same emulator, and the name.
        self.kinesis.delete_stream(StreamName=STREAM)


def wait_for(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
