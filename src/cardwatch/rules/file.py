"""The rules file: what people write, as YAML (docs/rules.md).

What is wrong is told with its line.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from cardwatch.contract.attributed import HIGHEST_SCORE, FactorName
from cardwatch.contract.currencies import MINOR_UNITS
from cardwatch.contract.fields import Amount
from cardwatch.contract.rule import MAX_VERSION, CurrencyAmount, FactorPoints, RuleSettings
from cardwatch.contract.rule_alert import Severity
from cardwatch.yaml_lines import Place, parse_model, read_model, told

LEAST_LIMITS: Final = {
    **dict.fromkeys(("CHF", "EUR", "GBP", "USD"), 500),
    "AUD": 1_000,
    "BRL": 3_000,
    "INR": 50_000,
    "JPY": 80_000,
    "KWD": 200,
    "PLN": 2_000,
    "SEK": 5_000,
}
"""The least that a limit may be, about 500 euro: the job holds nothing below it against limits."""
LEAST_OTHER_LIMIT: Final = 100
"""The same in every other currency."""
MOST_SMALL: Final = {
    **dict.fromkeys(("CHF", "EUR", "GBP", "USD"), 10),
    "AUD": 16,
    "BRL": 60,
    "INR": 900,
    "JPY": 1_600,
    "KWD": 3,
    "PLN": 40,
    "SEK": 110,
}
"""The most that a small amount may be, about 10 euro: what is above is no test for the job."""
MOST_OTHER_SMALL: Final = 10
"""The same in every other currency."""
LEAST_ATTEMPTS: Final = {30: 3, 60: 4, 120: 6, 300: 8}
"""Of user_velocity, by its window in seconds, the least that more_than may be: the job knows no
other window, and looks at no fewer (sql/views/user_attempts.sql, sql/detections/user_velocity.sql).
"""
MOST_ATTEMPTS: Final = 10
"""The most that it may be, in each of them: of each user the job keeps two attempts more."""
LEAST_CARDS, MOST_CARDS = 2, 50
"""Of card_testing; the job looks at no count below (sql/views/card_test_counts.sql)."""
CARD_WINDOWS: Final = (60, 120, 300)
"""The seconds within which it may count them (sql/views/card_tests.sql)."""


def _digits(value: object) -> object:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        msg = "must be a whole number, in digits"
        raise ValueError(msg)
    return int(value[:20])


def _currency(value: str) -> str:
    if value not in MINOR_UNITS:
        msg = "is no currency of ISO 4217 with a minor unit"
        raise ValueError(msg)
    return value


def _no_finer_than_its_currency(amounts: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    for currency, amount in amounts.items():
        decimals = MINOR_UNITS[currency]
        if amount != round(amount, decimals):
            kind = "too_fine"
            raise PydanticCustomError(
                kind,
                "must have at most {decimals} decimals",
                {"decimals": decimals, "at": currency},
            )
    return amounts


def _worth_a_look(limits: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    for currency, limit in limits.items():
        least = LEAST_LIMITS.get(currency, LEAST_OTHER_LIMIT)
        if limit < least:
            kind = "too_low"
            raise PydanticCustomError(
                kind, "must be at least {least}", {"least": least, "at": currency}
            )
    return limits


def _small(amounts: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    for currency, amount in amounts.items():
        most = MOST_SMALL.get(currency, MOST_OTHER_SMALL)
        if not 0 <= amount <= most:
            kind = "not_small"
            raise PydanticCustomError(
                kind, "must be from 0 to {most}", {"most": most, "at": currency}
            )
    return amounts


WholeNumber = Annotated[int, BeforeValidator(_digits)]
Currency = Annotated[str, AfterValidator(_currency)]
Limits = Annotated[
    dict[Currency, Amount],
    Field(min_length=1),
    AfterValidator(_no_finer_than_its_currency),
    AfterValidator(_worth_a_look),
]
SmallAmounts = Annotated[
    dict[Currency, Amount],
    AfterValidator(_no_finer_than_its_currency),
    AfterValidator(_small),
]


def _every_factor(points: Mapping[FactorName, int]) -> Mapping[FactorName, int]:
    for factor in FactorPoints.model_fields:
        if factor not in points:
            kind = "missing"
            raise PydanticCustomError(kind, "is missing", {"at": factor})
    return points


FactorWeights = Annotated[
    dict[FactorName, Annotated[WholeNumber, Field(ge=0, le=HIGHEST_SCORE)]],
    AfterValidator(_every_factor),
]


class _Part(BaseModel):
    """A part of the file, closed to what nobody described."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Rule(_Part):
    """What every rule has."""

    state: Literal["on", "off"]
    paging: Literal["on", "off"]
    severity: Severity

    def settings(self, *, shadow: bool = False) -> RuleSettings:
        """Give it as its event says it, what the rule does not have left out."""
        said = dict(self)
        amounts: Mapping[str, Decimal] = said.get("limits", said.get("small_amounts", {}))
        return RuleSettings(
            state=self.state,
            paging="shadow" if shadow else self.paging,
            severity=self.severity,
            amounts=tuple(
                CurrencyAmount(currency=currency, amount=amount)
                for currency, amount in sorted(amounts.items())
            ),
            more_than=said.get("more_than"),
            window_seconds=said.get("window_seconds"),
            threshold=said.get("threshold"),
            points=FactorPoints(**said["points"]) if "points" in said else None,
        )


