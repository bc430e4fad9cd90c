"""The page in a browser: HTML that reads well on a phone, without a script.

Built as a tree, so every text that comes from outside is escaped by the one that writes it.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

# It builds and writes; nothing is parsed.
from xml.etree.ElementTree import Element, SubElement, tostring  # nosec B405

from cardwatch.acts.desk import Shown
from cardwatch.acts.records import DoneAct
from cardwatch.contract.act import FALSE_POSITIVE_REASONS, FalsePositiveReason
from cardwatch.paging import phrases
from cardwatch.paging.message import headline
from cardwatch.paging.rules import words_of

MAX_LISTED: Final = 20
"""Alerts that are shown in full, as many as the e-mail lists, and things that can be snoozed."""

_STYLE: Final = """
body{font:1rem/1.45 system-ui,sans-serif;max-width:40rem;margin:0 auto;padding:1rem;
color:#1a1a1a;background:#fff;overflow-wrap:anywhere}
h1{font-size:1.35rem;line-height:1.25}h2{font-size:1.1rem;margin-top:1.75rem}
dl{display:grid;grid-template-columns:6.5rem 1fr;gap:.2rem .6rem;margin:.75rem 0;
padding:.75rem 0;border-top:1px solid #ccc}dt{color:#555}dd{margin:0}
label{display:block;margin:.9rem 0 .25rem;font-weight:600}
input,select,button{font:inherit;box-sizing:border-box;width:100%;min-height:3rem;
padding:.5rem .75rem;border:1px solid #777;border-radius:.4rem;background:#fff;color:inherit}
button{margin-top:.75rem;background:#1f3a5f;color:#fff;border-color:#1f3a5f;font-weight:600}
.said,.problem{padding:.75rem;border-radius:.4rem;font-weight:600}
.said{background:#e3f4e6}.problem{background:#fde7e4}.small{color:#555;font-size:.9rem}
@media (prefers-color-scheme:dark){body,input,select{background:#16181b;color:#eee}
dt,.small{color:#aaa}dl{border-color:#444}.said{background:#17401f}.problem{background:#581d16}}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{_STYLE_HASH}'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    # The address is the right to act: no other site and no cache gets to know it.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
    "Strict-Transport-Security": "max-age=31536000",
}

_WHY: Final[dict[FalsePositiveReason, str]] = {
    "HOLDER_MADE_IT": "The holder made the payment",
    "CARD_NOT_STOLEN": "The card is not stolen",
    "MERCHANT_KNOWN": "The merchant is known and trusted",
    "LIMIT_TOO_LOW": "The rule's limit is too low",
    "TEST_PAYMENT": "It was a test",
    "OTHER": "Another reason",
}


def page_html(shown: Shown) -> str:
    """Write a page with its alerts, what was done about it, and the form."""
    root, body = _document(headline(shown.page, shown.alerts) if shown.alerts else "A page")
    for kind, text in (("said", shown.said), ("problem", shown.problem)):
        if text:
            _add(body, "p", text, **{"class": kind, "role": "status"})
    _alerts(body, shown)
    _done(body, shown.acts)
    _form(body, shown)
    _add(
        body,
        "p",
        f"Page {shown.page.page_id}. This link shows it until {phrases.instant(shown.expires_at)}; "
        "whoever has the link can act.",
        **{"class": "small"},
    )
    return _written(root)


def notice_html(title: str, text: str) -> str:
    """Write what is to be said where there is no page to show."""
    root, body = _document(title)
    _add(body, "p", text)
    return _written(root)


def _alerts(body: Element, shown: Shown) -> None:
    alerts = shown.alerts
    if not alerts:
        return
    words = words_of(alerts[0].rule)
    for alert in alerts[:MAX_LISTED]:
        _pairs(body, [*words.details(alert), ("Alert", alert.alert_id)])
    if rest := alerts[MAX_LISTED:]:
        _add(body, "p", f"And {len(rest)} more, not listed here: {words.totals(rest, None)}.")
    _add(body, "h2", "What to do")
    steps = _add(body, "ol")
    for step in words.what_to_do(alerts):
        _add(steps, "li", step)


def _done(body: Element, acts: Iterable[DoneAct]) -> None:
    _add(body, "h2", "What was done")
    lines = [_told(done) for done in acts]
    if not lines:
        _add(body, "p", "Nobody has done anything about this page yet.")
        return
    told = _add(body, "ol")
    for line in lines:
        _add(told, "li", line)


def _told(done: DoneAct) -> str:
    reason = done.act.reason
    why = {str(code): words for code, words in _WHY.items()}.get(reason or "", reason)
    text = f"{phrases.instant(done.at)}: {phrases.acted(done.act)}"
    return f"{text}: {why}" if why else text


def _form(body: Element, shown: Shown) -> None:
    _add(body, "h2", "Act")
    # Without an address it goes to where it came from, which is the link.
    form = _add(body, "form", method="post")
    for name, value in (("seen", shown.seen), ("token", shown.form_token)):
        _add(form, "input", type="hidden", name=name, value=value)
    _add(form, "label", "Your name", **{"for": "by"})
    _add(
        form,
        "input",
        id="by",
        name="by",
        value=shown.by,
        maxlength="64",
        required="required",
        autocomplete="name",
    )
    _add(form, "button", "Acknowledge: I look at it", name="act", value="ACKNOWLEDGED")
    _add(form, "button", "Confirm fraud", name="act", value="CONFIRMED")
    _add(form, "label", "Why it is none", **{"for": "reason"})
    reasons = _add(form, "select", id="reason", name="reason")
    _add(reasons, "option", "Choose a reason", value="")
    for code in FALSE_POSITIVE_REASONS:
        _add(reasons, "option", _WHY[code], value=code)
    _add(form, "button", "False positive", name="act", value="FALSE_POSITIVE")
    _add(form, "button", "Resolved: it is done", name="act", value="RESOLVED")
    if shown.scopes:
        _snooze(form, shown)


def _snooze(form: Element, shown: Shown) -> None:
    _add(form, "label", "What nobody should be paged of", **{"for": "scope"})
    scopes = _add(form, "select", id="scope", name="scope")
    for scope, name in list(shown.scopes.items())[:MAX_LISTED]:
        _add(scopes, "option", name, value=scope)
    _add(form, "label", "For how long", **{"for": "until"})
    untils = _add(form, "select", id="until", name="until")
    for until, length in shown.untils.items():
        _add(untils, "option", phrases.span(length), value=until)
    _add(form, "label", "Why it is snoozed", **{"for": "why"})
    _add(form, "input", id="why", name="why", maxlength="200")
    _add(form, "button", "Snooze", name="act", value="SNOOZED")


def _document(title: str) -> tuple[Element, Element]:
    root = Element("html", lang="en")
    head = _add(root, "head")
    _add(head, "meta", charset="utf-8")
    _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _add(head, "title", f"{title} - cardwatch")
    _add(head, "style", _STYLE)
    body = _add(_add(root, "body"), "main")
    _add(body, "h1", title)
    return root, body


def _pairs(body: Element, lines: Iterable[tuple[str, str]]) -> None:
    pairs = _add(body, "dl")
    for label, value in lines:
        _add(pairs, "dt", label)
        _add(pairs, "dd", value or "-")


def _add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = text or None
    return child


def _written(root: Element) -> str:
    # As XML, which escapes more, within attributes too. Browsers read it as HTML all the same, as
    # long as nothing but inputs and metas is empty.
    return f"<!doctype html>{tostring(root, encoding='unicode')}"
