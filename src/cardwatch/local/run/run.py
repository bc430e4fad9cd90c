"""A run from beginning to end: shown while it lasts, judged when it was given a time.

A measured run has so many seconds of payments after everything is up. Then payments stop and
heartbeats go on until the last windows have closed, what is owed has been paged, and everything
that was on the stream by then is staged. What it did is in `var/run.json`.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from rich.console import Console

from cardwatch.contract.fields import format_time
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import check_port
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.stopping import StopRequested, stop_held, stop_on_signals
from cardwatch.local.run.stack import LocalStack, StackOptions
from cardwatch.local.run.status import status_path, write_status
from cardwatch.local.run.view import RunView, final_table
from cardwatch.local.services.flink import metrics_ports
from cardwatch.local.witness.receipts import RECEIPTS_FILE_BYTES
from cardwatch.local.witness.verdict import Evidence, Verdict, reach_verdict, unfinished
from cardwatch.settings import LocalSettings

T = TypeVar("T")

TICK_SECONDS: Final = 0.5
FINISH_SECONDS: Final = 180.0
"""How long a measured run waits, once payments have stopped, while it owes as much as before: a
notifier that was killed has a lease of a minute, and whoever takes over may be killed too."""
RISK_DESK_SECONDS: Final = 300.0
"""How long a risk desk that is still starting is waited for: on a busy machine planning its job
takes minutes, and every payment is owed a score."""
SETTLE_SECONDS: Final = 3.0
"""How long payments may still trickle in after they were switched off."""
SHOW_SECONDS: Final = 0.5
ARCHIVE_SECONDS: Final = 60.0
"""How long a measured run waits at its end for what only the first one makes."""


class Disturbance(Protocol):
    """Who tries faults on a run."""

    def begin(self, stack: LocalStack) -> None:
        """Begin, for payments flow now."""
        ...

    def end(self) -> None:
        """Try nothing more and undo what is still on, if anything is."""
        ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is asked of a run."""

    seconds: float | None = None
    """Seconds of payments after everything is up; None: until it is stopped."""
    stack: StackOptions = field(default_factory=StackOptions)
    enough: Callable[[LocalStack], bool] | None = None
    """Asked again and again while payments flow; once it says so, they end."""
    disturbance: Disturbance | None = None
    """Tries faults from the first payment until the last."""

    @property
    def measured(self) -> bool:
        """Say whether payments end by themselves, and the run is judged."""
        return self.seconds is not None or self.enough is not None


def audits_itself(options: RunOptions, settings: LocalSettings) -> bool:
    """Say whether missing alerts are put on the stream meanwhile.

    A measured run does not: it is judged by what the stream promises.
    """
    return not options.measured and settings.audit == "on"


class Reporter(threading.Thread):
    """Shows the stack's status and writes the status file, twice a second."""

    def __init__(self, stack: LocalStack, view: RunView) -> None:
        """Report on a stack."""
        super().__init__(name="reporter", daemon=True)
        self._stack = stack
        self._view = view
        self._ended = threading.Event()

    def run(self) -> None:
        """Report until stopped."""
        while not self._ended.wait(SHOW_SECONDS):
            self._report()

    def _report(self) -> None:
        status = self._stack.status()
        with suppress(OSError):  # a full disk must not end the run that shows it
            write_status(status_path(self._stack.settings.var), status)
        self._view.show(status)

    def stop(self) -> None:
        """Report a last time, and leave it on the screen."""
        self._ended.set()
        self.join()
        self._report()
        self._view.end(self._stack.status())


