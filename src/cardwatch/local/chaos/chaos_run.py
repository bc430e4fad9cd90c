"""A run with faults, from the schedule to the table.

The fault proxy takes the stack's AWS port, and the emulator one of its own behind it; only those
who look on or steer the run go past the proxy. When it is over, the run's verdict, the audit of
its warehouse and the table must agree: nothing lost, nothing doubled without saying so.
"""

import json
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cardwatch import files
from cardwatch.audit.completeness import SETTLE, AuditReport, Finding
from cardwatch.audit.completeness import audit as look
from cardwatch.audit.ports import Staged
from cardwatch.audit.typed_events import TypedEvents
from cardwatch.local.chaos.api_faults import FAULTS, SPARSE
from cardwatch.local.chaos.fault_proxy import read_hits
from cardwatch.local.chaos.injectors import DELIVERY, EMULATOR, Injectors
from cardwatch.local.chaos.machine import NOTIFIER, Clocks, SmallDisk, UntriedError
from cardwatch.local.chaos.results import Results, failures, markdown, renewed, tabulate
from cardwatch.local.chaos.schedule import ACTS, Injection, calms, plan
from cardwatch.local.chaos.trial import Injected, Trial, read_record
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.redshift_dialect import to_postgres
from cardwatch.local.run.run import RunOptions
from cardwatch.local.run.run import run as run_stack
from cardwatch.local.run.stack import LocalStack, StackOptions, Surroundings
from cardwatch.local.services.flink import TASK_MANAGER
from cardwatch.local.services.ministack import is_ready
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.local.witness.receipts import PageReceived, read_receipts
from cardwatch.local.witness.verdict import Evidence
from cardwatch.settings import LocalSettings

PROXY: Final = "fault-proxy"
BEGIN: Final = "<!-- measured -->"
END: Final = "<!-- end of measured -->"


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """What is asked of a run with faults."""

    seconds: float
    seed: int
    rate: float
    document: Path | None = None
    """Where the table goes, between the marks."""


class Chaos:
    """Tries the schedule on the stack of a run."""

    def __init__(
        self,
        settings: LocalSettings,
        options: ChaosOptions,
        console: Console,
        *,
        disk: Callable[[Path], SmallDisk] = SmallDisk,
        clocks: Callable[[Path], Clocks] = Clocks,
    ) -> None:
        """Prepare the folder, the small disk and the clocks; what cannot be had is not tried."""
        self.folder = (settings.var / "chaos").resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.untried: dict[str, str] = {}
        """Kinds that cannot be tried here, and why."""
        self._console = console
        self._trial: Trial | None = None
        self._disk: SmallDisk | None = None
        self._clocks: Clocks | None = None
        try:
            self._disk = disk(self.folder / "disk")
        except UntriedError as error:
            self._leave_out("disk", error)
        try:
            self._clocks = clocks(self.folder / "clocks")
        except UntriedError as error:
            self._leave_out("clock", error)
        acts = {kind: act for kind, act in ACTS.items() if kind not in self.untried}
        self.injections: tuple[Injection, ...] = plan(
            options.seed, options.seconds, api=tuple(FAULTS), acts=acts, sparse=SPARSE
        )

    def _leave_out(self, word: str, error: UntriedError) -> None:
        self.untried |= {kind: str(error) for kind in ACTS if word in kind}

    def surroundings(self, settings: LocalSettings) -> Surroundings:
        """Give what the stack is put into."""
        emulator_port = free_port()
        proxy = Program(
            PROXY,
            [
                sys.executable,
                *("-m", "cardwatch.local.chaos.fault_proxy"),
                *(str(settings.aws_port), str(emulator_port), str(self.folder)),
            ],
            ready=lambda: is_ready(settings.aws_port),
        )
        clocks = self._clocks
        environment: dict[str, Mapping[str, str]] = {}
        if clocks is not None:
            environment = {
                EMULATOR: clocks.environment(EMULATOR, only=NOTIFIER),
                TASK_MANAGER: clocks.environment(TASK_MANAGER),
                DELIVERY: clocks.environment(DELIVERY),
            }
        return Surroundings(
            emulator_port,
            (proxy,),
            environment,
            checkpoints=self._disk.folder if self._disk else None,
        )

    def begin(self, stack: LocalStack) -> None:
        """Begin with the schedule."""
        deeds = Injectors(stack, self._disk, self._clocks).deeds
        self._trial = Trial(deeds, self.injections, self.folder, self._say)
        self._trial.start()

    def end(self) -> None:
        """Try nothing more, and undo what is still on."""
        if self._trial is not None:
            self._trial.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def audited(settings: LocalSettings) -> AuditReport:
    """Audit all that the run has loaded."""
    server = WarehouseServer(settings.var / "postgres")
    server.start()
    try:
        with closing(Warehouse(server)) as warehouse:
            staged = TypedEvents(warehouse, translate=to_postgres).read(None)
    finally:
        server.stop()
    return audit_of_all(staged, kept=timedelta(days=settings.warehouse_days))


