"""RULE_ALERT: what any rule but the stolen-card one found, about one entity."""

import hashlib
from typing import Annotated, Final, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from cardwatch.contract.alert import ShortText
from cardwatch.contract.fields import (
    Amount,
    CardToken,
    Contract,
    Count,
    EventTime,
    Identifier,
    Sha256,
)

Severity = Literal["low", "medium", "high", "critical"]
EntityKind = Literal["card", "account", "user", "merchant"]
Paging = Literal["on", "off", "shadow"]

MAX_PAYMENT_IDS: Final = 20
"""The payments an alert names; the rest are counted."""

# Copied from the payments as they came, like a PAYMENT_ALERT's fields: one that breaks the contract
# still alerts.
EntityId = Annotated[str, Field(min_length=1, max_length=128)]
PaymentId = Annotated[str, Field(max_length=128)]

_CARD_TOKEN: Final[TypeAdapter[str]] = TypeAdapter(CardToken)


class RuleAlert(Contract):
    """One breach of one rule by one entity: what was observed, against what threshold."""

    alert_id: Annotated[
        Sha256,
        Field(
            description="SHA-256 of rule|rule_version|entity_kind|entity_id|currency|first "
            "payment_id; empty text where there is no currency."
        ),
    ]
    rule: Annotated[Identifier, Field(description="Which rule fired.")]
    rule_version: Annotated[Count, Field(description="The version of the rule.")]
    severity: Annotated[Severity, Field(description="How bad a breach of this rule is.")]
    entity_kind: Annotated[EntityKind, Field(description="What breached the rule.")]
    entity_id: Annotated[EntityId, Field(description="Which one; of a card its token.")]
    card_last4: Annotated[
        ShortText | None,
        Field(description="A card's last four digits; null for other entities."),
    ]
    currency: Annotated[
        ShortText | None, Field(description="ISO 4217 code, null for a rule without money.")
    ]
    observed: Annotated[Amount | None, Field(description="What was observed, as a decimal string.")]
    threshold: Annotated[Amount | None, Field(description="What it was held against.")]
    explanation: Annotated[
        str, Field(min_length=1, max_length=300, description="One sentence, for people.")
    ]
    window_start: Annotated[
        EventTime | None, Field(description="Start of the rule's window; null for none.")
    ]
    window_end: Annotated[
        EventTime | None, Field(description="End of that window, exclusive; null for none.")
    ]
    detected_at: Annotated[EventTime, Field(description="Wall clock when the alert was made.")]
    payment_ids: Annotated[
        tuple[PaymentId, ...],
        Field(
            min_length=1,
            max_length=MAX_PAYMENT_IDS,
            description="The payments, the first one first; at most 20, the rest is counted.",
        ),
    ]
    payment_count: Annotated[Count, Field(description="All of them.")]
    paging: Annotated[
        Paging | None,
        Field(
            description="Whether people are paged of it, as the rule's version says: on, off, or "
            "shadow, of a version that only counts. Absent means on."
        ),
    ] = None

    @property
    def pages(self) -> bool:
        return self.paging not in {"off", "shadow"}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.entity_kind == "card":
            try:
                _CARD_TOKEN.validate_python(self.entity_id)
            except ValidationError:
                msg = "entity_id of a card must be its token"
                raise ValueError(msg) from None
        elif self.card_last4 is not None:
            msg = "card_last4 must be null unless entity_kind is card"
            raise ValueError(msg)
        if (self.window_start is None) != (self.window_end is None):
            msg = "window_start and window_end must be both there or both null"
            raise ValueError(msg)
        if self.payment_count < len(self.payment_ids):
            msg = "payment_count must not be below the number of payment_ids"
            raise ValueError(msg)
        return self


def rule_alert_id(
    rule: str,
    rule_version: int,
    entity_kind: EntityKind,
    entity_id: str,
    *,
    currency: str | None,
    first_payment_id: str,
) -> str:
    """Give an alert's id, the same on every path and replay; the detection builds it in SQL."""
    parts = (rule, rule_version, entity_kind, entity_id, currency or "", first_payment_id)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
