"""The whole system as a person runs it: emulator, deployed functions, real Flink job, warehouse.

Each run has a folder and ports of its own, so that it does not meet one a person has going.
"""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import pytest

from cardwatch.contract.alert import alert_id
from cardwatch.local.processes.ports import free_port, free_ports
from cardwatch.local.run.status import status_path
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.local.witness.receipts import AlertSeen, PageReceived, PaymentSeen, read_receipts

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CARDWATCH = Path(sys.executable).with_name("cardwatch")
START_SECONDS = 240
FINISH_SECONDS = 240
OUTPUT = "output.txt"
WITHOUT_RISK_DESK = {"CARDWATCH_RISK_DESK": "off"}
"""For runs that are about something else: what it does in a run is tried once, with all faults, and
what its death does is tried in tests/adapters/test_risk_desk.py."""
WIDE = {"TERM": "xterm-256color", "COLUMNS": "200"}
"""A terminal in which no page's subject is folded."""


@dataclass(frozen=True)
class FinishedRun:
    """What a measured run left behind."""

    status: int
    output: str
    figures: dict[str, Any]
    var: Path

    def views(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        """Read views of the run's warehouse, which outlives the run."""
        server = WarehouseServer(self.var / "postgres")
        server.start()
        warehouse = Warehouse(server)
        try:
            return {name: warehouse.rows(name) for name in names}
        finally:
            warehouse.close()
            server.stop()


def of_its_own(var: Path) -> dict[str, str]:
    """Give the environment of a stack in a folder and on ports of its own."""
    return {
        **os.environ,
        "CARDWATCH_VAR": str(var),
        "CARDWATCH_AWS_PORT": str(free_port()),
        "CARDWATCH_FLINK_PORT": str(free_port()),
        "CARDWATCH_RISK_DESK_PORT": str(free_port()),
        "CARDWATCH_METRICS_PORT": str(free_ports(4).start),
        "CARDWATCH_DASHBOARD_PORT": "0",
    }


def without_the_network() -> dict[str, str]:
    """Give settings with which only this machine answers: nothing listens on the proxy's port."""
    nobody = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), nobody)
    here = {"no_proxy": "127.0.0.1,localhost"}
    settings = proxies | here
    return settings | {name.upper(): value for name, value in settings.items()}


@contextmanager
def a_file(path: Path) -> Iterator[int]:
    """Give a file to write to."""
    with path.open("w") as out:
        yield out.fileno()


@contextmanager
def a_terminal(path: Path) -> Iterator[int]:
    """Give a terminal to write to; what it is told goes into a file as it comes."""
    ours, theirs = pty.openpty()

    def keep() -> None:
        with path.open("wb") as out, suppress(OSError):  # the terminal's end is an error on Linux
            while told := os.read(ours, 65_536):
                out.write(told)
                out.flush()

    reader = threading.Thread(target=keep)
    reader.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        reader.join(30)
        os.close(ours)


def measured_run(
    var: Path,
    command: Sequence[str | Path],
    *,
    shown_in: Callable[[Path], AbstractContextManager[int]] = a_file,
    environment: Mapping[str, str] = MappingProxyType({}),
    disturb: Callable[[Path, subprocess.Popen[str]], None] | None = None,
) -> FinishedRun:
    """Run a command that runs the stack to its end, with a disturbance while payments flow."""
    output = var / OUTPUT
    var.mkdir(parents=True, exist_ok=True)
    with shown_in(output) as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**of_its_own(var), **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            text=True,
        )
        try:
            if disturb is not None:
                wait_until(
                    lambda: state(var) == "running" or process.poll() is not None, START_SECONDS
                )
                disturb(var, process)
            process.wait(START_SECONDS + FINISH_SECONDS)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    text = output.read_text()
    run_file = var / "run.json"
    assert run_file.exists(), text
    return FinishedRun(process.returncode, text, json.loads(run_file.read_text()), var)


