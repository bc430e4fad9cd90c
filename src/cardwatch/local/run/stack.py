"""The one-machine stack: everything that runs, brought up in the order of what waits for what.

What waits for nothing starts at once and side by side (emulator, Flink, PostgreSQL, building the
functions); then the stack is deployed, the job is submitted and the simulator is started. Payments
begin only when the job's tasks run, so that latencies are the system's and not the start's; what
only pages need starts beside those tasks, and what only rows need after them.

A run starts empty. The stream lives in the emulator's memory, so Flink's checkpoints, the
positions of readers, the rows of the warehouse and the receipts of an earlier run would speak of a
stream that is no more: they are removed when the next run starts.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import psutil

from cardwatch.aws.cursors import DynamoDBCursors
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.bootstrap.event_import import build_tokenizer
from cardwatch.cards.tokenizer import read_tokenized_cards
from cardwatch.clock import SystemClock
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import EVENT_TYPES
from cardwatch.local.auditor import Auditor
from cardwatch.local.bank import BankDatabase, LocalBank
from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource import program as event_source
from cardwatch.local.firehose import status as delivery_status
from cardwatch.local.processes.logs import OLDER, cap_log
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.processes.stopping import stop_held, stop_if_asked
from cardwatch.local.processes.supervisor import Program, Supervisor
from cardwatch.local.refresher import Refresher
from cardwatch.local.run.controls import StackControls
from cardwatch.local.run.gauges import Gauges
from cardwatch.local.run.metrics import RunMetrics
from cardwatch.local.run.status import State, Status, Tally, in_order
from cardwatch.local.run.steps import Step, Steps
from cardwatch.local.services import dashboard, deploy, flink, ministack
from cardwatch.local.services.flink_rest import FlinkHealth
from cardwatch.local.services.job_recovery import JobRecovery
from cardwatch.local.services.risk_desk import RiskDesk
from cardwatch.local.stream.shard import Stream
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.local.witness.observer import PageObserver, StreamObserver
from cardwatch.local.witness.receipts import Fact, Receipts
from cardwatch.settings import LocalSettings, SimulatorSettings
from cardwatch.simulation.accounts import Accounts
from cardwatch.simulation.population import Population
from cardwatch.warehouse.ports import WarehouseUnavailableError

EMULATOR_SECONDS: Final = 60.0
FLINK_SECONDS: Final = 120.0
CAUGHT_UP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.2
MAX_START_RESTARTS: Final = 4
NOTIFIER_WORKERS: Final = 2
"""One per shard: the event source calls the notifier for each apart."""
STALE_STATE: Final = ("flink", "risk-desk", "positions", "receipts", "ministack")
FLUSH_SECONDS: Final = 30.0
SEED: Final[int] = SimulatorSettings.model_fields["seed"].default
"""The deployed simulator's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a stack is put into by whoever tries faults on it."""

    emulator_port: int | None = None
    """Where the emulator listens; what stands at the stack's AWS port is among the `programs`."""
    programs: Sequence[Program] = ()
    """Started before all others."""
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What is added to a program's, by the program's name."""
    checkpoints: Path | None = None
    """Where the job that watches stolen cards keeps its checkpoints."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What is asked of a stack."""

    rate: float = 20.0
    """Payments per second."""
    faults: str = "none"
    """A fault profile of the simulator."""
    scenarios: str = "all"
    """Scenarios of fraud that it plays."""
    edge: flink.Edge = "local"
    """How the Flink job reads and writes the stream."""
    audit: bool = False
    """Whether missing alerts are put on the stream meanwhile."""
    surroundings: Surroundings = field(default_factory=Surroundings)


