import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cardwatch.local.run.status import (
    LATEST_PAGES,
    CanaryPassed,
    LatestPage,
    RunCounts,
    Status,
    Tally,
    in_order,
    mark_stopped,
    read_status,
    write_status,
)
from cardwatch.local.run.steps import Step
from cardwatch.local.run.view import RunView, final_table, line, render_plain
from cardwatch.local.witness.receipts import (
    AlertSeen,
    CanarySeen,
    PageEventSeen,
    PageReceived,
    PaymentSeen,
    RejectedSeen,
    RuleAlertSeen,
    ScoreSeen,
    StatusSeen,
    SummarySeen,
)
from cardwatch.local.witness.verdict import Evidence, reach_verdict

NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
CARD = "a" * 32


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def busy_tally() -> Tally:
    tally = Tally()
    tally.take([StatusSeen(before(60), CARD, "STOLEN", before(3600), "1")])
    tally.take(PaymentSeen(before(n), f"pay_{n}", CARD, before(n), "2") for n in range(20, 0, -1))
    tally.take([PaymentSeen(before(1), "other", "b" * 32, before(1), "3")])
    tally.take([AlertSeen(before(3), "x", "pay_9", CARD, before(9), before(5), late=False)])
    large = RuleAlertSeen(before(2), "r", "large_amount", before(9))
    tally.take([large, large])
    tally.take([ScoreSeen(before(1), "v", "other", before(1), 10, late=False)])
    tally.take([SummarySeen(before(2), "s", before(10), 7, 1)])
    tally.take([PageReceived(before(2), "m", "p", "Stolen card", "text", ("x",), repeat=True)])
    tally.take([RejectedSeen(before(1), "shard", "1", "not_json")])
    return tally


def test_the_tally_counts_what_was_seen() -> None:
    counts = busy_tally().counts(NOW)
    assert (counts.payments, counts.stolen_payments) == (21, 20)
    assert (counts.alerts, counts.summaries) == (1, 1)
    assert counts.rule_alerts == {"large_amount": 1}
    assert counts.scores == 1
    assert (counts.pages, counts.pages_repeated) == (1, 1)
    assert counts.rejected == {"not_json": 1}
    assert counts.last_summary == {
        "window_end": "2026-11-21T07:00:00.000Z",
        "payment_count": 7,
        "card_count": 1,
    }


def test_a_canary_is_counted_nowhere_and_the_newest_shown_at_each_station() -> None:
    tally = Tally()
    tally.take([CanarySeen(before(1), "alert", "canary_1", before(7))])
    for sent in (before(68), before(8)):
        tally.take([CanarySeen(sent, "stream", "canary", sent)])
    assert tally.counts(NOW) == RunCounts()
    assert (tally.last_payment, tally.first_alert) == (None, None)
    staged = {"warehouse": CanaryPassed.of(before(8), NOW)}
    shown = render_plain(asdict(replace(status(), canary=in_order(staged | tally.canary()))))
    assert "stream 07:00:02 (0.0 s), alert 07:00:09 (6.0 s), warehouse 07:00:10 (8.0 s)" in shown


def test_the_rate_is_of_the_last_ten_seconds() -> None:
    tally = busy_tally()
    assert tally.counts(NOW).payments_per_second == 1.1
    assert tally.counts(NOW + timedelta(minutes=1)).payments_per_second == 0


def test_a_pages_time_is_from_its_oldest_payment() -> None:
    (page,) = busy_tally().counts(NOW).latest_pages
    assert (page.alerts, page.seconds, page.repeat) == (1, 7.0, True)


def test_the_tally_says_how_long_each_alert_and_each_page_took_once() -> None:
    alerts: list[float] = []
    pages: list[float] = []
    tally = Tally(alert_took=alerts.append, page_took=pages.append)
    x, late = (
        AlertSeen(before(3), name, f"pay_{name}", CARD, before(9), before(5), late=is_late)
        for name, is_late in (("x", False), ("late", True))
    )
    tally.take([x, x, late])
    page = PageReceived(before(2), "m1", "p1", "Stolen card", "text", ("x",), repeat=False)
    again = PageReceived(before(1), "m2", "p2", "Stolen card", "text", ("x",), repeat=True)
    follow_up = PageReceived(
        NOW, "m3", "p3", "Follow-up", "", ("x",), repeat=False, kind="FOLLOW_UP"
    )
    reminder = replace(follow_up, message_id="m4", page_id="p4", kind="REMINDER")
    tally.take([page, page, again, follow_up, reminder])
    assert (alerts, pages) == ([2.0], [7.0])
    assert (tally.counts(NOW).alerts, tally.counts(NOW).alerts_paged) == (2, 1)


