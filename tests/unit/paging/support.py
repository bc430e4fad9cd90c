"""Alerts, and a notifier with everything around it in memory."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.fakes import (
    NOON,
    FakeClock,
    FakeDeadLetters,
    FakeEventStream,
    FakePageLedger,
    FakePager,
    FakeSubscriptions,
)

from cardwatch.acts.book import ActBook
from cardwatch.contract.act import PageAct
from cardwatch.contract.alert import PaymentAlert, alert_id
from cardwatch.contract.page import TELLS_AGAIN, PageEvent
from cardwatch.contract.rule_alert import RuleAlert, rule_alert_id
from cardwatch.contract.streams import Envelope, EventData, read_event
from cardwatch.paging.grouping import Policy
from cardwatch.paging.notifier import AlertRecord, Notifier, Outcome, Recipients
from cardwatch.paging.ports import PageLinks, PageMessage
from cardwatch.paging.records import BUCKET_KEY, Bucket, Page, PageState, Work
from cardwatch.paging.subscriptions import Audience
from cardwatch.paging.throttle import TokenBucket

TOKEN = "4f0c2a9be1d84c7796a05b3e8d21f6c4"  # noqa: S105  a card token


def alert_event(number: int = 1, *, at: datetime = NOON, **fields: Any) -> Envelope:  # noqa: ANN401  any field of the data
    """One alert by the contract; `fields` replace those of its data."""
    payment = f"pay_{number:04d}"
    token = str(fields.get("card_token", TOKEN))
    data = {
        "alert_id": alert_id(payment, token),
        "rule": "stolen_card",
        "rule_version": 1,
        "reason": "card reported stolen 2026-11-20T22:10:00.000Z",
        "reported_at": "2026-11-20T22:10:00.000Z",
        "window_start": at,
        "window_end": at + timedelta(seconds=5),
        "late": False,
        "detected_at": at + timedelta(seconds=3),
        "payment_id": payment,
        "account_id": "acc_00042",
        "user_id": "usr_00017",
        "card_token": token,
        "card_bin": "424242",
        "card_last4": "4242",
        "amount": "12.50",
        "currency": "EUR",
        "merchant_id": "mer_0007",
        "country": "MT",
        "city": "Valletta",
        **fields,
    }
    alert = PaymentAlert.model_validate(data)
    return Envelope(
        type="PAYMENT_ALERT",
        event_id=alert.alert_id,
        schema_version=1,
        event_date_origin=at,
        event_json_data=alert,
    )


def rule_alert_event(
    number: int = 1,
    *,
    at: datetime = NOON,
    **fields: Any,  # noqa: ANN401  any field of the data
) -> Envelope:
    """One alert of another rule by the contract; `fields` replace those of its data."""
    data = {
        "rule": "large_amount",
        "rule_version": 1,
        "severity": "high",
        "entity_kind": "card",
        "entity_id": TOKEN,
        "card_last4": "4242",
        "currency": "EUR",
        "observed": "12500.00",
        "threshold": "10000",
        "explanation": "a payment of 12500.00 EUR, above the limit of 10000 EUR",
        "window_start": None,
        "window_end": None,
        "detected_at": at + timedelta(seconds=3),
        "payment_ids": [f"pay_{number:04d}"],
        "payment_count": 1,
        **fields,
    }
    identity = rule_alert_id(
        data["rule"],
        data["rule_version"],
        data["entity_kind"],
        data["entity_id"],
        currency=data["currency"],
        first_payment_id=data["payment_ids"][0],
    )
    alert = RuleAlert.model_validate({"alert_id": identity, **data})
    return Envelope(
        type="RULE_ALERT",
        event_id=alert.alert_id,
        schema_version=1,
        event_date_origin=at,
        event_json_data=alert,
    )


_sequence = itertools.count(1)


def records(*events: Envelope | bytes) -> list[AlertRecord]:
    return [
        AlertRecord(f"4960{next(_sequence):020d}", e.to_bytes() if isinstance(e, Envelope) else e)
        for e in events
    ]


def ids(*events: Envelope) -> set[str]:
    return {event.event_id for event in events}


class CrashError(Exception):
    """The process ended here."""


@dataclass
class World:
    """A notifier and what it works with. `interrupt` is called around every call of a port."""

    clock: FakeClock = field(default_factory=FakeClock)
    ledger: FakePageLedger = field(default_factory=FakePageLedger)
    pager: FakePager = field(default_factory=FakePager)
    subscriptions: FakeSubscriptions = field(default_factory=FakeSubscriptions)
    keep_audience: timedelta = timedelta(0)
    """How long it is taken as known whether somebody is subscribed."""
    stream: FakeEventStream = field(default_factory=FakeEventStream)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    policy: Policy = field(default_factory=lambda: Policy(group_interval=timedelta(0)))
    """Without groups: each alert pages at once, as far as tokens go. test_storms.py has them."""
    links: PageLinks | None = None
    next_pager: FakePager | None = None
    """The channel of those to whom pages are escalated."""
    next_subscriptions: FakeSubscriptions = field(default_factory=FakeSubscriptions)

    def notifier(self, interrupt: Callable[[str], None] | None = None) -> Notifier:
        def port(target: object) -> Any:  # noqa: ANN401  stands for the port it wraps
            return target if interrupt is None else _Interrupted(target, interrupt)

        return Notifier(
            ledger=port(self.ledger),
            pager=port(self.pager),
            audience=Audience(port(self.subscriptions), self.clock, keep_for=self.keep_audience),
            stream=port(self.stream),
            dead_letters=port(self.dead_letters),
            clock=self.clock,
            policy=self.policy,
            links=self.links,
            next_recipients=Recipients(
                port(self.next_pager),
                Audience(port(self.next_subscriptions), self.clock, keep_for=self.keep_audience),
            )
            if self.next_pager
            else None,
        )

    def page_batch(self, batch: Sequence[AlertRecord]) -> Outcome:
        return self.notifier().page_batch(batch)

    def page_waiting(self) -> Outcome:
        return self.notifier().page_waiting()

    def settle(self, batch: Sequence[AlertRecord]) -> None:
        """Do what the stream and the schedule do until nothing is left to do."""
        left = list(batch)
        for _ in range(30):
            if left:
                failed = self.page_batch(left).failed
                left = [record for record in left if record.sequence_number in failed]
            self.page_waiting()
            if not left and not self.unfinished():
                return
            self.clock.advance(self.policy.lease.total_seconds() / 2)
        msg = f"still unfinished: {left} {self.unfinished()}"
        raise AssertionError(msg)

    def sent(self) -> list[PageMessage]:
        """Give what went out, to those who are paged first and to the next ones."""
        return [*self.pager.sent, *(self.next_pager.sent if self.next_pager else [])]

    def unfinished(self) -> list[str]:
        settled = {None, Work.MENTION, Work.UNACTED}
        return [i.key for i in self.ledger.items.values() if i.unfinished not in settled]

    def pages(self, state: PageState | None = None) -> list[Page]:
        items = [i for key, i in self.ledger.items.items() if key.startswith("page#")]
        pages = [Page.of(item) for item in items]
        return [page for page in pages if state in {None, page.state}]

    def expired_ids(self) -> set[str]:
        return {i for page in self.pages() if not page.tells_of for i in page.expired_ids}

    def suppressed_ids(self) -> set[str]:
        return {i for page in self.pages() for i in page.suppressed_ids}

    def page_events(self) -> list[PageEvent]:
        return [each for each in self._said() if isinstance(each, PageEvent)]

    def page_acts(self) -> list[PageAct]:
        return [each for each in self._said() if isinstance(each, PageAct)]

    def _said(self) -> list[EventData]:
        events = [read_event(e.data, now=self.clock.now()) for e in self.stream.entries]
        return [event.event_json_data for event in events]

    def book(self, interrupt: Callable[[str], None] | None = None) -> ActBook:
        """Give the book in which people act on the pages of this notifier."""

        def port(target: object) -> Any:  # noqa: ANN401  stands for the port it wraps
            return target if interrupt is None else _Interrupted(target, interrupt)

        return ActBook(port(self.ledger), port(self.stream), self.clock)

    def snooze(self, scope: str, *, hours: float = 4) -> PageAct:
        until = self.clock.now() + timedelta(hours=hours)
        return self.book().snooze(scope, "Ana Vella", "the holder is travelling", until)

    def act(self, act: str = "ACKNOWLEDGED", *, by: str = "Ana Vella", page: int = -1) -> PageAct:
        """Act on a page that went out, the last one if none is named."""
        done = self.book().act(self.pager.sent[page].page_id, act, by, "HOLDER_MADE_IT")
        assert done is not None
        return done

    def spend_all_tokens(self) -> None:
        now = self.clock.now()
        there = self.ledger.items.get(BUCKET_KEY)
        paged_at = Bucket.of(there).paged_at if there else {}
        empty = TokenBucket(tokens=0, at=now)
        self.put_bucket(Bucket(bucket=empty, paged_at=paged_at, since=now))

    def put_bucket(self, bucket: Bucket) -> None:
        there = self.ledger.items.get(BUCKET_KEY)
        version = there.version if there else 1
        self.ledger.items[BUCKET_KEY] = replace(bucket.item(), version=version)

    def check_promise(self, expected: set[str]) -> None:
        """No alert is lost, and none is in two pages unless the second is marked.

        What tells of it again is no page of it, and comes once, too.
        """
        first = [m for m in self.pager.sent if m.kind not in TELLS_AGAIN]
        told = Counter(i for m in first for i in m.alert_ids)
        unmarked = Counter(i for m in first if not m.repeat for i in m.alert_ids)
        assert expected <= set(told) | self.expired_ids() | self.suppressed_ids()
        assert not set(told) & (self.expired_ids() | self.suppressed_ids())
        assert not self.expired_ids() & self.suppressed_ids()
        assert max(unmarked.values(), default=0) <= 1
        for page_id in {m.page_id for m in self.pager.sent}:
            assert len({m.alert_ids for m in self.pager.sent if m.page_id == page_id}) == 1
        for sent in (self.pager.sent, self.next_pager.sent if self.next_pager else []):
            again = [m for m in sent if m.kind in TELLS_AGAIN and not m.repeat]
            said = Counter((m.kind, i) for m in again for i in m.alert_ids)
            assert max(said.values(), default=0) <= 1
        events = [event for event in self.page_events() if event.kind not in TELLS_AGAIN]
        announced = {i for e in events if e.state == "SENT" for i in e.alert_ids}
        assert announced == set(told)
        buried = [event for event in events if event.state == "EXPIRED"]
        by_act = {i for e in buried if e.reason == "suppressed" for i in e.alert_ids}
        assert by_act == self.suppressed_ids()
        by_age = {i for e in buried if e.reason != "suppressed" for i in e.alert_ids}
        assert by_age == self.expired_ids()


def kinds(world: World) -> list[tuple[str, int]]:
    return [(message.kind, len(message.alert_ids)) for message in world.pager.sent]


def play(
    world: World, batches: Sequence[tuple[float, list[Envelope]]], *, seconds: int, ticks_at: int
) -> list[tuple[datetime, PageMessage]]:
    """Deliver batches, each so many seconds after noon; give when each page went out.

    The schedule comes every minute, `ticks_at` seconds after the full one.
    """
    pages: list[tuple[datetime, PageMessage]] = []
    ticks: list[tuple[float, list[Envelope]]] = [(s, []) for s in range(ticks_at, seconds, 60)]
    for at, events in sorted([*batches, *ticks], key=lambda step: step[0]):
        world.clock.time = max(world.clock.time, NOON + timedelta(seconds=at))
        if events:
            assert world.page_batch(records(*events)).failed == set()
        else:
            world.page_waiting()
        pages += [(world.clock.now(), m) for m in world.pager.sent[len(pages) :]]
    return pages


@dataclass
class _Interrupted:
    target: object
    interrupt: Callable[[str], None]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the port has
        value = getattr(self.target, name)
        if not callable(value):
            return value

        def call(*arguments: object, **named: object) -> object:
            self.interrupt(f"before {name}")
            result = value(*arguments, **named)
            self.interrupt(f"after {name}")
            return result

        return call
