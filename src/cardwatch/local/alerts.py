"""The alerts on a stream, as they come: for people at a terminal, and for programs."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from cardwatch.clock import SystemClock
from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.canary import is_canary
from cardwatch.contract.rule_alert import RuleAlert
from cardwatch.contract.streams import Envelope, RejectedRecord, read_event
from cardwatch.local.stream.all_shards import AllShards
from cardwatch.local.stream.shard import Stream, StreamRecord
from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.ports import Clock

FOLLOW_SECONDS: Final = 0.5
_HEADS: Final = (b'"PAYMENT_ALERT"', b'"RULE_ALERT"')
"""What an alert's record has in it: only such records are read by the contract."""


def alerts_on(
    stream: Stream, *, rule: str | None = None, follow: bool = False, clock: Clock | None = None
) -> Iterator[Envelope]:
    """Give each alert on a stream once, oldest first as far as one read goes, of one rule or all.

    `follow`: goes on with what comes, until the caller stops. Raises StreamUnavailableError.
    """
    clock = clock or SystemClock()
    shards = AllShards(stream)
    seen: set[str] = set()
    while True:
        found: list[tuple[datetime, Envelope]] = []

        def take(_shard: str, records: Sequence[StreamRecord]) -> None:
            found.extend(  # noqa: B023  it is called before the next turn
                (record.arrived_at, alert)
                for record in records
                if (alert := _alert(record.data, clock.now())) is not None
            )

        more = shards.read(take)
        for _, alert in sorted(found, key=lambda each: each[0]):
            if alert.event_id not in seen and rule in {None, rule_of(alert)}:
                seen.add(alert.event_id)
                yield alert
        if not more:
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)


def rule_of(alert: Envelope) -> str:
    """Give the rule that an alert is of."""
    return PagedAlert.of(alert).rule


def alert_line(alert: Envelope) -> str:
    """Say an alert in one line: when it was found, how bad it is, which rule, of whom, and why."""
    said = PagedAlert.of(alert)
    what = [
        f"{said.detected_at:%H:%M:%S}",
        f"{said.severity:<8}",
        f"{said.rule:<16}",
        f"{said.entity_kind} {said.entity}",
    ]
    amount = phrases.amount(said)
    if amount and isinstance(alert.event_json_data, PaymentAlert):
        what.append(amount)
    if isinstance(alert.event_json_data, RuleAlert) and not alert.event_json_data.pages:
        what.append(f"paging {alert.event_json_data.paging}")
    return "  ".join([*what, said.reason or "no reason given"])


def _alert(data: bytes, now: datetime) -> Envelope | None:
    if not any(head in data for head in _HEADS):
        return None
    try:
        event = read_event(data, now=now)
    except RejectedRecord:
        return None
    alert = event.event_json_data
    if isinstance(alert, PaymentAlert) and is_canary(alert.card_token):
        return None
    return event if isinstance(alert, PaymentAlert | RuleAlert) else None
