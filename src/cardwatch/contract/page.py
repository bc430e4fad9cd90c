"""PAGE_EVENT: what happened to a page, for the warehouse and for people."""

from typing import Annotated, Literal

from pydantic import Field

from cardwatch.contract.fields import Contract, Identifier, Sha256

PageState = Literal["SENT", "EXPIRED"]
ExpiredReason = Literal["too_old", "refused", "suppressed"]
PageKind = Literal[
    "FIRST", "FOLLOW_UP", "DIGEST", "REMINDER", "ESCALATION", "LOOK_BACK", "RESOLVED"
]


class PageEvent(Contract):
    """One step of one page's life."""

    page_id: Annotated[
        Identifier, Field(description="The page; deterministic from the alerts it carries.")
    ]
    state: Annotated[
        PageState,
        Field(description="SENT: handed to the channel. EXPIRED: nobody was paged, only recorded."),
    ]
    alert_ids: Annotated[
        tuple[Sha256, ...], Field(min_length=1, description="The alerts it accounts for.")
    ]
    channel: Annotated[Identifier, Field(description="Where it went.")]
    repeat: Annotated[
        bool,
        Field(strict=True, description="An earlier page may have carried some of the same alerts."),
    ]
    reason: Annotated[
        ExpiredReason | None,
        Field(
            description="EXPIRED only: the alerts were too old, or the channel refused their page "
            "until they were, or suppressed: somebody had acted on what they are about; absent "
            "means too_old."
        ),
    ] = None
    kind: Annotated[
        PageKind | None,
        Field(
            description="FIRST: alerts on cards, accounts, users or merchants that nobody was "
            "paged of lately; absent means FIRST. FOLLOW_UP: what came on them since. DIGEST: on "
            "several of them, after waiting because too many pages went out. LOOK_BACK: what the "
            "audit found on one of them of the time before its report. The others are not sent "
            "yet."
        ),
    ] = None
    act_id: Annotated[
        Sha256 | None,
        Field(
            description="Of suppressed alerts only: the PAGE_ACT because of which nobody was paged."
        ),
    ] = None
