"""One card, account or merchant: payments with their scores, alerts and pages, in time's order."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import altair as alt
import streamlit as st

from dashboard import panels
from dashboard.panels import Figure, Lines, Link, Window
from dashboard.warehouse import Answer, Entity, Row

DAY: Final = 3
"""The place of one day among the windows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a page is about."""

    name: str
    column: Entity
    id: re.Pattern[str]
    asked: str
    """What a person is asked for, in words."""


CARD: Final = Kind(
    "card",
    "card_token",
    re.compile(r"[0-9a-f]{32}"),
    "The card's token, 32 hexadecimal digits; never its number",
)
ACCOUNT: Final = Kind("account", "account_id", re.compile(r"\S{1,128}"), "The account's id")
MERCHANT: Final = Kind("merchant", "merchant_id", re.compile(r"\S{1,128}"), "The merchant's id")


def show_card() -> None:
    """Draw a card's page."""
    _show(CARD)


def show_account() -> None:
    """Draw an account's page."""
    _show(ACCOUNT)


def show_merchant() -> None:
    """Draw a merchant's page."""
    _show(MERCHANT)


def _show(kind: Kind) -> None:
    st.title(kind.name.capitalize(), anchor=False)
    given = st.text_input(kind.asked, value=st.query_params.get("id", ""), max_chars=128).strip()
    if not given:
        st.info(f"Follow a link of an alert, or name the {kind.name} here.")
        return
    if not kind.id.fullmatch(given):
        st.warning(f"This names no {kind.name}. {kind.asked}.")
        return
    st.query_params["id"] = given
    window = panels.choose_window(DAY)
    if kind is CARD:
        statuses(given)
    if kind is ACCOUNT:
        account(given)
    timeline(kind, given, window)


@panels.panel("Status")
def statuses(token: str) -> None:
    """Draw what was reported of a card."""
    answer = panels.warehouse().ask("statuses_of", id=token, rows=panels.ROWS)
    panels.freshness(answer)
    panels.table(
        "Reported of this card, the newest first",
        {
            "Holds from, UTC": lambda row: row["happened_at"],
            "Status": lambda row: row["status"],
            "Card": lambda row: f"••{row['card_last4'] or ''}",
            "Reason": lambda row: row["reason"],
        },
        answer.rows,
        otherwise="Nobody reported anything of this card.",
    )


@panels.panel("What the bank says")
def account(account_id: str) -> None:
    """Draw an account's newest version."""
    answer = panels.warehouse().ask("account", id=account_id)
    panels.freshness(answer)
    panels.table(
        "The account's newest version",
        {
            "Holder": lambda row: row["account_name"],
            "Country": lambda row: row["holder_country"],
            "Status": lambda row: row["status"],
            "Risk segment": lambda row: row["risk_segment"],
            "Credit limit": lambda row: panels.money(row["credit_limit"], row["currency"]),
            "Opened, UTC": lambda row: row["opened_at"],
            "Valid from, UTC": lambda row: row["valid_from"],
        },
        answer.rows,
        otherwise="The bank has published nothing of this account.",
    )


@panels.panel("Timeline")
def timeline(kind: Kind, given: str, window: Window) -> None:
    """Draw payments, alerts and pages as they happened, the newest first."""
    answers = {
        what: panels.warehouse().ask(
            what, column=kind.column, id=given, since=window.since(), rows=panels.ROWS
        )
        for what in ("payments_of", "alerts_of", "pages_of")
    }
    panels.freshness(answers["payments_of"])
    happened = sorted(
        _happened(kind, answers), key=lambda row: (row["at"], row["place"]), reverse=True
    )
    if not happened:
        st.info(f"Nothing of this {kind.name} in the last {window.label}.")
        return
    drawn = (
        alt.Chart(panels.chart_rows({"at": row["at"], "what": row["what"]} for row in happened))
        .mark_tick(thickness=2)
        .encode(
            x=panels.utc("at", window),
            y=alt.Y("what:N", title=None, sort=["payment", "alert", "page"]),
            color=alt.Color("what:N", legend=None),
        )
        .properties(height=150)
    )
    said = f"Payments, alerts and pages of this {kind.name} over time"
    st.altair_chart(drawn, width="stretch", alt=said)
    columns: Mapping[str, Any] = {
        "Time, UTC": lambda row: row["at"],
        "What": lambda row: row["what"],
        "Amount": lambda row: row["amount"],
        "Status": lambda row: row["status"],
        "Score": lambda row: row["score"],
        "Card": lambda row: row["card"],
        "Account": lambda row: row["account"],
        "Merchant": lambda row: row["merchant"],
        "More": lambda row: row["more"],
    }
    panels.table(f"Payments, alerts and pages of this {kind.name}", columns, happened)
    for answer in answers.values():
        panels.cut(answer.rows)


def _happened(kind: Kind, answers: Mapping[str, Answer]) -> Iterator[dict[str, Any]]:
    """Give what happened as lines of one table; `place` orders what shares a time."""
    for row in answers["payments_of"].rows:
        place = ", ".join(filter(None, (row["city"], row["country"], row["entry_mode"])))
        yield _line(
            0,
            "payment",
            row["happened_at"],
            row,
            status=row["status"],
            card=Link(f"••{row['card_last4']}", "card", row["card_token"]),
            account=Link(row["account_id"], "account", row["account_id"]),
            merchant=Link(row["merchant_id"], "merchant", row["merchant_id"]),
            score=_score(row["risk_score"]),
            more=Lines((place, *panels.factors(row["factors"]))),
        )
    for row in answers["alerts_of"].rows:
        yield _line(1, "alert", row["detected_at"], row, status=row["rule"], more=row["why"])
    for row in answers["pages_of"].rows:
        yield _line(
            2,
            "page",
            row["happened_at"],
            row,
            status=row["state"],
            more=f"alerts of this {kind.name} in it: {row['alert_count']}"
            + (", may be a repeat" if row["repeat"] else ""),
        )


def _score(score: int | None) -> Figure:
    """Give a payment's score; a payment that was not scored, or not yet, has none."""
    return Figure(panels.NONE if score is None else score)


def _line(place: int, what: str, at: datetime, row: Row, **more: object) -> dict[str, Any]:
    amount = row.get("amount", row.get("observed"))
    blank = {"score": Figure(panels.NONE), **dict.fromkeys(("card", "account", "merchant"))}
    money = panels.money(amount, row.get("currency"))
    return {"place": place, "what": what, "at": at, "amount": money, **blank, **more}
