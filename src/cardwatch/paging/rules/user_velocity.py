"""A user who pays more often than a person does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import PLAIN, Words


def _headline(alerts: Sequence[PagedAlert]) -> str:
    users = len({alert.entity_id for alert in alerts})
    return f"{phrases.counted(users, 'user')} with many payments within minutes"


def _subject(alert: PagedAlert) -> str:
    return f"Many payments within minutes: user {alert.entity}"


def _what_to_do(_: Sequence[PagedAlert]) -> Sequence[str]:
    return [
        "See whether the payments are at merchants and places that are usual for the user.",
        "If not, block the user's sign-in and cards: the account may have been taken over.",
        "Call the account holder on the number on file.",
    ]


WORDS: Final[Words] = replace(PLAIN, headline=_headline, subject=_subject, what_to_do=_what_to_do)
