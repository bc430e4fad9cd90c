"""A merchant at which stolen card numbers are tried out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import PLAIN, Words


def _headline(alerts: Sequence[PagedAlert]) -> str:
    merchants = len({alert.entity_id for alert in alerts})
    return f"Cards are tried out at {phrases.counted(merchants, 'merchant')}"


def _subject(alert: PagedAlert) -> str:
    return f"Cards are tried out: merchant {alert.entity}"


def _what_to_do(_: Sequence[PagedAlert]) -> Sequence[str]:
    return [
        "Block the cards whose payments were authorized: they are known to work now.",
        "Have the merchant ask for more before it charges, or decline its small payments.",
        "Look for the same cards at other merchants.",
    ]


WORDS: Final[Words] = replace(PLAIN, headline=_headline, subject=_subject, what_to_do=_what_to_do)
