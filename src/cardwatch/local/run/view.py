"""The run in a terminal: pages as they come, above a live view; plain lines without a terminal."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cardwatch.local.run.status import LatestPage, RunCounts, Status
from cardwatch.local.witness.verdict import Percentiles, Verdict

PLAIN_EVERY_SECONDS: Final = 5.0
STARTING_EVERY_SECONDS: Final = 15.0
NARROW: Final = 80
"""Columns below which the figures stand in one column instead of two."""
GOOD, BAD, QUIET, PAGE = "green", "bold red", "dim", "bold yellow"
REPEAT: Final = " (may be a repeat)"


class RunView:
    """Shows a run's status again and again, and every page once, when it has come."""

    def __init__(self, console: Console) -> None:
        """Show on a console."""
        self._console = console
        self._live: Live | None = None
        self._last_line_at = float("-inf")
        self._last_doing = ""
        self._pages_shown = 0

    def show(self, status: Status) -> None:
        """Show a status: redraw in a terminal, else a line when something new is being done."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._show_new_pages(status.counts)
            self._live.update(render(status, width=self._console.width), refresh=True)
            return
        self._show_new_pages(status.counts)
        pause = STARTING_EVERY_SECONDS if status.state == "starting" else PLAIN_EVERY_SECONDS
        due = status.uptime_seconds - self._last_line_at >= pause
        if status.doing != self._last_doing or due:
            self._last_line_at, self._last_doing = status.uptime_seconds, status.doing
            self._console.print(line(status), highlight=False, soft_wrap=True, markup=False)

    def _show_new_pages(self, counts: RunCounts) -> None:
        new = counts.pages - self._pages_shown
        self._pages_shown = counts.pages
        if (unseen := new - len(counts.latest_pages)) > 0:
            self._console.print(Text(f"{unseen} pages more", style=QUIET))
        for page in counts.latest_pages[-new:] if new > 0 else ():
            if self._console.is_terminal:
                self._console.print(page_row(page))
            else:
                self._console.print(page_line(page), highlight=False, soft_wrap=True, markup=False)

    def end(self, status: Status | None = None) -> None:
        """Stop redrawing and leave the last status on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            if status is not None:
                self._console.print(render(status, width=self._console.width))