class LargeAmount(Rule):
    """A payment above its currency's limit."""

    limits: Limits


def _one_of(*allowed: int) -> AfterValidator:
    """Take what the job can do, and nothing else."""

    def check(value: int) -> int:
        if value not in allowed:
            msg = f"must be one of {', '.join(map(str, allowed))}: the job can do no other"
            raise ValueError(msg)
        return value

    return AfterValidator(check)


class UserVelocity(Rule):
    """More than so many attempts to pay by one user within a window."""

    more_than: WholeNumber
    window_seconds: Annotated[WholeNumber, _one_of(*LEAST_ATTEMPTS)]

    @model_validator(mode="after")
    def _no_fewer_than_the_window_takes(self) -> Self:
        least = LEAST_ATTEMPTS[self.window_seconds]
        if not least <= self.more_than <= MOST_ATTEMPTS:
            kind = "attempts"
            raise PydanticCustomError(
                kind,
                "must be from {least} to {most} within {window} s: the job can do no other",
                {
                    "least": least,
                    "most": MOST_ATTEMPTS,
                    "window": self.window_seconds,
                    "at": "more_than",
                },
            )
        return self


class CardTesting(Rule):
    """More than so many cards tried at one merchant, or by one user, within a window."""

    more_than: Annotated[WholeNumber, Field(ge=LEAST_CARDS, le=MOST_CARDS)]
    window_seconds: Annotated[WholeNumber, _one_of(*CARD_WINDOWS)]
    small_amounts: SmallAmounts


class SpendOverLimit(Rule):
    """More spent by one account in one currency within a window than its limit."""

    limits: Limits
    window_seconds: Annotated[WholeNumber, _one_of(600)]


class HighScore(Rule):
    """A payment whose score is so much or more, and what each factor adds to a score."""

    threshold: Annotated[WholeNumber, Field(ge=1, le=HIGHEST_SCORE)]
    points: FactorWeights


class Rules(_Part):
    """Every rule whose settings are data, each said: what is switched off says so."""

    large_amount: LargeAmount
    user_velocity: UserVelocity
    card_testing: CardTesting
    spend_over_limit: SpendOverLimit
    high_score: HighScore


class RulesFile(_Part):
    """A whole rules file."""

    version: Annotated[WholeNumber, Field(ge=1, le=MAX_VERSION)]
    rules: Rules

    def settings(self, *, shadow: bool = False) -> dict[str, RuleSettings]:
        """Give each rule's settings by its name; `shadow`: as a version that only counts."""
        return {name: rule.settings(shadow=shadow) for name, rule in self.rules}


def read_rules_file(path: Path) -> RulesFile:
    """Read and check a rules file; raises YamlFileError with each problem and its line."""
    return read_model(path, RulesFile, told=_told)


def parse_rules(text: str, name: str) -> RulesFile:
    """Read a rules file's text; raises YamlFileError with each problem and its line."""
    return parse_model(text, name, RulesFile, told=_told)


def _told(item: ErrorDetails, place: Place) -> str:
    """Say what is wrong in the words of the file."""
    if (
        item["type"] == "extra_forbidden"
        and len(place) == len(("rules", "name"))
        and place[0] == "rules"
    ):
        known = ", ".join(Rules.model_fields)
        return f"is no rule whose settings are data; those are {known}"
    return told(item, place)
