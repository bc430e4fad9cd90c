"""What every page is made of: panels that refresh themselves, tables, charts.

What comes from events is text of strangers, so it never goes where Streamlit reads Markdown, which
could load a picture from anywhere: tables are HTML with every value escaped, and charts take data.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, Final, Literal, ParamSpec
from urllib.parse import urlencode

import altair as alt
import streamlit as st

from dashboard.options import Machine, read_options
from dashboard.pipeline import PipelineAwayError, PipelineHealth, RunStatus
from dashboard.warehouse import Answer, PostgreSql, Row, Warehouse, WarehouseAwayError

P = ParamSpec("P")
Bucket = Literal["minute", "hour"]
Unit = Literal["utcyearmonthdatehoursminutes", "utcyearmonthdatehours"]

ROWS: Final = 200
"""The most rows of a table."""
NONE: Final = "-"
STYLE: Final = Path(__file__).with_name("style.css")
UNITS: Final[Mapping[Bucket, Unit]] = {
    "minute": "utcyearmonthdatehoursminutes",
    "hour": "utcyearmonthdatehours",
}
FORMATS: Final[Mapping[Bucket, str]] = {"minute": "%H:%M", "hour": "%b %d, %H:%M"}
CHART_HEIGHT: Final = 260
NUMBER: Final = ' class="number"'


@dataclass(frozen=True, slots=True)
class Window:
    """How far a page looks back, and by what its charts count."""

    label: str
    back: timedelta
    bucket: Bucket
    """For DATE_TRUNC."""

    def since(self) -> datetime:
        """Give the beginning as the warehouse has times: UTC without a zone."""
        return datetime.now(UTC).replace(tzinfo=None) - self.back


WINDOWS: Final = (
    Window("15 minutes", timedelta(minutes=15), "minute"),
    Window("1 hour", timedelta(hours=1), "minute"),
    Window("6 hours", timedelta(hours=6), "minute"),
    Window("1 day", timedelta(days=1), "hour"),
    Window("7 days", timedelta(days=7), "hour"),
)


class Lines(tuple[str, ...]):
    """A cell of several lines."""

    __slots__ = ()


class Figure(str):
    """A cell that is read by its digits, so it stands at the right."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to another page of the dashboard."""

    text: str
    page: str
    id: str

    def html(self) -> str:
        """Give it as HTML."""
        address = f"{self.page}?{urlencode({'id': self.id})}"
        return f'<a href="{escape(address)}" target="_self">{escape(self.text)}</a>'


def warehouse() -> Warehouse:
    """Give the warehouse that this dashboard was started for."""
    source = read_options().source
    if isinstance(source, Machine):
        return Warehouse(PostgreSql(source.postgres))
    # Its packages are in the image for AWS alone.
    from dashboard import aws  # noqa: PLC0415

    return Warehouse(aws.redshift(source))


def pipeline() -> PipelineHealth:
    """Give what knows how the pipeline is."""
    source = read_options().source
    if isinstance(source, Machine):
        return RunStatus(source.status)
    # Its packages are in the image for AWS alone.
    from dashboard import aws  # noqa: PLC0415

    return aws.cloudwatch(source)


def choose_window(default: int = 1) -> Window:
    """Let a person choose how far the page looks back; `default` is a place in WINDOWS."""
    return st.selectbox(
        "Look back", WINDOWS, index=default, format_func=lambda window: window.label, width=200
    )


