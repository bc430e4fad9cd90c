"""Map: in which countries payments and alerts stand."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import altair as alt
import streamlit as st

from dashboard import panels
from dashboard.panels import Window
from dashboard.warehouse import Row

SHAPES: Final = Path(__file__).parents[1] / "shapes" / "countries.json"
HEIGHT: Final = 460
TOLD: Final = ["name:N", "payments:Q", "alerts:Q"]
MAP_SECONDS: Final = 30.0
"""The shapes are sent with each drawing."""


def show() -> None:
    """Draw the page."""
    st.title("Map", anchor=False)
    world(panels.choose_window())


@panels.panel("Payments and alerts by country", every=MAP_SECONDS)
def world(window: Window) -> None:
    """Draw the countries by their payments, with a circle for their alerts."""
    answer = panels.warehouse().ask("countries", since=window.since(), rows=panels.ROWS)
    panels.freshness(answer)
    if not answer.rows:
        st.info(f"No payment and no alert in the last {window.label}.")
        return
    known = _countries()
    rows = [
        {
            **known.get(row["country"], {"name": None}),
            "country": row["country"],
            "payments": int(row["payment_count"]),
            "alerts": int(row["alert_count"]),
        }
        for row in answer.rows
    ]
    said = "Payments and alerts by the merchant's country; circles: alerts"
    st.altair_chart(_map(rows), width="stretch", alt=said)
    st.caption("Shade: payments, each record counted. Circle: alerts that name a country.")
    panels.table(
        f"Payments and alerts of the last {window.label} by country",
        {
            "Country": lambda row: row["name"] or row["country"],
            "Code": lambda row: row["country"],
            "Payments": lambda row: row["payments"],
            "Alerts": lambda row: row["alerts"],
            "On the map": lambda row: "yes" if row["name"] else "no",
        },
        rows,
    )
    panels.cut(answer.rows, "first")


def _map(rows: Sequence[Row]) -> alt.LayerChart:
    """Give the map. `rows` need not be places that it knows: those are left out."""
    there = [row for row in rows if row["name"]]
    shapes = alt.InlineData(
        values=json.loads(SHAPES.read_text("utf-8")),
        format=alt.TopoDataFormat(type="topojson", feature="countries"),
    )
    land = alt.Chart(shapes).mark_geoshape(fill="#8884", stroke="#8888", aria=False)
    paid = (
        alt.Chart(shapes)
        .mark_geoshape(stroke="#8888", aria=False)
        .encode(
            # One country may have nearly all payments.
            color=alt.Color(
                "payments:Q",
                scale=alt.Scale(type="symlog", domainMin=0),
                legend=alt.Legend(title="payments", format=",.0f", tickCount=4, tickMinStep=1),
            ),
            tooltip=TOLD,
        )
        .transform_lookup(
            lookup="id",
            from_=alt.LookupData(
                panels.chart_rows(there), "country", ["name", "payments", "alerts"]
            ),
        )
        .transform_filter("isValid(datum.payments)")
    )
    # A country too small for a shape is a dot in the shade of its payments.
    dots = (
        alt.Chart(panels.chart_rows(row for row in there if not row["shape"]))
        .mark_circle(size=30, opacity=1, stroke="#888", strokeWidth=0.5, aria=False)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            color=alt.Color("payments:Q"),
            tooltip=TOLD,
        )
    )
    alerts = (
        alt.Chart(panels.chart_rows(row for row in there if row["alerts"]))
        .mark_circle(color="#d62728", opacity=0.75, stroke="white", strokeWidth=1, aria=False)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size(
                "alerts:Q",
                scale=alt.Scale(range=[40, 900]),
                legend=alt.Legend(title="alerts", format=",.0f", tickCount=4, tickMinStep=1),
            ),
            tooltip=TOLD,
        )
    )
    projection = alt.Projection(type="equalEarth")
    drawn: alt.LayerChart = land + paid + dots + alerts
    return drawn.properties(height=HEIGHT, projection=projection)


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, Mapping[str, Any]]:
    """Give name, middle and whether there is a shape by ISO 3166-1 alpha-2 code."""
    shapes = json.loads(SHAPES.read_text("utf-8"))
    return {
        shape["id"]: {**shape["properties"], "shape": shape["type"] is not None}
        for shape in shapes["objects"]["countries"]["geometries"]
        if "id" in shape
    }