@pytest.mark.parametrize(("suppressed", "lines"), [(0, 0), (3, 1)])
def test_the_verdict_says_how_many_alerts_an_act_suppressed_if_any(
    suppressed: int, lines: int
) -> None:
    ids = tuple(f"a{n}" for n in range(suppressed))
    verdict = reach_verdict(
        Evidence(
            alerts=[
                AlertSeen(NOW, name, f"pay_{name}", CARD, before(9), before(5), late=False)
                for name in ids
            ],
            page_events=[
                PageEventSeen(NOW, "p", "EXPIRED", ids, repeat=False, reason="suppressed")
            ],
        )
    )
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(final_table(verdict))
    told = [line for line in console.export_text().splitlines() if "suppressed by an act" in line]
    assert len(told) == lines
    assert all(str(suppressed) in line.split() for line in told)


def test_a_copy_of_an_alert_counts_once() -> None:
    tally = busy_tally()
    tally.take([AlertSeen(NOW, "x", "pay_9", CARD, before(9), before(5), late=False)])
    assert tally.counts(NOW).alerts == 1


def status() -> Status:
    return Status(
        state="running",
        doing="",
        updated_at=NOW.isoformat(),
        uptime_seconds=42.0,
        counts=busy_tally().counts(NOW),
        staged_rows=17,
        quarantined={"not_json": 1},
        quarantined_on_stolen_cards=1,
        watermark_lag_seconds=1.25,
        job="RUNNING",
        risk_desk="RUNNING",
        programs={"ministack": 7},
        restarts={"ministack": 0, "flink-taskmanager": 2},
        memory_mb=1700,
        dropped={"receipts": 70_000},
        addresses={"Flink": "http://127.0.0.1:8081"},
        troubles=("warehouse: gone",),
        canary={"notifier": CanaryPassed.of(before(8), before(2))},
    )


OTHER = Status(
    state="failed",
    doing="stopping everything",
    updated_at=NOW.isoformat(),
    uptime_seconds=43.0,
    counts=RunCounts(
        payments=1,
        payments_per_second=0.1,
        stolen_payments=2,
        alerts=3,
        rule_alerts={"large_amount": 2},
        scores=11,
        summaries=4,
        pages=5,
        pages_repeated=6,
        rejected={"bad_time": 7},
        last_summary={
            "window_end": "2026-11-21T08:00:00.000Z",
            "payment_count": 8,
            "card_count": 9,
        },
        latest_pages=(LatestPage(before(0).isoformat(), "Another subject", 12, 3.5, repeat=False),),
    ),
    staged_rows=18,
    quarantined={"too_old": 3},
    quarantined_on_stolen_cards=2,
    watermark_lag_seconds=2.5,
    job="RESTARTING",
    risk_desk="does not answer",
    programs={"ministack": 7, "delivery": 8},
    restarts={"delivery": 1},
    memory_mb=2300,
    dropped={"logs": 3},
    given_up={"objects": 1},
    addresses={"Flink": "http://127.0.0.1:8082"},
    troubles=("Flink: gone",),
    canary={
        "notifier": CanaryPassed.of(before(8), before(1.5)),
        "warehouse": CanaryPassed.of(before(8), before(1)),
    },
    start=(Step("AWS emulator", 1.0, 2.5),),
)
"""Differs from `status()` in everything that a run can change."""


def variants() -> Iterator[tuple[str, Status]]:
    """Give the status with one thing changed, and what that is."""
    for field in fields(Status):
        if field.name == "counts":
            for count in fields(RunCounts):
                changed = {count.name: getattr(OTHER.counts, count.name)}
                counts = replace(status().counts, **changed)
                yield count.name, replace(status(), counts=counts)
        else:
            yield field.name, replace(status(), **{field.name: getattr(OTHER, field.name)})


def shown_on(console_options: dict[str, Any], *statuses: Status) -> str:
    out = io.StringIO()
    view = RunView(Console(file=out, **console_options))
    for each in statuses:
        view.show(each)
    view.end(statuses[-1])
    return out.getvalue()


def on_a_terminal(*statuses: Status, width: int = 140) -> str:
    return shown_on({"width": width, "force_terminal": True}, *statuses)


def test_the_live_view_shows_whatever_changes() -> None:
    unseen = {name for name, other in variants() if on_a_terminal(other) == on_a_terminal(status())}
    assert unseen == {"updated_at", "summaries", "rejected", "start"}


