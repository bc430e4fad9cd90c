"""The risk desk's rules over counts and sums in plain Python, written from their words.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Where the SQL looks back from a payment, this walks through time: attempts come and leave,
and after each change it is known whether a breach goes on. Of the versions of rules it knows those
of card_testing and user_velocity; spend_over_limit is that of the artifact. Times are milliseconds
since the epoch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeVar

from tests.flink.oracle import (
    FOREVER,
    TOKEN,
    RuleVersion,
    in_force_and_in_shadow,
    read_amount,
    read_lines,
)

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
MOST_SMALL = {
    **dict.fromkeys(("CHF", "EUR", "GBP", "USD"), "10"),
    "KWD": "3",
    "AUD": "16",
    "PLN": "40",
    "BRL": "60",
    "SEK": "110",
    "INR": "900",
    "JPY": "1600",
}
"""What is above is no test, whatever a version says; of another currency above 10."""
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
    kind: str
    """What breached it: an account, a merchant or a user."""
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
    version: int = 1
    paging: str = "on"


@dataclass(frozen=True)
class Attempt:
    """A payment that was tried, once for being declined and once for being taken."""

    time: int
    counted: int
    """Not behind the watermark that it met."""
    data: dict[str, Any]
    amount: Decimal | None
    stays: int = 0
    """For how many milliseconds the rule that counts it does so."""

    @property
    def payment(self) -> str:
        return str(self.data["payment_id"])

    @property
    def declined(self) -> bool:
        return bool(self.data.get("status") == "DECLINED")

    def entity(self, name: str) -> str | None:
        value = self.data.get(name)
        return value if isinstance(value, str) and 1 <= len(value) <= 128 else None


class CardTesting(RuleVersion):
    """A version of the rule card_testing."""

    @property
    def more_than(self) -> int:
        return int(self.said["more_than"])

    @property
    def window(self) -> int:
        return 1_000 * int(self.said["window_seconds"])

    def takes_for_a_test(self, attempt: Attempt) -> bool:
        """Say whether it was declined or small, under a window that the rule can have."""
        return self.said["window_seconds"] in CARD_WINDOWS and self._looks_like_one(attempt)

    def _looks_like_one(self, attempt: Attempt) -> bool:
        small = {each["currency"]: Decimal(each["amount"]) for each in self.said["amounts"]}
        currency = attempt.data.get("currency") or ""
        if attempt.declined or attempt.amount is None or currency not in small:
            return attempt.declined
        most = min(small[currency], Decimal(MOST_SMALL.get(currency, "10")))
        return 0 <= attempt.amount <= most


CARD_WINDOWS = (60, 120, 300)
"""The seconds for which an attempt may count as one for card_testing."""
LEAST_ATTEMPTS = {30: 3, 60: 4, 120: 6, 300: 8}
"""By the window, in seconds: more than fewer is no question of user_velocity's."""


class UserVelocity(RuleVersion):
    """A version of the rule user_velocity."""

    @property
    def more_than(self) -> int:
        return int(self.said["more_than"])

    @property
    def judges(self) -> bool:
        """Say whether it is on, and a count and a window that the rule can have."""
        count, least = self.said["more_than"], LEAST_ATTEMPTS.get(self.said["window_seconds"])
        can = isinstance(count, int) and least is not None and least <= count <= 10
        return can and self.said["state"] == "on"

    def is_breach(self, attempts: Sequence[Attempt]) -> bool:
        """Say whether these are as many as are too many, and all near each other."""
        times = [attempt.time for attempt in attempts]
        return len(times) == self.more_than + 1 and self._are_near(times)

    def ends_alone(self, attempts: Sequence[Attempt]) -> bool:
        """Say whether of as many only the first and the last are near each other."""
        times = [attempt.time for attempt in attempts]
        as_many = len(times) == self.more_than + 1
        return as_many and self._are_near([times[0], times[-1]]) and not self._are_near(times)

    def _are_near(self, times: Sequence[int]) -> bool:
        return max(times) - min(times) < 1_000 * int(self.said["window_seconds"])


CARDS_IN_THE_ARTIFACT = CardTesting.in_the_artifact(
    more_than=5,
    window_seconds=60,
    amounts=[{"currency": currency, "amount": most} for currency, most in SMALL.items()],
)
USERS_IN_THE_ARTIFACT = UserVelocity.in_the_artifact(more_than=5, window_seconds=60)
IN_FORCE, IN_SHADOW = "in force", "in shadow"
Version = TypeVar("Version", bound=RuleVersion)


def versions_at(moment: int, versions: Sequence[Version]) -> Iterator[tuple[str, Version]]:
    in_force, in_shadow = in_force_and_in_shadow(versions, moment)
    yield IN_FORCE, in_force
    if in_shadow:
        yield IN_SHADOW, in_shadow


def breaches(
    lines: Iterable[str], *, delay_ms: int = 1_000, met: Counter[str] | None = None
) -> set[Breach]:
    """Give every breach of the three rules; `met` counts what of the rarer kinds the lines have."""
    lines = list(lines)
    attempts = list(_attempts(lines, delay_ms))
    of_cards = [CARDS_IN_THE_ARTIFACT, *CardTesting.read(lines, delay_ms, "card_testing")]
    of_users = [USERS_IN_THE_ARTIFACT, *UserVelocity.read(lines, delay_ms, "user_velocity")]
    met = Counter() if met is None else met
    return {
        *_velocity(attempts, of_users, met),
        *_card_testing(attempts, of_cards, met),
        *_spend(attempts, met),
    }


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


