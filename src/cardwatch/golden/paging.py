"""What people are paged of: the notifier itself, in the scenario's time, with a ledger in memory.

It is given each alert when the stream has it, what came together as one batch, and runs its
schedule at every full minute. What it refuses is delivered again a second later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cardwatch.clock import MovedClock
from cardwatch.contract.page import PageEvent
from cardwatch.contract.streams import read_event
from cardwatch.golden.scenario import Fault, Scenario
from cardwatch.paging.grouping import Policy
from cardwatch.paging.memory import PageLedgerInMemory
from cardwatch.paging.notifier import AlertRecord, Notifier
from cardwatch.paging.ports import PageMayBeSentError, PageMessage, PageNotSentError
from cardwatch.paging.records import Work
from cardwatch.paging.subscriptions import Audience, FilterPolicy, Subscription
from cardwatch.ports import NotKeptError, PutOutcome, StreamEntry

MINUTE_MS: Final = 60_000
AGAIN_MS: Final = 1_000
AFTERWARDS_MS: Final = 3 * 3_600_000
"""So long the schedule runs on while anything waits."""
SUBSCRIPTIONS_SECONDS: Final = 30
"""How long the notifier uses an answer on who is subscribed, as its setting says by default."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An alert, and when the stream has it, in ms from the scenario's beginning."""

    at: int
    record: bytes


@dataclass(frozen=True, slots=True)
class SentPage:
    """A page as the channel was given it."""

    at: int
    message: PageMessage


@dataclass(frozen=True, slots=True)
class Paged:
    """What became of the alerts."""

    pages: tuple[SentPage, ...]
    expired_ids: tuple[str, ...]
    canaries: int


def page(scenario: Scenario, begins: datetime, alerts: Iterable[Heard]) -> Paged:
    """Page the alerts of one scenario."""
    world = _World(begins, scenario.faults)
    notifier = _notifier(scenario, world)
    coming: dict[int, list[AlertRecord]] = {}
    for number, heard in enumerate(alerts):
        coming.setdefault(heard.at, []).append(AlertRecord(str(number), heard.record))
    minute = canaries = 0
    latest = scenario.end + AFTERWARDS_MS
    while coming or minute <= scenario.end or (minute <= latest and world.unfinished()):
        now = min([minute, *coming])
        # What the notifier waited for between two tries has taken time; it does not run back.
        world.clock.time = max(world.clock.time, begins + timedelta(milliseconds=now))
        if batch := coming.pop(now, None):
            outcome = notifier.page_batch(batch)
            canaries += len(outcome.canaries)
            again = [record for record in batch if record.sequence_number in outcome.failed]
            if again and now < latest:
                coming[now + AGAIN_MS] = again + coming.get(now + AGAIN_MS, [])
        if now == minute:
            notifier.page_waiting()
            minute += MINUTE_MS
    return Paged(tuple(world.sent), tuple(world.expired_ids), canaries)


def _notifier(scenario: Scenario, world: "_World") -> Notifier:
    asked = scenario.paging
    return Notifier(
        ledger=world.ledger,
        pager=world,
        audience=Audience(world, world.clock, keep_for=timedelta(seconds=SUBSCRIPTIONS_SECONDS)),
        stream=world,
        dead_letters=world,
        clock=world.clock,
        policy=Policy(
            max_age=timedelta(seconds=asked.page_max_age_seconds),
            pages_per_minute=asked.pages_per_minute,
            group_interval=timedelta(seconds=asked.group_seconds),
            digest_interval=timedelta(seconds=asked.digest_seconds),
        ),
    )


@dataclass
class _World:
    """Everything around the notifier, with its faults: ledger, clock, channel, stream, topic."""

    begins: datetime
    faults: Sequence[Fault]
    ledger: PageLedgerInMemory = field(default_factory=PageLedgerInMemory)
    clock: MovedClock = field(init=False)
    sent: list[SentPage] = field(default_factory=list)
    expired_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = MovedClock(self.begins)

    @property
    def channel(self) -> str:
        return "scenario"

    def send(self, message: PageMessage) -> None:
        if self._holds("the channel refuses"):
            msg = "the channel refuses"
            raise PageNotSentError(msg)
        self.sent.append(SentPage(self._now(), message))
        if self._holds("the channel does not answer"):
            msg = "the channel does not answer"
            raise PageMayBeSentError(msg)

    def all(self) -> Iterable[Subscription]:
        return (
            [] if self._holds("nobody is subscribed") else [Subscription("email", "arn:scenario")]
        )

    def filter_policy(self, arn: str) -> FilterPolicy | None:
        del arn
        return None

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        for entry in entries:
            said = read_event(entry.data, now=self.clock.now()).event_json_data
            if isinstance(said, PageEvent) and said.state == "EXPIRED":
                self.expired_ids += said.alert_ids
        return PutOutcome(delivered=len(entries), retried=0)

    def shard_hash_keys(self) -> Sequence[str]:
        return ["0"]

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        msg = f"{source}: the detection wrote {len(records)} alerts that are none: {reason}"
        raise NotKeptError(msg)

    def unfinished(self) -> bool:
        # An expired alert is mentioned by the next page, if there ever is one.
        settled = {None, Work.MENTION}
        return any(item.unfinished not in settled for item in self.ledger.items.values())

    def _holds(self, fault: str) -> bool:
        now = self._now()
        return any(f.fault == fault and f.since <= now < f.until for f in self.faults)

    def _now(self) -> int:
        return round((self.clock.now() - self.begins) / timedelta(milliseconds=1))
