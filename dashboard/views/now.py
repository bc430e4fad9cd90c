"""Now: what alerted and why, how much there is of everything, and where."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import altair as alt
import streamlit as st

from dashboard import panels
from dashboard.panels import Figure, Link, Window
from dashboard.warehouse import Place, Row

ANY: Final = "any"
SEVERITIES: Final = (ANY, "critical", "high", "medium", "low", "not stated")
HOUR: Final = Window("1 hour", timedelta(hours=1), "minute")
CHARTS: Final = {
    "Payments": {"PAYMENT_EVENT": "payments"},
    "Alerts": {"PAYMENT_ALERT": "stolen card", "RULE_ALERT": "other rules"},
}
TOP: Final = 10


def show() -> None:
    """Draw the page."""
    st.title("Now", anchor=False)
    last_hour()
    window = panels.choose_window()
    alerts(window)
    volume(window)
    places(window)


@panels.panel("Last hour")
def last_hour() -> None:
    """Draw what the last hour came to."""
    warehouse, since = panels.warehouse(), HOUR.since()
    volume = warehouse.ask("volume", since=since, bucket="hour")
    rules = warehouse.ask("rules", since=since).rows
    panels.freshness(volume)
    if not volume.rows:
        st.info("Nothing happened in the last hour.")
        return
    counts: dict[str, int] = defaultdict(int)
    for row in volume.rows:
        counts[row["event_type"]] += int(row["event_count"])
    made, paged = (sum(row[name] for row in rules) for name in ("alert_count", "paged_count"))
    for column, (label, value) in zip(
        st.columns(4),
        [
            ("Payments", f"{counts['PAYMENT_EVENT']:,}"),
            ("Alerts", f"{made:,}"),
            ("of these paged", f"{paged:,}"),
            ("Pages", f"{counts['PAGE_EVENT']:,}"),
        ],
        strict=True,
    ):
        column.metric(label, value)
    left, right = st.columns(2)
    with left:
        panels.table(
            "Alerts of the last hour by rule",
            {
                "Rule": lambda row: row["rule"],
                "Alerts": lambda row: row["alert_count"],
                "Paged": lambda row: row["paged_count"],
                "Newest, UTC": lambda row: row["newest"],
            },
            rules,
            otherwise="No alert in the last hour.",
        )
        _summary(warehouse.ask("summary", since=since).rows)
    with right:
        _spend(warehouse.ask("spend", since=since).rows)


def _summary(rows: Sequence[Row]) -> None:
    panels.table(
        "Payments on stolen cards, by the newest summary of an hour",
        {
            "Hour until, UTC": lambda row: row["window_end"],
            "On stolen cards": lambda row: row["payment_count"],
            "Cards": lambda row: row["card_count"],
            "Declined": lambda row: row["declined"],
            "Refunded": lambda row: row["refunded"],
        },
        rows,
        otherwise="No summary of the last hour's payments on stolen cards.",
    )


def _spend(rows: Sequence[Row]) -> None:
    per_currency: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = per_currency.setdefault(row["currency"], {"currency": row["currency"]})
        line[row["status"]] = panels.money(row["amount"], row["currency"])
    if not per_currency:
        st.info("Nothing was paid in the last hour.")
        return
    statuses = {
        title: (lambda row, status=status: row.get(status, Figure(panels.NONE)))
        for title, status in [
            ("Authorized", "AUTHORIZED"),
            ("Captured", "CAPTURED"),
            ("Declined", "DECLINED"),
            ("Refunded", "REFUNDED"),
        ]
    }
    panels.table(
        "Payments of the last hour by currency and status",
        {"Currency": lambda row: row["currency"], **statuses},
        list(per_currency.values()),
    )


@panels.panel("Alerts")
def alerts(window: Window) -> None:
    """Draw the newest alerts, each with its why."""
    warehouse, since = panels.warehouse(), window.since()
    known = [row["rule"] for row in warehouse.ask("rules", since=since).rows]
    rule, severity, entity = st.columns(3)
    chosen = rule.selectbox("Rule", [ANY, *known], key="rule")
    severe = severity.selectbox("Severity", SEVERITIES, key="severity")
    about = entity.text_input(
        "About", key="about", max_chars=64, placeholder="card's last four digits, or begin of an id"
    )
    answer = warehouse.ask(
        "alerts",
        since=since,
        rule=_filter(chosen),
        severity=_filter(severe),
        entity=about.strip() or None,
        rows=panels.ROWS,
    )
    panels.freshness(answer)
    filtered = " that fits the filters" if _filter(chosen) or _filter(severe) or about else ""
    panels.table(
        f"Alerts of the last {window.label}, the newest first",
        {
            "Detected, UTC": lambda row: row["detected_at"],
            "Rule": lambda row: row["rule"],
            "Severity": lambda row: row["severity"],
            "About": who,
            "Observed": lambda row: panels.money(row["observed"], row["currency"]),
            "Merchant": lambda row: _link(row["merchant_id"], "merchant"),
            "Why": lambda row: row["why"],
            "Paged": lambda row: _paged(row["detected_at"], row["paged_at"]),
        },
        answer.rows,
        otherwise=f"No alert{filtered} in the last {window.label}.",
    )
    panels.cut(answer.rows)


def who(row: Row) -> Link | str:
    """Give the entity that an alert is about, as a link to its page where it has one."""
    if row["card_token"]:
        return Link(f"card ••{row['card_last4'] or ''}", "card", row["card_token"])
    if row["account_id"]:
        return Link(f"account {row['account_id']}", "account", row["account_id"])
    if row["merchant_id"]:
        return Link(f"merchant {row['merchant_id']}", "merchant", row["merchant_id"])
    return f"user {row['user_id']}"


def _link(value: str | None, page: str) -> Link | None:
    return None if value is None else Link(value, page, value)


def _paged(detected: datetime, paged: datetime | None) -> str:
    if paged is None:
        return "not yet"
    return Figure(f"{(paged - detected).total_seconds():.1f} s later")


def _filter(chosen: str | None) -> str | None:
    return None if chosen in {None, ANY} else chosen


@panels.panel("Volume")
def volume(window: Window) -> None:
    """Draw payments and alerts over time."""
    answer = panels.warehouse().ask("volume", since=window.since(), bucket=window.bucket)
    panels.freshness(answer)
    for column, (what, kinds) in zip(st.columns(2), CHARTS.items(), strict=True):
        with column:
            rows = [row for row in answer.rows if row["event_type"] in kinds]
            _over_time(what, window, [{**row, "kind": kinds[row["event_type"]]} for row in rows])


def _over_time(what: str, window: Window, rows: Sequence[Row]) -> None:
    title = f"{what} per {window.bucket}"
    if not rows:
        st.info(f"No {what.lower()} in the last {window.label}.")
        return
    drawn = (
        alt.Chart(panels.chart_rows(rows))
        .mark_bar()
        .encode(
            x=panels.utc("happened", window, counted=True),
            y=alt.Y("event_count:Q", title=title),
            color=alt.Color("kind:N", legend=alt.Legend(title=None, orient="top")),
        )
        .properties(height=panels.CHART_HEIGHT)
    )
    columns: Mapping[str, Any] = {
        "Time, UTC": lambda row: row["happened"],
        "What": lambda row: row["kind"],
        "Count": lambda row: int(row["event_count"]),
    }
    panels.chart(drawn, title, columns, rows)


@panels.panel("Where")
def places(window: Window) -> None:
    """Draw the merchants and countries with the most alerts."""
    left, right = st.columns(2)
    with left:
        _ranked("country", "Countries", window)
    with right:
        _ranked("merchant_id", "Merchants", window)


def _ranked(place: Place, what: str, window: Window) -> None:
    answer = panels.warehouse().ask("places", column=place, since=window.since(), rows=TOP)
    panels.freshness(answer)
    title = f"{what} with the most alerts"
    if not answer.rows:
        st.info(f"No alert names one in the last {window.label}.")
        return
    drawn = (
        alt.Chart(panels.chart_rows(answer.rows))
        .mark_bar()
        .encode(
            x=alt.X("alert_count:Q", title="alerts"),
            y=alt.Y("place:N", sort="-x", title=None),
        )
        .properties(height=alt.Step(20))
    )
    countries: Mapping[str, Any] = {"Country": _countries} if place != "country" else {}
    columns: Mapping[str, Any] = {
        what: lambda row: _link(row["place"], "merchant") if place != "country" else row["place"],
        **countries,
        "Alerts": lambda row: row["alert_count"],
        "Cards": lambda row: row["card_count"],
    }
    panels.chart(drawn, title, columns, answer.rows)


def _countries(row: Row) -> str | None:
    """Give where a merchant's alerts stand: alerts of other rules than stolen cards say nothing."""
    others = row["country_count"] - 1
    return f"{row['country']} and {others} more" if others > 0 else row["country"]
