"""Several notifiers at once on a real ledger: overlapping batches, redelivery, the schedule."""

import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.adapters.test_ledger import create_table
from tests.fakes import FakeDeadLetters, FakeEventStream, FakePager, FakeSubscriptions
from tests.unit.paging.support import alert_event, records

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.ledger import DynamoDBPageLedger
from cardwatch.clock import SystemClock
from cardwatch.paging.grouping import Policy
from cardwatch.paging.notifier import AlertRecord, Notifier
from cardwatch.paging.subscriptions import Audience

ATTEMPTS = 5
ALERTS = 60
CARDS = 12
WAITS = ("held", "gathered")


@pytest.mark.stack
def test_attempts_with_the_same_alerts_at_once_page_each_alert_once(emulator: AwsClients) -> None:
    clock = SystemClock()
    ledger = DynamoDBPageLedger(
        emulator.dynamodb(), create_table(emulator), clock, keep_for=timedelta(days=14)
    )
    pager, stream = FakePager(), FakeEventStream()
    now = datetime.now(UTC)
    everything = records(
        *(alert_event(n, at=now, card_token=f"{n % CARDS:032x}") for n in range(ALERTS))
    )

    def notifier() -> Notifier:
        return Notifier(
            ledger=ledger,
            pager=pager,
            audience=Audience(FakeSubscriptions(), clock, keep_for=timedelta(seconds=30)),
            stream=stream,
            dead_letters=FakeDeadLetters(),
            clock=clock,
            policy=Policy(pages_per_minute=300),
        )

    def attempt(seed: int) -> None:
        left = everything[:]
        random.Random(seed).shuffle(left)
        while left:
            failed: set[str] = set()
            for start in range(0, len(left), 15):
                batch: list[AlertRecord] = left[start : start + 15]
                failed |= notifier().page_batch(batch).failed
            notifier().page_waiting()
            left = [record for record in left if record.sequence_number in failed]

    threads = [threading.Thread(target=attempt, args=(seed,)) for seed in range(ATTEMPTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    deadline = clock.monotonic() + 30
    while any(ledger.waiting(k, limit=1) for k in WAITS) and clock.monotonic() < deadline:
        notifier().page_waiting(close_groups=True)
        clock.sleep(0.2)
    told = Counter(i for message in pager.sent for i in message.alert_ids)
    assert len(told) == ALERTS
    assert set(told.values()) == {1}
    assert not any(message.repeat for message in pager.sent)
    assert {message.kind for message in pager.sent} == {"FIRST", "FOLLOW_UP"}
