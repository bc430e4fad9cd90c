"""`cardwatch alerts`: what is on the stream, each alert once."""

from itertools import islice

from tests.emulated_kinesis import STREAM, EmulatedKinesis
from tests.fakes import FakeClock
from tests.unit.canary.support import canary_alert
from tests.unit.paging.support import alert_event, rule_alert_event

from cardwatch.contract.streams import Envelope
from cardwatch.local.alerts import alert_line, alerts_on
from cardwatch.local.stream.shard import Stream


def put(kinesis: EmulatedKinesis, *records: Envelope | bytes) -> None:
    for record in records:
        data = record.to_bytes() if isinstance(record, Envelope) else record
        kinesis.client.put_record(StreamName=STREAM, Data=data, PartitionKey=str(len(data)))


def ids(kinesis: EmulatedKinesis, rule: str | None = None) -> list[str]:
    found = alerts_on(Stream(kinesis.client, STREAM), rule=rule, clock=FakeClock())
    return sorted(alert.event_id for alert in found)


def test_each_alert_is_given_once_and_no_canarys_nor_anything_else_also_across_a_split() -> None:
    kinesis = EmulatedKinesis(shards=1)
    stolen, large, spend = (
        alert_event(1),
        rule_alert_event(1),
        rule_alert_event(2, rule="spend_over_limit"),
    )
    put(kinesis, stolen, b"poison", b'{"type":"PAYMENT_ALERT"}', canary_alert(), large, large)
    kinesis.client.update_shard_count(
        StreamName=STREAM, TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    put(kinesis, spend, stolen)
    assert ids(kinesis) == sorted(alert.event_id for alert in (stolen, large, spend))
    assert ids(kinesis, "spend_over_limit") == [spend.event_id]
    assert ids(kinesis, "stolen_card") == [stolen.event_id]
    assert ids(kinesis, "nothing_like_it") == []


def test_followed_it_goes_on_with_what_comes() -> None:
    kinesis = EmulatedKinesis()
    first, second = rule_alert_event(1), rule_alert_event(2)
    put(kinesis, first)
    coming = alerts_on(Stream(kinesis.client, STREAM), follow=True, clock=FakeClock())
    assert [alert.event_id for alert in islice(coming, 1)] == [first.event_id]
    put(kinesis, second)
    assert next(coming).event_id == second.event_id


def test_a_line_says_when_how_bad_which_rule_of_whom_and_why() -> None:
    line = alert_line(
        rule_alert_event(1, entity_kind="account", entity_id="acc_7", card_last4=None)
    )
    assert line.startswith("12:00:03  high      large_amount")
    assert "account acc_7" in line
    assert "above the limit of 10000 EUR" in line
    assert "424242******4242  12.50 EUR  card reported stolen" in alert_line(alert_event(1))
