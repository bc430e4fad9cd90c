from datetime import UTC, datetime

from tests.unit.golden.support import broken, played, scenario

from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.golden.script import FIRST_BEGINNING, write_script, write_scripts

PAYMENT = "  - {at: 1 s, payment: shoes, card: anna}"
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def test_what_happens_at_one_instant_stands_in_the_files_order_before_the_heartbeat() -> None:
    events = f"{PAYMENT}\n  - {{at: 1 s, payment: hat, card: ben}}"
    script = write_script("mine", scenario(events), FIRST_BEGINNING)
    then = [read_event(r.data, now=NOW).type for r in script.records if r.arrival == 1_000]
    assert then == ["PAYMENT_EVENT", "PAYMENT_EVENT", "HEARTBEAT"]
    assert [r.payment for r in script.records if r.payment] == [("shoes", "anna"), ("hat", "ben")]


def test_a_stream_without_heartbeats_has_one_before_it_begins_and_one_when_it_ends() -> None:
    quiet = scenario(PAYMENT, more="heartbeats: none")
    script = write_script("mine", quiet, FIRST_BEGINNING)
    beats = [r.arrival for r in script.records if read_event(r.data, now=NOW).type == "HEARTBEAT"]
    assert beats == [-10_000, quiet.end]


def test_a_copy_has_the_id_of_its_record_and_another_record_of_the_payment_has_not() -> None:
    copy = "  - {at: 1 s, arrives: 3 s, payment: shoes, card: anna}"
    captured = "  - {at: 4 s, payment: shoes, card: anna, status: CAPTURED}"
    events = f"{PAYMENT}\n{copy}\n{captured}"
    script = write_script("mine", scenario(events), FIRST_BEGINNING)
    ids = [read_event(r.data, now=NOW).event_id for r in script.records if r.payment]
    assert ids[0] == ids[1] != ids[2]


def test_poison_breaks_the_contract_and_everything_else_keeps_it() -> None:
    kinds = ("not JSON", "unknown type", "no time", "a list")
    events = "\n".join(f"  - {{at: 1 s, poison: {kind}}}" for kind in kinds)
    script = write_script("mine", scenario(f"{events}\n{PAYMENT}"), FIRST_BEGINNING)
    reasons = []
    for record in script.records:
        try:
            read_event(record.data, now=NOW)
        except RejectedRecord as rejected:
            reasons.append(rejected.reason)
            assert record.row_time is None
    assert reasons == ["not_json", "unknown_type", "missing_time", "not_an_object"]


def test_a_window_closes_with_the_first_record_a_second_after_its_end() -> None:
    events = f"{PAYMENT}\n  - {{at: 5.999 s, heartbeat: yes}}\n  - {{at: 6 s, heartbeat: yes}}"
    quiet = scenario(events, more="heartbeats: none")
    script = write_script("mine", quiet, FIRST_BEGINNING)
    assert script.closing(5_000, 0) == 6_000
    assert script.closing(10_000, 0) == quiet.end


def test_scenarios_on_one_stream_see_nothing_of_each_other() -> None:
    one = scenario(PAYMENT)
    other = scenario("  - {at: -59 min, arrives: 2 s, payment: shoes, card: anna}")
    both = played(first=one, second=other, third=one)
    assert both["first"] == played(first=one)["first"]
    assert both["second"] == played(second=other)["second"]
    assert both["third"].summaries == both["first"].summaries


def test_scenarios_begin_at_full_hours_more_than_an_hour_after_the_one_before() -> None:
    first, second = write_scripts({"one": scenario(PAYMENT), "two": scenario(PAYMENT)})
    assert (first.begins.hour, second.begins.hour) == (10, 12)
    assert {*first.card_by_token} & {*second.card_by_token} == set()


def test_a_canary_comes_to_the_notifier_and_is_nowhere_else() -> None:
    events = f"{PAYMENT}\n  - {{at: 1 s, canary: yes}}\n  - {{at: 61 s, canary: yes}}"
    expect = "{alerts: [shoes], pages: [{kind: FIRST, at: 6 s, alerts: [shoes]}], canaries: 2}"
    said = scenario(events, expect)
    assert broken(said) == []
    assert broken(said.model_copy(update={"expect": scenario(PAYMENT).expect}))[-1] == (
        "canaries: 0 should come to the notifier, 2 came"
    )
