"""Scenarios on a running stack: in real time, side by side, on the one stream that all share.

What people get is the same as in a replay, but not all of how: other cards' alerts share pages
and batches, summaries count everything, and two alerts of one window may be on two shards. So what
came is brought into the form in which a file expects it: pages card by card, summaries without
what other alerts account for, times that are about right. What cannot be had live is said.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

from cardwatch.contract.fields import parse_time
from cardwatch.golden.comparison import differences, duration
from cardwatch.golden.found import (
    Found,
    FoundAlert,
    FoundPage,
    FoundSummary,
    read_alert,
    turning_points,
)
from cardwatch.golden.scenario import (
    Beat,
    CanarySent,
    Disturbance,
    Expected,
    ExpectedPage,
    Money,
    Paging,
    PaymentMade,
    Scenario,
    written_out,
)
from cardwatch.golden.script import Record, Script, write_script
from cardwatch.ports import Clock

GRID_MS: Final = 10_000
"""What a scenario's beginning is a multiple of, for windows and summaries to be where it says."""
LEAD_MS: Final = 3_000
"""So long before its beginning a round is ready at the latest."""
EARLY_MS: Final = 500
FIRST_LATE_MS: Final = 15_000
SCHEDULE_MS: Final = 75_000
"""A schedule's minute begins elsewhere than the scenario's, and it has some work to do."""
AUDIT_MS: Final = 240_000
"""So long the audit may take: it gives what may still follow three minutes."""
SETTLE_MS: Final = 15_000
"""So long what nobody expects is waited for."""
SUMMARY_MS: Final = 15_000
"""So long after its time a summary is on the stream."""
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Received:
    """A page as people got it."""

    at: datetime
    kind: str
    alert_ids: tuple[str, ...]
    repeat: bool


@dataclass(frozen=True, slots=True)
class OnStream:
    """An alert or a summary, and when the stream took it."""

    arrived: datetime
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """All that a stack said in a while: each alert of the stolen cards' rule once."""

    alerts: Sequence[OnStream]
    summaries: Sequence[OnStream]
    pages: Sequence[Received]
    expired_ids: Collection[str]


class RunningStack(Protocol):
    """What is asked of a running stack; every method raises LiveStackError."""

    def put(self, records: Sequence[Record]) -> None:
        """Put records on the stream, those of one key in their order."""
        ...

    def disturb(self, disturbance: str) -> None:
        """Do what a scenario says, in the file's words."""
        ...

    def page_by(self, paging: Paging) -> None:
        """Have the notifier page by these settings from now on, and let it be warm."""
        ...

    def said(self, since: datetime) -> Said:
        """Give what came since a time, summaries from an hour before it on."""
        ...


