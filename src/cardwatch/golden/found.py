"""What came of a scenario: the job's alerts and summaries, and the pages made of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from cardwatch.contract.fields import format_time, parse_time
from cardwatch.golden.paging import Heard, page
from cardwatch.golden.scenario import Money
from cardwatch.golden.script import BEFORE_MS, Script

SLIDE_MS: Final = 10_000
"""Between two summaries."""


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """An alert; times are ms from the scenario's beginning."""

    payment: str
    card: str
    late: bool
    amount: Money | None
    since: int
    at: int
    """When the stream has it."""
    alert_id: str


@dataclass(frozen=True, slots=True)
class FoundSummary:
    """What the summaries say from one on, until the next; with no payment there is none."""

    since: int
    payments: int
    declined: int = 0
    refunded: int = 0
    cards: int = 0
    totals: tuple[Money, ...] = ()

    def says(self) -> tuple[object, ...]:
        """Give all but when."""
        return (self.payments, self.declined, self.refunded, self.cards, self.totals)


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page by the payments whose alerts it carries."""

    kind: str
    alerts: tuple[str, ...]
    at: int
    repeat: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one scenario."""

    alerts: tuple[FoundAlert, ...] = ()
    pages: tuple[FoundPage, ...] = ()
    expired: tuple[str, ...] = ()
    summaries: tuple[FoundSummary, ...] = ()
    rejected: tuple[str, ...] = ()
    canaries: int = 0
    """That came to the notifier."""
    look_back: tuple[str, ...] | None = None
    """Payments that an audit found; None where there was none."""


def find(
    script: Script,
    alerts: Sequence[Mapping[str, Any]],
    summaries: Iterable[Mapping[str, Any]],
    rejected: Sequence[str],
) -> Found:
    """Say what came of one scenario, and page its alerts.

    `alerts` and `summaries` are all of the job's, as a replay writes them with `late`; `rejected`
    has the reasons of the records of this one that break the contract.
    """
    mine = [
        (read_alert(script, record, at=_heard_at(script, record)), record)
        for record in alerts
        if record["event_json_data"]["card_token"] in script.card_by_token
    ]
    heard = [Heard(alert.at, _as_detected(script, alert.at, record)) for alert, record in mine]
    for record in alerts:
        if record["event_json_data"]["payment_id"] in script.canary_ids:
            at = _heard_at(script, record)
            heard.append(Heard(at, _as_detected(script, at, record)))
    paged = page(script.scenario, script.begins, heard)
    payment_by_alert = {alert.alert_id: alert.payment for alert, _ in mine}
    return Found(
        alerts=tuple(alert for alert, _ in mine),
        pages=tuple(
            FoundPage(
                sent.message.kind,
                tuple(payment_by_alert[alert_id] for alert_id in sent.message.alert_ids),
                sent.at,
                sent.message.repeat,
            )
            for sent in paged.pages
        ),
        expired=tuple(payment_by_alert[alert_id] for alert_id in paged.expired_ids),
        summaries=tuple(_turning_points(script, summaries)),
        rejected=tuple(rejected),
        canaries=paged.canaries,
    )


def read_alert(script: Script, record: Mapping[str, Any], *, at: int) -> FoundAlert:
    """Say what an alert tells of a scenario, in its words; the stream has it at `at`."""
    data = record["event_json_data"]
    return FoundAlert(
        payment=script.payment_by_id[data["payment_id"]],
        card=script.card_by_token[data["card_token"]],
        late=data["late"],
        amount=None if data["amount"] is None else Money(data["amount"], data["currency"]),
        since=script.offset(parse_time(data["reported_at"])),
        at=at,
        alert_id=data["alert_id"],
    )


def _heard_at(script: Script, record: Mapping[str, Any]) -> int:
    """Give when the stream would have an alert."""
    data = record["event_json_data"]
    payment_id, token = data["payment_id"], data["card_token"]
    payment = (
        script.payment_by_id.get(payment_id, payment_id),
        script.card_by_token.get(token, token),
    )
    time = script.offset(parse_time(record["event_date_origin"]))
    judged = next(
        number
        for number, each in enumerate(script.records)
        if each.payment == payment and each.row_time == time
    )
    if data["late"]:
        return script.records[judged].arrival
    return script.closing(script.offset(parse_time(data["window_end"])), judged)


def _as_detected(script: Script, at: int, record: Mapping[str, Any]) -> bytes:
    """Give an alert the time at which the job would have made it."""
    detected = format_time(script.begins + timedelta(milliseconds=at))
    data = record["event_json_data"] | {"detected_at": detected}
    return json.dumps({**record, "event_json_data": data}).encode()


def _turning_points(
    script: Script, summaries: Iterable[Mapping[str, Any]]
) -> Iterator[FoundSummary]:
    """Give of the summaries those that say something else than the one before."""
    before = timedelta(milliseconds=BEFORE_MS)
    first, last = script.begins - before, script.over - before
    said = [record["event_json_data"] for record in summaries]
    mine = [data for data in said if first < parse_time(data["window_end"]) <= last]
    yield from turning_points(_summary(script, data) for data in mine)


def turning_points(
    summaries: Iterable[FoundSummary], *, until: int | None = None
) -> Iterator[FoundSummary]:
    """Give of summaries those that say something else than the one before.

    Where there is none any more, nothing was stolen; what is after `until` nobody has seen.
    """
    known = FoundSummary(-BEFORE_MS, 0)
    expected = -BEFORE_MS
    for each in sorted(summaries, key=lambda each: each.since):
        if known.payments and each.since != expected:
            known = FoundSummary(expected, 0)
            yield known
        if each.says() != known.says():
            known = each
            yield known
        expected = each.since + SLIDE_MS
    if known.payments and (until is None or expected <= until):
        yield FoundSummary(expected, 0)


def _summary(script: Script, data: Mapping[str, Any]) -> FoundSummary:
    return FoundSummary(
        since=script.offset(parse_time(data["window_end"])),
        payments=data["payment_count"],
        declined=data["declined"],
        refunded=data["refunded"],
        cards=data["card_count"],
        totals=tuple(Money(total["amount"], total["currency"]) for total in data["totals"]),
    )
