"""A page as plain text that reads well in an e-mail and on a phone; a rule's own words are its."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cardwatch.contract.page import PageKind
from cardwatch.paging import phrases
from cardwatch.paging.alerts import PagedAlert, newest_first
from cardwatch.paging.grouping import Policy
from cardwatch.paging.ports import PageMessage
from cardwatch.paging.records import RECENTLY, Group, Page, Recent, Suppression
from cardwatch.paging.rules import words_of
from cardwatch.paging.transliteration import in_ascii
from cardwatch.paging.words import Line

MAX_LISTED: Final = 20
MAX_SUBJECT: Final = 100
"""SNS takes no longer subject, and only ASCII without line breaks."""
_TOTALS_IN_SUBJECT: Final = 2

MAX_NAMED: Final = 5
"""Merchants and places that a follow-up names of one entity."""
MAX_LARGEST: Final = 3
"""Largest alerts that a digest names per currency, and of how many currencies."""
MAX_IN_SHORT: Final = 50
"""Alerts that a look-back lists, a line each."""
_PREFIXES: Final[Mapping[PageKind, str]] = {
    "FOLLOW_UP": "Follow-up: ",
    "DIGEST": "Digest: ",
    "LOOK_BACK": "Look-back: ",
    "REMINDER": "Reminder: ",
    "ESCALATION": "Escalation: ",
    "RESOLVED": "Resolved: ",
}
_ADDED_UP: Final[frozenset[PageKind]] = frozenset({"FOLLOW_UP", "DIGEST", "LOOK_BACK"})
"""Kinds that add up by entity rather than tell of each alert."""
MAX_PAGES_NAMED: Final = 5
"""Pages that one page names of those that it tells of again."""

WHAT_TO_DO: Final = "What to do"

_REPEAT: Final = """\
THIS MAY BE A REPEAT. The page below may have reached you before, under the same page id. If it \
has, there is nothing new in it."""
_SHORT: Final = """\
The channel refused this page in full, so this is the short one. Look the alerts up by this page's \
id: the PAGE_EVENT of that id lists them."""


def compose(
    page: Page,
    alerts: Sequence[PagedAlert],
    policy: Policy,
    recent: Mapping[str, Recent] | None = None,
    *,
    suppressed: Mapping[str, Suppression] | None = None,
    link: str | None = None,
) -> PageMessage:
    """Write a page about alerts of one rule, the newest first, at most 20 of them in full.

    A follow-up adds them up by entity instead, and a digest names the largest ones before that. A
    look-back adds up one entity's and lists them by a line each.
    `recent` is what came lately, by group, and `suppressed` what nobody was paged of before; `link`
    is where people act on the page.
    """
    ordered = newest_first(alerts)
    words = words_of(ordered[0].rule)
    paragraphs = [headline(page, ordered)]
    if page.repeat:
        paragraphs.append(_REPEAT)
    paragraphs += _told_before(page, policy)
    if page.kind == "DIGEST":
        paragraphs += _largest(ordered)
    if page.kind == "LOOK_BACK":
        # What came lately is of the look-back itself.
        paragraphs += [*_summed_up(ordered, {}), *_in_short(ordered)]
    else:
        adds_up = page.kind in _ADDED_UP or len(page.tells_of) > 1 or page.kind == "RESOLVED"
        told = _summed_up if adds_up else _listed
        paragraphs += told(ordered, recent or {})
    paragraphs += _unpaged(ordered, suppressed or {})
    if page.kind != "RESOLVED":
        steps = [f"{n}. {step}" for n, step in enumerate(words.what_to_do(ordered), start=1)]
        paragraphs.append("\n".join([WHAT_TO_DO, *steps]))
        paragraphs += _acting(link)
    paragraphs += _notes(page, policy)
    return _message(page, _subject(page, ordered), [*paragraphs, _footer(page, ordered)])


def compose_short(
    page: Page, alerts: Sequence[PagedAlert], *, link: str | None = None
) -> PageMessage:
    """Write what a channel takes that refused the page in full: nothing in it comes from outside.

    It accounts for the same alerts.
    """
    subject = f"{phrases.counted(len(alerts), 'alert')}: page {page.page_id} in short"
    if page.repeat:
        subject = f"May be a repeat: {subject}"
    repeat = [_REPEAT] if page.repeat else []
    paragraphs = [subject, *repeat, _SHORT, *_acting(link), _footer(page, alerts)]
    return _message(page, subject, paragraphs)


def _message(page: Page, subject: str, paragraphs: Sequence[str]) -> PageMessage:
    return PageMessage(
        page_id=page.page_id,
        subject=subject,
        text="\n\n".join(paragraphs) + "\n",
        alert_ids=page.alert_ids,
        kind=page.kind,
        repeat=page.repeat,
    )