def run(settings: LocalSettings, root: Path, options: RunOptions, console: Console) -> int:
    """Run the whole system; gives the exit status.

    0: it was stopped, or the measured run kept every promise. 1: a promise was broken. Raises
    LocalStackError when it could not start or go on; everything is stopped by then.
    """
    folder = RunFolder(settings.var)
    folder.acquire()
    try:
        check_port(settings.aws_port, "the AWS emulator", "CARDWATCH_AWS_PORT")
        check_port(settings.flink_port, "Flink's web UI", "CARDWATCH_FLINK_PORT")
        if settings.risk_desk == "on":
            check_port(settings.risk_desk_port, "the risk desk's Flink", "CARDWATCH_RISK_DESK_PORT")
        for port in (settings.metrics_port, *metrics_ports(settings)):
            if port:
                check_port(port, "metrics", "CARDWATCH_METRICS_PORT")
        if settings.dashboard_port:
            check_port(settings.dashboard_port, "the dashboard", "CARDWATCH_DASHBOARD_PORT")
        with stop_on_signals():
            stack = LocalStack(
                settings,
                root,
                replace(options.stack, audit=audits_itself(options, settings)),
                receipts_file_bytes=None if options.measured else RECEIPTS_FILE_BYTES,
            )
            return _run(stack, options, console)
    finally:
        folder.release()


def _run(stack: LocalStack, options: RunOptions, console: Console) -> int:
    reporter = Reporter(stack, RunView(console))
    verdict: Verdict | None = None
    stack.state = "starting"
    try:
        stack.gauges.start()
        reporter.start()
        stack.start()
        if options.disturbance is not None:
            options.disturbance.begin(stack)
        until = None if options.seconds is None else time.monotonic() + options.seconds
        _watch(stack, until=until, enough=options.enough)
        if options.disturbance is not None:
            options.disturbance.end()
        verdict = _finish(stack)
        stack.doing = "keeping Flink's classes for the next start"
        stack.cluster.classes.finish_archive(wait_seconds=ARCHIVE_SECONDS)
    except StopRequested:
        pass
    except BaseException:
        stack.state = "failed"
        raise
    finally:
        failed = stack.state == "failed"
        stack.state = stack.state if failed else "stopping"
        stack.doing = "stopping everything"
        # Asked to stop while it stops, it does.
        with suppress(StopRequested), stop_held():
            if options.disturbance is not None:
                options.disturbance.end()
            stack.stop()
            stack.state, stack.doing = ("failed" if failed else "stopped"), ""
            reporter.stop()
    if verdict is None:
        console.print("cardwatch: stopped; nothing is left running", highlight=False)
        return 0
    return _conclude(stack, verdict, console)


def _watch(
    stack: LocalStack,
    *,
    until: float | None,
    enough: Callable[[LocalStack], bool] | None = None,
) -> None:
    while until is None or time.monotonic() < until:
        stack.check()
        stack.tend()
        if enough is not None and enough(stack):
            return
        time.sleep(TICK_SECONDS)


def _finish(stack: LocalStack) -> Verdict:
    """Stop payments, wait for what is owed, stage everything, and judge."""
    stack.state, stack.doing = "finishing", _finishing(stack)
    stack.controls.set_payments(on=False)
    _watch(stack, until=time.monotonic() + SETTLE_SECONDS)
    latest = time.monotonic() + RISK_DESK_SECONDS
    deadline = time.monotonic() + FINISH_SECONDS
    owed: list[str] = []
    while time.monotonic() < deadline:
        began = time.monotonic()
        if stack.risk_desk is not None and stack.gauges.risk_desk_watermark is None:
            deadline = max(deadline, min(latest, began + FINISH_SECONDS))
        before, owed = owed, unfinished(_evidence(stack))
        if owed != before:
            # Whoever is behind and catches up is waited for: on a busy machine the risk desk.
            deadline = max(deadline, began + FINISH_SECONDS)
        stack.doing = _finishing(stack, owed)
        if not owed and _windows_closed(stack) and _risk_desk_done(stack):
            break
        if owed:
            # What waits for the schedule need not wait for its next minute, and once payments are
            # all judged, nothing more joins a follow-up.
            with suppress(LocalStackError):
                stack.controls.call_notifier(close_groups=_windows_closed(stack))
        # A long run has many receipts; judging it must not take the machine from the job.
        _watch(stack, until=time.monotonic() + max(1.0, 3 * (time.monotonic() - began)))
    stack.doing = "staging everything"
    until = datetime.now(UTC)
    # Delivery reads on its own; what the flush does not bring in time is named by the verdict.
    with suppress(LocalStackError):
        stack.flush_delivery()
    evidence = _evidence(stack)
    unread = [] if _risk_desk_done(stack) else ["the risk desk has not read all payments yet"]
    return reach_verdict(
        replace(
            evidence,
            events=[event for event in evidence.events if event.arrived <= until],
            staged_ids=read_to_judge("what is staged", stack.staged_ids, None, unread),
            staged_rows=read_to_judge("the rows staged", stack.gauges.read_staged_rows, 0, unread),
            quarantined=read_to_judge("quarantine", stack.gauges.read_quarantine, {}, unread),
            given_up=read_to_judge("what was given up", stack.gauges.read_given_up, {}, unread),
            unread=unread,
        )
    )


