"""The risk desk's rules over counts and sums in plain Python, written from their words.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Where the SQL looks back from a payment, this walks through time: attempts come and leave,
and after each change it is known whether a breach goes on. Times are milliseconds since the epoch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.flink.oracle import FOREVER, TOKEN, read_amount, read_lines

MINUTE = 60_000
TEN_MINUTES = 600_000
SMALL = {
    **dict.fromkeys(("CHF", "EUR", "GBP", "USD"), "5"),
    "KWD": "1.5",
    "AUD": "8",
    "PLN": "20",
    "BRL": "30",
    "SEK": "55",
    "INR": "450",
    "JPY": "800",
}
LIMITS = {
    **dict.fromkeys(("CHF", "EUR", "USD"), "3000"),
    "GBP": "2600",
    "KWD": "1000",
    "AUD": "5100",
    "PLN": "13000",
    "BRL": "18000",
    "SEK": "34000",
    "INR": "285000",
    "JPY": "500000",
}


@dataclass(frozen=True)
class Breach:
    """One alert of a rule."""

    rule: str
    entity: str
    currency: str | None
    happened: int
    """When the payment was made that is said to have made the rule fire."""
    window: tuple[int, int] | None
    """What was looked at, the end exclusive; None for a rule without a window."""
    observed: Decimal
    count: int
    payments: tuple[str, ...]
    """Those that are named; of the first the alert's id is made."""


@dataclass(frozen=True)
class Attempt:
    """A payment that was tried, once for being declined and once for being taken."""

    time: int
    counted: int
    """Not behind the watermark that it met."""
    data: dict[str, Any]
    amount: Decimal | None

    @property
    def payment(self) -> str:
        return str(self.data["payment_id"])

    @property
    def declined(self) -> bool:
        return bool(self.data.get("status") == "DECLINED")

    def entity(self, name: str) -> str | None:
        value = self.data.get(name)
        return value if isinstance(value, str) and 1 <= len(value) <= 128 else None


def breaches(
    lines: Iterable[str], *, delay_ms: int = 1_000, met: Counter[str] | None = None
) -> set[Breach]:
    """Give every breach of the three rules; `met` counts what of the rarer kinds the lines have."""
    attempts = list(_attempts(lines, delay_ms))
    met = Counter() if met is None else met
    return {*_velocity(attempts, met), *_card_testing(attempts, met), *_spend(attempts, met)}


def _attempts(lines: Iterable[str], delay_ms: int) -> Iterator[Attempt]:
    known = set()
    for row, watermark in read_lines(lines, delay_ms):
        time, data = row["time"], row["data"]
        if (
            row["type"] == "PAYMENT_EVENT"
            and data.get("payment_id") is not None
            and TOKEN.fullmatch(data.get("card_token") or "")
            and data.get("status") != "REFUNDED"
        ):
            key = (data["payment_id"], data["card_token"], data.get("status") == "DECLINED")
            if key not in known:
                known.add(key)
                counted = max(time, watermark + 1)
                yield Attempt(time, counted, data, read_amount(data.get("amount")))


def _velocity(attempts: Iterable[Attempt], met: Counter[str]) -> Iterator[Breach]:
    for user, made in _of_each(attempts, "user_id").items():
        recent, old = Row(), Row()
        newest = -FOREVER
        in_order: list[Attempt] = []
        for _, come, _ in _changes(made, MINUTE):
            newest = max([newest, *(attempt.time for attempt in come)])
            for attempt in come:
                in_order.append(attempt)
                met["velocity: of six the first and the last alone"] += _ends_alone(in_order[-6:])
                row = recent if attempt.time > newest - MINUTE else old
                begins = row.add(attempt)
                met["velocity: of six in a row the first and the last alone"] += _ends_alone(
                    row.attempts[-6:]
                )
                if not begins:
                    continue
                six = row.attempts[-6:]
                met["velocity: again"] += row.breaches > 1
                met["velocity: not in order"] += any(b.time < a.time for a, b in pairwise(six))
                met["velocity: of old ones"] += row is old
                between = in_order[in_order.index(six[0]) :]
                met["velocity: an old one between"] += row is recent and len(between) > len(six)
                named = tuple(a.payment for a in six)
                yield Breach("user_velocity", user, None, attempt.time, None, Decimal(6), 6, named)


@dataclass
class Row:
    """Attempts of a user that are judged together."""

    attempts: list[Attempt] = field(default_factory=list)
    in_breach: bool = False
    breaches: int = 0

    def add(self, attempt: Attempt) -> bool:
        """Say whether a breach begins with this attempt."""
        was = self.in_breach
        self.attempts.append(attempt)
        self.in_breach = _in_a_minute(self.attempts[-6:])
        begins = self.in_breach and not was
        self.breaches += begins
        return begins


