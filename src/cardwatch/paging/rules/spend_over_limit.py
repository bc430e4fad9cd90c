"""An account that spends more within minutes than it may."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import PLAIN, Words


def _headline(alerts: Sequence[PagedAlert]) -> str:
    accounts = len({alert.entity_id for alert in alerts})
    return f"{phrases.counted(accounts, 'account')} above the limit of ten minutes"


def _subject(alert: PagedAlert) -> str:
    spent = phrases.amount(alert) or "an unknown amount"
    return f"Account {alert.entity} spent {spent} within ten minutes"


def _what_to_do(_: Sequence[PagedAlert]) -> Sequence[str]:
    return [
        "See whether the account has spent like this before, and what it pays for.",
        "If not, stop further payments of the account and hold those that are not captured yet.",
        "Call the account holder on the number on file.",
    ]


WORDS: Final[Words] = replace(PLAIN, headline=_headline, subject=_subject, what_to_do=_what_to_do)
