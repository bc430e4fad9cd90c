"""PAGE_ACT: what a person did about a page, a card, an account or a rule."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from cardwatch.contract.fields import (
    Contract,
    EventTime,
    Identifier,
    Reason,
    Sha256,
    readable,
)

Act = Literal["ACKNOWLEDGED", "CONFIRMED", "FALSE_POSITIVE", "SNOOZED", "ESCALATED", "RESOLVED"]
FalsePositiveReason = Literal[
    "HOLDER_MADE_IT", "CARD_NOT_STOLEN", "MERCHANT_KNOWN", "LIMIT_TOO_LOW", "TEST_PAYMENT", "OTHER"
]
FALSE_POSITIVE_REASONS: Final[tuple[FalsePositiveReason, ...]] = get_args(FalsePositiveReason)
OF_THE_PAGE: Final = "page"
"""The scope of an act about all that its page accounts for."""

Person = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(readable)]
Scope = Annotated[
    str,
    Field(
        pattern=r"^(page|(card|account|user|merchant|rule):[A-Za-z0-9][A-Za-z0-9_.:|-]*)$",
        max_length=128,
    ),
    AfterValidator(readable),
]


class PageAct(Contract):
    """What one person did, once: the same act told again has the same id."""

    act_id: Annotated[Sha256, Field(description="The act; the event's event_id.")]
    page_id: Annotated[Identifier | None, Field(description="The page it is about; null for none.")]
    scope: Annotated[
        Scope,
        Field(
            description="page: all that the page accounts for. Else an entity or a rule, as "
            "card:<token>, account:<id>, user:<id>, merchant:<id> or rule:<name>."
        ),
    ]
    act: Annotated[
        Act,
        Field(
            description="ACKNOWLEDGED: somebody looks at it. CONFIRMED: it is fraud. "
            "FALSE_POSITIVE: it is none. SNOOZED: nobody is to be paged of the scope for a while. "
            "ESCALATED: nobody had acted on the page, so the next people were paged; `by` is the "
            "notifier. RESOLVED: it is done, and those who were paged are told so once."
        ),
    ]
    by: Annotated[Person, Field(description="Who did it.")]
    claimed: Annotated[
        bool,
        Field(strict=True, description="`by` is what the person typed; nobody has verified it."),
    ]
    reason: Annotated[
        Reason | None,
        Field(
            description="Why; of a FALSE_POSITIVE one of "
            f"{', '.join(FALSE_POSITIVE_REASONS)}; null where nobody said."
        ),
    ]
    until: Annotated[
        EventTime | None,
        Field(
            description="SNOOZED only: when it ends; null for the others. One that is not after "
            "the event itself ends a snooze of the same scope."
        ),
    ]
    link_id: Annotated[
        Sha256 | None,
        Field(
            description="The signed link that it was done by, which says no more of it; absent "
            "where there was none."
        ),
    ] = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.act == "FALSE_POSITIVE" and self.reason not in FALSE_POSITIVE_REASONS:
            msg = f"reason of a FALSE_POSITIVE must be one of {', '.join(FALSE_POSITIVE_REASONS)}"
            raise ValueError(msg)
        if self.act == "SNOOZED" and (self.reason is None or self.until is None):
            msg = "a SNOOZED needs a reason and until"
            raise ValueError(msg)
        if self.act != "SNOOZED" and self.until is not None:
            msg = "until must be null unless act is SNOOZED"
            raise ValueError(msg)
        if self.scope == OF_THE_PAGE and self.page_id is None:
            msg = "an act about a page needs its page_id"
            raise ValueError(msg)
        return self
