"""Scenarios on a stack that the specification stands in for, in a time that is moved."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.flink.oracle import detect
from tests.unit.golden.support import scenario

from cardwatch.clock import MovedClock
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.golden.live import (
    OnStream,
    PlayedLive,
    Received,
    Said,
    awaited_ms,
    play_round,
    rounds,
    why_not_live,
)
from cardwatch.golden.scenario import Paging, Scenario
from cardwatch.golden.script import Record, write_script

NOW = datetime(2026, 3, 1, 12, 0, 2, 500_000, tzinfo=UTC)
SHOES = "  - {at: 1 s, payment: shoes, card: anna}"
HAT_AND_SHOES = f"{SHOES}\n  - {{at: 2 s, payment: hat, card: anna}}"
PAGE = "{kind: FIRST, at: 6 s, alerts: [shoes]}"
BOTH = "{alerts: [shoes, hat], pages: [{kind: FIRST, at: 6 s, alerts: [shoes, hat]}]}"
KEPT = scenario(SHOES, f"{{alerts: [shoes], pages: [{PAGE}]}}")
PATIENCE = timedelta(minutes=8)


@dataclass
class Stack:
    """Detects by the specification, and pages what comes together as one page, as it comes."""

    clock: MovedClock = field(default_factory=lambda: MovedClock(NOW))
    lines: list[tuple[datetime, bytes]] = field(default_factory=list)
    done: list[tuple[datetime, str]] = field(default_factory=list)
    paging: Paging | None = None
    page_after: timedelta = timedelta(seconds=2)
    on_two_shards: bool = False
    """Then the second of two alerts waits for the follow-up."""
    audit_finds: str | None = None
    """The payment of an alert that the audit puts on the stream."""
    audit_pages: bool = True

    def put(self, records: Sequence[Record]) -> None:
        self.lines += [(self.clock.now(), record.data) for record in records]

    def disturb(self, disturbance: str) -> None:
        self.done.append((self.clock.now(), disturbance))

    def page_by(self, paging: Paging) -> None:
        self.paging = paging

    def said(self, since: datetime) -> Said:
        beats = [
            (NOW + timedelta(seconds=second), _beat(NOW + timedelta(seconds=second)))
            for second in range(int((self.clock.now() - NOW).total_seconds()))
        ]
        ordered = sorted([*self.lines, *beats], key=lambda line: line[0])
        said = detect([data.decode() for _, data in ordered])
        alerts = [_arriving(each) for each in said if each["type"] == "PAYMENT_ALERT"]
        summaries = [_arriving(each) for each in said if each["type"] == "PAYMENT_ALERT_SUMMARY"]
        pages = self._pages(alerts)
        if self.audit_finds is not None:
            found = self._by_audit(alerts[0], self.audit_finds)
            alerts.append(found)
            if self.audit_pages:
                pages.append(self._page([found], "LOOK_BACK", timedelta(0)))
        return Said(alerts, summaries, [page for page in pages if page.at >= since], ())

    def _pages(self, alerts: Sequence[OnStream]) -> list[Received]:
        together: dict[datetime, list[OnStream]] = {}
        for each in alerts:
            together.setdefault(each.arrived, []).append(each)
        pages = []
        for batch in together.values():
            first, rest = (batch[:1], batch[1:]) if self.on_two_shards else (batch, [])
            pages.append(self._page(first, "FIRST", self.page_after))
            if rest:
                pages.append(self._page(rest, "FOLLOW_UP", timedelta(minutes=5)))
        return pages

    @staticmethod
    def _page(alerts: Sequence[OnStream], kind: str, after: timedelta) -> Received:
        ids = tuple(each.record["event_json_data"]["alert_id"] for each in alerts)
        return Received(alerts[0].arrived + after, kind, ids, repeat=False)

    @staticmethod
    def _by_audit(like: OnStream, payment: str) -> OnStream:
        payment_id = like.record["event_json_data"]["payment_id"].rsplit(".", 1)[0] + f".{payment}"
        data = {"payment_id": payment_id, "alert_id": "f" * 64, "found_by": "look_back"}
        said = {**like.record["event_json_data"], **data, "late": True}
        return replace(like, record={**like.record, "event_json_data": said})


def _beat(at: datetime) -> bytes:
    beat = {"type": "HEARTBEAT", "event_id": f"beat-{at:%H%M%S}", "schema_version": 1}
    said = {"event_date_origin": format_time(at), "event_json_data": {"source": "test"}}
    return json.dumps(beat | said).encode()


def _arriving(record: Mapping[str, Any]) -> OnStream:
    data = record["event_json_data"]
    late = data.get("late")
    when = parse_time(record["event_date_origin"] if late else data["window_end"])
    return OnStream(when + timedelta(seconds=1), record)


def played(stack: Stack | None = None, **scenarios: Scenario) -> dict[str, PlayedLive]:
    stack = stack or Stack()
    return play_round(scenarios, stack, stack.clock)


def test_scenarios_that_share_pages_and_summaries_are_kept_each() -> None:
    summaries = (
        "summaries: [{from: 10 s, payments: 1, cards: 1, totals: [12.50 EUR]}, "
        "{from: 1 h 10 s, payments: 0}]"
    )
    one = scenario(
        "  - {at: 1 s, payment: shoes, card: anna, amount: 12.50 EUR}",
        f"{{alerts: [shoes], pages: [{PAGE}], {summaries}}}",
    )
    other = scenario(
        "  - {at: 3 s, payment: tea, card: anna, amount: 7.00 EUR}\n"
        "  - {at: 4 s, payment: pen, card: anna, amount: 9.00 EUR, status: DECLINED}",
        "{alerts: [tea, pen], pages: [{kind: FIRST, at: 6 s, alerts: [tea, pen]}]}",
    )
    both = played(one=one, other=other)
    assert [each.broken for each in both.values()] == [(), ()]
    assert both["one"].unawaited == ("summaries from 1 h 10 s on",)


def test_each_time_a_scenario_is_played_its_cards_and_ids_are_its_own() -> None:
    first, second = (
        write_script("mine", KEPT, NOW + timedelta(seconds=later), live=True) for later in (0, 10)
    )
    assert not first.card_by_token.keys() & second.card_by_token.keys()
    assert not first.payment_by_id.keys() & second.payment_by_id.keys()


def test_a_scenario_begins_where_windows_and_summaries_do() -> None:
    stack = Stack()
    played(stack, mine=KEPT)
    assert stack.lines[0][0] == datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


def test_a_record_is_put_when_it_arrives() -> None:
    stack = Stack()
    played(stack, mine=scenario("  - {at: -1 h, arrives: 3 s, payment: old, card: ben}"))
    assert (stack.lines[-1][0] - stack.lines[0][0]).total_seconds() == 3


def test_an_alert_and_a_page_that_nobody_expects_are_told() -> None:
    assert played(mine=scenario(SHOES))["mine"].broken == (
        "alert: nobody expects the one for shoes on anna",
        "page 1: nobody expects this FIRST of shoes at 8 s",
    )


def test_an_alert_that_does_not_come_is_told() -> None:
    nobody = scenario("  - {at: 1 s, payment: shoes, card: ben}", "{alerts: [shoes], pages: []}")
    assert played(mine=nobody)["mine"].broken == ("alert: none for shoes",)


@pytest.mark.parametrize(("seconds", "kept"), [(0, True), (15, True), (15.5, False)])
def test_a_page_may_come_a_little_later_than_in_a_replay(seconds: float, *, kept: bool) -> None:
    found = played(Stack(page_after=timedelta(seconds=seconds)), mine=KEPT)["mine"]
    assert found.broken == (() if kept else ("page 1: should be sent at 6 s, not 21.5 s",))


def test_of_two_alerts_of_a_window_the_one_on_another_shard_may_come_in_the_follow_up() -> None:
    stack = Stack(on_two_shards=True)
    assert played(stack, mine=scenario(HAT_AND_SHOES, BOTH))["mine"].broken == ()
    assert stack.clock.now() - NOW > timedelta(minutes=6)


def test_two_cards_that_pay_under_one_id_have_each_its_page() -> None:
    both = scenario(
        "  - {at: 0 s, reported: ben, from: -1 d}\n"
        f"{SHOES}\n  - {{at: 2 s, payment: shoes, card: ben}}",
        "{alerts: [{payment: shoes, card: anna}, {payment: shoes, card: ben}], "
        "pages: [{kind: FIRST, at: 6 s, alerts: [shoes, shoes]}]}",
    )
    assert played(mine=both)["mine"].broken == ()


def test_a_first_page_in_the_place_of_a_follow_up_is_told() -> None:
    more = scenario(
        f"{SHOES}\n  - {{at: 6 s, payment: hat, card: anna}}",
        f"{{alerts: [shoes, hat], pages: [{PAGE}, {{kind: FOLLOW_UP, alerts: [hat]}}]}}",
    )
    assert played(mine=more)["mine"].broken == ("page 2: should be FOLLOW_UP, not FIRST",)


def test_what_the_audit_finds_is_expected_for_itself_and_people_are_paged_of_it() -> None:
    expect = f"{{alerts: [shoes], pages: [{PAGE}], look_back: [hat]}}"
    mine = scenario(f"{SHOES}\n  - {{at: -2 d, arrives: 0 s, payment: hat, card: ben}}", expect)
    assert played(Stack(audit_finds="hat"), mine=mine)["mine"].broken == ()
    assert played(Stack(), mine=mine)["mine"].broken == ("look-back: without hat",)
    unpaged = played(Stack(audit_finds="hat", audit_pages=False), mine=mine)["mine"]
    assert unpaged.broken == ("look-back: hat is in 0 pages, not in one",)


def test_a_disturbance_comes_at_its_time_and_the_round_has_the_scenarios_settings() -> None:
    more = "disturbances: [{at: 3 s, disturbance: a shard is split}]\npaging: {group_seconds: 20}"
    stack = Stack()
    disturbed = scenario(SHOES, f"{{alerts: [shoes], pages: [{PAGE}]}}", more)
    assert played(stack, mine=disturbed)["mine"].broken == ()
    ((at, done),) = stack.done
    assert (done, (at - stack.lines[0][0]).total_seconds()) == ("a shard is split", 3)
    assert stack.paging is not None
    assert stack.paging.group_seconds == 20


@pytest.mark.parametrize(
    ("events", "more", "reason"),
    [
        (SHOES, "", None),
        (SHOES, "not_live: a millisecond decides", "a millisecond decides"),
        (SHOES, "heartbeats: none", "a running stack has heartbeats of its own"),
        (
            "  - {at: 9 s, arrives: 1 s, payment: shoes, card: anna}",
            "",
            "a clock that is ahead makes late what all other scenarios do",
        ),
        (
            SHOES,
            "faults: [{fault: nobody is subscribed, from: 0 s, until: 9 s}]",
            "what is wrong with the channel would be so for all scenarios",
        ),
        (
            SHOES,
            "paging: {pages_per_minute: 2}",
            "other cards' pages take the few tokens of a minute",
        ),
        (
            "  - {at: 9 min, payment: shoes, card: anna}",
            "",
            "it takes 9 min 30 s, longer than 8 min",
        ),
    ],
)
def test_what_cannot_be_had_on_a_running_stack_has_a_reason(
    events: str, more: str, reason: str | None
) -> None:
    assert why_not_live(scenario(events, more=more), PATIENCE) == reason


def test_a_scenario_with_a_follow_up_is_awaited_until_the_schedule_had_its_minute() -> None:
    follow_up = "{kind: FOLLOW_UP, at: 5 min, alerts: [hat]}"
    mine = scenario(HAT_AND_SHOES, f"{{alerts: [shoes, hat], pages: [{PAGE}, {follow_up}]}}")
    assert awaited_ms(mine) == 300_000 + 75_000 + 15_000


def test_scenarios_are_played_side_by_side_where_settings_allow_and_disturbed_ones_alone() -> None:
    grouped = scenario(SHOES, more="paging: {group_seconds: 0}")
    disturbed = scenario(SHOES, more="disturbances: [{at: 3 s, disturbance: a shard is split}]")
    turns = rounds({"a": KEPT, "b": grouped, "c": disturbed, "d": KEPT})
    assert [list(turn) for turn in turns] == [["a", "d"], ["b"], ["c"]]
