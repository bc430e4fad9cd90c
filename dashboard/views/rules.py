"""Rules: which versions are in use, what they say, and what they found."""

import json
from typing import Any

import streamlit as st

from dashboard import panels
from dashboard.warehouse import Row


def show() -> None:
    """Draw the page."""
    st.title("Rules", anchor=False)
    versions()


@panels.panel("Rules and what they found")
def versions() -> None:
    """Draw each rule's versions with what they found."""
    answer = panels.warehouse().ask("rule_versions", rows=panels.ROWS)
    panels.freshness(answer)
    panels.table(
        "Versions of the rules that are in use or found something",
        {
            "Rule": lambda row: row["rule"],
            "Version": lambda row: row["rule_version"],
            "In use": _in_use,
            "Pages": lambda row: row["paging"],
            "Severity": lambda row: row["severity"],
            "More than": _said,
            "Published, UTC": lambda row: row["published_at"],
            "Why": lambda row: row["note"],
            "Alerts": lambda row: row["alerts"],
            "About so many": lambda row: row["entities"],
            "Newest alert of, UTC": lambda row: row["last_alert_at"],
        },
        answer.rows,
        otherwise="No rule was published, and none found anything: those of rules.yaml are in use.",
    )
    panels.cut(answer.rows)


def _in_use(row: Row) -> str | None:
    if row["published_at"] is None:
        return "came with the job"
    return "off" if row["in_use"] and row["state"] == "off" else row["in_use"]


def _said(row: Row) -> str | None:
    """Give what a version is about: its limits, its count and what is small, or its threshold."""
    if row["settings"] is None:
        return None
    settings: dict[str, Any] = json.loads(row["settings"])
    amounts = [f"{each['amount']} {each['currency']}" for each in settings.get("amounts") or ()]
    count, seconds = settings.get("more_than"), settings.get("window_seconds")
    if (threshold := settings.get("threshold")) is not None:
        points = settings.get("points") or {}
        said = [f"{factor.replace('_', ' ')} {its}" for factor, its in points.items()]
        return f"a score of {threshold - 1}; points: {', '.join(said)}"
    if count is None:
        return ", ".join(amounts) or None
    small = f"; small: {', '.join(amounts)}" if amounts else ""
    return f"{count} in {seconds} s{small}"