def audit_of_all(staged: Staged, *, kept: timedelta) -> AuditReport:
    """Audit a run that is over, so that nothing may still follow."""
    if staged.as_of is not None:
        staged = replace(staged, as_of=staged.as_of + SETTLE + timedelta(seconds=1))
    return look(staged, kept=kept)


def run_chaos(
    settings: LocalSettings,
    root: Path,
    options: ChaosOptions,
    console: Console,
    *,
    prepare: Callable[[LocalSettings, ChaosOptions, Console], Chaos] = Chaos,
    run: Callable[[LocalSettings, Path, RunOptions, Console], int] = run_stack,
    audit: Callable[[LocalSettings], AuditReport] = audited,
) -> int:
    """Run the stack with faults and judge it; gives the exit status.

    0: nothing was lost, and what was doubled says so. 1: otherwise. Raises LocalStackError when
    another run is going on, or the stack could not start or go on, and ValueError where the
    document has no place for the table.
    """
    RunFolder(settings.var).check_free()  # its record is in the same folder
    if options.document is not None:
        renewed(options.document.read_text(), "", BEGIN, END)  # said now, not after the run
    # One is about faults; what its own death does to the risk desk is tried apart.
    settings = settings.model_copy(update={"risk_desk": "off", "dashboard_port": 0})
    chaos = prepare(settings, options, console)
    console.print(
        f"{len(chaos.injections)} faults in {options.seconds / 60:g} minutes, seed {options.seed}",
        highlight=False,
    )
    for why in dict.fromkeys(chaos.untried.values()):
        kinds = ", ".join(kind for kind, said in chaos.untried.items() if said == why)
        console.print(f"not tried: {kinds}: {why}", highlight=False, markup=False)
    (settings.var / "run.json").unlink(missing_ok=True)
    stack = StackOptions(rate=options.rate, surroundings=chaos.surroundings(settings))
    code = run(settings, root, RunOptions(options.seconds, stack, disturbance=chaos), console)
    try:
        figures = json.loads((settings.var / "run.json").read_text())
    except FileNotFoundError:
        return code  # it was stopped: there is nothing to judge
    record = read_record(chaos.folder)
    results = _results(settings, chaos, record)
    report = audit(settings)
    received = {
        alert
        for page in read_receipts(settings.var / "receipts", PageReceived)
        for alert in page.alert_ids
    }
    defects = sum(
        finding.is_defect and not record_refused(finding, received) for finding in report.findings
    )
    broken = [
        *failures(results),
        *([f"the audit found {defects} defects"] if defects else []),
        *_unfinished(record, chaos.injections),
    ]
    facts = _facts(options, chaos, results, report, figures) | {
        "failures": broken,
        "audit_defects": defects,
        "audit_records_refused": report.defects - defects,
    }
    path = settings.var / "chaos.json"
    files.replace(path, json.dumps(facts, indent=1) + "\n")
    text = written(facts, results)
    console.print(f"\n{text}\n", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{path}, and the record in {chaos.folder}", highlight=False)
    if options.document is not None:
        document = options.document.read_text()
        files.replace(options.document, renewed(document, text, BEGIN, END))
    for failure in broken:
        console.print(f"FAILED: {failure}", style="bold red", highlight=False, markup=False)
    return 1 if broken else code


def _unfinished(record: Sequence[Injected], injections: Sequence[Injection]) -> list[str]:
    if len(record) == len(injections):
        return []
    return [f"the trial ended after {len(record)} of {len(injections)} faults"]


def _results(settings: LocalSettings, chaos: Chaos, record: Sequence[Injected]) -> Results:
    calm: list[datetime] = []
    if record:
        began = record[0].at - timedelta(seconds=chaos.injections[0].at)
        calm = [began + timedelta(seconds=at) for at in calms(chaos.injections[-1].at)]
    evidence = Evidence.read(settings.var / "receipts")
    return tabulate(record, read_hits(chaos.folder), evidence, calm)


def record_refused(finding: Finding, received: Collection[str]) -> bool:
    """Say whether an alert that the audit calls unpaged was paged all the same.

    A notifier whose clock is ahead writes a PAGE_EVENT of the future, which is quarantined.
    """
    return (finding.kind, finding.cause) == ("unpaged", "lost") and finding.alert_id in received


def _facts(
    options: ChaosOptions,
    chaos: Chaos,
    results: Results,
    report: AuditReport,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "minutes": round(options.seconds / 60, 1),
        "seed": options.seed,
        "rate": options.rate,
        "started_at": figures["started_at"],
        "payments": figures["payments"],
        "stolen_payments": figures["stolen_payments"],
        "alerts": figures["alerts"],
        "pages": figures["pages"],
        "restarts": figures["restarts"],
        "verdict": figures["failures"],
        "injections": results.injections,
        "kinds": results.kinds,
        "lost": results.lost,
        "doubled": results.doubled,
        "repeats": results.repeats,
        "in_doubt": results.in_doubt,
        "not_done": dict(results.not_done),
        "untried": chaos.untried,
        "audit": {f"{kind} ({cause})": count for (kind, cause), count in report.counts.items()},
        "audit_owed": report.owed,
        "audit_alerted": report.alerted,
        "rows": [asdict(row) for row in results.rows],
    }


def written(facts: Mapping[str, Any], results: Results) -> str:
    """Write what a run showed, for a document."""
    restarts = ", ".join(f"{name} {count}" for name, count in facts["restarts"].items() if count)
    found = ", ".join(f"{count} {what}" for what, count in facts["audit"].items())
    lines = [
        (
            f"`make chaos MINUTES={facts['minutes']:g} SEED={facts['seed']}`, {facts['rate']:g} "
            f"payments/s, {facts['started_at'][:16].replace('T', ' ')} UTC: "
            f"**{facts['injections']} injections of {facts['kinds']} kinds**; "
            f"{facts['payments']:,} payments, {facts['stolen_payments']:,} on stolen cards, "
            f"{facts['alerts']:,} alerts, {facts['pages']:,} pages."
        ),
        "",
        (
            f"- **Lost {facts['lost']}, doubled unmarked {facts['doubled']}, repeats marked "
            f"{facts['repeats']}**; a notifier was kept from noting what it may have published "
            f"{facts['in_doubt']} times, which is the most there may be."
        ),
        f"- The run's verdict: {'; '.join(facts['verdict']) or 'every promise was kept'}.",
        (
            f"- The audit: {facts['audit_owed']:,} payments owed an alert, "
            f"{facts['audit_alerted']:,} have one, {facts['audit_defects']} defects, and "
            f"{facts['audit_records_refused']} alerts that were paged, whose page's own record is "
            "in quarantine because a clock was ahead; all findings: "
            f"{found or 'none'}."
        ),
        f"- Started again: {restarts or 'nothing'}.",
    ]
    if facts["not_done"]:
        not_done = "; ".join(f"{why} ({n})" for why, n in facts["not_done"].items())
        lines.append(f"- Not done, because it was not possible at that moment: {not_done}.")
    if facts["untried"]:
        untried = "; ".join(f"{kind}: {why}" for kind, why in facts["untried"].items())
        lines.append(f"- Untried there: {untried}.")
    return "\n".join([*lines, "", markdown(results)])
