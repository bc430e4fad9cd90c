"""RULE: what one rule of the risk desk does from a publication on."""

import hashlib
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cardwatch.contract.attributed import Points
from cardwatch.contract.fields import (
    Amount,
    Contract,
    Count,
    Currency,
    Identifier,
    Reason,
    format_time,
)
from cardwatch.contract.rule_alert import Paging, Severity

MAX_VERSION: Final = 999_999_999
MAX_CURRENCIES: Final = 200


class CurrencyAmount(Contract):
    """A rule's amount in one currency."""

    currency: Annotated[Currency, Field(description="ISO 4217 code.")]
    amount: Annotated[Amount, Field(description="In units of the currency.")]


class FactorPoints(Contract):
    """What each factor adds to a payment's score; the names are those of PAYMENT_ATTRIBUTED."""

    stolen_card: Points
    impossible_travel: Points
    over_limit: Points
    decline_streak: Points
    velocity_card: Points
    amount_deviation: Points
    velocity_user: Points
    first_in_country: Points
    velocity_merchant: Points
    young_account: Points


class RuleSettings(Contract):
    """What a rule does; what a setting means is the rule's to say (docs/rules.md)."""

    state: Annotated[Literal["on", "off"], Field(description="Whether the rule judges at all.")]
    paging: Annotated[
        Paging,
        Field(
            description="on: its alerts page; off: they do not; shadow: it counts beside the "
            "version in force, and its alerts do not page."
        ),
    ]
    severity: Annotated[Severity, Field(description="How bad a breach is.")]
    amounts: Annotated[
        tuple[CurrencyAmount, ...],
        Field(
            max_length=MAX_CURRENCIES, description="Per currency, sorted by it; none: none is said."
        ),
    ]
    more_than: Annotated[Count | None, Field(description="A breach is more than so many.")]
    window_seconds: Annotated[Count | None, Field(description="Within so many seconds.")]
    threshold: Annotated[
        Points | None, Field(description="A breach is a score of so much or more.")
    ] = None
    points: Annotated[
        FactorPoints | None, Field(description="What a factor adds to the score; 0: nothing.")
    ] = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        currencies = [each.currency for each in self.amounts]
        if currencies != sorted(set(currencies)):
            msg = "amounts must be sorted by currency, each once"
            raise ValueError(msg)
        return self


class RuleVersion(Contract):
    """One version of one rule; it holds from the event's event_date_origin, its publication.

    Of all versions of a rule the one that was published last holds, whichever comes last.
    """

    rule: Annotated[
        Identifier, Field(description="Which rule; one that nobody knows changes nothing.")
    ]
    rule_version: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_VERSION,
            strict=True,
            description="The version of the rules; alerts are stamped with it.",
        ),
    ]
    settings: Annotated[RuleSettings, Field(description="What the rule does.")]
    note: Annotated[Reason | None, Field(description="Why, for people.")] = None


def rule_event_id(rule: str, rule_version: int, published: datetime) -> str:
    """Give the event id of a version; publishing it again makes the same id."""
    text = f"rule|{rule}|{rule_version}|{format_time(published)}"
    return hashlib.sha256(text.encode()).hexdigest()
