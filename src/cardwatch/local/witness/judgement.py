"""Which payments are stolen, by the payments and card statuses on the stream, apart from the job.

The rule is the detection's (docs/decisions/0013): a payment is judged by the statuses of its card
that stand before it on its shard, which are kept as three times.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cardwatch.local.witness.receipts import PaymentSeen, StatusSeen

_CARD_TOKEN = re.compile(r"[0-9a-f]{32}")

Payment = tuple[str, str]
"""What makes a payment the same payment: its payment_id and card_token."""


@dataclass(slots=True)
class _Card:
    first_stolen: datetime | None = None
    stolen: datetime | None = None
    active: datetime | None = None

    def learn(self, status: str, since: datetime) -> None:
        if status == "STOLEN":
            self.stolen = max(since, self.stolen or since)
            self.first_stolen = min(since, self.first_stolen or since)
        elif status == "ACTIVE":
            self.active = max(since, self.active or since)

    def is_stolen(self, at: datetime) -> bool:
        if self.stolen is None or self.first_stolen is None:
            return False
        if self.stolen <= at:
            return self.active is None or not self.stolen < self.active <= at
        # The theft was reported again later: by the first report, if nothing newer says ACTIVE.
        return self.first_stolen <= at and (self.active is None or self.active <= self.first_stolen)


def is_token(card_token: str) -> bool:
    """Say whether it is one of the tokenizer's: no other is the token of a card."""
    return _CARD_TOKEN.fullmatch(card_token) is not None


class Registry:
    """The card statuses so far, asked about payments in the order of the stream."""

    def __init__(self) -> None:
        """Know no card."""
        self._cards: dict[str, _Card] = {}

    def learn(self, status: StatusSeen) -> None:
        """Take in a status; one that is known changes nothing."""
        if is_token(status.card_token):
            card = self._cards.setdefault(status.card_token, _Card())
            card.learn(status.status, status.effective_from)

    def is_stolen(self, payment: PaymentSeen) -> bool:
        """Say whether the payment's card is stolen at the payment's time."""
        card = self._cards.get(payment.card_token)
        return card is not None and card.is_stolen(payment.origin)


def judge_payments(
    payments: Iterable[PaymentSeen], statuses: Iterable[StatusSeen]
) -> dict[Payment, tuple[PaymentSeen, bool]]:
    """Say of every payment whether one of its records is stolen, and give the first that is.

    A card's payments and statuses share a shard: their arrival and sequence number are their order
    in it.
    """
    registry = Registry()
    # A status goes first where both are of one record.
    facts: list[StatusSeen | PaymentSeen] = [*statuses, *payments]
    judged: dict[Payment, tuple[PaymentSeen, bool]] = {}
    for fact in sorted(facts, key=lambda f: (f.arrived, int(f.sequence))):
        if isinstance(fact, StatusSeen):
            registry.learn(fact)
            continue
        known = judged.setdefault((fact.payment_id, fact.card_token), (fact, False))
        if not known[1] and registry.is_stolen(fact):
            judged[fact.payment_id, fact.card_token] = (fact, True)
    return judged