class LiveStackError(Exception):
    """The stack does not do what a scenario needs; the text says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class PlayedLive:
    """What became of one scenario on a running stack."""

    found: Found
    broken: tuple[str, ...]
    unawaited: tuple[str, ...]
    """What the file expects and nobody waited for, or nobody sees on a running stack."""


def why_not_live(scenario: Scenario, patience: timedelta) -> str | None:
    """Say why it cannot be played on a running stack; None where it can."""
    happenings = scenario.happenings()
    takes, longest = awaited_ms(scenario), round(patience / timedelta(milliseconds=1))
    beats = scenario.heartbeats == "none" or any(isinstance(each, Beat) for each in happenings)
    few_pages = scenario.paging.pages_per_minute != Paging().pages_per_minute
    reasons = {
        "a running stack has heartbeats of its own": beats,
        "a running stack has canaries of its own": any(
            isinstance(each, CanarySent) for each in happenings
        ),
        "a clock that is ahead makes late what all other scenarios do": any(
            each.at > each.arrival for each in happenings
        ),
        "what is wrong with the channel would be so for all scenarios": bool(scenario.faults),
        "other cards' pages take the few tokens of a minute": few_pages,
        f"it takes {duration(takes)}, longer than {duration(longest)}": takes > longest,
    }
    return scenario.not_live or next((why for why, holds in reasons.items() if holds), None)


def awaited_ms(scenario: Scenario) -> int:
    """Give how long after its beginning all has come that can be expected of it."""
    group_ms = scenario.paging.group_seconds * 1_000
    first_ms = max((each.arrival for each in scenario.happenings()), default=0)
    last_ms = max(first_ms, *(each.at for each in scenario.disturbances), 0)
    ends = [scenario.end, last_ms + SETTLE_MS]
    for page in scenario.expect.pages:
        at = page.at if page.at is not None else last_ms
        ends.append(at + (FIRST_LATE_MS if page.kind == "FIRST" else SCHEDULE_MS))
    if any(len(written_out(page.alerts)) > 1 for page in by_card(scenario)):
        # Two of one window may come apart, and then the second waits for the follow-up.
        ends.append(last_ms + group_ms + SCHEDULE_MS)
    if scenario.expect.look_back:
        ends.append(last_ms + max(AUDIT_MS, group_ms + SCHEDULE_MS))
    return max(ends) + SETTLE_MS


def rounds(scenarios: Mapping[str, Scenario]) -> list[dict[str, Scenario]]:
    """Part scenarios into those that can be played side by side.

    They have the notifier's settings in common, and what is disturbed is played alone.
    """
    together: dict[object, dict[str, Scenario]] = {}
    for name, scenario in scenarios.items():
        key = name if scenario.disturbances else scenario.paging
        together.setdefault(key, {})[name] = scenario
    return list(together.values())


def play_round(
    scenarios: Mapping[str, Scenario], stack: RunningStack, clock: Clock
) -> dict[str, PlayedLive]:
    """Play a round and say what came of each; what the stack does not do breaks all of them."""
    try:
        return _play(scenarios, stack, clock)
    except LiveStackError as error:
        return dict.fromkeys(scenarios, PlayedLive(Found(), (str(error),), ()))


def _play(
    scenarios: Mapping[str, Scenario], stack: RunningStack, clock: Clock
) -> dict[str, PlayedLive]:
    stack.page_by(next(iter(scenarios.values())).paging)
    begins = _next_beginning(clock.now())
    scripts = [
        write_script(name, scenario, begins, live=True) for name, scenario in scenarios.items()
    ]
    for at, happening in _timetable(scripts):
        clock.sleep((begins + timedelta(milliseconds=at) - clock.now()).total_seconds())
        if isinstance(happening, Disturbance):
            stack.disturb(happening.disturbance)
        else:
            stack.put(happening)
    takes_ms = max(awaited_ms(scenario) for scenario in scenarios.values())
    clock.sleep((begins + timedelta(milliseconds=takes_ms) - clock.now()).total_seconds())
    said = stack.said(begins)
    return {script.name: compare(script, said, takes_ms) for script in scripts}


def _next_beginning(now: datetime) -> datetime:
    ready = now + timedelta(milliseconds=LEAD_MS)
    grid = timedelta(milliseconds=GRID_MS)
    epoch = datetime(1970, 1, 1, tzinfo=now.tzinfo)
    return epoch - (epoch - ready) // grid * grid


def _timetable(scripts: Iterable[Script]) -> Iterator[tuple[int, list[Record] | Disturbance]]:
    """Give by time what is put together, and what is done."""
    records: dict[int, list[Record]] = defaultdict(list)
    for script in scripts:
        for record in script.records:
            records[record.arrival].append(record)
    done = [(each.at, each) for script in scripts for each in script.scenario.disturbances]
    happenings: list[tuple[int, list[Record] | Disturbance]] = [*records.items(), *done]
    yield from sorted(happenings, key=lambda each: each[0])


def compare(script: Script, said: Said, until: int) -> PlayedLive:
    """Hold what came of a scenario, seen until so many ms after its beginning, against its file."""
    seen_summaries = until - SUMMARY_MS
    expect = script.scenario.expect
    mine = {
        each.record["event_json_data"]["alert_id"]: each
        for each in said.alerts
        if each.record["event_json_data"]["card_token"] in script.card_by_token
    }
    alerts = {
        alert_id: read_alert(script, each.record, at=script.offset(each.arrived))
        for alert_id, each in mine.items()
    }
    by_audit = {alert_id for alert_id, each in mine.items() if not _is_the_streams(each)}
    pages = list(_pages(script, said, alerts, by_audit))
    found = Found(
        alerts=tuple(alert for alert_id, alert in alerts.items() if alert_id not in by_audit),
        pages=tuple(_as_expected(by_card(script.scenario), pages)),
        expired=tuple(alerts[each].payment for each in said.expired_ids if each in alerts),
        summaries=tuple(
            turning_points(_summaries(script, said, seen_summaries), until=seen_summaries)
        ),
        look_back=tuple(alerts[each].payment for each in by_audit),
    )
    unawaited = []
    if expect.rejected:
        unawaited.append("why records are rejected")
    later = [each.since for each in expect.summaries or () if each.since > seen_summaries]
    if later:
        unawaited.append(f"summaries from {duration(later[0])} on")
    paged = Counter(alert_id for page in said.pages for alert_id in page.alert_ids)
    told = [
        f"look-back: {alerts[alert_id].payment} is in {paged[alert_id]} pages, not in one"
        for alert_id in sorted(by_audit, key=lambda each: alerts[each].payment)
        if paged[alert_id] != 1
    ]
    broken = differences(_awaited(script.scenario, seen_summaries), found)
    return PlayedLive(found, (*broken, *told), tuple(unawaited))


def _awaited(scenario: Scenario, until: int) -> Expected:
    """Give what is expected in the form in which it is seen live."""
    expect = scenario.expect
    summaries = expect.summaries
    if summaries is not None:
        summaries = tuple(each for each in summaries if each.since <= until)
    return expect.model_copy(
        update={"pages": by_card(scenario), "rejected": (), "summaries": summaries}
    )


def by_card(scenario: Scenario) -> tuple[ExpectedPage, ...]:
    """Give the expected pages, one for each card of each, card by card."""
    cards_of: dict[str, list[str]] = defaultdict(list)
    for each in scenario.happenings():
        if isinstance(each, PaymentMade) and each.card not in cards_of[each.payment]:
            cards_of[each.payment].append(each.card)
    parts: list[tuple[int, ExpectedPage]] = []
    for page in scenario.expect.pages:
        seen: Counter[str] = Counter()
        by_its_card: dict[str, list[str]] = defaultdict(list)
        for name in written_out(page.alerts):
            cards = cards_of[name]
            by_its_card[cards[seen[name] % len(cards)]].append(name)
            seen[name] += 1
        parts += [
            (scenario.cards.index(card), page.model_copy(update={"alerts": tuple(names)}))
            for card, names in by_its_card.items()
        ]
    return tuple(page for _, page in sorted(parts, key=lambda part: part[0]))


def _pages(
    script: Script, said: Said, alerts: Mapping[str, FoundAlert], by_audit: Collection[str]
) -> Iterator[FoundPage]:
    """Give of the pages what they say of a scenario's cards, in the order of `by_card`."""
    parts: list[tuple[int, FoundPage]] = []
    for page in sorted(said.pages, key=lambda page: page.at):
        by_its_card: dict[str, list[str]] = defaultdict(list)
        for alert_id in page.alert_ids:
            if alert_id in alerts and alert_id not in by_audit:
                by_its_card[alerts[alert_id].card].append(alerts[alert_id].payment)
        at = script.offset(page.at)
        parts += [
            (script.scenario.cards.index(card), FoundPage(page.kind, tuple(names), at, page.repeat))
            for card, names in by_its_card.items()
        ]
    yield from (page for _, page in sorted(parts, key=lambda part: part[0]))