def _in_a_minute(six: Sequence[Attempt]) -> bool:
    times = [attempt.time for attempt in six]
    return len(times) == 6 and max(times) - min(times) < MINUTE


def _ends_alone(six: Sequence[Attempt]) -> bool:
    """Say whether only the first and the last of six are near each other."""
    return len(six) == 6 and abs(six[0].time - six[-1].time) < MINUTE and not _in_a_minute(six)


def _card_testing(attempts: Iterable[Attempt], met: Counter[str]) -> Iterator[Breach]:
    tests = [a for a in attempts if a.declined or _is_small(a)]
    for merchant, tries in _of_each(tests, "merchant_id").items():
        there: list[Attempt] = []
        goes_on = ended_by_time = False
        for moment, come, left in _changes(tries, MINUTE):
            there = [a for a in there if a not in left] + come
            cards = len({a.data["card_token"] for a in there})
            if goes_on and cards <= 5:
                ended_by_time = not come
            elif come and cards <= 5:
                ended_by_time = False
            if cards > 5 and not goes_on:
                met["cards: ended by time alone"] += ended_by_time
                met["cards: at one millisecond"] += len(come) > 1
                yield Breach(
                    "card_testing",
                    merchant,
                    None,
                    there[-1].time,
                    (moment - MINUTE, moment + 1),
                    Decimal(cards),
                    len(there),
                    _newest(there, 6),
                )
            goes_on = cards > 5


def _is_small(attempt: Attempt) -> bool:
    small = SMALL.get(attempt.data.get("currency") or "")
    return (
        small is not None and attempt.amount is not None and 0 <= attempt.amount <= Decimal(small)
    )


def _spend(attempts: Iterable[Attempt], met: Counter[str]) -> Iterator[Breach]:
    taken = [a for a in attempts if not a.declined and a.amount is not None and a.amount > 0]
    for currency, limit in LIMITS.items():
        in_it = [a for a in taken if a.data.get("currency") == currency]
        for account, paid in _of_each(in_it, "account_id").items():
            yield from _spend_of(account, currency, Decimal(limit), paid, met)


def _spend_of(
    account: str, currency: str, limit: Decimal, paid: Sequence[Attempt], met: Counter[str]
) -> Iterator[Breach]:
    there: list[Attempt] = []
    told: list[int] = []  # the steps of the breach that goes on
    ended_by_time = ""
    for moment, come, left in _changes(paid, TEN_MINUTES):
        # What leaves at a millisecond leaves before what comes.
        there = [a for a in there if a not in left]
        if told and _sum(there) <= limit:
            told = []
            ended_by_time = "in part" if there else "alone"
        there += come
        total = _sum(there)
        if not come or total <= limit:
            ended_by_time = "" if come else ended_by_time
            continue
        step = sum(total > limit * Decimal("1.5") ** k for k in range(1, 8))
        if told and step <= max(told):
            met["spend: fell back to a step jumped over"] += step not in told
            continue
        met["spend: a step jumped over"] += bool(told) and step > max(told) + 1
        met[f"spend: ended by time {ended_by_time}"] += not told and bool(ended_by_time)
        met["spend: at one millisecond"] += len(come) > 1
        told.append(step)
        ended_by_time = ""
        yield Breach(
            "spend_over_limit",
            account,
            currency,
            there[-1].time,
            (moment - TEN_MINUTES, moment + 1),
            total,
            len(there),
            _newest(there, 5),
        )


def _sum(attempts: Iterable[Attempt]) -> Decimal:
    return sum((a.amount or Decimal(0) for a in attempts), Decimal(0))


def _of_each(attempts: Iterable[Attempt], name: str) -> dict[str, list[Attempt]]:
    """Part attempts by an entity, as they come."""
    parts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if (entity := attempt.entity(name)) is not None:
            parts[entity].append(attempt)
    return parts


def _changes(
    attempts: Iterable[Attempt], stay_ms: int
) -> Iterator[tuple[int, list[Attempt], list[Attempt]]]:
    """Give each moment at which one comes or leaves, those that come, and those that leave.

    One leaves in the millisecond after the last at which it still counts, stay_ms after it came.
    """
    come: defaultdict[int, list[Attempt]] = defaultdict(list)
    leave: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        come[attempt.counted].append(attempt)
        leave[attempt.counted + stay_ms + 1].append(attempt)
    for moment in sorted({*come, *leave}):
        yield moment, come[moment], leave[moment]


def _newest(attempts: Sequence[Attempt], count: int) -> tuple[str, ...]:
    return tuple(attempt.payment for attempt in reversed(attempts[-count:]))
