"""Paging: how fast people are told, against what was promised, and by which rule."""

from collections.abc import Mapping
from typing import Any, Final

import altair as alt
import streamlit as st

from dashboard import panels
from dashboard.options import read_options
from dashboard.panels import Window

PERCENTILES: Final = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}


def show() -> None:
    """Draw the page."""
    st.title("Paging", anchor=False)
    window = panels.choose_window()
    latency(window)
    per_rule(window)
    owed()


@panels.panel("From payment to page")
def latency(window: Window) -> None:
    """Draw how long pages took, against the objective."""
    objective = read_options().page_objective_seconds
    warehouse, since = panels.warehouse(), window.since()
    answer = warehouse.ask("page_latency", since=since, objective_ms=int(objective * 1000))
    panels.freshness(answer)
    total = answer.rows[0]
    if not total["alert_count"]:
        st.info(f"No page of a stolen card in the last {window.label}.")
        return
    share = 100 * total["within_count"] / total["alert_count"]
    figures = [
        ("Alerts paged", f"{total['alert_count']:,}"),
        (f"within {objective:g} s (objective: 99 %)", f"{share:.1f} %"),
        *((label, panels.seconds(total[name])) for name, label in PERCENTILES.items()),
        ("slowest", panels.seconds(total["max_ms"])),
    ]
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value)
    rows = warehouse.ask("page_latency_over_time", since=since, bucket=window.bucket).rows
    points = [
        {"paged": row["paged"], "percentile": label, "seconds": float(row[name]) / 1000}
        for row in rows
        for name, label in PERCENTILES.items()
    ]
    lines = (
        alt.Chart(panels.chart_rows(points))
        .mark_line(point=True)
        .encode(
            x=panels.utc("paged", window),
            y=alt.Y("seconds:Q", title="seconds"),
            color=alt.Color("percentile:N", legend=alt.Legend(title=None, orient="top")),
        )
    )
    limit = (
        alt.Chart(panels.chart_rows([{"seconds": objective}]))
        .mark_rule(strokeDash=[6, 4], color="#d62728", strokeWidth=2)
        .encode(y="seconds:Q")
    )
    columns: Mapping[str, Any] = {
        "Time, UTC": lambda row: row["paged"],
        "Alerts paged": lambda row: row["alert_count"],
        **{
            label: (lambda row, name=name: panels.seconds(row[name]))
            for name, label in PERCENTILES.items()
        },
    }
    panels.chart(
        (lines + limit).properties(height=panels.CHART_HEIGHT),
        f"Seconds from payment to page per {window.bucket}; dashed: the objective {objective:g} s",
        columns,
        rows,
    )


@panels.panel("Pages per rule")
def per_rule(window: Window) -> None:
    """Draw how many pages each rule sent."""
    answer = panels.warehouse().ask("pages_per_rule", since=window.since())
    panels.freshness(answer)
    panels.table(
        f"Pages of the last {window.label} by rule",
        {
            "Rule": lambda row: row["rule"],
            "Pages": lambda row: row["page_count"],
            "Marked as repeats": lambda row: row["repeat_count"],
            "Alerts in them": lambda row: row["alert_count"],
            "Newest, UTC": lambda row: row["newest"],
        },
        answer.rows,
        otherwise=f"No page in the last {window.label}.",
    )


@panels.panel("Alerts without a page")
def owed() -> None:
    """Draw what nobody was told yet."""
    answer = panels.warehouse().ask("owed", rows=panels.ROWS)
    panels.freshness(answer)
    panels.table(
        "Alerts in no page, the oldest first",
        {
            "Detected, UTC": lambda row: row["detected_at"],
            "Rule": lambda row: row["rule"],
            "Card": lambda row: f"••{row['card_last4']}" if row["card_last4"] else None,
            "Payment": lambda row: row["payment_id"],
        },
        answer.rows,
        otherwise="Every alert is in a page, or recorded as expired.",
    )
    panels.cut(answer.rows)