class LocalStack:
    """Everything that runs; `start` brings it up, `stop` takes it down."""

    def __init__(
        self,
        settings: LocalSettings,
        root: Path,
        options: StackOptions,
        *,
        receipts_file_bytes: int | None = None,
    ) -> None:
        """Prepare a run in the run folder of `settings`, which must have been acquired.

        `receipts_file_bytes` bounds each receipts file; None: all receipts are kept.
        """
        self.settings = settings
        self.clients = ministack.clients(settings)
        self._around = options.surroundings
        self.witness = ministack.clients(
            settings.model_copy(
                update={"aws_port": self._around.emulator_port or settings.aws_port}
            )
        )
        """Clients of whoever only looks on, or steers the run: nothing stands in their way."""
        self.state: State = "starting"
        self.doing = "starting"
        self.started_at = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
        """When the command was given."""
        self.metrics = RunMetrics(self.status)
        self.tally = Tally(
            alert_took=self.metrics.alert_seconds.observe,
            page_took=self.metrics.page_seconds.observe,
        )
        self.steps = Steps(self.started_at)
        self.supervisor = Supervisor(RunFolder(settings.var))
        self.server = WarehouseServer(settings.var / "postgres")
        self.refresher = Refresher(
            self.server, retention_days=settings.warehouse_days, staged=self.tally
        )
        self.auditor: Auditor | None = None
        self.bank: LocalBank | None = None
        self.cluster = flink.FlinkCluster(settings, root, checkpoints=self._around.checkpoints)
        self.risk_desk = RiskDesk(settings, root) if settings.risk_desk == "on" else None
        self.job_id: str | None = None
        self.recovery: JobRecovery | None = None
        self._submission: flink.Submission | None = None
        self.gauges = Gauges(
            settings,
            self.server,
            started=lambda: self.state != "starting",
            outputs=lambda: self.outputs,
            job_health=self.job_health,
            why_job_failed=self.cluster.rest.exception,
            risk_desk=self.risk_desk,
        )
        self._options = options
        self._receipts_file_bytes = receipts_file_bytes
        self._root = root
        self._began = time.monotonic() - (datetime.now(UTC) - self.started_at).total_seconds()
        self._outputs: deploy.StackOutputs | None = None
        self._postgres_restarts = 0
        self._postgres_wanted = False
        self._log_bytes_dropped = 0
        self._payments_since = 0.0
        self._receipts: Receipts | None = None
        self._observers: list[StreamObserver | PageObserver] = []
        self._pool = ThreadPoolExecutor(6, thread_name_prefix="start")

    @property
    def outputs(self) -> deploy.StackOutputs:
        """Give the deployed stack's outputs; raises LocalStackError before it is deployed."""
        if self._outputs is None:
            msg = "the stack is not deployed yet"
            raise LocalStackError(msg)
        return self._outputs

    @property
    def controls(self) -> StackControls:
        """Give what the deployed stack can be asked for."""
        return StackControls(self.witness, self.outputs)

    @property
    def receipts_folder(self) -> Path:
        """Give where the receipts are."""
        return self.settings.var / "receipts"

    # ---------- start ----------

    def start(self) -> None:
        """Bring everything up and begin with payments; raises LocalStackError."""
        self.steps.add("load the command", self.started_at.timestamp(), time.time())
        self._clear()
        if self.settings.metrics_port:
            self.metrics.start(self.settings.metrics_port)
        self.doing = "starting the AWS emulator, Flink and PostgreSQL; building the functions"
        self.supervisor.__enter__()
        with self.steps.step("AWS emulator"):
            for program in self._around.programs:
                self._start_program(program)
            self._start_program(
                ministack.program(self.settings, self._root, port=self._around.emulator_port)
            )
            self.cluster.prepare()
            with stop_held():
                self._submission = self.cluster.begin_submission(self._options.edge)
            for program in self.cluster.programs():
                self._start_program(program)
            warehouse = self._pool.submit(self._start_warehouse)
            built = self._pool.submit(self._build)
            self.supervisor.wait_ready("ministack", timeout_seconds=EMULATOR_SECONDS)
        self._result(built)
        with self.steps.step("deploy the stack"):
            self._outputs = self._result(self._pool.submit(self._deploy))
        self.doing = "submitting the Flink job"
        submitted = self._pool.submit(self._submit)
        self.controls.set_payments(on=False)
        self.controls.start_simulator()
        self._observe()
        self._result(warehouse)
        if self.risk_desk is not None:
            self._result(self._pool.submit(self._open_bank))
        self.job_id = self._result(submitted)
        self._keep_job()
        self.doing = "waiting for the Flink job to read the stream"
        self._start_program(event_source.program(self.settings))
        warm = [self._pool.submit(self._warm_notifier) for _ in range(NOTIFIER_WORKERS)]
        with self.steps.step("start the job's tasks"):
            self._wait_for(self._tasks_run, self._why_no_job, FLINK_SECONDS)
        self.controls.set_payments(on=True)
        self._payments_since = time.time()
        self._start_program(self._delivery())
        self.refresher.start()
        if self._options.audit:
            self._audit()
        for worker in warm:
            self._result(worker)
        self._wait_for(self._job_reads, self._why_no_job, FLINK_SECONDS)
        if self.risk_desk is not None:
            # Not before the stolen cards are watched.
            self._start_program(self.risk_desk.program(self._options.edge, self.outputs))
        self.state, self.doing = "running", ""
        # Last, for nobody's page waits for it.
        if (shown := dashboard.program(self.settings, self._root)) is not None:
            with suppress(LocalStackError):
                self._start_program(shown)

    def _start_program(self, program: Program) -> None:
        added = self._around.environment.get(program.name, {})
        environment = {**program.environment, **added}
        self.supervisor.start(replace(program, environment=environment))

    def _clear(self) -> None:
        # Thousands of files: out of the way at once, and removed while other things start.
        stale = self.settings.var / "stale"
        shutil.rmtree(stale, ignore_errors=True)
        stale.mkdir(parents=True)
        for name in STALE_STATE:
            with suppress(FileNotFoundError):
                (self.settings.var / name).rename(stale / name)
        self._pool.submit(shutil.rmtree, stale, ignore_errors=True)
        (self.settings.var / "run.json").unlink(missing_ok=True)
        for status in (self.settings.var / "run").glob("*-status.json"):
            status.unlink()
        logs = self.settings.var / "log"
        for log in (*logs.glob("*.log"), *logs.glob(f"*{OLDER}")):
            log.unlink()

    def _build(self) -> None:
        with self.steps.step("build the functions"):
            deploy.build(self.settings, self._root, progress=self._say)

    def _deploy(self) -> deploy.StackOutputs:
        parameters = {
            "PaymentsPerSecond": f"{self._options.rate:g}",
            "FaultProfile": self._options.faults,
            "Scenarios": self._options.scenarios,
        }
        if self.risk_desk is not None:
            # Who reads accounts is the risk desk: without it there is no bank's database either.
            parameters["AccountsDatabase"] = "local"
        return deploy.deploy(self.settings, self._root, progress=self._say, parameters=parameters)

    def _start_warehouse(self) -> None:
        with self.steps.step("PostgreSQL"):
            self.server.start()
            self._postgres_wanted = True
            warehouse = Warehouse(self.server)
            warehouse.define()
            warehouse.empty()
            warehouse.close()

    def _open_bank(self) -> None:
        """Open the bank's books, of the accounts that the simulator's cards belong to."""
        with self.steps.step("the bank's database"):
            clock = SystemClock()
            tokenizer = build_tokenizer(self.outputs.token_key_secret, self.clients)
            cards = read_tokenized_cards(
                self._root / self.settings.cards, tokenizer, now=clock.now()
            )
            self.bank = LocalBank(
                BankDatabase(self.server),
                Accounts(Population(cards, SEED), SEED),
                len(cards),
                stream=KinesisEventStream(self.clients.kinesis(), self.outputs.stream_name, clock),
                cursors=DynamoDBCursors(self.clients.dynamodb(), self.outputs.control_table),
                clock=clock,
            )
            self.bank.open()
            self.bank.start()

    def _audit(self) -> None:
        clock = SystemClock()
        self.auditor = Auditor(
            self.server,
            stream=KinesisEventStream(self.clients.kinesis(), self.outputs.stream_name, clock),
            cursors=DynamoDBCursors(self.clients.dynamodb(), self.outputs.control_table),
            kept=timedelta(days=self.settings.warehouse_days),
            clock=clock,
        )
        self.auditor.start()

    def _warm_notifier(self) -> None:
        with self.steps.step("start a worker of the notifier"):
            self.controls.call_notifier()

    def _observe(self) -> None:
        receipts = Receipts(self.receipts_folder, file_bytes=self._receipts_file_bytes)
        lock = threading.Lock()

        def keep(facts: list[Fact]) -> None:
            with lock:
                for fact in facts:
                    receipts.write(fact)
                receipts.flush()
            self.tally.take(facts)

        self._receipts = receipts
        self._observers = [
            *(
                StreamObserver(Stream(self.witness.kinesis(), name), keep)
                for name in (self.outputs.stream_name, self.outputs.scores_stream_name)
            ),
            PageObserver(self.witness.sqs(), self.outputs.pages_queue_url, keep),
        ]
        for observer in self._observers:
            observer.start()

    def _submit(self) -> str:
        if self._submission is None:
            msg = "the Flink job's submission was not begun"
            raise LocalStackError(msg)
        with self.steps.step("plan and submit the Flink job"):
            return self._submission.finish(self._job_properties())

    def _job_properties(self) -> dict[str, dict[str, str]]:
        return flink.edge_properties(self._options.edge, self.outputs, self.settings)

    def _keep_job(self) -> None:
        def submitted(job: str) -> None:
            self.job_id = job

        self.recovery = JobRecovery(
            self.cluster,
            self._options.edge,
            self._job_properties(),
            deaths=lambda: self.supervisor.restarts()[flink.JOB_MANAGER],
            submitted=submitted,
        )
        self.recovery.start()

    def job_health(self) -> FlinkHealth | None:
        """Say how the job is; None while nobody answers."""
        return self.cluster.rest.health(self.job_id) if self.job_id else None

    def _tasks_run(self) -> bool:
        return self.job_id is not None and self.cluster.rest.tasks_run(self.job_id)

    def _job_reads(self) -> bool:
        """Say whether the job has caught up with the heartbeats."""
        health = self.job_health()
        lag = health.watermark_lag_seconds if health else None
        return lag is not None and lag < CAUGHT_UP_SECONDS

    def _why_no_job(self) -> str:
        why = self.cluster.rest.exception(self.job_id) if self.job_id else None
        return f"the Flink job does not read the stream ({why or 'it gives no reason'})"

    def _delivery(self) -> Program:
        # Delivery reads the same settings as this process, whatever set them.
        settings = self.settings.model_dump()
        return Program(
            "delivery",
            [sys.executable, "-m", "cardwatch.local.firehose.program"],
            environment={f"CARDWATCH_{key.upper()}": str(value) for key, value in settings.items()},
            folder=self._root,
        )

    def _say(self, text: str) -> None:
        self.doing = text

    def _result(self, future: Future[T]) -> T:
        """Wait for a step, and give up when a program that must live has died meanwhile."""
        while not future.done():
            self.check()
            time.sleep(POLL_SECONDS)
        return future.result()

    def _wait_for(
        self, condition: Callable[[], bool], otherwise: Callable[[], str], seconds: float
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                msg = f"{otherwise()} after {seconds:.0f} s; see {self.settings.var / 'log'}"
                raise LocalStackError(msg)
            time.sleep(POLL_SECONDS)

    # ---------- while it runs ----------

    def check(self) -> None:
        """Raise LocalStackError when a program died for good, or does not get up at all.

        And StopRequested where somebody asked to stop.
        """
        stop_if_asked()
        if self.supervisor.failure is not None:
            raise LocalStackError(self.supervisor.failure)
        if self.state != "starting":
            return
        for name, restarts in self.supervisor.restarts().items():
            if restarts >= MAX_START_RESTARTS:
                words = self.supervisor.last_words(name)
                msg = f"{name} ended {restarts} times while everything was started: {words}"
                raise LocalStackError(msg)

    def tend(self) -> None:
        """Look after PostgreSQL and its log, because it is no child of the supervisor."""
        with suppress(OSError):
            self._log_bytes_dropped += cap_log(self.server.folder / "log")
            if self.tally.first_page is not None:
                self.cluster.classes.keep_archive(self.cluster.class_lists)
        if self._postgres_wanted and self.server.pid() is None:
            self._postgres_restarts += 1
            with suppress(WarehouseUnavailableError):
                self.server.start()

    def restarts(self) -> dict[str, int]:
        """Give how often each program was restarted."""
        return {**self.supervisor.restarts(), "postgres": self._postgres_restarts}

    def staged_ids(self) -> set[str]:
        """Give the event_id of everything in the warehouse."""
        warehouse = Warehouse(self.server)
        try:
            return {i for name in EVENT_TYPES for i in warehouse.event_ids(name)}
        finally:
            warehouse.close()

    def flush_delivery(self) -> None:
        """Have all that is on the stream now staged, and the marts refreshed.

        Raises LocalStackError when staging takes long.
        """
        pid = self.supervisor.pids().get("delivery")
        with suppress(ProcessLookupError):
            if pid and delivery_status.request_flush(
                self.settings.var, pid, timeout_seconds=FLUSH_SECONDS
            ):
                self.refresher.refresh()
                return
        status = delivery_status.read_status(self.settings.var)
        problem = (status and status.problem) or "it does not say why"
        msg = (
            f"delivery did not stage everything within {FLUSH_SECONDS:.0f} s: {problem}; "
            f"see {self.settings.var / 'log' / 'delivery.log'}"
        )
        raise LocalStackError(msg)

    def status(self) -> Status:
        """Give the picture of this moment."""
        now = datetime.now(UTC)
        gauges = self.gauges
        unseen = tuple(o.error for o in self._observers if o.error)
        troubles = unseen + gauges.troubles() + self.refresher.troubles()
        troubles += self.auditor.troubles() if self.auditor else ()
        troubles += self.bank.troubles() if self.bank else ()
        if self.recovery is not None and self.recovery.trouble:
            troubles += (self.recovery.trouble,)
        pids = self.supervisor.pids()
        postgres = self.server.pid() if self._postgres_wanted else None
        return Status(
            state=self.state,
            doing=self.doing,
            updated_at=format_time(now),
            uptime_seconds=round(time.monotonic() - self._began, 1),
            counts=self.tally.counts(now),
            staged_rows=gauges.staged_rows,
            quarantined=gauges.quarantined,
            quarantined_on_stolen_cards=gauges.quarantined_on_stolen_cards,
            watermark_lag_seconds=gauges.watermark_lag,
            job=gauges.job,
            risk_desk=gauges.risk_desk_job,
            programs={**pids, **({"postgres": postgres} if postgres else {})},
            restarts=self.restarts(),
            memory_mb=gauges.memory_mb,
            addresses=self._addresses() if self.state in {"running", "finishing"} else {},
            dropped=self._dropped(),
            given_up={what: count for what, count in gauges.given_up.items() if count},
            troubles=troubles,
            canary=in_order(self.tally.canary() | gauges.canary),
            start=self.start_steps(),
        )

    def start_steps(self) -> tuple[Step, ...]:
        """Give the steps of the start so far, the first page's way to a person included."""
        steps = Steps(self.started_at, self.steps.done())
        began = self._payments_since
        for name, instant in [
            ("first stolen payment", self.tally.first_stolen),
            ("its window closes, and it is alerted", self.tally.first_alert),
            ("it is paged", self.tally.first_page),
        ]:
            if instant is None:
                break
            steps.add(name, began, instant.timestamp())
            began = instant.timestamp()
        return steps.done()

    def _no_pages(self) -> int:
        return sum(o.no_pages for o in self._observers if isinstance(o, PageObserver))

    def _dropped(self) -> dict[str, int]:
        """Say what a long run has dropped so far to stay small."""
        counts = {
            "messages that are no page": self._no_pages(),
            "receipts": self._receipts.dropped if self._receipts else 0,
            "records of the stream": ministack.dropped_records(self.settings),
            "bytes of logs": self._log_bytes_dropped + self.supervisor.log_bytes_dropped,
        }
        return {what: count for what, count in counts.items() if count}

    def _addresses(self) -> dict[str, str]:
        addresses = {
            **dashboard.addresses(self.settings, self._root),
            "Flink": self.cluster.rest.address,
            **({"risk desk": self.risk_desk.rest.address} if self.risk_desk else {}),
            **self._metrics_address(),
            "AWS": f"aws --endpoint-url {ministack.endpoint(self.settings)} …  (any credentials)",
        }
        with suppress(WarehouseUnavailableError):
            addresses["warehouse"] = f"psql '{self.server.uri()}'"
        return addresses

    def _metrics_address(self) -> dict[str, str]:
        port = self.settings.metrics_port
        return {"metrics": f"http://127.0.0.1:{port}/metrics"} if port else {}

    # ---------- stop ----------

    def stop(self) -> None:
        """Take everything down, whatever state it is in; leaves no process behind."""
        self.metrics.stop()
        self.gauges.stop()
        self.cluster.classes.finish_archive(wait_seconds=0.0)
        for observer in self._observers:
            observer.stop()
        self._postgres_wanted = False
        self.refresher.stop()
        if self.auditor is not None:
            self.auditor.stop()
        if self.bank is not None:
            self.bank.stop()
        # The supervisor's last act is to end whatever carries the run's mark, so PostgreSQL, which
        # does not like that, goes first.
        self.supervisor.stop_program("delivery")
        with suppress(WarehouseUnavailableError, OSError, psutil.Error):
            self.server.stop()
        if self._submission is not None:
            self._submission.stop()
        if self.recovery is not None:
            self.recovery.stop()
        self.supervisor.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        # A start that failed early may have been starting it still.
        if self.server.pid() is not None:
            with suppress(WarehouseUnavailableError, OSError, psutil.Error):
                self.server.stop()
        if self._receipts is not None:
            self._receipts.close()