def _acting(link: str | None) -> Iterable[str]:
    if link is not None:
        yield f"Acknowledge it, or say whether it is fraud (this link holds for 72 h)\n{link}"


def _told_before(page: Page, policy: Policy) -> Iterable[str]:
    """Say that nobody acted on what was paged before, and who is asked to now."""
    if page.resolved_at is not None:
        when = phrases.instant(page.resolved_at)
        yield f"{page.resolved_by} (as typed) resolved this at {when}. There is nothing left to do."
    if not page.tells_of or page.kind == "RESOLVED":
        return
    pages = phrases.counted(len(page.tells_of), "page")
    since = phrases.span(policy.escalate_after)
    asked = "You are paged because" if page.to_next else "This is a reminder:"
    yield f"{asked} nobody has acted on {pages} about this for {since} or longer."


def _footer(page: Page, alerts: Sequence[PagedAlert]) -> str:
    lines = [f"Page: {page.page_id}"]
    if page.tells_of:
        more = len(page.tells_of) - MAX_PAGES_NAMED
        named = ", ".join(page.tells_of[:MAX_PAGES_NAMED])
        lines.append(f"Tells again of: {named}" + (f" and {more} more" if more > 0 else ""))
    return "\n".join([*lines, f"Alerts in this page: {len(alerts)}"])


def headline(page: Page, alerts: Sequence[PagedAlert]) -> str:
    """Say in one line what a page is about; it has at least one alert."""
    return _PREFIXES.get(page.kind, "") + words_of(alerts[0].rule).headline(alerts)


def _listed(alerts: Sequence[PagedAlert], recent: Mapping[str, Recent]) -> Iterable[str]:
    """Tell the newest in full, add up the others, and say what came on the listed ones lately."""
    words = words_of(alerts[0].rule)
    listed, unlisted = alerts[:MAX_LISTED], alerts[MAX_LISTED:]
    for number, alert in enumerate(listed, start=1):
        yield _details(words.details(alert), alert, number if len(alerts) > 1 else None)
    if unlisted:
        rest = words.totals(unlisted, None)
        yield f"And {len(unlisted)} more, not listed here: {rest}."
    lately = {
        group_id: f"{alert.entity_kind} {alert.entity}: {_lately(recent[group_id])}"
        for alert in listed
        if (group_id := Group.id_of(alert)) in recent
    }
    if lately:
        yield "\n".join([f"In the last {phrases.span(RECENTLY)}", *lately.values()])


def _summed_up(alerts: Sequence[PagedAlert], recent: Mapping[str, Recent]) -> Iterable[str]:
    """Add up by entity, the one with most alerts first."""
    groups: dict[str, list[PagedAlert]] = {}
    for alert in alerts:
        groups.setdefault(Group.id_of(alert), []).append(alert)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    for number, (group_id, same) in enumerate(ordered[:MAX_LISTED], start=1):
        times = sorted(alert.happened_at for alert in same)
        lines: list[Line] = [
            (same[0].entity_kind.capitalize(), same[0].entity),
            ("Alerts", str(len(same))),
            ("In all", words_of(same[0].rule).totals(same, None)),
            ("Merchants", _most(alert.merchant for alert in same)),
            ("Places", _most(phrases.place(alert) for alert in same)),
            ("Happened", " to ".join(dict.fromkeys(map(phrases.instant, (times[0], times[-1]))))),
        ]
        if group_id in recent:
            lines.append((f"In the last {phrases.span(RECENTLY)}", _lately(recent[group_id])))
        (entity, name), *others = [(label, value) for label, value in lines if value]
        first = f"{number}. {entity} {name}" if len(ordered) > 1 else f"{entity}: {name}"
        yield "\n".join([first, *(f"{label}: {value}" for label, value in others)])
    if unlisted := ordered[MAX_LISTED:]:
        more = sum(len(same) for _, same in unlisted)
        entities = phrases.counted(len(unlisted), "other")
        yield f"And {phrases.counted(more, 'alert')} on {entities}, not listed here."


def _unpaged(alerts: Sequence[PagedAlert], suppressed: Mapping[str, Suppression]) -> Iterable[str]:
    """Say what came before that nobody was paged of, and by whose act."""
    named = {Group.id_of(a): f"{a.entity_kind} {a.entity}" for a in reversed(alerts)}
    lines = [
        f"{name}: {_lately(found.came)}; {phrases.instant(found.at)} {phrases.acted(found.act)}"
        for group_id, name in named.items()
        if (found := suppressed.get(group_id))
    ]
    if (more := len(lines) - MAX_LISTED) > 0:
        lines = [*lines[:MAX_LISTED], f"and {more} more, not listed here"]
    if lines:
        title = "Nobody was paged of what came before, because somebody had acted"
        yield "\n".join([title, *lines])


