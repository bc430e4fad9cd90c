"""A canary's alert comes to the notifier, is measured, and reaches nobody."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.metrics import EphemeralMetrics
from tests.fakes import NOON, FakeSubscriptions
from tests.unit.canary.support import canary_alert
from tests.unit.paging.support import World, alert_event, records

from cardwatch.observability import get_logger
from cardwatch.paging.canary import CANARY_KEY, SIGN_OF_LIFE
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import HeartbeatFailedError
from cardwatch.paging.records import BUCKET_KEY
from cardwatch.paging.telemetry import MeasuredNotifier


@dataclass
class FakeHeartbeat:
    """Counts what it was told; `broken` takes nothing."""

    sent: int = 0
    broken: bool = False

    def send(self) -> None:
        if self.broken:
            msg = "the heartbeat's service answered 500"
            raise HeartbeatFailedError(msg)
        self.sent += 1


@dataclass
class Measured:
    """The notifier with its figures."""

    world: World = field(default_factory=World)
    heartbeat: FakeHeartbeat = field(default_factory=FakeHeartbeat)

    def page_batch(self, *events: Any) -> dict[str, list[float]]:  # noqa: ANN401  alerts
        """Page a batch; give the canary's figures."""
        metrics = EphemeralMetrics(namespace="test", service="notifier")
        measured = MeasuredNotifier(
            self.world.notifier(),
            FakeSubscriptions(),
            0,
            get_logger("notifier"),
            metrics,  # type: ignore[arg-type]  # the same, unshared
            heartbeat=self.heartbeat,
        )
        assert measured.page_batch(records(*events)) == set()
        figures: dict[str, Any] = dict(metrics.serialize_metric_set())
        return {
            metric["Name"]: figures[metric["Name"]]
            for metric in figures["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            if metric["Name"].startswith("Canar")
        }


def test_a_canary_is_measured_at_each_station_and_told_to_whoever_watches_from_outside() -> None:
    notifier = Measured()
    notifier.world.clock.advance(6.5)
    assert notifier.page_batch(canary_alert(NOON)) == {
        "CanariesArrived": [1],
        "CanaryLatency": [6_500],
        "CanaryDetectionLag": [1_000],
        "CanaryDeliveryLag": [500],
    }
    assert notifier.heartbeat.sent == 1
    last = Ledger(notifier.world.ledger).canary()
    assert last is not None
    assert (last.sent_at, last.took) == (NOON, timedelta(seconds=6.5))


def test_it_pages_nobody_and_leaves_bucket_groups_and_the_other_alerts_alone() -> None:
    world = World(policy=Policy(group_interval=timedelta(minutes=5)))
    canaries = [canary_alert(NOON + timedelta(minutes=n)) for n in range(100)]
    world.clock.advance(6_000)
    assert world.page_batch(records(*canaries)).received == 0
    assert set(world.ledger.items) == {CANARY_KEY}
    assert world.pager.sent == []
    alert = alert_event(at=world.clock.now())
    outcome = world.page_batch(records(*canaries, alert))
    assert [message.alert_ids for message in world.pager.sent] == [(alert.event_id,)]
    assert (outcome.received, len(outcome.latencies_ms), len(outcome.detection_lags_ms)) == (1,) * 3
    assert BUCKET_KEY in world.ledger.items
    assert not any("canary_" in item.body for item in world.ledger.items.values())


def test_one_that_comes_late_is_measured_and_no_sign_of_life() -> None:
    notifier = Measured()
    notifier.world.clock.advance(SIGN_OF_LIFE.total_seconds() + 1)
    figures = notifier.page_batch(canary_alert(NOON))
    assert figures["CanaryLatency"] == [301_000]
    assert "CanariesArrived" not in figures
    assert notifier.heartbeat.sent == 0


def test_the_ledger_keeps_the_newest_of_several() -> None:
    world = World()
    world.clock.advance(120)
    world.page_batch(records(canary_alert(NOON + timedelta(minutes=1)), canary_alert(NOON)))
    world.page_batch(records(canary_alert(NOON + timedelta(minutes=2))))
    last = Ledger(world.ledger).canary()
    assert last is not None
    assert last.sent_at == NOON + timedelta(minutes=2)


def test_a_heartbeat_that_is_not_taken_is_counted_and_stops_nothing() -> None:
    notifier = Measured(heartbeat=FakeHeartbeat(broken=True))
    figures = notifier.page_batch(canary_alert(NOON), alert_event())
    assert figures["CanaryHeartbeatsFailed"] == [1]
    assert figures["CanariesArrived"] == [1]
    assert len(notifier.world.pager.sent) == 1


@pytest.mark.parametrize("others", [0, 2])
def test_without_a_canary_nothing_is_told(others: int) -> None:
    notifier = Measured()
    assert notifier.page_batch(*(alert_event(n) for n in range(others))) == {}
    assert notifier.heartbeat.sent == 0
