"""Which faults are tried when: a list that a seed decides before anything runs.

Two lanes side by side: the API's faults follow each other closely, and what hits programs, the
disk, the clock or the shards has time to be got over. Every two minutes both are quiet, so that a
stack which does not get over something is seen not to, and is not hidden by what comes next.
(After Materialize's Zippy: a seed, a list of actions made beforehand, calm, judged at the end.)
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from random import Random
from typing import Final

LEAD_SECONDS: Final = 10.0
"""Before the first."""
CALM_EVERY_SECONDS: Final = 120.0
CALM_SECONDS: Final = 14.0
API_SECONDS: Final = (2.0, 4.0)
API_GAP_SECONDS: Final = 1.6
SPARSE_SECONDS: Final = 14.0
"""How much longer a fault waits for calls that are rare; others follow meanwhile."""
TAIL_SECONDS: Final = 20.0
"""At the end of the payments nothing new begins."""


@dataclass(frozen=True, slots=True)
class Act:
    """A kind of act on the machine, and how it is tried."""

    lasts: float = 0.0
    """Seconds until it is undone; 0: there is nothing to undo."""
    rest: float = 8.0
    """Seconds that the lane leaves to get over it."""
    weight: int = 1
    """How often it comes in a round of all kinds."""
    in_doubt: bool = False
    """Whether it may end a notifier between publishing a page and noting that it did."""


ACTS: Final[Mapping[str, Act]] = {
    "TaskManager killed": Act(rest=22, weight=2),
    "TaskManager stopped 12 s": Act(lasts=12, rest=20),
    "JobManager killed": Act(rest=45, weight=2),
    "JobManager killed, newest checkpoint damaged": Act(rest=65),
    "JobManager killed, newest checkpoint gone": Act(rest=45),
    "JobManager and TaskManager killed": Act(rest=50),
    "notifier killed": Act(weight=3, in_doubt=True),
    "notifier stopped 5 s": Act(lasts=5, in_doubt=True),
    "delivery killed": Act(weight=2),
    "event source killed": Act(weight=3),
    "event source stopped 5 s": Act(lasts=5),
    "PostgreSQL killed": Act(rest=10, weight=2),
    "simulator killed": Act(rest=10),
    "checkpoints' disk full": Act(lasts=24, rest=12),
    "checkpoints' disk full, TaskManager killed": Act(lasts=24, rest=24),
    "twice as many shards": Act(rest=12, weight=2),
    "half as many shards": Act(rest=12, weight=2),
    "notifier's clock an hour ahead": Act(lasts=10, rest=10, in_doubt=True),
    "notifier's clock an hour behind": Act(lasts=10, rest=10, in_doubt=True),
    "TaskManager's clock an hour ahead": Act(lasts=12, rest=15),
    "TaskManager's clock an hour behind": Act(lasts=12, rest=15),
    "delivery's clock an hour ahead": Act(lasts=10, rest=6),
}


RESHARDS: Final = ("twice as many shards", "half as many shards")
"""In turn, whichever is drawn: the other one would change nothing."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that is to be tried at a moment, in seconds from the beginning of payments."""

    number: int
    at: float
    kind: str
    lasts: float
    seed: int


def plan(
    seed: int,
    seconds: float,
    *,
    api: Sequence[str],
    acts: Mapping[str, Act] = ACTS,
    sparse: Collection[str] = (),
) -> tuple[Injection, ...]:
    """Give what is tried in a run of so many seconds, in order; the same seed gives the same.

    `api` names the API's faults, `sparse` those whose calls are rare. Each kind comes once in a
    round of its lane, or as often as its weight says, in an order that is new each round.
    """
    random = Random(seed)  # noqa: S311  decides what is tried
    deck = [name for name, act in acts.items() for _ in range(act.weight)]
    found: list[tuple[float, str, float]] = []
    at = LEAD_SECONDS
    for kind in _rounds(random, api):
        follows = random.uniform(*API_SECONDS)
        lasts = follows + (SPARSE_SECONDS if kind in sparse else 0.0)
        if _after_calm(at, lasts) != at:
            # It waits less, so that calm comes in time.
            lasts = follows
        at = _after_calm(at, follows)
        if at + lasts > seconds - TAIL_SECONDS:
            break
        found.append((at, kind, lasts))
        at += follows + API_GAP_SECONDS
    at = LEAD_SECONDS
    resharded = 0
    for drawn in _rounds(random, deck):
        kind = drawn
        if drawn in RESHARDS:
            kind = RESHARDS[resharded % len(RESHARDS)]
            resharded += 1
        act = acts[kind]
        at = _after_calm(at, act.lasts)
        if at + act.lasts > seconds - TAIL_SECONDS:
            break
        found.append((at, kind, act.lasts))
        at += act.lasts + act.rest + random.uniform(0, 3)
    return tuple(
        Injection(number, round(at, 2), kind, round(lasts, 2), random.getrandbits(32))
        for number, (at, kind, lasts) in enumerate(sorted(found))
    )


def _rounds(random: Random, kinds: Sequence[str]) -> Iterable[str]:
    for _ in count():
        if not kinds:
            return
        yield from random.sample(kinds, len(kinds))


def calms(until: float) -> list[float]:
    """Give when each calm begins before a time, in seconds from the beginning of payments."""
    found = (n * CALM_EVERY_SECONDS - CALM_SECONDS for n in count(1))
    return list(takewhile(lambda at: at < until, found))


def _after_calm(at: float, lasts: float) -> float:
    """Give when what would begin at `at` may: it must be over before the calm, or come after it."""
    calm_from = (at // CALM_EVERY_SECONDS + 1) * CALM_EVERY_SECONDS - CALM_SECONDS
    return calm_from + CALM_SECONDS if at + lasts > calm_from else at