def ended_command(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of cardwatch to its end."""
    return subprocess.run(
        [CARDWATCH, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def state(var: Path) -> str | None:
    try:
        found: str | None = json.loads(status_path(var).read_text()).get("state")
    except (OSError, ValueError):
        return None
    return found


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def processes(var: Path, *words: str) -> Iterator[psutil.Process]:
    """Give the run's processes whose command line has all the words."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or ())
        marked = str(var) in line or str(var) in str(process.info["environ"] or "")
        if marked and all(word in line for word in words):
            yield process


def assert_every_promise_was_kept(run: FinishedRun) -> None:
    alerts = list(read_receipts(run.var / "receipts", AlertSeen))
    pages = list(read_receipts(run.var / "receipts", PageReceived))
    payments = {p.payment_id: p for p in read_receipts(run.var / "receipts", PaymentSeen)}

    ids_per_payment: dict[str, set[str]] = defaultdict(set)
    for alert in alerts:
        ids_per_payment[alert.payment_id].add(alert.alert_id)
        assert alert.alert_id == alert_id(alert.payment_id, alert.card_token)
        assert alert.payment_id in payments
    assert all(len(ids) == 1 for ids in ids_per_payment.values())

    alert_ids = {alert.alert_id for alert in alerts}
    unmarked = Counter(i for page in pages if not page.repeat for i in page.alert_ids)
    accounted = {i for page in pages for i in page.alert_ids}
    assert alert_ids <= accounted
    assert [i for i, times in unmarked.items() if times > 1] == []

    rows = run.views("typed.payment_alert", "marts.payments_without_alert")
    staged = Counter(row["alert_id"] for row in rows["typed.payment_alert"])
    assert set(staged) == alert_ids
    assert set(staged.values()) == {1}
    # What stood before its card's report is the audit's to find.
    missing = [r for r in rows["marts.payments_without_alert"] if r["owed_by"] == "stream"]
    assert missing == []

    assert run.status == 0, run.output
    assert run.figures["stolen_payments"] > 0
    assert run.figures["alerts"] == len(alert_ids)
    assert run.figures["alerts_paged"] == len(alert_ids)
    assert run.figures["pages_doubled"] == 0


def assert_nothing_is_left_running(var: Path) -> None:
    assert [p.info["cmdline"] for p in processes(var)] == []


def test_with_every_fault_on_each_stolen_payment_is_alerted_paged_and_staged_once(
    tmp_path: Path,
) -> None:
    run = measured_run(tmp_path / "var", [CARDWATCH, "run", "--seconds", "30", "--faults", "all"])

    assert_every_promise_was_kept(run)
    assert run.figures["quarantined"] > 0
    assert_nothing_is_left_running(run.var)


# What `kill -9` hits, one after the other, by words of its command line.
VICTIMS = {
    "flink-taskmanager": ("TaskManagerRunner",),
    "delivery": ("cardwatch.local.firehose",),
    "notifier": ("NotifierFunction", "_worker.py"),
    "event-source": ("cardwatch.local.eventsource",),
    "postgres": ("bin/postgres", "-D"),
}


def test_without_the_network_and_with_programs_killed_a_terminal_shows_each_page_as_it_comes(
    tmp_path: Path,
) -> None:
    killed: set[str] = set()

    def kill(var: Path, process: subprocess.Popen[str]) -> None:
        wait_until(lambda: "stolen card" in (var / OUTPUT).read_text().lower(), 60)
        for name, words in VICTIMS.items():
            time.sleep(7)
            for victim in processes(var, *words):
                victim.kill()
                killed.add(name)
        assert process.poll() is None

    run = measured_run(
        tmp_path / "var",
        ["make", f"PYTHON={sys.executable}", "run", "SECONDS=45"],
        shown_in=a_terminal,
        environment=without_the_network() | WIDE | WITHOUT_RISK_DESK,
        disturb=kill,
    )

    assert killed == set(VICTIMS)
    restarts = json.loads(status_path(run.var).read_text())["restarts"]
    assert {name for name in VICTIMS if restarts.get(name)} == set(VICTIMS) - {"notifier"}
    assert_every_promise_was_kept(run)
    subjects = [page.subject for page in read_receipts(run.var / "receipts", PageReceived)]
    assert [subject for subject in subjects if subject not in run.output] == []
    assert_nothing_is_left_running(run.var)


def test_a_stack_in_the_background_pages_until_it_is_stopped(tmp_path: Path) -> None:
    var = tmp_path / "var"
    environment = of_its_own(var) | WITHOUT_RISK_DESK

    cardwatch = partial(ended_command, environment)
    try:
        started = cardwatch("up", "--detach")
        assert started.returncode == 0, started.stderr
        wait_until(lambda: "stolen card" in cardwatch("pages").stdout.lower(), 60)
        shown = cardwatch("status", "--json")
        assert json.loads(shown.stdout)["state"] == "running"
        log = var / "log" / "up.out"
        written_to = log.stat().st_ino
        second = cardwatch("up", "--detach")
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        assert log.stat().st_ino == written_to
        assert cardwatch("status").returncode == 0
    finally:
        stopped = cardwatch("down")
    assert stopped.returncode == 0, stopped.stderr
    assert state(var) == "stopped"
    assert_nothing_is_left_running(var)
