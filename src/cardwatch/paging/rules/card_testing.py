"""A merchant at which stolen card numbers are tried out, or a user who does it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.words import PLAIN, Words


def _headline(alerts: Sequence[PagedAlert]) -> str:
    where = [
        f"{word} {phrases.counted(number, kind)}"
        for kind, word in (("merchant", "at"), ("user", "by"))
        if (number := len({each.entity_id for each in alerts if each.entity_kind == kind}))
    ]
    return f"Cards are tried out {' and '.join(where)}".strip()


def _subject(alert: PagedAlert) -> str:
    return f"Cards are tried out: {alert.entity_kind} {alert.entity}"


def _what_to_do(alerts: Sequence[PagedAlert]) -> Sequence[str]:
    kinds = {alert.entity_kind for alert in alerts}
    steps = ["Block the cards whose payments were authorized: they are known to work now."]
    if "merchant" in kinds:
        steps += [
            "Have the merchant ask for more before it charges, or decline its small payments.",
            "Look for the same cards at other merchants.",
        ]
    if "user" in kinds:
        steps.append("Block the user's sign-in, and look for what else was paid from it.")
    return steps


WORDS: Final[Words] = replace(PLAIN, headline=_headline, subject=_subject, what_to_do=_what_to_do)
