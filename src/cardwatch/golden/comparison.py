"""What is otherwise than a scenario expects, in words for whoever wrote it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

from cardwatch.golden.found import Found, FoundAlert, FoundPage, FoundSummary
from cardwatch.golden.scenario import (
    Expected,
    ExpectedAlert,
    ExpectedPage,
    ExpectedSummary,
    Money,
    written_out,
)
from cardwatch.paging import phrases

SHOWN: Final = 6
"""Names of a list that are shown; the rest is counted."""


def differences(expected: Expected, found: Found) -> list[str]:
    """Give a line for each; none where the scenario is kept."""
    return [
        *_alerts(expected.each_alert(), found.alerts),
        *_pages(expected.pages, found.pages),
        *(f"expired: {each}" for each in _named(written_out(expected.expired), found.expired)),
        *_summaries(expected.summaries, found.summaries),
        *_rejected(expected.rejected, found.rejected),
        *_canaries(expected.canaries, found.canaries),
        *_looked_back(expected.look_back, found.look_back),
    ]


def duration(milliseconds: int) -> str:
    """Write a time as the files do."""
    sign, rest = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        whole, rest = divmod(rest, size)
        parts += [f"{whole} {unit}"] if whole else []
    if rest or not parts:
        parts.append(f"{rest / 1_000:g} s")
    return sign + " ".join(parts)


def _alerts(expected: Iterable[ExpectedAlert], found: Sequence[FoundAlert]) -> Iterator[str]:
    left = list(found)
    for wanted in expected:
        match = next((each for each in left if _is_meant(wanted, each)), None)
        on = f" on {wanted.card}" if wanted.card else ""
        if match is None:
            yield f"alert: none for {wanted.payment}{on}"
            continue
        left.remove(match)
        if match.late != wanted.late:
            yield f"alert: {wanted.payment} should {'' if wanted.late else 'not '}be late"
        if wanted.amount is not None and wanted.amount != match.amount:
            yield f"alert: {wanted.payment} should say {wanted.amount}, not {match.amount}"
        if wanted.since is not None and wanted.since != match.since:
            yield (
                f"alert: {wanted.payment}'s card should be stolen since {duration(wanted.since)}, "
                f"not {duration(match.since)}"
            )
    for each in left:
        yield f"alert: nobody expects the one for {each.payment} on {each.card}"


def _is_meant(wanted: ExpectedAlert, found: FoundAlert) -> bool:
    return wanted.payment == found.payment and wanted.card in {None, found.card}


def _pages(expected: Sequence[ExpectedPage], found: Sequence[FoundPage]) -> Iterator[str]:
    for number, (wanted, sent) in enumerate(zip_longest(expected, found), 1):
        if wanted is None and sent is not None:
            what = f"{sent.kind} of {_listed(sent.alerts)} at {duration(sent.at)}"
            yield f"page {number}: nobody expects this {what}"
        elif sent is None and wanted is not None:
            what = f"{wanted.kind} of {_listed(written_out(wanted.alerts))}"
            yield f"page {number}: no {what} was sent"
        elif wanted is not None and sent is not None:
            yield from (f"page {number}: {each}" for each in _page(wanted, sent))


def _page(wanted: ExpectedPage, sent: FoundPage) -> Iterator[str]:
    if wanted.kind != sent.kind:
        yield f"should be {wanted.kind}, not {sent.kind}"
    if wanted.at is not None and wanted.at != sent.at:
        yield f"should be sent at {duration(wanted.at)}, not {duration(sent.at)}"
    if wanted.repeat != sent.repeat:
        yield f"should {'' if wanted.repeat else 'not '}say that it may be a repeat"
    yield from _named(written_out(wanted.alerts), sent.alerts)


def _named(wanted: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    asked, there = Counter(wanted), Counter(found)
    if missing := asked - there:
        yield f"without {_listed(missing.elements())}"
    if more := there - asked:
        yield f"with {_listed(more.elements())}, which nobody expects"


def _summaries(
    expected: Sequence[ExpectedSummary] | None, found: Sequence[FoundSummary]
) -> Iterator[str]:
    if expected is None:
        return
    for wanted, seen in zip_longest(expected, found):
        if wanted is None or seen is None or not _says(wanted, seen):
            yield f"summaries: should say {_summary(wanted)}, say {_summary(seen)}"


def _says(wanted: ExpectedSummary, seen: FoundSummary) -> bool:
    if wanted.cards not in {None, seen.cards}:
        return False
    return (wanted.since, wanted.payments, wanted.declined, wanted.refunded, wanted.totals) == (
        (seen.since, seen.payments, seen.declined, seen.refunded, seen.totals)
    )


def _summary(said: ExpectedSummary | FoundSummary | None) -> str:
    if said is None:
        return "nothing else"
    parts = [phrases.counted(said.payments, "payment")]
    parts += [f"{said.declined} declined"] if said.declined else []
    parts += [f"{said.refunded} refunded"] if said.refunded else []
    parts += [phrases.counted(said.cards, "card")] if said.cards else []
    parts += [_money(said.totals)] if said.totals else []
    return f"{', '.join(parts)} from {duration(said.since)}"


def _money(totals: Iterable[Money]) -> str:
    return " + ".join(str(total) for total in totals)


def _rejected(expected: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    if list(expected) != list(found):
        yield f"rejected: should be {_listed(expected)}, is {_listed(found)}"


def _canaries(expected: int, found: int) -> Iterator[str]:
    if expected != found:
        yield f"canaries: {expected} should come to the notifier, {found} came"


def _looked_back(expected: Iterable[str], found: Sequence[str] | None) -> Iterator[str]:
    if found is not None:
        yield from (f"look-back: {each}" for each in _named(written_out(expected), found))


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return (", ".join(shown[:SHOWN]) or "nothing") + more


def told(found: Found) -> Iterator[str]:
    """Say what came of a scenario, a line each, in the words of its file."""
    for alert in sorted(found.alerts, key=lambda alert: (alert.at, alert.payment)):
        late = ", late" if alert.late else ""
        since = duration(alert.since)
        yield (
            f"alert of {alert.payment} on {alert.card}{late} at {duration(alert.at)}: "
            f"{alert.amount or 'no readable amount'}, stolen since {since}"
        )
    for page in found.pages:
        repeat = ", perhaps a repeat" if page.repeat else ""
        yield f"page {page.kind}{repeat} at {duration(page.at)}: {_listed(page.alerts)}"
    if found.expired:
        yield f"expired: {_listed(found.expired)}"
    if found.canaries:
        yield f"canaries at the notifier: {found.canaries}"
    if found.look_back:
        yield f"found by the audit: {_listed(found.look_back)}"
    for summary in found.summaries:
        yield f"summaries say {_summary(summary)}"
    if found.rejected:
        yield f"rejected: {', '.join(found.rejected)}"