def _velocity(
    attempts: Iterable[Attempt], versions: Sequence[UserVelocity], met: Counter[str]
) -> Iterator[Breach]:
    for user, made in _of_each(attempts, "user_id").items():
        recent, old = Row(), Row()
        newest = -FOREVER
        in_order: list[Attempt] = []
        for _, come, _ in _changes(made):
            newest = max([newest, *(attempt.time for attempt in come)])
            for attempt in come:
                in_order.append(attempt)
                row = recent if attempt.time > newest - MINUTE else old
                row.attempts.append(attempt)
                for judge, version in versions_at(attempt.counted, versions):
                    if not version.judges:
                        continue
                    met["velocity: of all the first and the last alone"] += version.ends_alone(
                        in_order[-version.more_than - 1 :]
                    )
                    if not row.begins(version, judge, met):
                        continue
                    these = row.attempts[-version.more_than - 1 :]
                    between = in_order[in_order.index(these[0]) :]
                    met["velocity: of old ones"] += row is old
                    met["velocity: an old one between"] += row is recent and between != these
                    met["velocity: in shadow"] += judge == IN_SHADOW
                    met[f"velocity: within {version.said['window_seconds']} s"] += 1
                    yield Breach(
                        "user_velocity",
                        "user",
                        user,
                        None,
                        attempt.time,
                        None,
                        Decimal(len(these)),
                        len(these),
                        tuple(each.payment for each in these),
                        version.number,
                        version.said["paging"],
                    )


@dataclass
class Row:
    """Attempts of a user that are judged together."""

    attempts: list[Attempt] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    """How many breaches, by which judge."""

    def begins(self, version: UserVelocity, judge: str, met: Counter[str]) -> bool:
        """Say whether by this version a breach begins with the newest attempt."""
        these = self.attempts[-version.more_than - 1 :]
        met["velocity: of a row the first and the last alone"] += version.ends_alone(these)
        if not version.is_breach(these):
            return False
        older = these[0].counted < version.since
        if version.is_breach(self.attempts[-version.more_than - 2 : -1]):
            met["velocity: goes on, by what came before the version too"] += older
            return False
        self.begun[judge] += 1
        met["velocity: begins, by what came before the version too"] += older
        met["velocity: again"] += self.begun[judge] > 1
        met["velocity: not in order"] += any(b.time < a.time for a, b in pairwise(these))
        return True


def _card_testing(
    attempts: Iterable[Attempt], versions: Sequence[CardTesting], met: Counter[str]
) -> Iterator[Breach]:
    attempts = list(attempts)
    for kind in ("merchant", "user"):
        for entity, tried in _of_each(attempts, f"{kind}_id").items():
            by_which: dict[str, list[Attempt]] = {IN_FORCE: [], IN_SHADOW: []}
            for attempt in tried:
                for judge, version in versions_at(attempt.counted, versions):
                    if version.takes_for_a_test(attempt):
                        by_which[judge].append(replace(attempt, stays=version.window))
            for judge, tests in by_which.items():
                for breach in _card_testing_of(entity, judge, tests, versions, met):
                    met[f"cards: of a {kind}"] += 1
                    yield replace(breach, kind=kind)


def _card_testing_of(
    entity: str,
    judge: str,
    tests: Sequence[Attempt],
    versions: Sequence[CardTesting],
    met: Counter[str],
) -> Iterator[Breach]:
    there: list[Attempt] = []
    before = 0
    ended_by_time = False
    version = versions[0]
    came: list[Attempt] = []
    for moment, come, left in _changes(tests):
        there = [a for a in there if a not in left] + come
        came += come
        cards = len({a.data["card_token"] for a in there})
        # None where what was in shadow is over.
        version = dict(versions_at(moment, versions)).get(judge, version)
        if before > version.more_than >= cards:
            ended_by_time = not come
        elif come and cards <= version.more_than:
            ended_by_time = False
        if come and cards > version.more_than >= before and version.said["state"] == "on":
            met["cards: ended by time alone"] += ended_by_time
            met["cards: at one millisecond"] += len(come) > 1
            met["cards: in shadow"] += judge == IN_SHADOW
            met["cards: one that is no test by the last one's version"] += not all(
                map(version.takes_for_a_test, there)
            )
            met[f"cards: within {version.said['window_seconds']} s"] += 1
            met["cards: of several windows"] += len({a.stays for a in there}) > 1
            met["cards: full minutes after one that stays"] += any(
                a.stays > moment - a.counted > 0 == (moment - a.counted) % MINUTE for a in there
            )
            yield Breach(
                "card_testing",
                "",
                entity,
                None,
                there[-1].time,
                (moment - version.window, moment + 1),
                Decimal(cards),
                len(there),
                # As many as count; what came under a shorter window may have left before the older.
                _newest(came, min(6, len(there))),
                version.number,
                version.said["paging"],
            )
        before = cards


def _spend(attempts: Iterable[Attempt], met: Counter[str]) -> Iterator[Breach]:
    taken = [
        replace(a, stays=TEN_MINUTES)
        for a in attempts
        if not a.declined and a.amount is not None and a.amount > 0
    ]
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
    for moment, come, left in _changes(paid):
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
            "account",
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
    attempts: Iterable[Attempt],
) -> Iterator[tuple[int, list[Attempt], list[Attempt]]]:
    """Give each moment at which one comes or leaves, those that come, and those that leave.

    One leaves in the millisecond after the last at which it still counts.
    """
    come: defaultdict[int, list[Attempt]] = defaultdict(list)
    leave: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        come[attempt.counted].append(attempt)
        leave[attempt.counted + attempt.stays + 1].append(attempt)
    for moment in sorted({*come, *leave}):
        yield moment, come[moment], leave[moment]


def _newest(attempts: Sequence[Attempt], count: int) -> tuple[str, ...]:
    return tuple(attempt.payment for attempt in reversed(attempts[-count:]))