def page_row(page: LatestPage) -> Table:
    """Draw a page; a subject that is too long for the terminal goes on in its own column."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    subject = page.subject + (REPEAT if page.repeat else "")
    took = "" if page.seconds is None else f"  {page.seconds:.1f} s"
    said = Text.assemble((subject, PAGE), (took, QUIET))
    table.add_row(Text(page.received[11:19], style=QUIET), said)
    return table


def page_line(page: LatestPage) -> str:
    """Give a page as one line."""
    took = "" if page.seconds is None else f", {page.seconds:.1f} s after the payment"
    return f"{page.received[11:19]}  PAGE  {page.subject}{REPEAT if page.repeat else ''}{took}"


def line(status: Status) -> str:
    """Give a status as one line."""
    seen = status.counts
    parts = [f"{status.uptime_seconds:6.1f} s", status.state]
    if status.doing:
        parts.append(status.doing)
    if seen.payments:
        parts += [
            f"{seen.payments_per_second:g} payments/s",
            f"stolen {seen.stolen_payments}",
            f"alerts {seen.alerts}",
            f"pages {seen.pages}",
            f"staged {_or_dash(status.staged_rows)}",
            f"quarantined {sum(status.quarantined.values())}",
        ]
    return "  ".join(parts)


def render(status: Status, *, width: int = NARROW) -> RenderableType:
    """Draw a status for a terminal of that width."""
    seen = status.counts
    columns = 1 if width < NARROW else 2
    figures = Table.grid(padding=(0, 3))
    for _ in range(columns):
        figures.add_column(no_wrap=True)
        figures.add_column(overflow="fold")
    pairs = [
        ("payments", f"{seen.payments}  ({seen.payments_per_second:g}/s)"),
        ("stolen seen", str(seen.stolen_payments)),
        ("alerts", f"{seen.alerts}  ({seen.alerts_paged} paged)"),
        ("of other rules", _by_name(seen.rule_alerts) or "none"),
        ("scored", str(seen.scores)),
        (
            "pages",
            f"{seen.pages}" + (f"  ({seen.pages_repeated} repeats)" * bool(seen.pages_repeated)),
        ),
        ("rows staged", _or_dash(status.staged_rows)),
        ("quarantine", _quarantine(status.quarantined, status.quarantined_on_stolen_cards)),
        ("watermark lag", _seconds(status.watermark_lag_seconds)),
        ("last summary", _summary(seen.last_summary)),
        ("canary", _canary({name: asdict(at) for name, at in status.canary.items()})),
        ("Flink job", status.job),
        ("risk desk", status.risk_desk),
        ("restarts", _by_name({k: v for k, v in status.restarts.items() if v}) or "none"),
        ("memory", "-" if status.memory_mb is None else f"{status.memory_mb / 1000:.1f} GB"),
        ("programs", str(len(status.programs))),
    ]
    cells = [
        Text(text, style) for pair in pairs for text, style in zip(pair, (QUIET, ""), strict=True)
    ]
    for at in range(0, len(cells), 2 * columns):
        figures.add_row(*cells[at : at + 2 * columns])
    blocks: list[RenderableType] = [figures]
    if status.addresses:
        addresses = Table.grid(padding=(0, 3))
        addresses.add_column(no_wrap=True)
        addresses.add_column(overflow="fold")
        for name, address in status.addresses.items():
            addresses.add_row(Text(name, style=QUIET), Text(address))
        blocks += [Text(), addresses]
    if status.dropped:
        blocks += [Text(), Text(f"dropped: {_by_name(status.dropped)}", style=QUIET)]
    if status.given_up:
        blocks += [Text(), Text(f"given up: {_by_name(status.given_up)}", style=BAD)]
    blocks += [Text(trouble, style=BAD) for trouble in status.troubles]
    style = BAD if status.state == "failed" else GOOD
    title = f"cardwatch · {status.state} · {status.uptime_seconds:.0f} s"
    subtitle = status.doing or ("Ctrl-C stops everything" if status.state == "running" else None)
    return Panel(Group(*blocks), title=title, subtitle=subtitle, border_style=style)


def final_table(verdict: Verdict, *, quarantined_on_stolen_cards: int = 0) -> Table:
    """Draw what a run did."""
    table = Table(title="cardwatch: the run", show_header=False, title_justify="left")
    table.add_column(style=QUIET)
    table.add_column(justify="right")
    for name, value in [
        ("payments", verdict.payments),
        ("stolen payments", verdict.stolen_payments),
        ("alerts", verdict.alerts),
        ("  of these late", verdict.late_alerts),
        *((f"alerts of {rule}", count) for rule, count in verdict.rule_alerts.items()),
        ("payments scored", verdict.scores),
        *([("  scored once more", again)] if (again := verdict.scores_repeated) else []),
        ("summaries", verdict.summaries),
        ("alerts paged", verdict.alerts_paged),
        *([("  suppressed by an act", n)] if (n := verdict.alerts_suppressed) else []),
        ("pages", verdict.pages),
        ("  marked as repeats", verdict.pages_repeated),
        *([("  received once more", again)] if (again := verdict.pages_redelivered) else []),
        ("alerts paged twice unmarked", verdict.pages_doubled),
        ("rows staged", verdict.staged_rows),
        ("quarantined", _quarantine(verdict.quarantined, quarantined_on_stolen_cards)),
        ("window's end to alert, p50 / p99", _percentiles(verdict.alert_latency_ms)),
        ("payment to page, p50 / p99", _percentiles(verdict.page_latency_ms)),
        (
            "payment to follow-up, p50 / p99",
            _percentiles(verdict.follow_up_latency_ms, "no follow-up"),
        ),
        (
            "payment to score, p50 / p99",
            _percentiles(
                verdict.score_latency_ms,
                "all while the risk desk started" if verdict.scores else "no score",
            ),
        ),
    ]:
        table.add_row(name, str(value))
    return table


def _summary(summary: Mapping[str, str | int] | None) -> str:
    if summary is None:
        return "none yet"
    at = str(summary["window_end"])[11:19]
    return f"{at}: {summary['payment_count']} payments, {summary['card_count']} cards in 60 min"


def _canary(stations: Mapping[str, Mapping[str, Any]]) -> str:
    """Say when the newest canary came to each station, and how long after its payment."""
    passed = [
        f"{name} {at['arrived'][11:19]} ({at['seconds']:.1f} s)" for name, at in stations.items()
    ]
    return ", ".join(passed) or "none yet"


def _step(step: Mapping[str, Any]) -> str:
    return f"{step['name']} {step['began_s']:.1f}-{step['ended_s']:.1f} s"


def _by_name(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _quarantine(reasons: Mapping[str, int], on_stolen_cards: int) -> str:
    text = _by_name(reasons) or "nothing"
    return f"{text} ({on_stolen_cards} on stolen cards)" if on_stolen_cards else text


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _percentiles(value: Percentiles, otherwise: str = "no alert") -> str:
    if value.p50 is None or value.p99 is None:
        return otherwise
    return f"{value.p50 / 1000:.2f} s / {value.p99 / 1000:.2f} s"


def render_plain(facts: Mapping[str, Any]) -> str:
    """Draw what the status file says, for any terminal or pipe."""
    counts = facts.get("counts", {})
    rows: list[tuple[str, object]] = [
        ("state", " ".join(filter(None, (facts["state"], facts.get("doing"))))),
        ("since", f"{facts.get('uptime_seconds', 0):.0f} s"),
        ("payments", f"{counts.get('payments', 0)} ({counts.get('payments_per_second', 0):g}/s)"),
        ("stolen seen", counts.get("stolen_payments", 0)),
        ("alerts", f"{counts.get('alerts', 0)} ({counts.get('alerts_paged', 0)} paged)"),
        ("of other rules", _by_name(counts.get("rule_alerts") or {}) or "none"),
        ("scored", counts.get("scores", 0)),
        (
            "pages",
            f"{counts.get('pages', 0)} ({counts.get('pages_repeated', 0)} marked as repeats)",
        ),
        ("last summary", _summary(counts.get("last_summary"))),
        ("canary", _canary(facts.get("canary") or {})),
        ("rows staged", _or_dash(facts.get("staged_rows"))),
        (
            "quarantine",
            _quarantine(
                facts.get("quarantined") or {}, facts.get("quarantined_on_stolen_cards", 0)
            ),
        ),
        ("watermark lag", _seconds(facts.get("watermark_lag_seconds"))),
        ("Flink job", facts.get("job", "-")),
        ("risk desk", facts.get("risk_desk", "-")),
        ("programs", _by_name(facts.get("programs") or {}) or "none"),
        ("restarts", _by_name({k: v for k, v in facts.get("restarts", {}).items() if v}) or "none"),
        ("start", ", ".join(_step(step) for step in facts.get("start", ())) or "-"),
        ("given up", _by_name(facts.get("given_up") or {}) or "nothing"),
        ("dropped", _by_name(facts.get("dropped") or {}) or "nothing"),
        *facts.get("addresses", {}).items(),
        *(("TROUBLE", text) for text in facts.get("troubles", ())),
    ]
    return "\n".join(f"{name:<14} {value}" for name, value in rows)