def _as_expected(expected: Sequence[ExpectedPage], found: Sequence[FoundPage]) -> list[FoundPage]:
    """Give the pages with what live may be otherwise put right.

    A time that is about right is the expected one. What came in a follow-up although people should
    have been paged of it beside others of its window counts there: it was on another shard.
    """
    pages = list(found)
    taken: set[int] = set()
    for wanted in expected:
        names = Counter(written_out(wanted.alerts))
        at = next(
            (
                n
                for n, page in enumerate(pages)
                if n not in taken
                and page.kind == wanted.kind
                and page.alerts
                and not Counter(page.alerts) - names
            ),
            None,
        )
        if at is None:
            continue
        taken.add(at)
        left = names - Counter(pages[at].alerts)
        for n in range(at + 1, len(pages)):
            strays = left & Counter(pages[n].alerts)
            if wanted.kind == "FIRST" and pages[n].kind == "FOLLOW_UP" and strays:
                rest = Counter(pages[n].alerts) - strays
                pages[n] = replace(pages[n], alerts=tuple(rest.elements()))
                pages[at] = replace(pages[at], alerts=(*pages[at].alerts, *strays.elements()))
                left -= strays
        if wanted.at is not None and _about(wanted, pages[at].at):
            pages[at] = replace(pages[at], at=wanted.at)
    return [page for page in pages if page.alerts]


def _about(wanted: ExpectedPage, at: int) -> bool:
    first = wanted.kind == "FIRST"
    early, late = (EARLY_MS, FIRST_LATE_MS) if first else (SCHEDULE_MS, SCHEDULE_MS)
    return wanted.at is not None and wanted.at - early <= at <= wanted.at + late


def _summaries(script: Script, said: Said, until: int) -> Iterator[FoundSummary]:
    """Give the summaries without what alerts of others account for."""
    others = [
        each
        for each in said.alerts
        if each.record["event_json_data"]["card_token"] not in script.card_by_token
        and _is_the_streams(each)
    ]
    for summary in said.summaries:
        data = summary.record["event_json_data"]
        end = parse_time(data["window_end"])
        since = script.offset(end)
        if not 0 < since <= until:
            continue
        counted = [
            each.record["event_json_data"]
            for each in others
            if end - HOUR <= parse_time(each.record["event_date_origin"]) < end
            # What came late is in the summaries that were still to come.
            and (not each.record["event_json_data"]["late"] or each.arrived <= summary.arrived)
        ]
        status = Counter(alert.get("status") for alert in counted)
        cards = len({alert["card_token"] for alert in counted})
        yield FoundSummary(
            since=since,
            payments=data["payment_count"] - len(counted),
            declined=(data.get("declined") or 0) - status["DECLINED"],
            refunded=(data.get("refunded") or 0) - status["REFUNDED"],
            cards=data["card_count"] - cards,
            totals=tuple(_totals(data["totals"], counted)),
        )


def _totals(
    totals: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> Iterator[Money]:
    costing = [
        alert
        for alert in others
        if alert["amount"] is not None and alert.get("status") not in {"DECLINED", "REFUNDED"}
    ]
    for total in totals:
        amounts = [Decimal(a["amount"]) for a in costing if a["currency"] == total["currency"]]
        if total["count"] != len(amounts):
            rest = Decimal(total["amount"]) - sum(amounts, Decimal(0))
            yield Money(f"{rest:f}", total["currency"])


def _is_the_streams(alert: OnStream) -> bool:
    return alert.record["event_json_data"].get("found_by") in {None, "stream"}
