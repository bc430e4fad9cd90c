"""Fakes with state: they keep what they are told, so a test looks at outcomes, not at calls."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cardwatch.acts.ports import LinkKey, LinkKeys, LinkKeysUnavailableError
from cardwatch.clock import MovedClock
from cardwatch.paging.memory import PageLedgerInMemory, oldest
from cardwatch.paging.ports import LedgerItem, PageMessage, PageRefusedError
from cardwatch.paging.subscriptions import (
    FilterPolicy,
    Subscription,
    SubscriptionsUnavailableError,
)
from cardwatch.ports import NotKeptError, PutOutcome, StreamEntry, UndeliveredEntry
from cardwatch.recovery.ports import DeadLetter, UnreadableObjectError
from cardwatch.rules.publication import Publication
from cardwatch.staging.ports import KnownStatus, RegistryUnavailableError

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock(MovedClock):
    """A clock moved by hand that remembers who slept how long."""

    time: datetime = NOON
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


@dataclass
class FakeEventStream:
    """A stream in memory; `refuse` says with which error code it takes nothing."""

    entries: list[StreamEntry] = field(default_factory=list)
    refuse: str | None = None
    shards: int = 4

    def put(self, entries: Sequence[StreamEntry]) -> PutOutcome:
        if self.refuse is not None:
            undelivered = tuple(UndeliveredEntry(entry, self.refuse) for entry in entries)
            return PutOutcome(delivered=0, retried=0, undelivered=undelivered)
        self.entries += entries
        return PutOutcome(delivered=len(entries), retried=0)

    def shard_hash_keys(self) -> Sequence[str]:
        return [str(2**128 * i // self.shards) for i in range(self.shards)]


@dataclass
class FakeCardRegistry:
    """A registry in memory; `clock` is what each call takes a second of."""

    known: dict[str, KnownStatus] = field(default_factory=dict)
    broken: bool = False
    clock: FakeClock | None = None
    read_keys: int = 0
    writes: int = 0

    def read(self, card_tokens: Collection[str]) -> Mapping[str, KnownStatus]:
        self._call("read")
        self.read_keys += len(card_tokens)
        return {token: self.known[token] for token in card_tokens if token in self.known}

    def write(self, status: KnownStatus) -> None:
        self._call("written")
        self.writes += 1
        before = self.known.get(status.card_token)
        if before is None or status.outdates(before):
            self.known[status.card_token] = status

    def _call(self, what: str) -> None:
        if self.clock:
            self.clock.advance(1)
        if self.broken:
            msg = f"the card registry cannot be {what} (Gone)"
            raise RegistryUnavailableError(msg)


@dataclass
class FakeRuleHistory:
    """Versions in memory; `taken` is one that somebody else adds just before the next of ours."""

    kept: dict[int, Publication] = field(default_factory=dict)
    taken: Publication | None = None

    def versions(self) -> Sequence[int]:
        return sorted(self.kept)

    def read(self, version: int) -> Publication:
        return self.kept[version]

    def add(self, publication: Publication) -> bool:
        if self.taken is not None:
            self.kept[self.taken.version] = self.taken
        if publication.version in self.kept:
            return False
        self.kept[publication.version] = publication
        return True


@dataclass
class FakePageLedger(PageLedgerInMemory):
    """A ledger in memory whose index may be `behind` by some writes."""

    behind: int = 0
    _indexes: list[dict[str, LedgerItem]] = field(default_factory=list)

    def commit(self, items: Sequence[LedgerItem]) -> bool:
        before = dict(self.items) if self.behind else {}
        written = super().commit(items)
        if written and self.behind:
            self._indexes = [*self._indexes, before][-self.behind :]
        return written

    def waiting(self, kind: str, *, limit: int) -> Sequence[str]:
        index = self._indexes[-self.behind] if 0 < self.behind <= len(self._indexes) else self.items
        return oldest(index, kind, limit=limit)


@dataclass
class FakePager:
    """A channel in memory; each of `failures` is raised once instead of sending.

    Each of `lost_answers` is raised once after sending. `refuses` says which messages it never
    takes.
    """

    sent: list[PageMessage] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    lost_answers: list[Exception] = field(default_factory=list)
    refuses: Callable[[PageMessage], bool] = lambda _: False

    @property
    def channel(self) -> str:
        return "fake"

    def send(self, message: PageMessage) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.refuses(message):
            msg = "the channel refuses this page"
            raise PageRefusedError(msg)
        self.sent.append(message)
        if self.lost_answers:
            raise self.lost_answers.pop(0)


@dataclass
class FakeSubscriptions:
    """A topic's subscriptions in memory; `broken` ones cannot be listed, unknown filters not read.

    Somebody is subscribed by e-mail until a test says otherwise.
    """

    listed: list[Subscription] = field(default_factory=lambda: [Subscription("email", "arn:1")])
    listed_before: list[list[Subscription]] = field(default_factory=list)
    """What the next looks find, one each, before `listed`."""
    filters: dict[str, FilterPolicy | None] = field(default_factory=dict)
    broken: bool = False
    filters_broken: bool = False
    times_listed: int = 0

    def all(self) -> Iterable[Subscription]:
        self.times_listed += 1
        if self.broken:
            msg = "the subscriptions cannot be listed: Throttled"
            raise SubscriptionsUnavailableError(msg)
        return list(self.listed_before.pop(0) if self.listed_before else self.listed)

    def filter_policy(self, arn: str) -> FilterPolicy | None:
        if self.filters_broken:
            msg = "the subscriptions cannot be listed: AuthorizationError"
            raise SubscriptionsUnavailableError(msg)
        return self.filters.get(arn)


@dataclass
class FakeLinkKeys:
    """Keys in memory; a `broken` store does not answer."""

    keys: LinkKeys = field(default_factory=lambda: LinkKeys(LinkKey("key-1", b"1" * 32)))
    broken: bool = False
    reads: int = 0

    def read(self) -> LinkKeys:
        self.reads += 1
        if self.broken:
            msg = "the key of page links cannot be read (Gone)"
            raise LinkKeysUnavailableError(msg)
        return self.keys

    def rotate(self) -> None:
        number = int(self.keys.current.key_id.removeprefix("key-")) + 1
        new = LinkKey(f"key-{number}", str(number).encode() * 32)
        self.keys = LinkKeys(new, self.keys.current)


@dataclass
class FakeDeadLetters:
    """Dead letters in memory, one object per `keep`."""

    letters: dict[str, list[DeadLetter]] = field(default_factory=dict)
    broken: bool = False

    def keep(self, source: str, records: Sequence[bytes], *, reason: str) -> str:
        if self.broken:
            msg = "the bucket is not there"
            raise NotKeptError(msg)
        name = f"{source}/{len(self.letters)}"
        self.letters[name] = [DeadLetter(raw, reason) for raw in records]
        return name

    def sources(self) -> Sequence[str]:
        return sorted({name.split("/")[0] for name in self.letters})

    def objects(self, source: str) -> Iterable[str]:
        return [name for name in self.letters if name.startswith(f"{source}/")]

    def letters_in(self, name: str) -> Sequence[DeadLetter]:
        if not self.letters[name]:
            msg = f"{name} holds no letters"
            raise UnreadableObjectError(msg)
        return self.letters[name]

    def remove(self, name: str) -> None:
        del self.letters[name]