def read_to_judge(what: str, read: Callable[[], T], otherwise: T, unread: list[str]) -> T:
    """Read what a verdict is reached by; what cannot be read is named in it and ends nothing."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  without a verdict a run says nothing at all
        unread.append(f"{what} could not be read ({' '.join(str(error).split())})")
        return otherwise


def _evidence(stack: LocalStack) -> Evidence:
    seen = Evidence.read(stack.receipts_folder)
    return replace(seen, risk_desk=stack.risk_desk is not None)


def _finishing(stack: LocalStack, owed: Sequence[str] = ()) -> str:
    risk_desk = "" if _risk_desk_done(stack) or not _windows_closed(stack) else " of the risk desk"
    still = ", ".join(what.partition(":")[0] for what in owed)
    return f"payments stopped; waiting for windows and pages{risk_desk}{still and f': {still}'}"


def _windows_closed(stack: LocalStack) -> bool:
    """Say whether event time in the job has passed the end of the last payment's window."""
    return _has_passed(stack, stack.gauges.watermark)


def _risk_desk_done(stack: LocalStack) -> bool:
    """Say the same of the risk desk, which may have started behind the first payments."""
    return stack.risk_desk is None or _has_passed(stack, stack.gauges.risk_desk_watermark)


def _has_passed(stack: LocalStack, watermark: datetime | None) -> bool:
    last = stack.tally.last_payment
    if last is None or watermark is None:
        return last is None
    return (watermark - last).total_seconds() > 5  # noqa: PLR2004  the window's size


def _conclude(stack: LocalStack, verdict: Verdict, console: Console) -> int:
    on_stolen_cards = stack.gauges.quarantined_on_stolen_cards
    figures = asdict(verdict)
    failures = figures.pop("failures")
    first_page = stack.tally.first_page
    figures |= {
        "quarantined": sum(verdict.quarantined.values()),
        "quarantined_by_reason": dict(verdict.quarantined),
        "quarantined_on_stolen_cards": on_stolen_cards,
        "time_to_first_page_s": None
        if first_page is None
        else round((first_page - stack.started_at).total_seconds(), 1),
        "start": [asdict(step) for step in stack.start_steps()],
        "memory_peak_mb": stack.gauges.peak_memory_mb,
        "restarts": stack.restarts(),
        "started_at": format_time(stack.started_at),
        "failures": list(failures),
    }
    path = stack.settings.var / "run.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(final_table(verdict, quarantined_on_stolen_cards=on_stolen_cards))
    if (first := figures["time_to_first_page_s"]) is not None:
        console.print(f"the first page came {first} s after the command", highlight=False)
    console.print(f"{path} and the receipts in {stack.receipts_folder}", highlight=False)
    for failure in failures:
        console.print(f"FAILED: {failure}", style="bold red", highlight=False, markup=False)
    if not failures:
        console.print("every promise was kept", style="green", highlight=False)
    return 1 if failures else 0
