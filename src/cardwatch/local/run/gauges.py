"""What a run must ask others for, read at their own pace."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.aws.card_registry import DynamoDBCardRegistry
from cardwatch.aws.ledger import DynamoDBPageLedger
from cardwatch.aws.subscriptions import SnsSubscriptions
from cardwatch.clock import SystemClock
from cardwatch.local.errors import LocalStackError
from cardwatch.local.firehose.delivery import UnreachableError
from cardwatch.local.firehose.ends import BucketObjects, Quarantine
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.run.given_up import GivenUp
from cardwatch.local.run.status import OFF, CanaryPassed
from cardwatch.local.services import ministack
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.services.flink_rest import FlinkHealth
from cardwatch.local.services.risk_desk import RiskDesk
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.paging.canary import SIGN_OF_LIFE
from cardwatch.paging.ledger import Ledger
from cardwatch.paging.ports import LedgerUnavailableError
from cardwatch.paging.subscriptions import SubscriptionsUnavailableError, reaches_anybody
from cardwatch.settings import LocalSettings
from cardwatch.staging.stolen import StolenCards
from cardwatch.warehouse.ports import WarehouseUnavailableError

POLL_SECONDS: Final = 0.2


class Gauges(threading.Thread):
    """Reads what must be asked for, each at its own pace, so that showing it waits for nothing."""

    def __init__(
        self,
        settings: LocalSettings,
        server: WarehouseServer,
        *,
        started: Callable[[], bool],
        outputs: Callable[[], StackOutputs],
        job_health: Callable[[], FlinkHealth | None],
        why_job_failed: Callable[[str], str | None],
        risk_desk: RiskDesk | None = None,
    ) -> None:
        """Read nothing before `started`; `why_job_failed` is asked with the job's id."""
        super().__init__(name="gauges", daemon=True)
        self.staged_rows: int | None = None
        self.quarantined: Mapping[str, int] = {}
        self.quarantined_on_stolen_cards = 0
        self.watermark_lag: float | None = None
        # Instants, not lags: a lag that was read seconds ago says too much of now. While a job does
        # not answer, what it has passed it has passed.
        self.watermark: datetime | None = None
        self.risk_desk_watermark: datetime | None = None
        self.given_up: Mapping[str, int] = {}
        self.canary: dict[str, CanaryPassed] = {}
        self._canary_heard: datetime | None = None
        """When the notifier had the last one, or when one was waited for first."""
        self.job = "not submitted"
        self.risk_desk_job = "starting" if risk_desk else OFF
        self.memory_mb: int | None = None
        self.peak_memory_mb = 0
        self._settings = settings
        self._server = server
        self._may_read = started
        self._outputs = outputs
        self._job_health = job_health
        self._why_job_failed = why_job_failed
        self._risk_desk = risk_desk
        self._given_up = GivenUp(settings.var)
        self._troubles: dict[str, str] = {}
        self._waiting: tuple[str, ...] = ()
        self._ended = threading.Event()
        self._quarantine: Quarantine | None = None

    def run(self) -> None:
        """Read until stopped."""
        readers: list[tuple[float, str, Callable[[], object]]] = [
            (1.0, "Flink", self._read_job),
            (3.0, "risk desk", self._read_risk_desk),
            (3.0, "warehouse", self.read_staged_rows),
            (3.0, "quarantine", self.read_quarantine),
            (1.0, "stand-ins", self.read_given_up),
            (5.0, "pages", self.read_subscriptions),
            (5.0, "canary", self.read_canary),
            (5.0, "memory", self._read_memory),
        ]
        due = dict.fromkeys((name for _, name, _ in readers), 0.0)
        while not self._ended.wait(POLL_SECONDS):
            if not self._may_read():
                continue
            for period, name, read in readers:
                now = time.monotonic()
                if now < due[name]:
                    continue
                due[name] = now + period
                try:
                    read()
                    self._troubles.pop(name, None)
                except (
                    BotoCoreError,
                    ClientError,
                    LedgerUnavailableError,
                    LocalStackError,
                    OSError,
                    SubscriptionsUnavailableError,
                    UnreachableError,
                    ValueError,
                    WarehouseUnavailableError,
                ) as error:
                    self._troubles[name] = f"{name}: {error}"

    def stop(self) -> None:
        """Read no more."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def troubles(self) -> tuple[str, ...]:
        """Say what could not be read."""
        return (*self._troubles.values(), *self._waiting)

    def _read_job(self) -> None:
        health = self._job_health()
        if health is None:
            self.job, self.watermark_lag = "does not answer", None
            return
        self.job = in_words(health)
        self.watermark_lag = health.watermark_lag_seconds
        self.watermark = health.watermark or self.watermark
        if health.state != "RUNNING":
            why = self._why_job_failed(health.job_id) or "it gives no reason"
            msg = f"the job is {health.state}: {why}"
            raise LocalStackError(msg)

    def _read_risk_desk(self) -> None:
        if self._risk_desk is None:
            return
        health = self._risk_desk.health()
        if health is not None:
            self.risk_desk_watermark = health.watermark or self.risk_desk_watermark
            self.risk_desk_job = in_words(health)
        elif self.risk_desk_job != "starting":
            self.risk_desk_job = "does not answer"
            msg = "its job does not answer; stolen cards are watched all the same"
            raise LocalStackError(msg)

    def read_staged_rows(self) -> int:
        """Give the rows of staging.events, by the load ledger: counting them would read them."""
        with self._server.connect() as connection:
            answer = connection.execute(
                "SELECT coalesce(sum(row_count), 0) FROM staging.loaded_objects"
            ).fetchone()
        self.staged_rows = int(answer[0]) if answer else 0
        return self.staged_rows

    def read_quarantine(self) -> Mapping[str, int]:
        """Give what is in quarantine, by reason."""
        if self._quarantine is None:
            settings, outputs = self._settings, self._outputs()
            clients = ministack.clients(settings)
            dynamodb = clients.impatient_dynamodb()
            registry = DynamoDBCardRegistry(dynamodb, outputs.card_registry_table)
            self._quarantine = Quarantine(
                BucketObjects(clients.s3(), outputs.delivery_bucket),
                StolenCards(registry, SystemClock()),
            )
        counted = self._quarantine.count()
        self.quarantined = dict(counted.reasons)
        self.quarantined_on_stolen_cards = counted.on_stolen_cards
        return self.quarantined

    def read_given_up(self) -> Mapping[str, int]:
        """Give what the stand-ins gave up so far; what they wait for becomes a trouble."""
        self._waiting = self._given_up.read()
        self.given_up = self._given_up.counts
        return self.given_up

    def read_canary(self) -> None:
        """Look where the newest canary is that the stream does not tell of.

        Raises LocalStackError where none has come to the notifier for a while.
        """
        clock = SystemClock()
        dynamodb = ministack.clients(self._settings).impatient_dynamodb()
        table = self._outputs().ledger_table
        ledger = DynamoDBPageLedger(dynamodb, table, clock, keep_for=timedelta(days=1))
        if (last := Ledger(ledger).canary()) is not None:
            self._canary_heard = last.arrived_at
            self.canary["notifier"] = CanaryPassed.of(last.sent_at, last.arrived_at)
        with self._server.connect() as connection:
            staged = connection.execute(
                "SELECT origin_at, staged_at FROM marts.canaries ORDER BY origin_at DESC LIMIT 1"
            ).fetchone()
        if staged:
            self.canary["warehouse"] = CanaryPassed.of(*(t.replace(tzinfo=UTC) for t in staged))
        self._canary_heard = self._canary_heard or clock.now()
        if clock.now() - self._canary_heard > SIGN_OF_LIFE:
            msg = "none came to the notifier lately: payments may page nobody"
            raise LocalStackError(msg)

    def read_subscriptions(self) -> None:
        """Raise LocalStackError while a page would reach nobody."""
        topic = self._outputs().topic_arn
        subscriptions = SnsSubscriptions(ministack.clients(self._settings).impatient_sns(), topic)
        if not reaches_anybody(subscriptions, list(subscriptions.all())):
            msg = "nobody is subscribed to them; alerts are held until somebody is"
            raise LocalStackError(msg)

    def _read_memory(self) -> None:
        """Add up the proportional share of memory of every process of the run, this one too."""
        total = 0
        for process in [psutil.Process(), *leftovers(RunFolder(self._settings.var))]:
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                total += getattr(memory, "pss", memory.rss)
        self.memory_mb = total // 1_000_000
        self.peak_memory_mb = max(self.peak_memory_mb, self.memory_mb)


def in_words(health: FlinkHealth) -> str:
    """Say how a job is."""
    words = f"{health.state}, {health.checkpoints} checkpoints"
    if health.failed_checkpoints:
        words += f" ({health.failed_checkpoints} failed)"
    if health.restarts:
        words += f", restored {health.restarts} times"
    return words
