"""Quarantined payments on stolen cards: what the stager remembers of the registry, and its use.

The stager sees every CARD_STATUS on its way to the warehouse, so it keeps the newest status of each
card in a registry of its own (`CardRegistry`) and looks into it only for what it quarantines.
Nothing here changes its answer to Firehose: whatever the registry does, records are staged and
quarantined as before, and what could not be judged or remembered is counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.framing import split_record
from cardwatch.ports import Clock
from cardwatch.staging.legible import legible_tokens
from cardwatch.staging.ports import CardRegistry, KnownStatus, RegistryUnavailableError

MAX_TOKENS_PER_RECORD: Final = 8
"""So many cards of one record are looked up; a payment names one."""
MAX_TOKENS_PER_BATCH: Final = 500
"""Five reads of the registry. A record with a card beyond either limit, and with no stolen one
among those looked up, counts as unjudged."""
LEARN_SECONDS: Final = 5.0
"""How long one batch may spend on writing. What is left is published again within a period of the
registry (15 min)."""
MAX_REMEMBERED: Final = 50_000
REMEMBER_SECONDS: Final = 3_600.0
"""Statuses that this process knows to be in the registry, so that it need not ask; it starts over
when there are too many of them, or after an hour."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found out about the quarantined records of a batch."""

    stolen: int = 0
    """How many events name a stolen card."""
    unjudged: int = 0
    """How many name a card, and the registry did not say whether it is stolen."""
    problem: str | None = None
    """Why not, for people."""
    cards: frozenset[str] = frozenset()
    """The stolen cards that they name."""
    may_be_asked_again: bool = False
    """The registry did not answer; otherwise the same records are judged alike every time."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of a batch's statuses."""

    missed: int = 0
    """How many were not remembered."""
    problem: str | None = None
    """Why not, for people."""


class StolenCards:
    """Remembers statuses and judges quarantined records; one per process."""

    def __init__(self, registry: CardRegistry, clock: Clock) -> None:
        """Start without a memory of one's own."""
        self._registry = registry
        self._clock = clock
        self._remembered: dict[str, KnownStatus] = {}
        self._since = clock.monotonic()

    def learn(self, statuses: Iterable[CardStatus]) -> Learned:
        """Bring the registry up to date with a batch's statuses, as far as LEARN_SECONDS go."""
        self._forget()
        new = {token: s for token, s in _newest(statuses).items() if self._is_news(s)}
        if not new:
            return Learned()
        began = self._clock.monotonic()
        left = len(new)
        try:
            known = self._registry.read(new)
            # Stolen ones first: those are what a batch that runs out of time must not miss.
            for status in sorted(new.values(), key=lambda each: not each.stolen):
                stored = known.get(status.card_token)
                if stored is None or status.outdates(stored):
                    if self._clock.monotonic() - began > LEARN_SECONDS:
                        return Learned(left, f"{LEARN_SECONDS:.0f} s were not enough")
                    self._registry.write(status)
                self._remembered[status.card_token] = status
                left -= 1
        except RegistryUnavailableError as error:
            return Learned(left, str(error))
        return Learned()

    def judge(self, quarantined: Sequence[bytes]) -> Judgement:
        """Look up whether quarantined records name stolen cards; each event in one counts."""
        events = (event for raw in quarantined for event in split_record(raw))
        named = [tokens for event in events if (tokens := legible_tokens(event))]
        if not named:
            return Judgement()
        looked_up = (sorted(tokens)[:MAX_TOKENS_PER_RECORD] for tokens in named)
        wanted = sorted({token for tokens in looked_up for token in tokens})
        asked = frozenset(wanted[:MAX_TOKENS_PER_BATCH])
        try:
            known = self._registry.read(asked)
        except RegistryUnavailableError as error:
            return Judgement(unjudged=len(named), problem=str(error), may_be_asked_again=True)
        cards = frozenset(token for token, status in known.items() if status.stolen)
        stolen = sum(not tokens.isdisjoint(cards) for tokens in named)
        unjudged = sum(tokens.isdisjoint(cards) and not tokens <= asked for tokens in named)
        if not unjudged:
            return Judgement(stolen, cards=cards)
        limits = f"{MAX_TOKENS_PER_RECORD} cards of a record, {MAX_TOKENS_PER_BATCH} of a batch"
        return Judgement(stolen, unjudged, f"not more than {limits} are looked up", cards)

    def _is_news(self, status: KnownStatus) -> bool:
        remembered = self._remembered.get(status.card_token)
        return remembered is None or status.outdates(remembered)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if len(self._remembered) >= MAX_REMEMBERED or now - self._since >= REMEMBER_SECONDS:
            self._remembered.clear()
            self._since = now


def _newest(statuses: Iterable[CardStatus]) -> dict[str, KnownStatus]:
    newest: dict[str, KnownStatus] = {}
    for status in statuses:
        seen = KnownStatus(status.card_token, status.status == "STOLEN", status.effective_from)
        before = newest.get(seen.card_token)
        if before is None or seen.outdates(before):
            newest[seen.card_token] = seen
    return newest