def panel(title: str, *, every: float = 0.0) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function that draws into a panel: under its title, drawn again every few seconds.

    How often is the dashboard's option; `every` is for panels that need more seconds than that.
    Where the warehouse or the pipeline is away, the panel says so instead.
    """

    def decorate(draw: Callable[P, None]) -> Callable[P, None]:
        @wraps(draw)
        def shown(*args: P.args, **kwargs: P.kwargs) -> None:
            st.header(title, anchor=False)
            try:
                draw(*args, **kwargs)
            except (WarehouseAwayError, PipelineAwayError) as error:
                st.warning(str(error))

        @wraps(draw)
        def placed(*args: P.args, **kwargs: P.kwargs) -> None:
            seconds = max(every, read_options().refresh_seconds)
            st.fragment(shown, run_every=seconds)(*args, **kwargs)

        return placed

    return decorate


def freshness(answer: Answer) -> None:
    """Say how old a panel is."""
    if answer.as_of is None:
        st.caption("The warehouse has not been refreshed yet.")
    else:
        st.caption(f"As of {clock(answer.as_of)} UTC, {answer.lag_seconds} s ago.")


def table(
    caption: str,
    columns: Mapping[str, Callable[[Row], object]],
    rows: Sequence[Row],
    *,
    otherwise: str = "There is nothing.",
) -> None:
    """Draw a real table: titles with how each gets its cell out of a row.

    `otherwise` is said where there is no row.
    """
    if not rows:
        st.info(otherwise)
        return
    cells = [[read(row) for read in columns.values()] for row in rows]
    head = "".join(
        f'<th scope="col"{NUMBER * _stands_right(value)}>{escape(title)}</th>'
        for title, value in zip(columns, cells[0], strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, line))}</tr>" for line in cells)
    st.html(
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if isinstance(value, Link):
        text = value.html()
    elif isinstance(value, datetime):
        text = clock(value)
    elif isinstance(value, Lines):
        text = "<br>".join(map(escape, value)) or NONE
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = escape(NONE if value is None else str(value))
    return f"<td{NUMBER * _stands_right(value)}>{text}</td>"


def _stands_right(value: object) -> bool:
    return isinstance(value, Figure | int)


def clock(instant: datetime) -> str:
    """Give a time for people, to the second."""
    return f"{instant:%Y-%m-%d %H:%M:%S}"


def money(amount: Decimal | None, currency: str | None) -> Figure:
    """Give an amount as it is usually written; without a currency it is a plain figure."""
    if amount is None:
        return Figure(NONE)
    whole = amount == amount.to_integral_value()
    text = f"{amount:,.0f}" if whole and currency is None else f"{amount:,.2f}"
    return Figure(f"{text} {currency}" if currency else text)


def seconds(milliseconds: float | None) -> Figure:
    """Give milliseconds as seconds."""
    return Figure(NONE if milliseconds is None else f"{milliseconds / 1000:.1f} s")


def factors(text: str | None) -> Lines:
    """Give what speaks against a payment, a line each: the points, what was seen, the threshold.

    `text` is the list as the warehouse has it; what is no such list is shown as it is.
    """
    try:
        found = json.loads(text or "[]")
        return Lines(
            f"+{each['points']} {each['factor']}: {each['observed']} "
            f"(threshold: {each['threshold']})"
            for each in found
        )
    except (ValueError, TypeError, KeyError):
        return Lines((text or "",))


def chart_rows(rows: Iterable[Row]) -> alt.InlineData:
    """Give rows as a chart takes them: times as UTC texts, decimals as numbers."""
    return alt.InlineData(
        values=[{key: _plain(value) for key, value in row.items()} for row in rows]
    )


def _plain(value: object) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return float(value) if isinstance(value, Decimal) else value


def chart(
    drawn: alt.Chart | alt.LayerChart,
    description: str,
    columns: Mapping[str, Callable[[Row], object]],
    rows: Sequence[Row],
) -> None:
    """Draw a chart, said in words for those who do not see it, its figures as a table below."""
    st.altair_chart(drawn, width="stretch", alt=description)
    with st.expander(f"{description}: the figures"):
        table(description, columns, rows)


def utc(field: str, window: Window, *, counted: bool = False) -> alt.X:
    """Give a time axis in UTC over the whole window; `counted`: by its minutes or hours."""
    since = window.since()
    ends = [f"{instant.isoformat()}Z" for instant in (since, since + window.back)]
    return alt.X(
        f"{field}:T",
        scale=alt.Scale(type="utc", domain=ends),
        axis=alt.Axis(title="time, UTC", format=FORMATS[window.bucket], labelOverlap=True),
        timeUnit=UNITS[window.bucket] if counted else alt.Undefined,
    )


def cut(rows: Sequence[Row], which: str = "newest") -> None:
    """Say so when there may be more rows than are shown."""
    if len(rows) >= ROWS:
        st.caption(f"The {which} {ROWS}; there are more.")
