"""The generator: seed and clock in, events out. It keeps no state from one tick to the next.

Time is cut into ticks of 200 ms, counted from the epoch. What a tick holds depends on the seed, the
tick, the rate, the cards and the fault profile only, ids included. So two invocations that send the
same tick send the same events, and receivers drop the copies.

A payment's life is AUTHORIZED, for some CAPTURED ten seconds later, for some of those REFUNDED
after half a minute, each a record of its own under one payment_id; or DECLINED, and nothing
follows. A tick's followers come from the payments of the earlier tick at the present rate: when the
rate has changed in between, they follow payments that nobody saw.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cardwatch.contract.card_status import card_status_event_id
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.contract.payment import EntryMode
from cardwatch.contract.streams import new_event_id
from cardwatch.ports import StreamEntry
from cardwatch.simulation.accounts import Accounts
from cardwatch.simulation.population import Merchant, PayingCard, Population

TICK_MS: Final = 200
"""Divides a second, so that a second's heartbeat belongs to one tick."""
TICKS_PER_SECOND: Final = 1000 // TICK_MS
TICKS_PER_MINUTE: Final = 60 * TICKS_PER_SECOND
PAYMENT_HEAD: Final = b'{"type":"PAYMENT_EVENT"'
"""What a payment's record begins with."""
HEARTBEAT_HEAD: Final = b'{"type":"HEARTBEAT"'

_AT_HOME: Final = 0.85
"""Share of payments in the card's home city."""
CAPTURED_AFTER_TICKS: Final = 10 * TICKS_PER_SECOND
REFUNDED_AFTER_TICKS: Final = 30 * TICKS_PER_SECOND
_DECLINED: Final = 0.05
"""Share of payments."""
_CAPTURED: Final = 0.05
"""Share of authorized payments that are captured while one watches; most are by their day's end."""
_REFUNDED: Final = 0.01
"""Share of authorized payments that are captured and then refunded whole."""
_READ_BY: Final[tuple[tuple[int, EntryMode], ...]] = (
    (160, "CONTACTLESS"),
    (240, "CHIP"),
    (250, "MAGSTRIPE"),
    (256, "KEYED"),
)
"""Up to which chance of 256."""
_AUTHORIZED_TEXT: Final = '"status":"AUTHORIZED"'
_EVENT_ID_SPACE: Final = 16**4


class Draft(NamedTuple):
    """A payment on its way to becoming a record."""

    ordinal: int
    """Its number since the epoch at the present rate; -1 for a payment outside the rate."""
    event_id: str
    payment_id: str
    origin_ms: int
    token: str
    rest: str
    """The data's JSON behind the payment_id, without the closing brace."""


DraftsOfTick = Callable[[int], list[Draft]]
"""What scenarios are: the payments that they have in a tick."""
PaymentsToEntries = Callable[[int, list[Draft]], list[StreamEntry]]
"""What a fault profile is: (tick, payments) to records, in stream order."""