def _largest(alerts: Sequence[PagedAlert]) -> Iterable[str]:
    """Add up all that adds up, and name the largest per currency, the commonest one first."""
    words = words_of(alerts[0].rule)
    yield f"In all: {words.totals(alerts, None)}"
    adding = [a for a in alerts if a.amount is not None and words.adds_up(a)]
    currencies = Counter(alert.currency for alert in adding).most_common(MAX_LARGEST)
    for currency, _ in currencies:
        same = [alert for alert in adding if alert.currency == currency]
        same.sort(key=lambda alert: (-(alert.amount or 0), alert.alert_id))
        lines = [
            _in_a_line(
                f"{phrases.amount(alert)}: {alert.entity_kind} {alert.entity}",
                alert.merchant,
                phrases.place(alert),
                phrases.instant(alert.happened_at),
            )
            for alert in same[:MAX_LARGEST]
        ]
        yield "\n".join([f"Largest in {currency or phrases.NO_CURRENCY}", *lines])


def _in_short(alerts: Sequence[PagedAlert]) -> Iterable[str]:
    """Say why these were found only now, and list them by a line each, the newest first."""
    yield f"Why: {alerts[0].reason or 'no reason given'}. It was found by looking back."
    lines = [
        _in_a_line(
            f"{phrases.instant(alert.happened_at)}: {phrases.amount(alert) or 'amount unknown'}",
            alert.status.lower() if alert.status else None,
            alert.merchant,
            phrases.place(alert),
            phrases.payments(alert),
        )
        for alert in alerts[:MAX_IN_SHORT]
    ]
    if more := len(alerts) - len(lines):
        lines.append(f"and {more} more, not listed here")
    yield "\n".join(["Payments", *lines])


def _in_a_line(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _most(names: Iterable[str | None]) -> str:
    """Name the commonest with their counts, and say how many more there are."""
    counted = Counter(name for name in names if name is not None)
    if len(counted) == 1:
        return next(iter(counted))
    common = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{name} ({times})" for name, times in common[:MAX_NAMED]]
    if len(common) > MAX_NAMED:
        parts.append(f"and {len(common) - MAX_NAMED} more")
    return "; ".join(parts)


def _lately(recent: Recent) -> str:
    totals = [f"{total:f} {currency}" for currency, total in sorted(recent.totals.items())]
    return ", ".join([phrases.counted(recent.alerts, "alert"), *totals])


def _subject(page: Page, alerts: Sequence[PagedAlert]) -> str:
    words = words_of(alerts[0].rule)
    if len(alerts) == 1 and page.kind not in _ADDED_UP:
        text = _PREFIXES.get(page.kind, "") + words.subject(alerts[0])
    else:
        text = f"{headline(page, alerts)}: {words.totals(alerts, _TOTALS_IN_SUBJECT)}"
    text = f"May be a repeat: {text}" if page.repeat else text
    plain = in_ascii(text)
    return plain if len(plain) <= MAX_SUBJECT else plain[: MAX_SUBJECT - 3].rstrip() + "..."


def _details(lines: Sequence[Line], alert: PagedAlert, number: int | None) -> str:
    (entity, name), *others = lines
    first = f"{number}. {entity} {name}" if number else f"{entity}: {name}"
    said = [f"{label}: {value}" for label, value in [*others, ("Alert", alert.alert_id)]]
    return "\n".join([first, *said])


def _notes(page: Page, policy: Policy) -> Iterable[str]:
    if page.silence_since is not None:
        waited = phrases.counted(page.silence_waited, "alert")
        since = phrases.instant(page.silence_since)
        others = "" if page.unheard == page.silence_waited else "; the others follow"
        yield (
            f"Nobody was subscribed to these pages from {since} on: {waited} came until somebody "
            f"was, and waited. This page has {page.unheard} of them{others}."
        )
    elif page.unheard:
        waited = phrases.counted(page.unheard, "alert")
        yield f"{waited} of this page waited, because nobody was subscribed."
    if page.waited:
        verb = "alert of this page waited" if page.waited == 1 else "alerts of this page waited"
        yield f"{page.waited} {verb}: at most {policy.pages_per_minute} pages a minute go out."
    expired = len(page.expired_ids) + page.earlier_expired
    if expired:
        verb = "alert was" if expired == 1 else "alerts were"
        age = phrases.span(policy.max_age)
        why = f"older than {age}, or refused by the channel until then"
        yield f"{expired} {verb} not paged, only recorded as EXPIRED: {why}."