def with_pages(*subjects: str, seconds: float | None = 4.5) -> Status:
    latest = tuple(
        LatestPage(NOW.isoformat(), subject, 1, seconds, repeat=False)
        for subject in subjects[-LATEST_PAGES:]
    )
    counts = replace(status().counts, pages=len(subjects), latest_pages=latest)
    return replace(status(), counts=counts)


LONG = "3 payments on 3 stolen cards: 19.30 AUD + 57.70 EUR + 4,501.00 INR in Mumbai and Perth"
TERMINAL = {"force_terminal": True, "width": 100}
PIPE = {"force_terminal": False, "width": 100}


@pytest.mark.parametrize("console", [TERMINAL, PIPE], ids=["terminal", "pipe"])
def test_each_page_is_shown_once_when_it_has_come(console: dict[str, Any]) -> None:
    begun, one, two = with_pages(), with_pages("First"), with_pages("First", "Second")
    out = shown_on(console, begun, one, one, two, two)
    assert (out.count("First"), out.count("Second")) == (1, 1)
    assert out.index("First") < out.index("Second")
    assert "First" in shown_on(console, begun, one)


@pytest.mark.parametrize("console", [TERMINAL, PIPE], ids=["terminal", "pipe"])
def test_of_more_pages_than_are_kept_the_rest_is_counted(console: dict[str, Any]) -> None:
    subjects = [f"Subject {n}." for n in range(LATEST_PAGES + 3)]
    out = shown_on(console, with_pages(), with_pages(*subjects))
    assert [s for s in subjects if s in out] == subjects[3:]
    assert "3 pages more" in out


@pytest.mark.parametrize("width", [40, 60, 79, 80, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut_off(width: int) -> None:
    address = "psql 'postgresql://postgres:@/postgres?host=/home/somebody/cardwatch/var/postgres'"
    long = replace(with_pages(LONG), addresses={"warehouse": address})
    lines = Text.from_ansi(on_a_terminal(long, width=width)).plain.splitlines()
    assert max(cell_len(each) for each in lines) <= width
    left = "".join("".join(lines).replace("│", "").split())
    for whole in (LONG, address, "Ctrl-C stops everything", "rows staged", "7 payments"):
        assert "".join(whole.split()) in left
    assert "…" not in left


def test_without_colours_the_terminal_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour.search(on_a_terminal(with_pages("Subject")))
    monkeypatch.setenv("NO_COLOR", "1")
    out = on_a_terminal(with_pages("Subject"))
    assert "Subject" in out
    assert not colour.search(out)


def test_the_status_command_shows_whatever_changes(tmp_path: Path) -> None:
    def told(shown: Status) -> str:
        write_status(tmp_path / "status.json", shown)
        facts = read_status(tmp_path / "status.json", running=True, now=NOW)
        assert facts is not None
        return render_plain(facts)

    unseen = {name for name, changed in variants() if told(changed) == told(status())}
    assert unseen == {"updated_at", "summaries", "rejected", "latest_pages", "memory_mb"}


def test_without_a_terminal_there_are_plain_lines_and_no_flood() -> None:
    out = io.StringIO()
    view = RunView(Console(file=out, force_terminal=False, width=200))
    for _ in range(10):
        view.show(status())
    view.end(status())
    page, only = out.getvalue().splitlines()
    assert only == line(status())
    assert "alerts 1" in only
    assert "Stolen card" in page
    assert "\x1b" not in out.getvalue()


def test_the_final_table_holds_when_nothing_happened() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(final_table(reach_verdict(Evidence())))
    assert "no alert" in out.getvalue()


def test_a_status_nobody_writes_any_more_says_that_the_run_hangs(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status(path, status())
    later = NOW + timedelta(minutes=1)
    facts = read_status(path, running=True, now=later)
    assert facts is not None
    assert facts["state"] == "hangs"


def test_a_status_file_that_cannot_be_read_is_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert read_status(path, running=False) is None
    path.write_text("{")
    facts = read_status(path, running=False)
    assert facts is not None
    assert facts["state"] == "unknown"


def test_a_dead_run_is_marked_stopped_once_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    mark_stopped(path)
    assert not path.exists()
    write_status(path, status())
    mark_stopped(path)
    assert json.loads(path.read_text())["state"] == "stopped"


def test_a_message_that_is_delivered_twice_counts_once() -> None:
    tally = busy_tally()
    tally.take([PageReceived(NOW, "m", "p", "Stolen card", "text", ("x",), repeat=True)])
    counts = tally.counts(NOW)
    assert (counts.pages, counts.pages_repeated, len(counts.latest_pages)) == (1, 1, 1)
    tally.take([PageReceived(NOW, "n", "p", "Stolen card", "text", ("x",), repeat=True)])
    assert tally.counts(NOW).pages == 2
