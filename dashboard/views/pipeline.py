"""Pipeline: whether what should flow flows, and whether what arrived is whole."""

from datetime import UTC, datetime
from typing import Final

import streamlit as st

from dashboard import panels
from dashboard.panels import Figure
from dashboard.warehouse import Row

CHECKS_SECONDS: Final = 30.0
"""The checks read an hour of rows; the run itself looks once a minute."""


def show() -> None:
    """Draw the page."""
    st.title("Pipeline", anchor=False)
    health()
    quarantine()
    checks()


@panels.panel("Is it running?")
def health() -> None:
    """Draw throughput, lag, and what is in trouble."""
    found, now = panels.pipeline().now(), datetime.now(UTC)
    age = (now - found.as_of).total_seconds()
    st.caption(f"As of {panels.clock(found.as_of)} UTC, {age:.0f} s ago, by {found.told_by}.")
    if found.stale(now):
        st.warning(
            "The run has not said anything since: it ended or hangs. `cardwatch status` says more; "
            "`cardwatch down`, then `cardwatch up` starts it again."
        )
    elif found.state in {"stopped", "failed"}:
        st.warning(f"The run has {found.state}: start it with `make run` or `cardwatch up`.")
    lag = found.lag_seconds
    rows = found.staged_rows
    figures = [
        ("State", found.state),
        (found.throughput[0], f"{found.throughput[1]:g}"),
        ("Event time is behind by", panels.NONE if lag is None else f"{lag:.1f} s"),
        ("Rows in the warehouse", panels.NONE if rows is None else f"{rows:,}"),
    ]
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value)
    st.text(f"Flink job: {found.job}")
    panels.table(
        "In trouble",
        {"In trouble": lambda row: row["text"]},
        [{"text": text} for text in found.troubles],
        otherwise="Nothing is in trouble.",
    )
    restarted = [{"program": name, "count": n} for name, n in found.restarts.items() if n]
    if restarted:
        panels.table(
            "Programs that were started again",
            {
                "Started again": lambda row: row["program"],
                "Times": lambda row: row["count"],
            },
            restarted,
        )


@panels.panel("Quarantine")
def quarantine() -> None:
    """Draw what was refused, by reason."""
    found = panels.pipeline().now()
    age = (datetime.now(UTC) - found.as_of).total_seconds()
    st.caption(f"As of {panels.clock(found.as_of)} UTC, {age:.0f} s ago, by {found.told_by}.")
    reasons = sorted({*found.quarantined, *found.rejected})
    panels.table(
        "Refused records by reason",
        {
            "Reason": lambda row: row["reason"],
            "In quarantine": lambda row: row["quarantined"],
            "Seen on the stream": lambda row: row["rejected"],
        },
        [
            {
                "reason": reason,
                "quarantined": found.quarantined.get(reason, 0),
                "rejected": found.rejected.get(reason, 0),
            }
            for reason in reasons
        ],
        otherwise="No record was refused.",
    )


@panels.panel("Is the warehouse whole?", every=CHECKS_SECONDS)
def checks() -> None:
    """Draw the data-quality checks."""
    answer = panels.warehouse().ask("checks")
    panels.freshness(answer)
    panels.table(
        "Data-quality checks",
        {
            "Check": lambda row: row["check_name"],
            "Found": lambda row: row["found"],
            "Allowed": lambda row: (
                Figure(panels.NONE) if row["allowed"] is None else row["allowed"]
            ),
            "Verdict": _verdict,
        },
        answer.rows,
    )


def _verdict(row: Row) -> str:
    if row["allowed"] is None:
        return "for people to judge"
    return "good" if row["found"] <= row["allowed"] else "too much"
