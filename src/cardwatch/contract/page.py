"""PAGE_EVENT: what happened to a page, for the warehouse and for people."""

from typing import Annotated, Final, Literal

from pydantic import Field

from cardwatch.contract.fields import Contract, Identifier, Sha256

PageState = Literal["SENT", "EXPIRED"]
ExpiredReason = Literal["too_old", "refused", "suppressed"]
PageKind = Literal[
    "FIRST", "FOLLOW_UP", "DIGEST", "REMINDER", "ESCALATION", "LOOK_BACK", "RESOLVED"
]

TELLS_AGAIN: Final[frozenset[PageKind]] = frozenset({"REMINDER", "ESCALATION", "RESOLVED"})
"""Pages that are no alert's page: each of their alerts was paged before, in a page of its own."""


class PageEvent(Contract):
    """One step of one page's life."""

    page_id: Annotated[
        Identifier,
        Field(description="The page; deterministic from the alerts it carries, and its kind."),
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
            "audit found on one of them of the time before its report. Each alert is accounted "
            "for by one page of these. REMINDER: alerts that were paged before and that nobody "
            "has acted on, once more to the same people. ESCALATION: the same to the next ones. "
            "RESOLVED: that somebody says that it is done, to those who were paged."
        ),
    ] = None
    act_id: Annotated[
        Sha256 | None,
        Field(
            description="Of suppressed alerts only: the PAGE_ACT because of which nobody was paged."
        ),
    ] = None
