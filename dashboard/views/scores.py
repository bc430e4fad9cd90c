"""Scores: the riskiest payments with their why, and how scores are distributed over time."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import streamlit as st

from dashboard import panels
from dashboard.panels import Figure, Lines, Link, Window
from dashboard.views.entity import ACCOUNT, CARD, MERCHANT, Kind
from dashboard.warehouse import Row

KINDS: Final[Mapping[str, Kind | None]] = {
    "any": None,
    **{kind.name: kind for kind in (CARD, ACCOUNT, MERCHANT)},
}
BANDS: Final[Mapping[int, str]] = {
    0: "0",
    1: "1-9",
    **{least: f"{least}-{least + 9}" for least in range(10, 90, 10)},
    90: "90-100",
}
"""What a band is called by its lowest score, as scores_over_time.sql has it."""


def show() -> None:
    """Draw the page."""
    st.title("Scores", anchor=False)
    window = panels.choose_window()
    distribution(window)
    riskiest(window)


@panels.panel("Riskiest payments")
def riskiest(window: Window) -> None:
    """Draw the payments with the highest scores, with what speaks against each."""
    least, of, about = st.columns(3)
    minimum = least.number_input("Minimum score", 0, 100, 1, key="minimum")
    kind = KINDS[of.selectbox("Of", list(KINDS), key="kind") or "any"]
    given = about.text_input(
        "Token or id", key="about", max_chars=128, placeholder="whole", disabled=kind is None
    ).strip()
    if kind and not kind.id.fullmatch(given):
        st.info(f"Name the {kind.name}. {kind.asked}.")
        return
    asked: dict[str, Any] = {"since": window.since(), "minimum": minimum, "rows": panels.ROWS}
    warehouse = panels.warehouse()
    if kind is None:
        answer = warehouse.ask("scores", **asked)
    else:
        answer = warehouse.ask("scores_of", column=kind.column, id=given, **asked)
    panels.freshness(answer)
    whose = f" of this {kind.name}" if kind else ""
    panels.table(
        f"Payments of the last {window.label}{whose} by score, the riskiest first",
        {
            "Score": lambda row: row["risk_score"],
            "Time, UTC": lambda row: row["happened_at"],
            "Amount": lambda row: panels.money(row["amount"], row["currency"]),
            "Status": lambda row: row["status"],
            "Card": lambda row: Link(f"••{row['card_last4'] or ''}", "card", row["card_token"]),
            "Account": lambda row: _link(row["account_id"], "account"),
            "Merchant": lambda row: _link(row["merchant_id"], "merchant"),
            "Place": lambda row: ", ".join(filter(None, (row["city"], row["country"]))) or None,
            "Why": lambda row: panels.factors(row["factors"]),
            "Could not be judged": _not_judged,
        },
        answer.rows,
        otherwise=f"No payment{whose} with a score of at least {minimum} in the last "
        f"{window.label}.",
    )
    panels.cut(answer.rows, "riskiest")


def _link(value: str | None, page: str) -> Link | None:
    return None if value is None else Link(value, page, value)


def _not_judged(row: Row) -> Lines:
    return Lines(json.loads(row["not_judged"] or "[]"))


@panels.panel("Distribution")
def distribution(window: Window) -> None:
    """Draw how many payments have which score over time."""
    answer = panels.warehouse().ask("scores_over_time", since=window.since(), bucket=window.bucket)
    panels.freshness(answer)
    if not answer.rows:
        st.info(f"No payment was scored in the last {window.label}.")
        return
    total = sum(int(row["payment_count"]) for row in answer.rows)
    above = sum(int(row["payment_count"]) for row in answer.rows if row["band"])
    figures = [
        ("Payments scored", f"{total:,}"),
        ("Something speaks against", f"{above:,}"),
        ("of all", f"{100 * above / total:.1f} %"),
    ]
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value)
    rows = [
        {**row, "scores": BANDS[int(row["band"])], "payments": int(row["payment_count"])}
        for row in answer.rows
    ]
    drawn = (
        alt.Chart(panels.chart_rows(rows))
        .mark_rect()
        .encode(
            x=panels.utc("happened", window, counted=True),
            y=alt.Y("scores:O", title="score", scale=alt.Scale(domain=[*BANDS.values()][::-1])),
            # Most payments have nothing against them: a plain scale would show those alone.
            color=alt.Color(
                "payments:Q",
                scale=alt.Scale(type="symlog", domainMin=0),
                legend=alt.Legend(title="payments", format=",.0f", tickCount=4, tickMinStep=1),
            ),
            tooltip=["scores:O", "payments:Q"],
        )
        .properties(height=panels.CHART_HEIGHT)
    )
    panels.chart(drawn, f"Payments per {window.bucket} by score", _columns(rows), _by_time(rows))


def _by_time(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give a line for each time, with the count of each band."""
    lines: dict[Any, dict[str, Any]] = {}
    for row in rows:
        lines.setdefault(row["happened"], {"happened": row["happened"]})[row["scores"]] = row[
            "payments"
        ]
    return list(lines.values())


def _columns(rows: Sequence[Row]) -> Mapping[str, Any]:
    """Give the columns of the bands that have a payment, the highest last."""
    there = {row["scores"] for row in rows}
    return {
        "Time, UTC": lambda row: row["happened"],
        **{
            band: (lambda row, band=band: row.get(band, Figure(panels.NONE)))
            for band in BANDS.values()
            if band in there
        },
    }
