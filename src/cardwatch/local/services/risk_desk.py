"""The risk desk's Flink: its application in a program of its own, apart from the stolen cards'.

One Java process holds the whole of a small cluster. What happens to it, and how busy it is, is its
own affair: it starts when the other application reads, it yields the processor, and when it dies
the supervisor starts it again from its last checkpoint.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cardwatch import files
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.services.flink import (
    APPLICATION,
    ENVIRONMENT,
    LOGGING,
    RISK_DESK,
    Edge,
    edge_properties,
    job_options,
    metrics_ports,
    reporter,
)
from cardwatch.local.services.flink_rest import HOST, FlinkHealth, FlinkRest
from cardwatch.local.services.java import LOCALE, java_home
from cardwatch.settings import LocalSettings

PROGRAM: Final = "risk-desk"
RUN: Final = Path(__file__).with_name("run_job.py").resolve()
READS: Final[Mapping[Edge, tuple[str, str]]] = {
    "local": ("poll_ms", "500"),
    "connector": ("poll_interval_ms", "2000"),
}
"""How often it reads: all readers of a shard share what it serves, and this one can wait. Over the
connector as on AWS (template.yaml)."""
NICENESS: Final = 10
_JVM: Final = (
    "-Xms64m",
    "-Xmx448m",
    "-XX:MaxDirectMemorySize=160m",
    "-XX:MaxMetaspaceSize=224m",
    "-XX:ReservedCodeCacheSize=96m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Djava.security.manager=allow",
    *LOCALE,
    # The emulator does not speak CBOR, as the Kinesis connector's SDK would.
    "-Daws.cborEnabled=false",
)


class RiskDesk:
    """The risk desk's program for the supervisor, and how its job is."""

    def __init__(self, settings: LocalSettings, root: Path) -> None:
        """Use the environment and the application under `root`, the project's folder."""
        self._settings = settings
        self._root = root.resolve()
        self._python = self._root / ENVIRONMENT / "bin" / "python"
        self._folder = (settings.var / "risk-desk").resolve()
        self.rest = FlinkRest(settings.risk_desk_port)

    def program(self, edge: Edge, outputs: StackOutputs) -> Program:
        """Give the program; what an earlier run left of its state is removed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("tmp", "checkpoints"):
            (self._folder / name).mkdir(parents=True)
        logging = self._folder / "log4j.properties"
        logging.write_text(LOGGING)
        properties = self._folder / "application_properties.json"
        groups = edge_properties(edge, outputs, self._settings, application=RISK_DESK)
        setting, value = READS[edge]
        groups["cardwatch.edge"][setting] = value
        groups["cardwatch.flink"] = self._options()
        listed = [{"PropertyGroupId": name, "PropertyMap": dict(g)} for name, g in groups.items()]
        files.replace(properties, json.dumps(listed, indent=1) + "\n")
        return Program(
            PROGRAM,
            [
                *("nice", "-n", str(NICENESS)),
                *(str(self._python), str(RUN)),
                *("--edge", edge, "--properties", str(properties)),
            ],
            environment={
                "PYTHONPATH": str(self._root / APPLICATION),
                "JAVA_HOME": str(java_home()),
                "JVM_ARGS": " ".join(_JVM),
                "LOG4J_PROPERTIES": logging.as_uri(),
                "FLINK_LOG_DIR": str(self._settings.var.resolve() / "log"),
                "TMPDIR": str(self._folder / "tmp"),
                "_python_worker_execution_mode": "process",
            },
            folder=self._folder,
            ready=self.runs,
        )

    def runs(self) -> bool:
        """Say whether every task of its job runs."""
        job = self.rest.newest_job()
        return job is not None and self.rest.tasks_run(job)

    def health(self) -> FlinkHealth | None:
        """Say how its job is; None while nobody answers."""
        job = self.rest.newest_job()
        return self.rest.health(job) if job else None

    def _options(self) -> dict[str, str]:
        ports = metrics_ports(self._settings)
        return {
            "execution.target": "local",
            "rest.address": HOST,
            "rest.bind-address": HOST,
            "rest.port": str(self._settings.risk_desk_port),
            "rest.bind-port": str(self._settings.risk_desk_port),
            "jobmanager.bind-host": HOST,
            "jobmanager.rpc.port": str(free_port()),
            "taskmanager.bind-host": HOST,
            "taskmanager.memory.network.min": "32m",
            "taskmanager.memory.network.max": "32m",
            "taskmanager.memory.managed.size": "128m",
            # Flink's 64 MB make each column family take memory by 8 MB: the many of this job would
            # have used up all that is there, and RocksDB would flush at nearly every write.
            "state.backend.rocksdb.writebuffer.size": "2 mb",
            "execution.buffer-timeout.interval": "50 ms",
            **job_options(self._folder, self._python, self._folder / "checkpoints"),
            # Of the checkpoint that it was started from it is the owner, and removes it in time.
            "execution.state-recovery.claim-mode": "CLAIM",
            "restart-strategy.exponential-delay.initial-backoff": "1 s",
            "restart-strategy.exponential-delay.max-backoff": "30 s",
            **(reporter(ports[-1]) if ports else {}),
        }