class EventGenerator:
    """Makes payments, heartbeats, registry statuses and accounts for a tick."""

    def __init__(
        self,
        cards: Sequence[PayingCard],
        *,
        seed: int,
        registry_period_minutes: int = 15,
        accounts: bool = True,
        faults: Callable[["EventGenerator"], PaymentsToEntries] | None = None,
        scenarios: Callable[["EventGenerator"], DraftsOfTick] | None = None,
    ) -> None:
        """Take the cards and the seed; raises ValueError without a card.

        `accounts` says whether it publishes them, in a bank's place.
        """
        self.seed: Final = seed
        self.population: Final = Population(cards, seed)
        self._period = registry_period_minutes
        self._statuses = [_StatusText(card) for card in cards]
        self._accounts = Accounts(self.population, seed) if accounts else None
        self._to_entries = faults(self) if faults else None
        self._scenarios = scenarios(self) if scenarios else None
        # Only to save making them again: what is not here is made.
        self._lasting: dict[tuple[int, float], list[Draft]] = {}

    def tick(
        self,
        tick: int,
        payments_per_second: float | None,
        hash_keys: Sequence[str],
        *,
        limit: int | None = None,
        since_tick: int = 0,
    ) -> list[StreamEntry]:
        """Give all records of one tick in stream order; no rate means that payments are off.

        At most `limit` new payments, those that faults add not counted. Nothing follows payments of
        ticks before `since_tick`.
        """
        entries = self.registry_slice(tick)
        if payments_per_second is not None:
            entries += self.payments(tick, payments_per_second, limit)
            entries += self.followers(tick, payments_per_second, since_tick)
            if self._scenarios:
                entries += map(payment_entry, self._scenarios(tick))
        if (tick + 1) % TICKS_PER_SECOND == 0:
            entries += self.heartbeats(tick, hash_keys)
        return entries

    def payments(
        self, tick: int, payments_per_second: float, limit: int | None = None
    ) -> list[StreamEntry]:
        """Give the new payments of one tick, with the fault profile applied."""
        drafts = self._drafts(tick, payments_per_second)
        self._keep_lasting(tick, payments_per_second, drafts)
        if self._to_entries:
            return self._to_entries(tick, drafts[:limit])
        return [payment_entry(draft) for draft in drafts[:limit]]

    def followers(
        self, tick: int, payments_per_second: float, since_tick: int = 0
    ) -> list[StreamEntry]:
        """Give what becomes of earlier payments in a tick, stamped with its last millisecond."""
        origin_ms = (tick + 1) * TICK_MS - 1
        return [
            payment_entry(later)
            for after, become in (
                (CAPTURED_AFTER_TICKS, _captured),
                (REFUNDED_AFTER_TICKS, _refunded),
            )
            if tick - after >= since_tick
            for draft in self._lasting_of(tick - after, payments_per_second)
            if (later := become(draft, origin_ms)) is not None
        ]

    def _lasting_of(self, tick: int, payments_per_second: float) -> list[Draft]:
        """Give the payments of a tick that others follow."""
        known = self._lasting.get((tick, payments_per_second))
        if known is None:
            drafts = self._drafts(tick, payments_per_second)
            known = self._keep_lasting(tick, payments_per_second, drafts)
        return known

    def _keep_lasting(
        self, tick: int, payments_per_second: float, drafts: Sequence[Draft]
    ) -> list[Draft]:
        lasting = [draft for draft in drafts if _captured(draft, 0) is not None]
        self._lasting[tick, payments_per_second] = lasting
        while len(self._lasting) > 2 * REFUNDED_AFTER_TICKS:
            del self._lasting[next(iter(self._lasting))]
        return lasting

    def heartbeats(self, tick: int, hash_keys: Sequence[str]) -> list[StreamEntry]:
        """Give one heartbeat per shard, stamped with the tick's last millisecond.

        Sent when the tick is over, it moves the watermark as far as it can go by then.
        """
        origin = time_text((tick + 1) * TICK_MS - 1)
        return [
            StreamEntry(
                (
                    f'{{"type":"HEARTBEAT","event_id":"{new_event_id("heartbeat", tick, key)}",'
                    f'"schema_version":1,"event_date_origin":"{origin}",'
                    '"event_json_data":{"source":"simulator"}}'
                ).encode(),
                "heartbeat",
                key,
            )
            for key in hash_keys
        ]

    def registry(self, tick: int) -> Iterator[StreamEntry]:
        """Give the status of every card, then every account, as published in a tick."""
        origin = time_text(tick * TICK_MS)
        yield from (status.entry(origin) for status in self._statuses)
        yield from self._account_entries(range(len(self._statuses)), origin)

    def registry_slice(self, tick: int) -> list[StreamEntry]:
        """Give the statuses and the accounts of the cards whose turn it is in a tick.

        Minute m of the epoch publishes every card whose place in the file is m modulo the period,
        spread evenly over the minute; so the whole file goes by once per period, and nothing needs
        to be remembered.
        """
        minute, place = divmod(tick, TICKS_PER_MINUTE)
        first = minute % self._period
        size = len(range(first, len(self._statuses), self._period))
        turns = range(size * place // TICKS_PER_MINUTE, size * (place + 1) // TICKS_PER_MINUTE)
        if not turns:
            return []
        origin = time_text(tick * TICK_MS)
        return [
            entry
            for turn in turns
            for index in [first + turn * self._period]
            for entry in (
                self._statuses[index].entry(origin),
                *self._account_entries([index], origin),
            )
        ]

    def _account_entries(self, indexes: Iterable[int], origin: str) -> Iterator[StreamEntry]:
        """Give the accounts of some cards, unless a bank publishes them."""
        if self._accounts is not None:
            published = parse_time(origin)
            yield from (self._accounts.entry(index, published) for index in indexes)

    def draft(
        self, card_index: int, origin_ms: int, ids: str, draw: random.Random, ordinal: int = -1
    ) -> Draft:
        """Make one payment by a card; `ids` is a SHA-256 in hex that its ids are cut from."""
        population = self.population
        random_ = draw.random
        place = (
            population.homes[card_index]
            if random_() < _AT_HOME
            else int(random_() * len(population.merchants))
        )
        merchants = population.merchants[place]
        merchant = merchants[int(random_() * len(merchants))]
        amount = max(merchant.smallest, draw.lognormvariate(merchant.mu, merchant.sigma))
        status = "DECLINED" if random_() < _DECLINED else "AUTHORIZED"
        return self.charge(
            card_index, origin_ms, ids, merchant, amount=amount, status=status, ordinal=ordinal
        )

    def charge(
        self,
        card_index: int,
        origin_ms: int,
        ids: str,
        merchant: Merchant,
        *,
        amount: float,
        status: str,
        ordinal: int = -1,
    ) -> Draft:
        """Make one payment to a merchant, in the merchant's currency."""
        population = self.population
        entry_mode = "ECOMMERCE" if merchant.online else _entry_mode(int(ids[56:58], 16))
        return Draft(
            ordinal,
            ids[:32],
            f"pay_{ids[32:56]}",
            origin_ms,
            population.cards[card_index].token,
            f'{population.card_json[card_index]},"amount":"{amount:.{merchant.decimals}f}",'
            f'{merchant.json},"status":"{status}","entry_mode":"{entry_mode}",'
            f"{merchant.circumstances}",
        )

    def _drafts(self, tick: int, payments_per_second: float) -> list[Draft]:
        start_ms = tick * TICK_MS
        ordinal = payments_before(start_ms, payments_per_second)
        count = payments_before(start_ms + TICK_MS, payments_per_second) - ordinal
        if not count:
            return []
        name = f"{self.seed}|{tick}|{payments_per_second:g}"
        draw = seeded(name)
        random_ = draw.random
        offsets = sorted(int(random_() * TICK_MS) for _ in range(count))
        return [
            self.draft(
                self._turn(ordinal + index),
                start_ms + offset,
                hashlib.sha256(f"payment|{name}|{index}".encode()).hexdigest(),
                draw,
                ordinal + index,
            )
            for index, offset in enumerate(offsets)
        ]

    def _turn(self, ordinal: int) -> int:
        """Give the card whose turn a payment is: each pays once before any pays again.

        So nobody pays many times within a minute just because the cards are few.
        """
        cards = len(self.population.cards)
        round_, place = divmod(ordinal, cards)
        return _turns(self.seed, round_, cards)[place]


@lru_cache(maxsize=4)
def _turns(seed: int, round_: int, cards: int) -> list[int]:
    turns = list(range(cards))
    seeded(f"{seed}|turns|{round_}").shuffle(turns)
    return turns


def _entry_mode(chance: int) -> EntryMode:
    """Say how a card was read where it was present, for a chance of 0 to 255."""
    return next(mode for up_to, mode in _READ_BY if chance < up_to)


def _captured(draft: Draft, origin_ms: int) -> Draft | None:
    return _followed(draft, origin_ms, _CAPTURED, "CAPTURED", "")


def _refunded(draft: Draft, origin_ms: int) -> Draft | None:
    return _followed(draft, origin_ms, _REFUNDED, "REFUNDED", "-")


def _followed(draft: Draft, origin_ms: int, share: float, status: str, sign: str) -> Draft | None:
    """Give the payment's next record, or None for one that is not of the share that has it."""
    if int(draft.event_id[:4], 16) >= share * _EVENT_ID_SPACE or _AUTHORIZED_TEXT not in draft.rest:
        return None
    rest = draft.rest.replace(_AUTHORIZED_TEXT, f'"status":"{status}"')
    return draft._replace(
        ordinal=-1,
        event_id=new_event_id(draft.event_id, status),
        origin_ms=origin_ms,
        rest=rest.replace('"amount":"', f'"amount":"{sign}', 1),
    )


class _StatusText:
    """A card's CARD_STATUS with all but the time of publication ready made."""

    __slots__ = ("_after", "_before", "_token")

    def __init__(self, card: PayingCard) -> None:
        event_id = card_status_event_id(card.token, card.status, card.effective_from)
        data = {
            "card_token": card.token,
            "card_last4": card.last4,
            "status": card.status,
            "effective_from": format_time(card.effective_from),
            "reason": card.reason,
        }
        self._before = (
            f'{{"type":"CARD_STATUS","event_id":"{event_id}","schema_version":1,'
            '"event_date_origin":"'
        )
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self._after = f'","event_json_data":{text}}}'
        self._token = card.token

    def entry(self, origin: str) -> StreamEntry:
        return StreamEntry(f"{self._before}{origin}{self._after}".encode(), self._token)


def payments_before(time_ms: int, payments_per_second: float) -> int:
    """Give how many payments fall before an instant, counted from the epoch.

    Exact for rates in thousandths, so that a rate of 0.5/s gives one payment every two seconds.
    """
    return time_ms * round(payments_per_second * 1000) // 1_000_000


def seeded(name: str) -> random.Random:
    """Give the random numbers of one name: the same ones every time."""
    digest = hashlib.sha256(name.encode()).digest()
    return random.Random(int.from_bytes(digest[:8]))  # noqa: S311  reproducible data, no secret


def time_text(time_ms: int) -> str:
    """Write milliseconds since the epoch in the contract's format."""
    second, millisecond = divmod(time_ms, 1000)
    return f"{_second_text(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def payment_text(draft: Draft) -> str:
    """Write a payment as the JSON of its record."""
    return (
        f'{{"type":"PAYMENT_EVENT","event_id":"{draft.event_id}","schema_version":1,'
        f'"event_date_origin":"{time_text(draft.origin_ms)}",'
        f'"event_json_data":{{"payment_id":"{draft.payment_id}",{draft.rest}}}}}'
    )


def payment_entry(draft: Draft) -> StreamEntry:
    """Make a payment's record."""
    return StreamEntry(payment_text(draft).encode(), draft.token)
