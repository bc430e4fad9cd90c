"""The risk desk's rules over counts and sums in plain Python, written apart from the SQL.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Times are milliseconds since the epoch. A breach is what an alert is about: its rule, its
entity, and the payments it names, the one that its id is made of first.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.flink.oracle import FOREVER, TOKEN, WATERMARK_STEP, read_amount, read_line

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
    first: str
    """The payment that the alert's id is made of."""
    observed: Decimal
    count: int
    payments: tuple[str, ...]


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


def breaches(lines: Iterable[str], *, delay_ms: int = 1_000) -> set[Breach]:
    """Give every breach of the three rules."""
    attempts = list(_attempts(lines, delay_ms))
    return {*_velocity(attempts), *_card_testing(attempts), *_spend(attempts)}


def _attempts(lines: Iterable[str], delay_ms: int) -> Iterator[Attempt]:
    now = datetime.now(UTC).timestamp() * 1000
    watermark = -FOREVER
    known = set()
    for line in lines:
        row = read_line(line, now)
        if row is None:
            continue
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
        passed = time // WATERMARK_STEP * WATERMARK_STEP - delay_ms
        watermark = max(watermark, passed) if passed > 0 else watermark


def _velocity(attempts: Iterable[Attempt]) -> Iterator[Breach]:
    of_user: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        user = attempt.entity("user_id")
        if user is None:
            continue
        made = of_user[user]
        made.append(attempt)
        if _six_in_a_minute(made) and not _six_in_a_minute(made[:-1]):
            six = tuple(a.payment for a in made[-6:])
            yield Breach("user_velocity", user, None, six[0], Decimal(6), 6, six)


def _six_in_a_minute(made: list[Attempt]) -> bool:
    return len(made) >= 6 and abs(made[-1].time - made[-6].time) < MINUTE


def _card_testing(attempts: Iterable[Attempt]) -> Iterator[Breach]:
    tried = [a for a in attempts if a.declined or _is_small(a)]
    for merchant, tries in _of_each(tried, "merchant_id").items():
        before = 0
        for place, attempt in enumerate(tries):
            recent = _within(tries, attempt, MINUTE)
            cards = len({a.data["card_token"] for a in recent})
            if cards > 5 >= before:
                named = _newest(tries[: place + 1], 6)
                observed = Decimal(cards)
                yield Breach("card_testing", merchant, None, named[0], observed, len(recent), named)
            before = cards


def _is_small(attempt: Attempt) -> bool:
    small = SMALL.get(attempt.data.get("currency") or "")
    return (
        small is not None and attempt.amount is not None and 0 <= attempt.amount <= Decimal(small)
    )


def _spend(attempts: Iterable[Attempt]) -> Iterator[Breach]:
    taken = [a for a in attempts if not a.declined and a.amount is not None and a.amount > 0]
    for currency, limit in LIMITS.items():
        in_it = [a for a in taken if a.data.get("currency") == currency]
        for account, paid in _of_each(in_it, "account_id").items():
            steps: set[int] = set()
            for place, attempt in enumerate(paid):
                recent = _within(paid, attempt, TEN_MINUTES)
                total = sum((a.amount or Decimal(0) for a in recent), Decimal(0))
                over = total / Decimal(limit)
                if over <= 1:
                    steps = set()
                    continue
                step = max(k for k in range(8) if k == 0 or over > Decimal("1.5") ** k)
                if step not in steps:
                    steps.add(step)
                    named = _newest(paid[: place + 1], min(5, len(recent)))
                    yield Breach(
                        "spend_over_limit", account, currency, named[0], total, len(recent), named
                    )


def _of_each(attempts: Iterable[Attempt], name: str) -> dict[str, list[Attempt]]:
    """Part attempts by an entity, in the order in which windows of event time see them."""
    parts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda attempt: attempt.counted):
        if (entity := attempt.entity(name)) is not None:
            parts[entity].append(attempt)
    return parts


def _within(attempts: Iterable[Attempt], last: Attempt, milliseconds: int) -> list[Attempt]:
    """Give those of a window that ends with one, what stands at the same millisecond included."""
    return [a for a in attempts if 0 <= last.counted - a.counted <= milliseconds]


def _newest(attempts: list[Attempt], count: int) -> tuple[str, ...]:
    return tuple(attempt.payment for attempt in reversed(attempts[-count:]))
